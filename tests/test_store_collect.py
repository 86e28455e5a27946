"""Garbage collection of a shared store: whatever happens in whatever order, what somebody needs stays, whole."""

from __future__ import annotations

import contextlib
import hashlib
import itertools
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from plans import digest

from farm.errors import StoreError
from farm.model.artifact import Artifact
from farm.store.collect import Collected, Rules, collect, require_keeper
from farm.store.guard import LEAST_GRACE, MEMORY, Guard
from farm.store.remote import layout
from farm.store.remote.protocol import Entry
from farm.store.shared import Shared

DAY = 86_400.0
FEW = settings(max_examples=40, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])


class Killed(BaseException):
    """kill -9."""


class Memory:
    """A bucket in memory with a clock of its own. `before` is called with each operation before it is carried out."""

    id = "memory"
    writable = True

    def __init__(self) -> None:
        self.objects: dict[str, tuple[bytes, float]] = {}
        self.clock = 1_000_000.0
        self.before: Callable[[str], None] = lambda _operation: None

    def now(self) -> float:
        return self.clock

    def wait(self, seconds: float) -> None:
        self.clock += max(seconds, 1.0)

    def read(self, name: str) -> bytes | None:
        self.before("read")
        found = self.objects.get(name)
        return None if found is None else found[0]

    def download(self, name: str, target: Path, *, most: int) -> bool:
        del most
        data = self.read(name)
        if data is not None:
            target.write_bytes(data)
        return data is not None

    def look(self, name: str) -> Entry | None:
        self.before("look")
        found = self.objects.get(name)
        return None if found is None else Entry(name=name, size=len(found[0]), modified=found[1])

    def create(self, name: str, data: bytes) -> bool:
        self.before("create")
        if name in self.objects:
            return False
        self.objects[name] = (data, self.clock)
        return True

    def write(self, name: str, data: bytes) -> None:
        self.before("write")
        self.objects[name] = (data, self.clock)

    def upload(self, name: str, source: Path, sha256: str) -> None:
        self.before("upload")
        self.objects[name] = (source.read_bytes(), self.clock)

    def entries(self, prefix: str) -> Iterator[Entry]:
        self.before("entries")
        found = sorted(self.objects.items())
        return iter([Entry(name=n, size=len(d), modified=t) for n, (d, t) in found if n.startswith(prefix)])

    def remove(self, name: str) -> None:
        self.before("remove")
        self.objects.pop(name, None)

    def leftovers(self, older_than: float) -> Iterator[Entry]:
        return iter(())

    def remove_leftover(self, entry: Entry) -> None:
        """There are none."""


