"""May a dependent be moved, by what was compiled into it from the headers of what it is built against? Asked when both
native wheels are there, which a plan cannot wait for."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING

from farm.abi import header_code
from farm.errors import GateError
from farm.model.shown import some
from farm.plan.keys import REQUIRES
from farm.wheel.archive import WheelArchive

if TYPE_CHECKING:
    from farm.model.plan import Step
    from farm.store.artifacts import Store
    from farm.store.ledger import Ledger

_SHOWN = 3
_INCLUDE = "/include/"
_FIX = "build it instead"


def check(key: str, natives: Iterable[Step], binary_format: str, store: Store, ledger: Ledger) -> None:
    """Raise GateError if a wheel of a build key may hold something of headers that the `natives` have otherwise now:
    an inline function, a macro, an alignment; and of a system whose types nobody measures, all that is for it alone."""
    inputs = ledger.inputs_of(key)
    was = {item.label.removeprefix(REQUIRES): item.digest for item in inputs if item.label.startswith(REQUIRES)}
    for native in natives:
        before = was.get(native.recipe, "")
        if before == native.key:
            continue
        old, new = store.get(before) if before else None, store.get(native.key)
        if old is None or new is None:
            raise GateError("the headers that it was compiled with are not known", where=native.id, fix=_FIX)
        lost = header_code.lost(_headers(store.path(old)), _headers(store.path(new)), binary_format)
        if lost:
            said = f"it may have been compiled with what is another one in {native.recipe} {native.version}"
            raise GateError(f"{said}: {some(lost, _SHOWN)}", where=native.id, fix=_FIX)


def _headers(wheel: Path) -> Iterator[str]:
    with WheelArchive.open(wheel) as archive:
        for member in archive.members:
            if _INCLUDE in member:
                yield archive.read(member).decode("utf-8", "replace")
