"""Signatures of orders: Ed25519 keys, and the list of those that a worker trusts and with what.

A line of the list is ``RIGHTS KEY NAME``: rights joined by commas (``build``, ``pr``), the public key (32 bytes in
base64), and whose it is. The private key is a PEM file (PKCS #8) that only its owner reads.
"""

from __future__ import annotations

import base64
import binascii
import hashlib
import os
import stat
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from farm.errors import FleetError, MissingToolError
from farm.fleet.order import Right
from farm.store.files import disk_errors, make_dirs, write_new

if TYPE_CHECKING:
    from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey

RIGHTS: tuple[Right, ...] = ("build", "pr")
_KEY_BYTES = 32
_MAX_FILE = 1 << 20


@dataclass(frozen=True, slots=True, kw_only=True)
class Signer:
    """A private key. `name` is the fingerprint that its signatures carry."""

    name: str
    public: str
    _key: Ed25519PrivateKey

    def sign(self, text: str) -> str:
        """The signature of a text, in base64."""
        return base64.b64encode(self._key.sign(text.encode())).decode()


@dataclass(frozen=True, slots=True, kw_only=True)
class Trusted:
    """A public key, whose it is, and what it may ask for."""

    rights: frozenset[str]
    owner: str
    key: Ed25519PublicKey


def signer(path: Path) -> Signer:
    """Read a private key. Raises FleetError if it is missing, damaged, or readable by others."""
    serialization = _crypto().hazmat.primitives.serialization
    try:
        facts = path.stat()
        data = path.read_bytes()[:_MAX_FILE]
    except OSError as error:
        raise FleetError(
            f"the key that signs orders cannot be read: {error.strerror}",
            where=str(path),
            fix="`farm fleet key` makes one; FARM_FLEET_KEY names one elsewhere",
        ) from error
    if facts.st_mode & (stat.S_IRWXG | stat.S_IRWXO):
        raise FleetError("others may read this private key", where=str(path), fix=f"chmod 600 {path}")
    try:
        key = serialization.load_pem_private_key(data, None)
        raw = key.public_key().public_bytes_raw()
        assert hasattr(key, "sign")
        if len(raw) != _KEY_BYTES or type(key).__name__.find("Ed25519") < 0:
            raise ValueError("it is no Ed25519 key")
    except (ValueError, TypeError, AttributeError) as error:
        raise FleetError(
            f"is no private key for orders: {error}", where=str(path), fix="`farm fleet key` makes one"
        ) from error
    return Signer(name=_fingerprint(raw), public=base64.b64encode(raw).decode(), _key=key)


def make_key(path: Path) -> Signer:
    """Make a private key that only this user reads; one that is there stays. Raises FleetError, StoreError."""
    crypto = _crypto()
    if not path.exists():
        serialization = crypto.hazmat.primitives.serialization
        data = crypto.hazmat.primitives.asymmetric.ed25519.Ed25519PrivateKey.generate().private_bytes(
            serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
        )
        with disk_errors(path.parent):
            make_dirs(path.parent)
            temporary = path.with_name(f".{path.name}.{os.getpid()}")
            try:
                write_new(temporary, data, mode=0o600)
                os.link(temporary, path)  # of two that make one at once, the first stays
            except FileExistsError:
                pass
            finally:
                temporary.unlink(missing_ok=True)
    return signer(path)


def trust(path: Path, signer: Signer, rights: tuple[Right, ...], owner: str) -> None:
    """Add a key to a list of trusted ones, unless its line is there. Raises StoreError."""
    line = f"{','.join(rights)} {signer.public} {owner}\n"
    with disk_errors(path.parent):
        make_dirs(path.parent)
        with path.open("a+", encoding="utf-8") as stream:
            stream.seek(0)
            there = stream.read()
            if line.rstrip("\n") not in there.splitlines():
                stream.write(line if not there or there.endswith("\n") else f"\n{line}")  # people write the file, too
                stream.flush()
                os.fsync(stream.fileno())


def trusted(path: Path) -> Mapping[str, Trusted]:
    """The keys of a list by fingerprint. Raises FleetError naming file and line; a list without a key is none."""
    ed25519 = _crypto().hazmat.primitives.asymmetric.ed25519
    how = "`farm fleet key --show` on the machine that asks prints the line; put it into this file"
    try:
        text = path.read_text("utf-8")[:_MAX_FILE]
    except (OSError, ValueError) as error:
        why = getattr(error, "strerror", None) or "it is not UTF-8"
        raise FleetError(f"the list of trusted keys cannot be read: {why}", where=str(path), fix=how) from error
    found: dict[str, Trusted] = {}
    for number, line in enumerate(text.splitlines(), 1):
        if not line.strip() or line.lstrip().startswith("#"):
            continue
        try:
            rights, key, *owner = line.split()
            raw = base64.b64decode(key, validate=True)
            if not set(rights.split(",")) <= set(RIGHTS) or len(raw) != _KEY_BYTES:
                raise ValueError(line)
            public = ed25519.Ed25519PublicKey.from_public_bytes(raw)
        except (ValueError, binascii.Error) as error:
            raise FleetError(f"line {number} is no trusted key: RIGHTS KEY NAME", where=str(path), fix=how) from error
        found[_fingerprint(raw)] = Trusted(rights=frozenset(rights.split(",")), owner=" ".join(owner), key=public)
    if not found:
        raise FleetError("the list of trusted keys is empty", where=str(path), fix=how)
    return found


def check(keys: Mapping[str, Trusted], signer: str, text: str, signature: str, right: Right) -> None:
    """Raise FleetError unless a trusted key that holds the right has signed the text."""
    from cryptography.exceptions import InvalidSignature

    known = keys.get(signer)
    if known is None:
        raise FleetError(
            f"is signed by {signer}, which this worker does not trust",
            where="job",
            fix="add the key to the worker's list of trusted keys",
        )
    try:
        known.key.verify(base64.b64decode(signature, validate=True), text.encode())
    except (InvalidSignature, ValueError) as error:
        raise FleetError(
            "its signature does not fit: somebody changed the job", where="job", fix="find out who writes the ledger"
        ) from error
    if right not in known.rights:
        raise FleetError(
            f"asks for the right to {right!r}, which the key of {known.owner or signer} does not have",
            where="job",
            fix=f"sign with a key that has it, or give this one {right!r} in the worker's list",
        )


def _fingerprint(raw: bytes) -> str:
    return f"SHA256:{base64.b64encode(hashlib.sha256(raw).digest()).decode().rstrip('=')}"


def _crypto() -> Any:
    try:
        import cryptography
        import cryptography.hazmat.primitives.asymmetric.ed25519
        import cryptography.hazmat.primitives.serialization
    except ModuleNotFoundError as error:
        raise MissingToolError(
            f"the fleet's libraries are not installed: {error}", fix="pip install 'wheel-farm[fleet]'"
        ) from error
    return cryptography
