"""What a database server says when it refuses somebody for good, and what to change."""

from __future__ import annotations

_URL = "FARM_LEDGER"
_CLIENT = f"sslcert=FILE&sslkey=FILE in {_URL} name the client's certificate and its key (mode 0600)"
_REFUSALS: tuple[tuple[str, str, str], ...] = (
    (
        "does not match host name",
        "the server's certificate is for another host",
        f"name the host in {_URL} as the certificate does, or give the server a certificate for this name",
    ),
    (
        "certificate has expired",
        "the server's certificate has expired",
        "renew it; is the clock of this machine right?",
    ),
    (
        "certificate verify failed",
        "the server's certificate is signed by no authority that this machine trusts",
        f"sslrootcert=FILE in {_URL} names the authority that signed it",
    ),
    (
        "signature failure",  # an authority of that name, with another key
        "the server's certificate is signed by no authority that this machine trusts",
        f"sslrootcert=FILE in {_URL} names the authority that signed it",
    ),
    (
        "root certificate file",
        "the file of the authority is not there",
        f"sslrootcert=FILE in {_URL} names the authority that signed the server's certificate",
    ),
    ("requires a valid client certificate", "the server wants a certificate of us", _CLIENT),
    ("alert certificate required", "the server wants a certificate of us", _CLIENT),
    ("alert unknown ca", "our certificate is signed by no authority that the server trusts", _CLIENT),
    ("alert decrypt error", "our certificate is signed by no authority that the server trusts", _CLIENT),
    ("certificate authentication failed", "our certificate is for another user", f"check the user in {_URL}"),
    ("could not load private key", "the client's key cannot be used", _CLIENT),
    ("private key file", "the client's key cannot be used", _CLIENT),
    ("certificate file", "the client's certificate cannot be used", _CLIENT),
    ("does not support ssl", "the server does not speak TLS", "switch it on there (ssl=on): sslmode asks for it"),
    ("no encryption", "the server takes connections with TLS only", f"sslmode=verify-full in {_URL}"),
    ("password authentication failed", "the server refuses the user or the password", f"check them in {_URL}"),
    ("no password supplied", "the server wants a password", f"give one in {_URL}, or a file ~/.pgpass"),
    ('fatal: database "', "the server has no such database", f"createdb makes one; or correct its name in {_URL}"),
    ("no pg_hba.conf entry", "the server takes no such connection", "allow it in the server's pg_hba.conf"),
)
"""What the driver's words hold, what that means, how to mend it. The first that fits counts."""


def refusal(said: str) -> tuple[str, str] | None:
    """What a refusal means and how to mend it; None for what may pass by itself."""
    small = said.lower()
    return next(((what, fix) for sign, what, fix in _REFUSALS if sign in small), None)
