"""The life of a slot's process: its parent speaks through standard input, KeyboardInterrupt ends it."""

from __future__ import annotations

import os
import threading
from collections.abc import Callable
from contextlib import AbstractContextManager

from farm.fleet.beside import beside
from farm.fleet.slot import Slot
from farm.process import Cancel


def serve(opened: Callable[[], AbstractContextManager[Slot]]) -> None:
    """Work until interrupted, which gives back what is at work, or until the parent is gone, which does not.

    Before the first line on standard input it is a spare: all is loaded, nothing is done. Each further line means that
    there is work; the end, that the parent died: what is at work is finished then. Raises what a bug raised.
    """
    stop, no_more, wake = Cancel(), threading.Event(), threading.Event()
    begin = threading.Event()

    def hear() -> None:
        while os.read(0, 4096):
            begin.set()
            wake.set()
        no_more.set()
        begin.set()
        wake.set()

    def work() -> None:
        with opened() as slot:
            begin.wait()
            slot.serve(stop, no_more, wake)

    def end() -> None:
        stop.set()
        begin.set()
        wake.set()

    threading.Thread(target=hear, name="farm-parent", daemon=True).start()
    beside(work, end, "farm-slot")
