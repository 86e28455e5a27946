"""Signatures of overlays: SSH signatures (OpenSSH's PROTOCOL.sshsig), made and checked by ssh-keygen.

Private keys stay with ssh-keygen or the user's agent; the farm never reads one. Whose signatures count is in a file of
trusted keys: ``PRINCIPALS [OPTIONS] KEYTYPE KEY``, the ALLOWED SIGNERS of ssh-keygen(1), which git takes too.
docs/decisions/005-metadata-overlays.md says why.
"""

from __future__ import annotations

import base64
import binascii
import hashlib
import re
import stat
import tempfile
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from farm import process
from farm.errors import MissingToolError, OverlayError, ProcessError
from farm.index import overlay_file
from farm.index.contents import SignedOverlay
from farm.index.overlay import Overlay

NAMESPACE = "wheel-farm-overlay"  # a signature for anything else (git, mail) is none for an overlay
SUFFIX = ".sig"
_MAX_SIGNATURE = 16 << 10
_MAX_KEYS = 1 << 20
_SECONDS = 60.0
_TRUSTED = re.compile(
    r"(?P<who>\S+)\s+(?P<options>(?:[^\s\"]|\"[^\"]*\")+\s+)??(?P<kind>(?:sk-)?(?:ssh|ecdsa)-\S+)\s+(?P<key>[A-Za-z0-9+/=]+)"
    r"(?:\s.*)?"
)
_GOOD = re.compile(r'^Good ".*" signature for .* with \S+ key (\S+)', re.M)


@dataclass(frozen=True, slots=True, kw_only=True)
class TrustedKey:
    """A line of the trusted keys: who signs with it, ssh-keygen's options for it, its kind and SHA256 fingerprint."""

    principals: str
    options: str
    kind: str
    key: str
    fingerprint: str


def trusted_keys(trusted: Path) -> tuple[TrustedKey, ...]:
    """The keys whose signatures count. Raises OverlayError naming file and line."""
    text = _read(trusted, _MAX_KEYS, "holds the keys whose overlays this farm applies", _howto(trusted))
    found = []
    for number, line in enumerate(text.decode("utf-8", "replace").splitlines(), 1):
        if not line.strip() or line.lstrip().startswith("#"):
            continue
        match = _TRUSTED.fullmatch(line.strip())
        try:
            blob = base64.b64decode(match["key"], validate=True) if match else b""
        except binascii.Error:
            blob = b""
        if match is None or not blob:
            raise OverlayError(f"line {number} is no trusted key", where=str(trusted), fix=_howto(trusted))
        digest = base64.b64encode(hashlib.sha256(blob).digest()).decode().rstrip("=")
        found.append(
            TrustedKey(
                principals=match["who"],
                options=(match["options"] or "").strip(),
                kind=match["kind"],
                key=match["key"],
                fingerprint=f"SHA256:{digest}",
            )
        )
    return tuple(found)


def signer_of(key: Path, trusted: Path) -> str:
    """Who signs with a private key, by the public key beside it (``KEY.pub``); empty if that is not known."""
    try:
        words = key.with_name(key.name.removesuffix(".pub") + ".pub").read_text("utf-8", "replace").split()
    except (OSError, ValueError):  # the latter: `.` has no name beside which there could be another
        return ""
    mine = [trust.principals for trust in trusted_keys(trusted) if trust.key in words]
    return mine[0].partition(",")[0] if mine else ""


def sign(document: bytes, key: Path) -> bytes:
    """The signature of a document, with a private key's file, or a public key's whose private half the agent holds.

    Raises OverlayError if ssh-keygen cannot use the key, MissingToolError without ssh-keygen.
    """
    if not key.is_file():
        raise OverlayError(
            "there is no such key", where=str(key), fix="make one: ssh-keygen -t ed25519 -f FILE, and trust FILE.pub"
        )
    with tempfile.TemporaryDirectory(prefix="farm-overlay-") as scratch:
        place = Path(scratch) / "overlay.toml"
        place.write_bytes(document)
        done = _keygen("sign", "-f", str(key.absolute()), "-n", NAMESPACE, str(place))
        try:
            if done.returncode == 0:
                return place.with_name(place.name + SUFFIX).read_bytes()
        except FileNotFoundError:
            pass
    raise OverlayError(
        f"ssh-keygen cannot sign with it: {_line(done.output, last=True)}",
        where=str(key),
        fix="use a key that only you can read (chmod 600), without a passphrase; of one in an agent name the .pub file",
    )


