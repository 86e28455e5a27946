"""The state of a cascade, read off its tasks: nobody who is killed can leave the two apart for good."""

from __future__ import annotations

from typing import TYPE_CHECKING

from farm.model.cascade import AT_WORK, Cascade, CascadeState
from farm.model.rework import Verb
from farm.process import Cancel
from farm.workers.step import patiently

if TYPE_CHECKING:
    from farm.store.ledger import Ledger


def settle(ledger: Ledger, id_: int, cancel: Cancel | None = None) -> Cascade:
    """Bring a cascade's state in line with its tasks, and return it. Done with all of them, and nothing failed, it is
    TESTING until what it offers is staged."""
    cascade = patiently(lambda: ledger.cascade(id_), cancel)
    may_move = {*AT_WORK, CascadeState.BLOCKED}
    if cascade.state not in may_move:
        return cascade
    verbs = patiently(lambda: ledger.open_verbs(id_), cancel)
    state, note = CascadeState.TESTING, ""
    if verbs - {Verb.TEST}:
        state = CascadeState.BUILDING
    elif not verbs and (note := patiently(lambda: ledger.failures(id_), cancel)):
        state = CascadeState.BLOCKED
    if (state, note) != (cascade.state, cascade.note):
        patiently(lambda: ledger.move_cascade(id_, state, of=may_move, note=note), cancel)
    return patiently(lambda: ledger.cascade(id_), cancel)
