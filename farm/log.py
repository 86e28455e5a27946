"""Logging: every line knows the step it speaks of."""

from __future__ import annotations

import contextlib
import contextvars
import logging
from collections.abc import Iterator

_step: contextvars.ContextVar[str] = contextvars.ContextVar("step", default="")


class _StepFilter(logging.Filter):
    def filter(self, record: logging.LogRecord) -> bool:
        """Give every line the step whose thread it comes from."""
        step = _step.get()
        record.step = f"{step}: " if step else ""
        return True


def configure(*, verbose: bool) -> None:
    """Send the farm's log to stderr; `verbose` adds debug lines."""
    handler = logging.StreamHandler()
    handler.addFilter(_StepFilter())
    handler.setFormatter(logging.Formatter("%(levelname).1s %(step)s%(message)s"))
    root = logging.getLogger("farm")
    root.handlers[:] = [handler]
    root.setLevel(logging.DEBUG if verbose else logging.INFO)


@contextlib.contextmanager
def step(name: str) -> Iterator[None]:
    """Name the step for all lines logged in this context."""
    token = _step.set(name)
    try:
        yield
    finally:
        _step.reset(token)
