"""Whether a broker takes us, asked once before anything starts.

A Redis that is away is no fault: the ledger is the queue. One that refuses our certificate or password, or whose
certificate is not the one we expect, will refuse tomorrow, too; so that is an error, with what to change.
"""

from __future__ import annotations

import contextlib
import logging
import socket
import ssl
from urllib.parse import parse_qsl, urlsplit

from farm.errors import FleetError
from farm.fleet import broker

_log = logging.getLogger(__name__)
_PORT = 6379
_SILENCE = 2.0  # seconds that a server has to refuse us

_AUTHORITY = "ssl_ca_certs=FILE in the broker's URL names the authority that signed it"
_FILES = "ssl_certfile=FILE&ssl_keyfile=FILE in the broker's URL name the client's certificate and its key"
_REFUSALS: tuple[tuple[str, str, str], ...] = (
    (
        "mismatch",  # both "Hostname mismatch" and "IP address mismatch"
        "its certificate is for another host",
        "name the host in the broker's URL as the certificate does, or give the server a certificate for this name",
    ),
    (
        "certificate has expired",
        "its certificate has expired",
        "renew the server's certificate; is the clock of this machine right?",
    ),
    (
        "signature failure",
        "its certificate is signed by no authority that this machine trusts",
        _AUTHORITY,
    ),
    (
        "certificate_verify_failed",
        "its certificate is signed by no authority that this machine trusts",
        _AUTHORITY,
    ),
    ("certificate required", "it wants a certificate of us", _FILES),
    ("alert unknown ca", "our certificate is signed by no authority that it trusts", _FILES),
    ("alert decrypt error", "our certificate is signed by no authority that it trusts", _FILES),  # one of that name
    ("alert certificate expired", "our certificate has expired", "renew the file of ssl_certfile"),
    ("alert bad certificate", "it does not take our certificate", _FILES),
    ("key values mismatch", "our certificate and our key do not belong together", _FILES),
    ("wrong_version_number", "it does not speak TLS on this port", "redis:// for a plain port, or the port of TLS"),
    (
        "no such file",
        "a file that the broker's URL names is not there",
        "check ssl_ca_certs, ssl_certfile, ssl_keyfile",
    ),
    (
        "authentication required",
        "it wants a password",
        "rediss://USER:PASSWORD@HOST in FARM_BROKER, where `ps` does not show it",
    ),
    ("invalid username-password", "it refuses the user or the password", "check USER:PASSWORD in FARM_BROKER"),
    ("noperm", "the user may not do what the fleet needs", "let the user PUBLISH, SUBSCRIBE and use lists"),
)
"""What its refusal holds, what that means, how to mend it. The first that fits counts."""


def greet(url: str) -> None:
    """Raise FleetError if the broker refuses us for good. One that is away is told of in the log, and no fault."""
    client = broker.redis_client(url)
    try:
        client.ping()
    except Exception as error:
        said = f"{_words(error)}\n{_second_look(url)}"
        for sign, what, fix in _REFUSALS:
            if sign in said:
                raise FleetError(f"the broker is not to be used: {what}", where=broker.shown(url), fix=fix) from error
        _log.warning("%s does not answer; the fleet goes on without it: %s", broker.shown(url), error)
    finally:
        with contextlib.suppress(Exception):
            client.close()


def _second_look(url: str) -> str:
    """What a server with TLS says to who is silent. The client writes at once; then the reason for hanging up, which
    TLS 1.3 sends after the handshake, is often lost."""
    parts = urlsplit(url)
    if parts.scheme != "rediss":
        return ""
    options = dict(parse_qsl(parts.query))
    try:
        context = ssl.create_default_context(cafile=options.get("ssl_ca_certs"))
        if "ssl_certfile" in options:
            context.load_cert_chain(options["ssl_certfile"], options.get("ssl_keyfile"))
        with (
            socket.create_connection((parts.hostname or "", parts.port or _PORT), _SILENCE) as plain,
            context.wrap_socket(plain, server_hostname=parts.hostname) as connection,
        ):
            connection.recv(1)
    except OSError as error:  # ssl.SSLError is one
        return _words(error)
    return ""


def _words(error: BaseException | None) -> str:
    """What an error says, with what caused it, in small letters."""
    words: list[str] = []
    while error is not None:
        words.append(str(error))
        error = error.__cause__ or error.__context__
    return "\n".join(words).lower()
