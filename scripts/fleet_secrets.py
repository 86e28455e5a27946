"""Make what the services of compose.yaml show each other: an authority, certificates, and the key that signs orders.

  python scripts/fleet_secrets.py secrets

Files that are there stay, so running it again changes nothing; to renew one, delete it. All are readable by their owner
only: give them to the user of the containers (`chown -R 10001:10001 secrets`). Keep `ca_key` elsewhere: no service
needs it.
"""

from __future__ import annotations

import datetime
import os
import sys
from ipaddress import ip_address
from pathlib import Path

from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import (
    Encoding,
    NoEncryption,
    PrivateFormat,
    load_pem_private_key,
)
from cryptography.x509.oid import NameOID

from farm.fleet import signing, trust

DAYS = 825
USER = "farm"  # PostgreSQL takes the certificate's common name for the user
SERVERS = {"redis": "redis", "postgres": "postgres"}  # file -> name that clients call it by


def main(argv: list[str]) -> int:
    """Make what is missing."""
    place = Path(argv[0] if argv else "secrets")
    place.mkdir(mode=0o700, parents=True, exist_ok=True)
    authority = _authority(place)
    for name, host in SERVERS.items():
        _certificate(place, name, host, authority, (host, "localhost"))
    _certificate(place, "client", USER, authority, ())
    signer = signing.make_key(place / "fleet_key")
    if not (place / "trusted_keys").exists():
        trust.trust(place / "trusted_keys", trust.line_of(signer, trust.RIGHTS, "compose"))
    return 0


def _authority(place: Path) -> tuple[x509.Certificate, ec.EllipticCurvePrivateKey]:
    if (place / "ca").exists():
        return x509.load_pem_x509_certificate((place / "ca").read_bytes()), _load(place / "ca_key")
    key = ec.generate_private_key(ec.SECP256R1())
    name = _name("wheel farm")
    made = _builder(name, name, key).add_extension(x509.BasicConstraints(ca=True, path_length=0), critical=True)
    certificate = made.sign(key, hashes.SHA256())
    _write(place / "ca_key", _pem(key))
    _write(place / "ca", certificate.public_bytes(Encoding.PEM))
    return certificate, key


def _certificate(
    place: Path,
    file: str,
    name: str,
    authority: tuple[x509.Certificate, ec.EllipticCurvePrivateKey],
    hosts: tuple[str, ...],
) -> None:
    if (place / f"{file}_certificate").exists():
        return
    issuer, signing_key = authority
    key = ec.generate_private_key(ec.SECP256R1())
    made = _builder(_name(name), issuer.subject, key)
    if hosts:
        names: list[x509.GeneralName] = [x509.DNSName(host) for host in hosts]
        names.append(x509.IPAddress(ip_address("127.0.0.1")))
        made = made.add_extension(x509.SubjectAlternativeName(names), critical=False)
    _write(place / f"{file}_key", _pem(key))
    _write(place / f"{file}_certificate", made.sign(signing_key, hashes.SHA256()).public_bytes(Encoding.PEM))


def _builder(subject: x509.Name, issuer: x509.Name, key: ec.EllipticCurvePrivateKey) -> x509.CertificateBuilder:
    now = datetime.datetime.now(datetime.UTC)
    return (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(issuer)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - datetime.timedelta(minutes=5))
        .not_valid_after(now + datetime.timedelta(days=DAYS))
    )


def _name(text: str) -> x509.Name:
    return x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, text)])


def _pem(key: ec.EllipticCurvePrivateKey) -> bytes:
    return key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())


def _load(file: Path) -> ec.EllipticCurvePrivateKey:
    key = load_pem_private_key(file.read_bytes(), password=None)
    assert isinstance(key, ec.EllipticCurvePrivateKey)
    return key


def _write(file: Path, content: bytes) -> None:
    temporary = file.with_name(f".{file.name}.part")
    temporary.unlink(missing_ok=True)
    handle = os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    with os.fdopen(handle, "wb") as stream:
        stream.write(content)
    temporary.replace(file)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
