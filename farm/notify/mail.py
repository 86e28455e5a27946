"""Mail: plain text, a clear subject, threads by cascade."""

from __future__ import annotations

import smtplib
import ssl
from email.message import EmailMessage
from email.utils import format_datetime
from typing import TYPE_CHECKING

from farm.errors import NotifyError
from farm.notify.config import Email, reveal
from farm.redact import redact

if TYPE_CHECKING:
    from datetime import datetime

    from farm.notify.message import Message

_TIMEOUT = 15.0
_PORTS = {"starttls": 587, "tls": 465, "none": 25}


def written(target: Email, message: Message, at: datetime) -> EmailMessage:
    """The mail: the same ``Message-ID`` at every try, one thread per cascade (RFC 5322), no answers from robots (RFC
    3834)."""
    domain = target.sender.rpartition("@")[2]
    mail = EmailMessage()
    mail["Subject"] = f"[farm] {message.subject}"
    mail["From"] = target.sender
    mail["To"] = ", ".join(target.to)
    mail["Date"] = format_datetime(at)
    mail["Message-ID"] = f"<{message.id}@{domain}>"
    mail["References"] = f"<{message.thread}.farm@{domain}>"
    mail["Auto-Submitted"] = "auto-generated"
    mail["X-Farm-Event"] = str(message.document["type"])
    mail.set_content(message.text)
    return mail


def send(target: Email, message: Message, at: datetime) -> None:
    """Hand a mail to the server. One that it takes for some of the people only counts as sent. Raises NotifyError."""
    where = f"[[email]] {target.name}"
    password = reveal(target.password, where) if target.password else ""
    try:
        with _connected(target) as server:
            if target.user:
                server.login(target.user, password)
            server.send_message(written(target, message, at), target.sender, list(target.to))
    except smtplib.SMTPException as error:
        raise NotifyError(
            f"{target.server} refuses: {_said(error)}",
            where=where,
            fix="see what the mail server says; then `farm notify retry`",
            retryable=not _is_final(error),
        ) from None
    except (OSError, UnicodeError) as error:  # ssl.SSLError is one; UnicodeError: no name of a machine
        raise NotifyError(
            f"{target.server} does not answer: {redact(str(error))}", where=where, fix="check server, port and security"
        ) from None


def _connected(target: Email) -> smtplib.SMTP:
    port = target.port or _PORTS[target.security]
    if target.security == "none":
        return smtplib.SMTP(target.server, port, timeout=_TIMEOUT)
    context = ssl.create_default_context()
    if target.ca:
        context.load_verify_locations(target.ca)
    if target.security == "tls":
        return smtplib.SMTP_SSL(target.server, port, timeout=_TIMEOUT, context=context)
    server = smtplib.SMTP(target.server, port, timeout=_TIMEOUT)
    try:
        server.starttls(context=context)
    except BaseException:
        server.close()
        raise
    return server


def _is_final(error: smtplib.SMTPException) -> bool:
    """Whether the same mail will be refused again: a wrong password may be mended meanwhile, a wrong address is not."""
    if isinstance(error, smtplib.SMTPRecipientsRefused):
        return all(code >= 500 for code, _ in error.recipients.values())
    refused = isinstance(error, smtplib.SMTPSenderRefused | smtplib.SMTPDataError)
    return refused and getattr(error, "smtp_code", 0) >= 500


def _said(error: smtplib.SMTPException) -> str:
    if isinstance(error, smtplib.SMTPRecipientsRefused):
        rows = (f"{name}: {code} {text.decode(errors='replace')}" for name, (code, text) in error.recipients.items())
        return redact("; ".join(rows))
    if isinstance(error, smtplib.SMTPResponseException):
        said = error.smtp_error
        text = said.decode(errors="replace") if isinstance(said, bytes) else str(said)
        return redact(f"{error.smtp_code} {text}")
    return redact(str(error))
