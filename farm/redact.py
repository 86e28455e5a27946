"""What nobody may read in a log, an error or a message: passwords in URLs, tokens, and secrets that were named.

Nothing here imports anything of the farm, so that every error and every log line can pass through it.
"""

from __future__ import annotations

import functools
import os

TYPE_CHECKING = False  # every command imports this at its start: regular expressions are made when a text is looked at
if TYPE_CHECKING:
    import re
    from collections.abc import Mapping
    from typing import Any

HIDDEN = "***"
_LEAST = 6  # characters of a secret that are looked for: a shorter one would blot out words
_KEY = r"(?:(?:api|access|private|secret|signing|auth)[-_]?key(?:[-_]id)?)"
_NAME = rf"(?:[\w-]*(?:token|secret|passw(?:or)?d|pwd|passphrase|credentials?)|{_KEY}|sig|signature|x-amz-signature)"
_SECRET_VARIABLES = ("TOKEN", "SECRET", "PASSWORD", "PGPASSWORD", "PASSPHRASE", "CREDENTIALS", "ACCESS_KEY", "API_KEY")
_ENDINGS = tuple(f"_{word}" for word in _SECRET_VARIABLES)
_named: set[str] = set()


def hide(*secrets: str) -> None:
    """From now on these texts are shown nowhere. Those of fewer than 6 characters are not looked for."""
    _named.update(one for text in secrets for one in (text, text.strip()) if len(one) >= _LEAST)


def hide_environment(environ: Mapping[str, str] | None = None) -> None:
    """Hide the values of variables whose name says that they are secret: GITHUB_TOKEN, PGPASSWORD."""
    found = os.environ if environ is None else environ
    hide(*(value for name, value in found.items() if name in _SECRET_VARIABLES or name.endswith(_ENDINGS)))


def redact(text: str) -> str:
    """The text without secrets; ``***`` stands for each."""
    for secret in sorted(_named, key=len, reverse=True):
        text = text.replace(secret, HIDDEN)
    for pattern, instead in _rules():
        text = pattern.sub(instead, text)
    return text


def redact_all(value: Any) -> Any:
    """The same of every text in lists and tables."""
    if isinstance(value, str):
        return redact(value)
    if isinstance(value, dict):
        return {str(key): redact_all(one) for key, one in value.items()}
    if isinstance(value, list | tuple):
        return [redact_all(one) for one in value]
    return value


@functools.cache
def _rules() -> tuple[tuple[re.Pattern[str], str], ...]:
    """Patterns, and what stands instead."""
    import re

    return (
        # user:password@ in the address of a database, a broker, an index; of a web address a user alone may be a token
        (re.compile(r"((?:\b[a-z][a-z0-9+.-]{0,20}:)?//[^\s/:@'\"]*):[^\s/'\"]*@", re.I), rf"\1:{HIDDEN}@"),
        (re.compile(r"(\bhttps?://)[^\s/:@'\"]+@", re.I), rf"\1{HIDDEN}@"),
        # ?token=... in an address, password=... in the words of a database driver, "token": "..." in JSON
        (re.compile(rf"((?<![\w-]){_NAME}=)(?:'[^']*'|\"[^\"]*\"|[^\s&;,'\")\]}}]+)", re.I), rf"\1{HIDDEN}"),
        (re.compile(rf"([\"']{_NAME}[\"']\s*:\s*)(?:\"[^\"]*\"|'[^']*')", re.I), rf'\1"{HIDDEN}"'),
        (
            re.compile(r"(\bauthorization[\"']?\s*[:=]\s*[\"']?(?:(?:basic|bearer|token)\s+)?)[^\s\"',]+", re.I),
            rf"\1{HIDDEN}",
        ),
        (re.compile(r"(\bbearer\s+)[A-Za-z0-9._~+/=-]{16,}", re.I), rf"\1{HIDDEN}"),
        (
            re.compile(r"\b(?:gh[pousr]_\w{16,}|github_pat_\w{16,}|glpat-[\w-]{16,}|pypi-[\w-]{32,}|AKIA[0-9A-Z]{16})"),
            HIDDEN,
        ),
        (re.compile(r"\bwhsec_[A-Za-z0-9+/=]{8,}"), HIDDEN),
        (re.compile(r"-----BEGIN [A-Z ]*PRIVATE KEY-----.*?(?:-----END [A-Z ]*PRIVATE KEY-----|\Z)", re.S), HIDDEN),
    )
