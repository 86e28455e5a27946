"""Random lives of several cascades of one channel: whatever happens, users see only what was checked as a whole."""

from __future__ import annotations

import tempfile
from contextlib import ExitStack
from datetime import UTC, datetime, timedelta
from pathlib import Path
from unittest import mock

from cascade_farm import Farm, small, wheel
from cascades import FAST, Killed, draft
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, rule
from sqlalchemy import update

from farm.cascade.settling import settle
from farm.errors import UsageError
from farm.index.contents import IndexFile
from farm.index.generations import Index
from farm.model.cascade import ENDED, CascadeState, TaskState
from farm.model.rework import Verb
from farm.settings import Settings
from farm.store.artifacts import Store
from farm.store.ledger import Ledger
from farm.store.tables import leases

WRITES = [
    (Index, "publish"),
    (Index, "promote"),
    (Index, "rollback"),
    (Store, "let_stand_in"),
    (Ledger, "move_cascade"),
    (Ledger, "finish_task"),
]


class Lives(RuleBasedStateMachine):
    """Any order of what people, cron and the kernel do."""

    @initialize()
    def begin(self) -> None:
        self.stack = ExitStack()
        root = Path(self.stack.enter_context(tempfile.TemporaryDirectory(dir=FAST)))
        at = Settings(catalog=root / "catalog", home=root / "home", cache=root / "cache", cores=1)
        self.farm: Farm = self.stack.enter_context(small(at))
        self.farm.replanned = draft({("gmp", Verb.BUILD): []}, salt="again")
        self.good = {frozenset(self.farm.offered().values())}  # what may be served
        self.others = 0

    def teardown(self) -> None:
        if not hasattr(self, "stack"):
            return
        with self.stack:
            for cascade in self.farm.ledger.cascades(unfinished=True):
                self.farm.promoter.abandon(cascade.id, "the end")
            assert all(cascade.state in ENDED for cascade in self.farm.ledger.cascades())

    def ids(self) -> list[int]:
        return [cascade.id for cascade in self.farm.ledger.cascades()]

    def any_of(self, number: int) -> int:
        ids = self.ids()
        return ids[number % len(ids)] if ids else 0

    @rule(names=st.sampled_from([("gmp",), ("gmp", "gmpy2"), ("zlib",)]), salt=st.integers(0, 3), urgent=st.booleans())
    def start(self, names: tuple[str, ...], salt: int, urgent: bool) -> None:
        if len(self.ids()) < 3:
            self.farm.start(*names, salt=str(salt), priority=100 * urgent, what=f"{names} {salt}")

    @rule(number=st.integers(0, 5), words=st.sampled_from([[], ["fail"], ["not run"], ["kill"], ["late"]]))
    def advance(self, number: int, words: list[str]) -> None:
        if id_ := self.any_of(number):
            for task in self.farm.ledger.tasks_of(id_)[-1:]:
                self.farm.hands.script[task.id] = list(words)
            try:
                self.farm.advance(id_)
            except Killed:
                self.died()

    @rule(number=st.integers(0, 5))
    def retry(self, number: int) -> None:
        if id_ := self.any_of(number):
            self.farm.ledger.retry_failed(id_)
            self.farm.promoter.unstage(id_)
            self.farm.hands.script.clear()

    @rule(number=st.integers(0, 5))
    def fence(self, number: int) -> None:
        id_ = self.any_of(number)
        recipes = {task.recipe for task in self.farm.ledger.tasks_of(id_)} if id_ else set()
        if "gmpy2" in recipes and self.farm.ledger.cascade(id_).state not in ENDED:
            self.farm.ledger.fence(id_, ["gmpy2"], datetime.now(UTC) + timedelta(days=1), "dead")
            self.farm.promoter.unstage(id_)

    @rule(number=st.integers(0, 5), write=st.sampled_from(WRITES), after=st.booleans(), back=st.booleans())
    def promote_or_roll_back_and_die(self, number: int, write: tuple[type, str], after: bool, back: bool) -> None:
        owner, name = write
        real = getattr(owner, name)

        def dying(*args: object, **more: object) -> object:
            if after:
                real(*args, **more)
            raise Killed

        with mock.patch.object(owner, name, dying):
            try:
                self.flip(number, back)
            except Killed:
                self.died()
        self.flip(number, back)

    @rule(number=st.integers(0, 5), back=st.booleans())
    def flip(self, number: int, back: bool) -> None:
        id_ = self.any_of(number)
        if not id_:
            return
        before = frozenset(self.farm.offered().values())
        try:
            (self.farm.promoter.rollback if back else self.farm.promoter.promote)(id_)
        except UsageError:
            assert frozenset(self.farm.offered().values()) == before, "what is refused changes nothing"
            return
        self.note(id_)

    @rule()
    def somebody_else_publishes(self) -> None:
        self.others += 1
        path = wheel(self.farm.at.home, "native-png", f"1!1.{self.others}", content=f"png{self.others}")
        self.farm.index.publish("staging", [IndexFile(path=path)])
        self.good.add(frozenset(self.farm.offered().values()))

    def died(self) -> None:
        """The process that did it is dead: its leases are free, and what it may have flipped to counts if it passed."""
        with self.farm.ledger.writing() as connection:
            connection.execute(update(leases).values(owner="", expires=0))
        for id_ in self.ids():
            self.note(id_)

    def note(self, id_: int) -> None:
        """What a cascade has staged may be served if all of it passed."""
        cascade = self.farm.ledger.cascade(id_)
        if cascade.state not in (CascadeState.STAGED, CascadeState.PROMOTED):
            return
        assert cascade.checks["problems"] == []
        held = {fence.recipe for fence in self.farm.ledger.fences(id_)}
        open_ = [t for t in self.farm.ledger.tasks_of(id_) if t.state is not TaskState.DONE and t.recipe not in held]
        assert open_ == [], "all that is not fenced was done"
        self.good.add(frozenset(self.farm.offered(cascade.hidden).values()))

    @invariant()
    def users_see_what_was_checked(self) -> None:
        if hasattr(self, "good"):
            assert frozenset(self.farm.offered().values()) in self.good

    @invariant()
    def states_tell_the_truth(self) -> None:
        for id_ in self.ids() if hasattr(self, "farm") else ():
            cascade = settle(self.farm.ledger, id_)
            if cascade.state is CascadeState.BLOCKED:
                assert cascade.note


TestLives = Lives.TestCase
TestLives.settings = settings(max_examples=10, stateful_step_count=12, deadline=None, derandomize=True)
