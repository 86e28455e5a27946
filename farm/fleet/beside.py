"""Work in a thread of its own, so that KeyboardInterrupt never comes in the middle of it: in a question to the ledger
it may be lost, for the driver cancels the question, and that is what is raised."""

from __future__ import annotations

import threading
from collections.abc import Callable

_TICK = 0.2


def beside(work: Callable[[], None], end: Callable[[], None], name: str) -> None:
    """Do `work` in a thread called `name` until it returns. KeyboardInterrupt calls `end`, which has to let it return.

    Raises what the work raised.
    """
    over = threading.Event()  # a thread whose join is interrupted counts as ended (Python 3.11), so it is not joined
    begun = threading.Event()
    bugs: list[BaseException] = []

    def do() -> None:
        begun.set()
        try:
            work()
        except BaseException as error:  # noqa: BLE001 - raised again below
            bugs.append(error)
        finally:
            over.set()

    try:
        threading.Thread(target=do, name=name).start()
        while not over.wait(_TICK):
            pass
    except KeyboardInterrupt:
        end()
        if begun.is_set():  # else it never begins, or finds that it has to end
            over.wait()
    if bugs:
        raise bugs[0]
