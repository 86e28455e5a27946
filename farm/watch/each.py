"""Asks places that answer one at a time, several at once."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor

from farm.model.recipe_upkeep import Watch
from farm.watch.values import Answer, Asking

_AT_ONCE = 8


def ask_each(
    watches: Sequence[Watch], ask: Callable[[Watch, Asking], Answer], asking: Asking
) -> Mapping[Watch, Answer]:
    """What `ask` says of each watch. After Ctrl-C nothing that waits is begun, and programs that run are ended."""
    pool = ThreadPoolExecutor(max_workers=_AT_ONCE, thread_name_prefix="watch")
    try:
        return dict(zip(watches, pool.map(lambda watch: ask(watch, asking), watches), strict=True))
    except BaseException:
        asking.cancel.set()
        raise
    finally:
        pool.shutdown(cancel_futures=True)
