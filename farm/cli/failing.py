"""What is said when a command ends early: text for people, or a line of the JSON log."""

from __future__ import annotations

import sys

from farm.errors import BuildError, FarmError

_INTERRUPTED = "interrupted; nothing half-done is kept: run the same command again to go on"


def report(error: FarmError) -> None:
    """Say what is wrong, where, and what to do."""
    if _for_programs():
        _log(error.what.partition("\n")[0], error)
        return
    print(f"farm: {error.kind} error: {error}", file=sys.stderr)
    if isinstance(error, BuildError) and error.log:
        print("\n".join(["", f"last lines of {error.log}:", *(f"  | {line}" for line in error.tail)]), file=sys.stderr)


def interrupted() -> None:
    """Say what Ctrl-C means."""
    if _for_programs():
        _log(_INTERRUPTED, None)
    else:
        print(f"\n{_INTERRUPTED}", file=sys.stderr)


def _for_programs() -> bool:
    """Whether the log is JSON; a command line that was refused before there was a log is told to people."""
    log = sys.modules.get("farm.log")
    return log is not None and bool(log.writes_json())


def _log(message: str, error: FarmError | None) -> None:
    import logging

    logging.getLogger("farm").error(message, extra={"error": error} if error else None)
