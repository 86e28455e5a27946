"""Show the log of a step: the newest try, whether it failed, was built or still runs."""

from __future__ import annotations

import argparse
import shutil
import sys
from collections import deque
from pathlib import Path
from typing import TYPE_CHECKING

from farm.cli import history, numbers
from farm.errors import StoreError, UsageError
from farm.model.events import State

if TYPE_CHECKING:
    from farm.settings import Settings
    from farm.store.ledger import Ledger
    from farm.store.records import Attempt, KnownStep

EPILOG = """examples:
  farm logs gmp                          the newest try of any step of gmp
  farm logs gmpy2 --tail 40              its last 40 lines
  less "$(farm logs gmpy2 --path)"
  FARM_STORE=s3://bucket/farm farm logs gmp     also what another machine of the same ledger built
"""


def configure(parser: argparse.ArgumentParser) -> None:
    """Add the verb's options."""
    parser.add_argument("step", metavar="STEP", help="a step's id, slot, recipe, or the beginning of one or of its key")
    parser.add_argument("--tail", type=numbers.whole, metavar="N", help="only the last N lines")
    parser.add_argument("--path", action="store_true", help="print where the log is, not what it says")


def run(args: argparse.Namespace, settings: Settings) -> int:
    """Print the log on stdout, what it is the log of on stderr. Raises UsageError, StoreError."""
    with history.ledger_if_any(settings) as ledger:
        if ledger is None:
            raise StoreError("nothing was ever built here", where=str(settings.home), fix="`farm build` first")
        step, attempt = _newest(ledger, args.step)
    log = _log_path(settings, step, attempt)
    if args.path:
        print(log)
        return 0
    print(f"{step.id}: {_headline(attempt)}", file=sys.stderr)
    _show(log, args.tail)
    return 0


def _newest(ledger: Ledger, text: str) -> tuple[KnownStep, Attempt]:
    """The step that a person means and that was tried last."""
    found = ledger.matching(text)
    tried = ledger.last_attempts(step.key for step in found)
    for step in found:
        if step.key in tried:
            return step, tried[step.key]
    if found:
        raise StoreError("was never tried here", where=found[0].id, fix="`farm build` it")
    fix = f"`farm why {text}` says whether there is such a step, `farm plan --all --platform '*'` lists them"
    raise UsageError(f"no step {text!r} was ever tried here", where="STEP", fix=fix)


def _log_path(settings: Settings, step: KnownStep, attempt: Attempt) -> Path:
    from farm.store.artifacts import open_store
    from farm.store.home import log_of
    from farm.store.logs import bring_log
    from farm.store.owner import this_process

    here = [Path(attempt.log), log_of(settings.logs, step.key)]  # FARM_HOME may have been moved
    ours = attempt.host == this_process().host  # else a log of that name here is of another try
    if ours and (found := next((path for path in here if path.is_file()), None)):
        return found
    if brought := bring_log(open_store(settings), step.key, attempt.id, attempt.host, settings.logs):
        return brought
    if attempt.state is State.RUNNING and not ours:
        raise StoreError(
            f"{step.id} is still running on {attempt.host}", where=attempt.log, fix="its log comes when it has ended"
        )
    if not ours and (found := next((path for path in here if path.is_file()), None)):
        return found
    raise StoreError(
        f"the log of {step.id} is gone (it was {attempt.state}: {attempt.error.partition(chr(10))[0] or 'no error'})",
        where=attempt.log,
        fix=f"`farm gc` removes old logs; build the step again to get a new one{_elsewhere(ours, attempt, settings)}",
    )


def _elsewhere(ours: bool, attempt: Attempt, settings: Settings) -> str:
    if ours or settings.store_url:
        return ""
    return f"; it is on {attempt.host}, and FARM_STORE is not set here"


def _headline(attempt: Attempt) -> str:
    phase = f" in {attempt.phase}" if attempt.phase and attempt.state.value in ("failed", "running") else ""
    return f"{attempt.state.value}{phase}, started {history.when(attempt.started)} on {attempt.host}"


def _show(log: Path, tail: int | None) -> None:
    with log.open(encoding="utf-8", errors="replace") as stream:
        if tail is None:
            shutil.copyfileobj(stream, sys.stdout)
        else:
            sys.stdout.writelines(deque(stream, maxlen=min(max(0, tail), sys.maxsize)))
