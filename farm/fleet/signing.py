"""Signatures of orders: Ed25519 keys (RFC 8032). The private key is a PEM file (PKCS #8) that only its owner reads."""

from __future__ import annotations

import base64
import hashlib
import os
import stat
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from farm import extras
from farm.errors import FleetError, MissingToolError
from farm.store.files import disk_errors, make_dirs, temporary_name, write_new

if TYPE_CHECKING:
    from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey

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
class Verifier:
    """A public key. `name` is its fingerprint."""

    name: str
    _key: Ed25519PublicKey

    def fits(self, text: str, signature: str) -> bool:
        """Whether the key's owner has signed this text."""
        from cryptography.exceptions import InvalidSignature

        try:
            self._key.verify(base64.b64decode(signature, validate=True), text.encode())
        except (InvalidSignature, ValueError):
            return False
        return True


def verifier(public: str) -> Verifier:
    """A public key: 32 bytes in base64. Raises ValueError, MissingToolError."""
    raw = base64.b64decode(public, validate=True)
    if len(raw) != _KEY_BYTES:
        raise ValueError(f"{len(raw)} bytes are no key")
    key = _crypto().hazmat.primitives.asymmetric.ed25519.Ed25519PublicKey.from_public_bytes(raw)
    return Verifier(name=_fingerprint(raw), _key=key)


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
    library = _crypto()
    if not path.exists():
        serialization = library.hazmat.primitives.serialization
        data = library.hazmat.primitives.asymmetric.ed25519.Ed25519PrivateKey.generate().private_bytes(
            serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
        )
        with disk_errors(path.parent):
            make_dirs(path.parent)
            temporary = path.with_name(temporary_name(f".{path.name}"))  # in a container a pid alone comes again
            try:
                write_new(temporary, data, mode=0o600)
                os.link(temporary, path)  # of two that make one at once, the first stays
            except FileExistsError:
                pass
            finally:
                temporary.unlink(missing_ok=True)
    return signer(path)


def _fingerprint(raw: bytes) -> str:
    """The name of a public key."""
    return f"SHA256:{base64.b64encode(hashlib.sha256(raw).digest()).decode().rstrip('=')}"


def _crypto() -> Any:
    """The library. Raises MissingToolError."""
    try:
        import cryptography
        import cryptography.hazmat.primitives.asymmetric.ed25519
        import cryptography.hazmat.primitives.serialization
    except ModuleNotFoundError as error:
        raise MissingToolError(
            f"the fleet's libraries are not installed: {error}", fix=extras.install("fleet")
        ) from error
    return cryptography
