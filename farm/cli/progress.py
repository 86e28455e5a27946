"""Progress of a plan: live lines on a terminal, plain lines in a pipe."""

from __future__ import annotations

import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from typing import TYPE_CHECKING, Protocol

from farm.cli.output import human_seconds
from farm.model.events import State, StepEvent

if TYPE_CHECKING:
    from rich.console import RenderableType

_FINAL = {
    State.BUILT: "built",
    State.FAILED: "FAILED",
    State.BLOCKED: "blocked",
    State.CANCELLED: "cancelled",
}


class Progress(Protocol):
    """Takes the events of a run."""

    def __call__(self, event: StepEvent) -> None: ...


def describe(event: StepEvent, done: int, total: int) -> str:
    """One finished step as a line: ``[3/6] gmp@6.3.0/manylinux_2_17_x86_64 built in 41 s``."""
    took = f" in {human_seconds(event.seconds)}" if event.seconds and event.state is not State.BLOCKED else ""
    message = event.message.partition("\n")[0].removeprefix(f"{event.step}: ")  # a failure is told whole at the end
    why = f": {message}" if message else ""
    return f"[{done}/{total}] {event.step} {_FINAL[event.state]}{took}{why}"


def _more(event: StepEvent) -> str:
    return f" ({event.message})" if event.message else ""


class PlainProgress:
    """A line per phase and per finished step, for logs and pipes; cached steps are only counted."""

    def __init__(self, total: int) -> None:
        self._total = total
        self._done = 0
        self._lock = threading.Lock()

    def __call__(self, event: StepEvent) -> None:
        with self._lock:
            if event.state is State.CACHED:
                self._done += 1
            elif event.state in _FINAL:
                self._done += 1
                self._say(describe(event, self._done, self._total))
            elif event.state is State.RUNNING and event.phase:
                self._say(f"  {event.step}: {event.phase}{_more(event)}")
            elif event.state is State.WAITING and event.message:
                self._say(f"  {event.step}: {event.message}")

    def _say(self, line: str) -> None:
        with suppress(BrokenPipeError):  # `farm build | head`: whoever listened left; no step fails for it
            print(line, flush=True)


class LiveProgress:
    """A spinner line with phase and elapsed time per running step below the lines of the finished ones."""

    def __init__(self, total: int) -> None:
        self._total = total
        self._done = 0
        self._running: dict[str, tuple[str, float]] = {}
        self._lock = threading.Lock()
        self._print: Callable[[str], None] = print

    def __call__(self, event: StepEvent) -> None:
        with self._lock:
            if event.state is State.RUNNING or (event.state is State.WAITING and event.message):
                _, since = self._running.get(event.step, ("", time.monotonic()))
                self._running[event.step] = (f"{event.phase}{_more(event)}" if event.phase else event.message, since)
                return
            self._running.pop(event.step, None)
            if event.state is State.CACHED or event.state in _FINAL:
                self._done += 1
            if event.state in _FINAL:
                self._print(describe(event, self._done, self._total))

    def __rich__(self) -> RenderableType:
        from rich.spinner import Spinner
        from rich.table import Table

        grid = Table.grid(padding=(0, 1))
        with self._lock:
            for step, (phase, since) in self._running.items():
                elapsed = human_seconds(time.monotonic() - since)
                grid.add_row(Spinner("dots"), step, f"[cyan]{phase}[/]", f"[dim]{elapsed}[/]")
            grid.add_row("", f"[dim]{self._done}/{self._total} steps done[/]")
        return grid

    @contextmanager
    def shown(self) -> Iterator[None]:
        """Draw while the block runs; finished lines scroll above."""
        from rich.console import Console
        from rich.live import Live

        console = Console()
        self._print = lambda line: console.print(line, markup=False, highlight=False)
        with Live(self, console=console, refresh_per_second=8, transient=True):
            yield


@contextmanager
def progress(total: int, *, quiet: bool = False) -> Iterator[Progress]:
    """The display that fits where stdout goes; `quiet` shows nothing (for --json)."""
    if quiet:
        yield lambda _event: None
    elif sys.stdout.isatty():
        live = LiveProgress(total)
        with live.shown():
            yield live
    else:
        yield PlainProgress(total)
