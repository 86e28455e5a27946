"""Logging: every line knows the step, the cascade and the platform it speaks of, and no line holds a secret.

Text for people, or one JSON object a line for programs; both go to stderr. The context is one of threads: a thread
that works for a step or a cascade says so with `about`.
"""

from __future__ import annotations

import contextlib
import contextvars
import json
import logging
import os
import socket
import sys
import traceback
from collections.abc import Iterator
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from types import TracebackType
from typing import Any

from farm.errors import FarmError
from farm.redact import hide_environment, redact, redact_all

_HAPPENED = "farm.happened"


@dataclass(frozen=True, slots=True, kw_only=True)
class About:
    """What a line speaks of. `cascade` is its number, 0 if there is none; the others are empty then."""

    step: str = ""
    cascade: int = 0
    platform: str = ""


_NOTHING = About()
_about: contextvars.ContextVar[About] = contextvars.ContextVar("farm_about", default=_NOTHING)


@contextlib.contextmanager
def about(*, step: str | None = None, cascade: int | None = None, platform: str | None = None) -> Iterator[None]:
    """Name what all lines logged in this context speak of; what is not given stays as it is. The platform of a step
    is the one in its id."""
    given: dict[str, Any] = {}
    if step is not None:
        given |= {"step": step, "platform": platform_of(step)}
    if cascade is not None:
        given["cascade"] = cascade
    if platform is not None:
        given["platform"] = platform
    token = _about.set(replace(_about.get(), **given))
    try:
        yield
    finally:
        _about.reset(token)


def platform_of(step_id: str) -> str:
    """``gmp@6.3.0/win_amd64`` -> ``win_amd64``; empty if the text names none."""
    parts = step_id.split("/")
    return parts[1] if len(parts) > 1 else ""


def happened(what: str, *, error: BaseException | None = None, **fields: Any) -> None:
    """Something that people see in the progress display, and programs in the log: a line of the JSON log only. `fields`
    become fields of it."""
    logging.getLogger(_HAPPENED).info(what, extra={"fields": fields, "error": error})


def configure(*, verbose: bool, form: str = "text") -> None:
    """Send the farm's log to stderr as ``text`` or ``json``; `verbose` adds debug lines."""
    hide_environment()
    handler = _ToStderr()
    handler.setFormatter(JsonFormatter() if form == "json" else TextFormatter())
    if form != "json":
        handler.addFilter(lambda record: record.name != _HAPPENED)
    root = logging.getLogger("farm")
    root.handlers[:] = [handler]
    root.setLevel(logging.DEBUG if verbose else logging.INFO)
    sys.excepthook = _report_bug


def _report_bug(kind: type[BaseException], error: BaseException, trace: TracebackType | None) -> None:
    """What nobody expected: as Python shows it, but without secrets, or as a line of the JSON log."""
    if writes_json():
        logging.getLogger("farm").critical("internal error", exc_info=(kind, error, trace))
    else:
        sys.stderr.write(redact("".join(traceback.format_exception(kind, error, trace))))


def writes_json() -> bool:
    """Whether lines on stderr are for programs now."""
    return any(isinstance(handler.formatter, JsonFormatter) for handler in logging.getLogger("farm").handlers)


class _ToStderr(logging.Handler):
    """To whatever stderr is now: a live display takes it over while it is shown, so that lines scroll above it."""

    def emit(self, record: logging.LogRecord) -> None:
        try:
            sys.stderr.write(self.format(record) + "\n")
            sys.stderr.flush()
        except Exception:  # noqa: BLE001 - as every handler: a log that cannot be written ends no command
            self.handleError(record)


class TextFormatter(logging.Formatter):
    """``W gmp@6.3.0/win_amd64: no mirror answers``."""

    def format(self, record: logging.LogRecord) -> str:
        """One line, more with a traceback."""
        it = _about.get()
        of = it.step or (f"cascade {it.cascade}" if it.cascade else "")
        text = f"{record.levelname[0]} {f'{of}: ' if of else ''}{record.getMessage()}"
        if record.exc_info:
            text = f"{text}\n{self.formatException(record.exc_info)}"
        return redact(text)


class JsonFormatter(logging.Formatter):
    """One JSON object a line: time (UTC), level, logger, step, cascade, platform, host, pid, thread, message, and what
    the line brings itself; ``error`` of one that speaks of an error. Empty fields are null."""

    def __init__(self) -> None:
        super().__init__()
        self._host = socket.gethostname()

    def format(self, record: logging.LogRecord) -> str:
        """One line, always."""
        it = _about.get()
        row: dict[str, Any] = {
            "time": datetime.fromtimestamp(record.created, UTC)
            .isoformat(timespec="milliseconds")
            .replace("+00:00", "Z"),
            "level": record.levelname.lower(),
            "logger": record.name,
            "step": it.step or None,
            "cascade": it.cascade or None,
            "platform": it.platform or None,
            "host": self._host,
            "pid": os.getpid(),
            "thread": record.threadName,
            "message": record.getMessage(),
        }
        row |= {name: value for name, value in getattr(record, "fields", {}).items() if name not in row}
        if record.exc_info and record.exc_info[1] is not None:
            row["error"] = error_fields(record.exc_info[1]) | {"traceback": self.formatException(record.exc_info)}
        elif isinstance(given := getattr(record, "error", None), BaseException):
            row["error"] = error_fields(given)
        return json.dumps(redact_all(row), ensure_ascii=False, default=str)


def error_fields(error: BaseException) -> dict[str, Any]:
    """An error for programs: its type, and of a FarmError kind, exit code, what, where and fix."""
    if not isinstance(error, FarmError):
        return {"type": type(error).__name__, "what": str(error)}
    fields = {"kind": error.kind, "exit_code": error.exit_code, "what": error.what}
    return {"type": type(error).__name__, **fields, "where": error.where or None, "fix": error.fix or None}