def signed(overlay: Overlay, key: Path, trusted: Path) -> SignedOverlay:
    """An overlay as a signed file, signed now with a key that is trusted. Raises OverlayError, MissingToolError."""
    document = overlay_file.dump(overlay)
    return verified(document, sign(document, key), trusted, where=f"overlay {overlay.name}")


def verified(document: bytes, signature: bytes, trusted: Path, *, where: str) -> SignedOverlay:
    """A document that was found to be an overlay, signed by somebody who is trusted.

    Raises OverlayError for anything else, naming `where`; MissingToolError without ssh-keygen.
    """
    overlay = overlay_file.parse(document, where)
    if not signature.isascii():
        raise OverlayError("its signature is damaged", where=where, fix="farm index overlay sign FILE --key KEY")
    principals = {who for key in trusted_keys(trusted) for who in (key.principals, *key.principals.split(","))}
    with tempfile.TemporaryDirectory(prefix="farm-overlay-") as scratch:
        place = Path(scratch) / "overlay.toml.sig"
        place.write_bytes(signature)
        common = ("-f", str(trusted.absolute()), "-s", str(place))
        found = _keygen("find-principals", *common)
        who = next((line for line in found.output.splitlines() if line in principals), None)
        if found.returncode != 0 or who is None:
            raise OverlayError(
                f"its signature is not of a key that is trusted now: {_line(found.output)}",
                where=where,
                fix=f"sign it with a trusted key (`farm index overlay keys`), or trust its signer: {_howto(trusted)}",
            )
        who = who.partition(",")[0]  # ssh-keygen prints patterns, one by one or as they are listed
        done = _keygen("verify", *common, "-I", who, "-n", NAMESPACE, stdin=document)
    good = _GOOD.search(done.output)
    if done.returncode != 0 or good is None:
        raise OverlayError(
            f"its signature is not of this content: {_line(done.output)}",
            where=where,
            fix="it was changed after it was signed: look at it, then `farm index overlay sign FILE --key KEY`",
        )
    return SignedOverlay(
        name=overlay.name, document=document.decode(), signature=signature.decode("ascii"), signer=f"{who} {good[1]}"
    )


def read(path: Path, trusted: Path) -> SignedOverlay:
    """A signed overlay from its file, with the signature in ``<file>.sig``. Raises OverlayError."""
    document = document_of(path)
    signature = _read(
        path.with_name(path.name + SUFFIX),
        _MAX_SIGNATURE,
        "holds the signature of the overlay",
        f"farm index overlay sign {path} --key KEY",
    )
    return verified(document, signature, trusted, where=str(path))


def document_of(path: Path) -> bytes:
    """The bytes of an overlay's file, whatever is in it. Raises OverlayError."""
    return _read(path, overlay_file.MAX_BYTES, "is to hold an overlay", "`farm index overlay add --help` shows one")


def _read(path: Path, limit: int, purpose: str, fix: str) -> bytes:
    """A small regular file. A pipe or a device would never end."""
    try:
        facts = path.stat()
        if not stat.S_ISREG(facts.st_mode):
            raise OverlayError("is not a regular file", where=str(path), fix=fix)
        with path.open("rb") as stream:
            content = stream.read(limit + 1)
    except FileNotFoundError:
        raise OverlayError(f"is missing: it {purpose}", where=str(path), fix=fix) from None
    except OSError as error:
        raise OverlayError(f"cannot be read: {error.strerror}", where=str(path), fix=fix) from error
    if len(content) > limit:
        raise OverlayError(f"is larger than {limit} bytes", where=str(path), fix=fix)
    return content


def _keygen(action: str, *arguments: str, stdin: bytes = b"") -> process.Completed:
    argv: Sequence[str] = ("ssh-keygen", "-Y", action, *arguments)
    try:
        return process.run(argv, check=False, timeout=_SECONDS, stdin=stdin)
    except MissingToolError as error:
        raise MissingToolError(
            "ssh-keygen, which signs and checks metadata overlays, is not on this machine",
            fix="apt-get install openssh-client",
        ) from error
    except ProcessError as error:
        raise OverlayError(
            error.what, where="ssh-keygen", fix="if it waits for a passphrase, load the key into ssh-agent first"
        ) from error


def _line(output: str, *, last: bool = False) -> str:
    """Where ssh-keygen says why: first when it checks, last when it signs, below its warnings."""
    lines = [line.strip() for line in output.splitlines() if line.strip()]
    return lines[-1 if last else 0] if lines else "ssh-keygen says nothing"


def _howto(trusted: Path) -> str:
    return f'echo "jo@example.org $(cat jo.pub)" >> {trusted}'
