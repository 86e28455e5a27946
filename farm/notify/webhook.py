"""JSON by POST, signed as the Standard Webhooks specification (standardwebhooks.com, 1.0.0) says.

``webhook-id`` is the same at every try, so that a receiver can drop what it has seen; ``webhook-timestamp`` is the
second of this try, so that it can refuse what is replayed; ``webhook-signature`` is ``v1,`` and the base64 of the
HMAC-SHA256 of ``id.timestamp.body``.
"""

from __future__ import annotations

import base64
import binascii
import hashlib
import hmac
import json
import ssl
from typing import TYPE_CHECKING

from farm import extras
from farm.errors import MissingToolError, NotifyError
from farm.notify.config import Webhook, address_fault, reveal
from farm.redact import redact

if TYPE_CHECKING:
    from farm.notify.message import Message

_TIMEOUT = 10.0  # seconds for each of connecting, sending, answering
_POINTLESS = (400, 405, 406, 410, 411, 413, 414, 415, 422)  # the same body will be refused again
_PREFIX = "whsec_"
_SHOWN = 200  # characters of a refusal


def sign(secret: str, id_: str, timestamp: int, body: bytes) -> str:
    """The signature header. A secret ``whsec_...`` is the base64 of the key, any other text is the key itself. Raises
    ValueError."""
    key = secret.encode()
    if secret.startswith(_PREFIX):
        try:
            key = base64.b64decode(secret.removeprefix(_PREFIX), validate=True)
        except binascii.Error as error:
            raise ValueError(f"a secret that begins with {_PREFIX} goes on in base64") from error
    signed = hmac.new(key, f"{id_}.{timestamp}.".encode() + body, hashlib.sha256).digest()
    return f"v1,{base64.b64encode(signed).decode()}"


def send(target: Webhook, message: Message, now: int) -> None:
    """POST a message; `now` is in seconds since 1970. Raises NotifyError, MissingToolError."""
    try:
        import httpx
    except ModuleNotFoundError as error:
        raise MissingToolError("webhooks need httpx", fix=extras.install("notify")) from error
    where = f"[[webhook]] {target.name}"
    url, secret = reveal(target.url, where), reveal(target.secret, where)
    if why := address_fault(url):  # one that a variable or a file holds was not looked at before
        raise NotifyError(f"its address {why}", where=where, fix=f"give {target.url} as the receiver shows it")
    body = json.dumps(message.document, ensure_ascii=False).encode()
    try:
        signature = sign(secret, message.id, now, body)
    except ValueError as error:
        raise NotifyError(str(error), where=where, fix=f"give {target.secret} as the receiver shows it") from None
    headers = {
        "content-type": "application/json",
        "user-agent": "wheel-farm",
        "webhook-id": message.id,
        "webhook-timestamp": str(now),
        "webhook-signature": signature,
    }
    try:
        with (
            httpx.Client(timeout=_TIMEOUT, verify=_trusting(target, url), follow_redirects=False) as client,
            client.stream("POST", url, content=body, headers=headers) as answer,
        ):
            status, said = answer.status_code, "" if answer.is_success else next(answer.iter_text(_SHOWN), "")
    except (httpx.HTTPError, httpx.InvalidURL, OSError, UnicodeError) as error:  # the last: no name of a machine
        why = redact(str(error) or type(error).__name__)
        raise NotifyError(
            f"does not answer: {why}", where=where, fix="is the address right, and the server up?"
        ) from None
    if not 200 <= status < 300:
        _refuse(status, said, where)


def _trusting(target: Webhook, url: str) -> ssl.SSLContext | bool:
    if not url.lower().startswith("https://"):
        return False  # to this machine: nothing to verify, and reading certificates takes a second
    context = ssl.create_default_context()
    if target.ca:
        context.load_verify_locations(target.ca)
    return context


def _refuse(status: int, text: str, where: str) -> None:
    said = " ".join(redact(text[:_SHOWN]).split())
    if 300 <= status < 400:
        raise NotifyError(f"answers {status}: it is elsewhere", where=where, fix="give the address that it leads to")
    raise NotifyError(
        f"answers {status}{f': {said}' if said else ''}",
        where=where,
        fix="see what the receiver logged; then `farm notify retry`",
        retryable=status not in _POINTLESS,
    )