class World:
    """A shared store with publishers; `content` of a key is equal for some keys, as for wheels that are equal."""

    def __init__(self, folder: Path) -> None:
        self.remote = Memory()
        self.folder = folder
        self.names = itertools.count()

    def shared(self) -> Shared:
        """A machine's view: with a memory of its own."""
        made = Shared(self.remote)
        made.guard = Guard(self.remote, clock=self.remote.now, sleep=self.remote.wait)
        return made

    def artifact(self, number: int) -> tuple[Artifact, Path]:
        content = b"content %d" % (number // 2)
        path = self.folder / f"w{number}"
        path.write_bytes(content)
        sha256 = hashlib.sha256(content).hexdigest()
        return Artifact(
            key=digest(str(number)), filename="a-1-py3-none-any.whl", sha256=sha256, size=len(content)
        ), path

    def publish(self, number: int, shared: Shared | None = None) -> None:
        (shared or self.shared()).publish(*self.artifact(number))

    def collect(self, needed: set[int], *, keep_days: float = 1.0, max_size: int | None = None) -> Collected:
        rules = Rules(
            keys={digest(str(n)) for n in needed}, sha256=(), keep_days=keep_days, grace=LEAST_GRACE, max_size=max_size
        )
        return collect(self.shared(), rules, dry_run=False, clock=self.remote.now)

    def has(self, number: int) -> bool:
        """Whether a reader gets the whole content."""
        artifact, _ = self.artifact(number)
        found = self.shared().find(artifact.key)
        if found is None:
            return False
        with contextlib.suppress(StoreError):
            self.shared().fetch_artifact(found, self.folder / "fetched")
            return True
        return False

    def whole(self) -> None:
        """No record without its content."""
        for name in [n for n in self.remote.objects if n.startswith(layout.KEYS)]:
            key = name.split("/")[2].removesuffix(".json")
            found = self.shared().find(key)
            assert found is not None
            assert layout.blob(found.sha256, found.filename) in self.remote.objects


@pytest.fixture
def world(tmp_path: Path) -> World:
    return World(tmp_path)


def test_mark_then_sweep_after_the_grace_period(world: World) -> None:
    for number in range(6):
        world.publish(number)
    world.remote.clock += 2 * DAY
    first = world.collect({0})
    assert not first.removals
    assert first.waiting == 5 + 2, "five records; the blob of 0 and 1 stays"
    world.remote.clock += LEAST_GRACE / 2
    assert not world.collect({0}).removals
    world.remote.clock += LEAST_GRACE
    done = world.collect({0})
    assert len(done.removals) == 7
    assert done.waiting == 0
    assert [world.has(number) for number in range(6)] == [True] + [False] * 5
    assert not world.collect({0}).removals


def test_what_is_needed_again_is_not_removed(world: World) -> None:
    world.publish(0)
    world.remote.clock += 2 * DAY
    world.collect(set())
    world.remote.clock += 2 * LEAST_GRACE
    assert not world.collect({0}).removals
    assert world.collect(set()).waiting == 2, "its grace period begins anew"
    assert world.has(0)


def test_what_is_young_stays_unless_it_takes_too_much(world: World) -> None:
    for number in (0, 2, 4):
        world.publish(number)
        world.remote.clock += 60
    assert world.collect(set()).waiting == 0
    assert world.collect({0}, max_size=2 * len(b"content 0")).waiting == 2
    world.remote.clock += 2 * LEAST_GRACE
    world.collect({0}, max_size=2 * len(b"content 0"))
    assert [world.has(number) for number in (0, 2, 4)] == [True, False, True], "the oldest that is not needed went"


def test_a_publisher_of_what_is_marked_keeps_it(world: World) -> None:
    world.publish(0)
    world.remote.clock += 2 * DAY
    world.collect(set())
    world.remote.clock += 2 * LEAST_GRACE
    world.publish(0)
    assert not world.collect(set()).removals
    assert world.has(0)
    assert not [name for name in world.remote.objects if name.startswith(layout.PINS)]


def test_logs_go_with_what_they_belong_to(world: World) -> None:
    world.publish(0)
    shared = world.shared()
    for key in (digest("0"), digest("gone")):
        artifact, path = world.artifact(8)
        shared.send(layout.blob(artifact.sha256), path, artifact.sha256)
        pointer = f'{{"key": "{key}", "filename": "blob", "sha256": "{artifact.sha256}", "size": {artifact.size}}}'
        world.remote.write(layout.log(key, 1, "host"), pointer.encode())
    world.remote.clock += 2 * DAY
    world.collect({0})
    world.remote.clock += 2 * LEAST_GRACE
    assert [removal.kind for removal in world.collect({0}).removals] == ["shared log"]
    assert layout.blob(artifact.sha256) in world.remote.objects


def test_what_a_console_or_a_hand_put_there_is_left_alone(world: World) -> None:
    """Consoles of S3 services make empty objects for folders; a record may be damaged in any way."""
    foreign = ["keys/", "blobs/", "logs/", "keys/notes.txt", f"blobs/ab/{digest('x')}"]
    for name in foreign:
        world.remote.objects[name] = (b"", 0.0)
    key = digest("damaged")
    damaged = layout.record(key)
    world.remote.objects[damaged] = (f'{{"key": "{key}", "filename": 5, "sha256": 5, "size": 1}}'.encode(), 0.0)
    assert world.shared().find(key) is None
    for _ in range(2):
        world.collect(set())
        world.remote.clock += LEAST_GRACE + 1
    assert [name for name in foreign if name in world.remote.objects] == foreign
    assert damaged not in world.remote.objects


def test_only_one_farm_collects(world: World) -> None:
    require_keeper(world.remote, "mine", take_over=False)
    require_keeper(world.remote, "mine", take_over=False)
    with pytest.raises(StoreError, match="another farm") as raised:
        require_keeper(world.remote, "other", take_over=False)
    assert "--take-over" in raised.value.fix
    require_keeper(world.remote, "other", take_over=True)
    with pytest.raises(StoreError, match="another farm"):
        require_keeper(world.remote, "mine", take_over=False)


def test_a_dry_run_changes_nothing(world: World) -> None:
    world.publish(0)
    before = dict(world.remote.objects)
    rules = Rules(keys=(), sha256=(), keep_days=0, grace=LEAST_GRACE)
    assert collect(world.shared(), rules, dry_run=True).waiting == 2
    assert world.remote.objects == before


OPERATION = st.one_of(
    st.tuples(st.just("publish"), st.integers(0, 5), st.none() | st.integers(0, 6)),
    st.tuples(st.just("collect"), st.sets(st.integers(0, 5)), st.none() | st.integers(0, 40)),
    st.tuples(st.just("pin"), st.integers(0, 5), st.none()),
    st.tuples(st.just("wait"), st.sampled_from([60.0, MEMORY, LEAST_GRACE, DAY, 2 * DAY]), st.none()),
)


@FEW
@given(operations=st.lists(OPERATION, max_size=25), always=st.sets(st.integers(0, 5), max_size=2))
def test_needed_and_pinned_wheels_survive_any_history_with_kills(
    operations: list[tuple[str, object, int | None]], always: set[int], tmp_path: Path
) -> None:
    world = World(tmp_path)
    published: set[int] = set()
    pinned: set[int] = set()
    with contextlib.ExitStack() as pins:
        for verb, value, death in operations:
            left = itertools.count(death if death is not None else 10**9, -1)

            def die(_operation: str, left: Iterator[int] = left) -> None:
                if next(left) <= 0:
                    raise Killed

            world.remote.before = die
            with contextlib.suppress(Killed):
                if verb == "publish":
                    world.publish(value)  # type: ignore[arg-type]
                    published.add(value)  # type: ignore[arg-type]
                elif verb == "collect":
                    world.collect(value | always)  # type: ignore[operator]
            world.remote.before = lambda _operation: None
            if verb == "pin":
                key = digest(str(value))
                pins.enter_context(world.shared().guard.pinned([layout.record(key)]))
                if world.has(value):  # type: ignore[arg-type]
                    pinned.add(value)  # type: ignore[arg-type]
            elif verb == "wait":
                world.remote.clock += value  # type: ignore[operator]
            published = {number for number in published if world.has(number)} | (published & (always | pinned))
            for number in published & (always | pinned):
                assert world.has(number), number
            world.whole()


@FEW
@given(moment=st.integers(0, 60), number=st.integers(0, 3), fresh=st.booleans())
def test_a_publisher_in_the_middle_of_a_sweep_loses_nothing(
    moment: int, number: int, fresh: bool, tmp_path: Path
) -> None:
    """Between any two requests of the collector, but for a request to remove that is under way for a minute."""
    world = World(tmp_path)
    for other in range(4):
        world.publish(other)
    publisher = world.shared()
    if not fresh:
        publisher.publish(*world.artifact(number))  # it remembers that nothing was marked
    world.remote.clock += 2 * DAY
    world.collect(set())
    world.remote.clock += 2 * LEAST_GRACE
    count = itertools.count()
    done: list[bool] = []

    def interrupt(operation: str) -> None:
        if not done and operation != "remove" and next(count) >= moment:
            done.append(True)
            publisher.publish(*world.artifact(number))

    world.remote.before = interrupt
    world.collect(set())
    world.remote.before = lambda _operation: None
    if not done:
        publisher.publish(*world.artifact(number))
    world.whole()
    assert world.has(number)
    assert not world.collect(set()).removals or world.has(number)
