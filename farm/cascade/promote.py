"""From all tasks done to what users install: staging in turn, one flip, the same flip back.

Two cascades of one channel that make wheels of the same slots go one after the other: the one of higher priority first,
then the older one (docs/decisions/006). Nothing is promoted but a generation that was checked on what is served now.
"""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import TYPE_CHECKING

from farm.cascade.holding import held
from farm.cascade.settling import settle
from farm.cascade.stage import Stager
from farm.errors import CatalogError, ChannelMovedError, NothingToDoError, PlanError, UsageError
from farm.model.cascade import AT_WORK, Cascade, CascadeState, Draft
from farm.model.shown import some
from farm.store import frozen

if TYPE_CHECKING:
    from farm.index.generations import Index
    from farm.settings import Settings
    from farm.store.ledger import Ledger

_BACK = "rolled back"  # how the note of a cascade begins that was
Replan = Callable[[Cascade, str, str], Draft]
"""Plans a cascade anew: itself, and the digests of the frozen catalogs after and before the change."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Promoter:
    """Stages, promotes and rolls back. Every method is safe to repeat, at once from several processes, and after a
    kill at any point."""

    settings: Settings
    ledger: Ledger
    index: Index
    stager: Stager
    replan: Replan

    def stage_in_turn(self, id_: int, begins: Callable[[], object] = lambda: None) -> Cascade | None:
        """Stage a cascade whose tasks are all done, if it is its turn; else its note says what it waits for. Planned
        anew if others published the same things meanwhile. `begins` is called before it is staged. None if another
        process is at it: nobody knows yet what comes of that."""
        with held(self.ledger, f"cascade-{id_}") as is_ours:
            if not is_ours:
                return None
            cascade = settle(self.ledger, id_)
            if cascade.state is not CascadeState.TESTING or self.ledger.open_verbs(id_):
                return cascade
            if first := self.goes_first(cascade):
                return self._note(cascade, f"waits for {_named(first)}, which makes some of the same")
            if overwritten := self.stager.overwritten(cascade):
                return self._rebase(cascade, overwritten)
            begins()
            return self.stager.stage(cascade)

    def promote(self, id_: int) -> Cascade:
        """Let the channel serve all that a cascade staged, by one flip. If the channel has moved on, it is staged
        and checked anew on what is served now. Raises UsageError if it is not staged, or not its turn."""
        with self._alone(id_):
            cascade = self.notice(self.ledger.cascade(id_))
            if cascade.state is CascadeState.PROMOTED:
                return cascade
            for _ in range(3):
                cascade = self._ready(cascade)
                with contextlib.suppress(ChannelMovedError):  # somebody published in this very moment
                    return self._flip(cascade)
        raise UsageError(
            f"channel {cascade.channel!r} changes faster than it can be checked",
            where=f"cascade {id_}",
            fix="try again",
        )

    def rollback(self, id_: int) -> Cascade:
        """Let the channel serve again what it served before a cascade was promoted; the cascade is STAGED then. Raises
        UsageError if it is not what the channel serves."""
        with self._alone(id_):
            return self._rolled_back(id_)

    def _rolled_back(self, id_: int) -> Cascade:
        cascade = self.notice(self.ledger.cascade(id_))
        served = self.index.current_number(cascade.channel)
        if cascade.state is CascadeState.STAGED and cascade.note.startswith(_BACK):
            return cascade
        if cascade.state is not CascadeState.PROMOTED:
            raise UsageError(f"is {cascade.state}, not promoted", where=f"cascade {id_}", fix="nothing to roll back")
        if served not in (cascade.promoted, cascade.base):
            raise UsageError(
                f"channel {cascade.channel!r} serves generation {served} by now, not {cascade.promoted}",
                where=f"cascade {id_}",
                fix=f"`farm index rollback --channel {cascade.channel} {cascade.base}` drops what came after it, too",
            )
        if not cascade.base:
            raise UsageError("the channel served nothing before it", where=f"cascade {id_}", fix="promote another one")
        if served != cascade.base:
            self.index.rollback(cascade.channel, cascade.base, instead_of=cascade.promoted)
        note = f"{_BACK} from {cascade.channel}@{cascade.promoted:06d}"
        values = {"promoted": 0, "finished": None, "note": note}
        self.ledger.move_cascade(id_, CascadeState.STAGED, of={CascadeState.PROMOTED}, **values)
        return self.ledger.cascade(id_)

    def abandon(self, id_: int, reason: str) -> Cascade:
        """Give a cascade up; what it built stays in the store. Raises UsageError if it has ended."""
        with self._alone(id_):
            return self._given_up(id_, reason)

    def _given_up(self, id_: int, reason: str) -> Cascade:
        cascade = self.notice(self.ledger.cascade(id_))
        open_ = (*AT_WORK, CascadeState.BLOCKED, CascadeState.STAGED)
        if not self.ledger.move_cascade(id_, CascadeState.ABANDONED, of=open_, note=reason):
            raise UsageError(f"is {cascade.state} already", where=f"cascade {id_}", fix="`farm cascade show` it")
        return self.ledger.cascade(id_)

    @contextlib.contextmanager
    def _alone(self, id_: int) -> Iterator[None]:
        """Nobody else stages, promotes, takes back or gives up a cascade while the block runs: else who was between the
        flip and its record would write down what is served no more. Raises UsageError if somebody does."""
        with held(self.ledger, f"cascade-{id_}") as is_ours:
            if not is_ours:
                raise UsageError("another process is staging or promoting it", where=f"cascade {id_}", fix="try again")
            yield

    def notice(self, cascade: Cascade) -> Cascade:
        """If somebody was killed between the flip and its record: write it down."""
        if cascade.state is not CascadeState.STAGED or cascade.note.startswith(_BACK):
            return cascade
        served = self.index.current(cascade.channel)
        if served is None or served.number == cascade.base or served.comment != _comment(cascade):
            return cascade
        return self._promoted(cascade, served.number)

    def lift_overdue(self, id_: int, now: datetime | None = None) -> tuple[str, ...]:
        """End the fences whose time is over: their recipes are taken in again. Returns them."""
        cascade = self.ledger.cascade(id_)
        moment = now or datetime.now(UTC)
        over = tuple(fence.recipe for fence in self.ledger.fences(id_) if fence.until <= moment)
        if cascade.state in (*AT_WORK, CascadeState.BLOCKED, CascadeState.STAGED) and over:
            self.ledger.lift_fences(id_, over)
            self.unstage(id_)
            return over
        return ()

    def unstage(self, id_: int) -> None:
        """What is offered changes: it must be staged anew."""
        self.ledger.move_cascade(id_, CascadeState.TESTING, of={CascadeState.STAGED, CascadeState.BLOCKED}, note="")

    def goes_first(self, cascade: Cascade) -> Cascade | None:
        """The unfinished cascade, if there is one, that makes some of the same and goes first. One that is blocked
        holds nobody up."""
        order = (-cascade.priority, cascade.id)
        rivals = [other for other in self.ledger.rivals(cascade) if other.state is not CascadeState.BLOCKED]
        return min(
            (other for other in rivals if (-other.priority, other.id) < order),
            key=lambda other: (-other.priority, other.id),
            default=None,
        )

    def _ready(self, cascade: Cascade) -> Cascade:
        """A cascade that is staged on what is served now. Raises UsageError if that cannot be."""
        if self.lift_overdue(cascade.id):
            cascade = settle(self.ledger, cascade.id)
        if cascade.state is not CascadeState.STAGED:
            raise _not_staged(cascade)
        if first := self.goes_first(cascade):
            raise UsageError(
                f"{_named(first)} makes some of the same and goes first",
                where=f"cascade {cascade.id}",
                fix=f"advance and promote cascade {first.id}, or abandon it",
            )
        gone = cascade.staged not in self.index.numbers(cascade.hidden)  # `farm gc` took it
        if gone or self.index.current_number(cascade.channel) != cascade.base:
            overwritten = self.stager.overwritten(cascade)
            cascade = self._rebase(cascade, overwritten) if overwritten else self.stager.stage(cascade)
            if cascade.state is not CascadeState.STAGED:
                raise _not_staged(cascade)
        return cascade

    def _flip(self, cascade: Cascade) -> Cascade:
        staged = self.index.generation(cascade.hidden, cascade.staged)
        served = self.index.promote(staged, cascade.channel, comment=_comment(cascade), instead_of=cascade.base)
        return self._promoted(cascade, served.number)

    def _promoted(self, cascade: Cascade, number: int) -> Cascade:
        values = {"promoted": number, "note": ""}
        self.ledger.move_cascade(cascade.id, CascadeState.PROMOTED, of={CascadeState.STAGED}, **values)
        return self.ledger.cascade(cascade.id)

    def _rebase(self, cascade: Cascade, overwritten: tuple[str, ...]) -> Cascade:
        """Others published some of the same since the cascade was planned: it is planned anew on top of theirs. What
        it did that still fits is found again by its key."""
        what = some(overwritten, 3)
        theirs = self._promoted_since(cascade)
        if theirs is None:
            return self._block(cascade, f"{cascade.channel} got other wheels of {what} from a `farm build`")
        merged = frozen.merge(self.settings, before=cascade.before, ours=cascade.catalog, theirs=theirs.catalog)
        if merged.conflicts:
            files = ", ".join(merged.conflicts[:3])
            return self._block(cascade, f"it and {_named(theirs)} change the same files: {files}")
        try:
            draft = self.replan(cascade, merged.digest, theirs.catalog)
        except NothingToDoError:
            return self._given_up(cascade.id, f"{_named(theirs)} brought all of it")
        except (UsageError, PlanError, CatalogError) as error:
            return self._block(cascade, f"it cannot be planned on top of {_named(theirs)}: {error.what}")
        return self.ledger.replan_cascade(cascade.id, draft, note=f"planned anew on top of {_named(theirs)}: {what}")

    def _promoted_since(self, cascade: Cascade) -> Cascade | None:
        """The cascade that was promoted last to the same channel, if that was after this one's base."""
        others = (other for other in self.ledger.cascades() if other.channel == cascade.channel)
        after = [other for other in others if other.promoted > cascade.base]
        return max(after, key=lambda other: other.promoted, default=None)

    def _block(self, cascade: Cascade, why: str) -> Cascade:
        note = f"{why}; abandon it and start again from today's catalog: what is built is kept"
        self.ledger.move_cascade(cascade.id, CascadeState.BLOCKED, of=(*AT_WORK, CascadeState.STAGED), note=note)
        return self.ledger.cascade(cascade.id)

    def _note(self, cascade: Cascade, note: str) -> Cascade:
        if cascade.note != note:
            self.ledger.move_cascade(cascade.id, cascade.state, of={cascade.state}, note=note)
        return self.ledger.cascade(cascade.id)


def _not_staged(cascade: Cascade) -> UsageError:
    why = f": {cascade.note}" if cascade.note else ""
    fix = "start another one" if cascade.state is CascadeState.ABANDONED else f"`farm cascade advance {cascade.id}`"
    return UsageError(f"is {cascade.state}, not staged{why}", where=f"cascade {cascade.id}", fix=fix)


def _comment(cascade: Cascade) -> str:
    return f"cascade {cascade.id}: {cascade.what}"


def _named(cascade: Cascade) -> str:
    return f"cascade {cascade.id} ({cascade.what}, priority {cascade.priority})"
