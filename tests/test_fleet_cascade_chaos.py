"""Chaos around a real cascade: four workers compile, move and test wheels for several platforms, while a seeded
schedule kills who works and who asks, stops them, wipes Redis, restarts and crashes PostgreSQL, and fills the disk.

What must hold whatever happened: the cascade ends as it would have ended in peace; nothing is lost, nothing is done
twice at the same time, nothing is published twice, every generation is whole, and pip takes what the channel names.
"""

from __future__ import annotations

import contextlib
import json
import random
import shutil
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
import witness_log
from chaos import Chaos
from chaos_farm import CHANGES, Place, Seeds, must
from chaos_story import told
from databases import copied, dropped, postgresql, why_no_postgresql
from disks import small_disk
from redis_server import redis, why_no_redis

from farm.index.generations import Index
from farm.model.rework import Verb
from farm.store.files import file_sha256
from farm.store.ledger import Ledger
from farm.store.remote import layout
from farm.store.remote.directory import DirectoryRemote
from farm.store.shared import Shared
from farm.store.standing import stand_in

DISK = "400M"
PATIENCE = 600.0  # seconds, on a machine with much else to do
FEW = range(1)
MANY = range(1, 101)


@pytest.fixture(scope="module")
def seeds(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Seeds]:
    if reason := why_no_postgresql() or why_no_redis():
        pytest.skip(f"the fleet was not tested: {reason}")
    with postgresql() as server:
        yield Seeds(server, tmp_path_factory.mktemp("chaos"))


def survive(seed: int, seeds: Seeds, tmp_path: Path) -> None:
    """One round."""
    chance = random.Random(seed)
    change = list(CHANGES)[seed % len(CHANGES)]
    begun = seeds.get(change)
    with contextlib.ExitStack() as stack:
        disk = stack.enter_context(small_disk(tmp_path / "disk", DISK))
        shutil.copytree(begun.root, disk, symlinks=True, dirs_exist_ok=True)
        database = f"round_{seed}"
        stack.callback(dropped, seeds.server, database)
        broker = stack.enter_context(redis())
        place = Place(disk, begun.catalog, copied(seeds.server, database, change), broker.url)
        place.make_workers()
        stack.enter_context(told(seed, change, place.log))
        chaos = Chaos(chance, place, seeds.server, broker)
        stack.callback(chaos.end)
        chaos.begin()
        wait_for(place, lambda: begins(place))
        for _ in range(chance.randrange(3, 8)):
            time.sleep(chance.uniform(0.2, 3.0))
            if chaos.is_over():
                break
            chaos.act()
        chaos.let_go()
        wait_for(place, chaos.is_over)
        with Ledger.open(place.ledger) as ledger:
            wait_for(place, lambda: not ledger.keys_of_jobs() and not ledger.leased_keys())
            leases, jobs = ledger.leased_keys(), ledger.keys_of_jobs()
        assert (leases, jobs) == (set(), set())
        assert_sound(place, change)


def begins(place: Place) -> bool:
    return any(word == "begin" for word, *_ in witness_log.rows(place.log))


def wait_for(place: Place, what: Callable[[], object]) -> None:
    deadline = time.monotonic() + PATIENCE
    while not what():
        assert time.monotonic() < deadline, f"{place.said()}\n{place.log.read_text()}"
        time.sleep(0.1)


def assert_sound(place: Place, change: str) -> None:
    """All that must hold after a round; then the change is promoted and taken back."""
    witness_log.assert_never_twice_at_once(place.log)
    witness_log.assert_published_once(place.log)
    document = json.loads(must(place.farm("cascade", "show", "1", "--all", "--json")))
    story = f"{json.dumps(document, indent=1)}\n{place.said()}\n{place.log.read_text()}"
    version = CHANGES[change][0]
    if change == "wrong":
        assert document["state"] == "blocked", story
        failed = {task["id"]: task["error"] for task in document["shown"] if task["state"] == "failed"}
        assert failed, story
        assert all(id_.startswith("test ") for id_ in failed), story
        assert all("exit code" in error or "assert" in error for error in failed.values()), story
        assert offered(place) == "1.0"
    else:
        assert document["state"] == "staged", story
        assert document["checks"]["problems"] == []
        assert offered(place) == "1.0", "nothing is offered before it is promoted"
        must(place.farm("cascade", "promote", "1"))
        assert offered(place) == version
        assert_generations_whole(place)
        must(place.farm("cascade", "rollback", "1"))
        assert offered(place) == "1.0"
    assert_stored(place)
    assert_stands_in(place, moves=change == "breaking")
    assert_generations_whole(place)


def assert_stands_in(place: Place, *, moves: bool) -> None:
    """What was rebound stands in for the build that nobody made, for all that share the store."""
    shared = Shared(DirectoryRemote(place.store))
    with Ledger.open(place.ledger) as ledger:
        rebound = [task for task in ledger.wheels_of(1) if task.verb is Verb.REBIND]
        steps = ledger.steps_of(1, [task.step for task in rebound])
        for task in rebound:
            key = steps[task.step].key
            made, found = shared.find(task.key), shared.find(stand_in(key))
            assert made is not None
            assert found is not None
            assert (found.filename, found.sha256, shared.find(key)) == (made.filename, made.sha256, None)
            assert [by.cascade for by in ledger.rebound_by(key)] == [1]
    assert bool(rebound) == moves


def assert_stored(place: Place) -> None:
    """Each wheel that is said to be made is whole, and in the store that all share."""
    shared = Shared(DirectoryRemote(place.store))
    with Ledger.open(place.ledger) as ledger:
        made = list(ledger.wheels_of(1))
    assert made
    for task in made:
        artifact = shared.find(task.key)
        assert artifact is not None, task.id
        assert file_sha256(place.store / layout.blob(artifact.sha256, artifact.filename)) == artifact.sha256


def assert_generations_whole(place: Place) -> None:
    """Every generation of every channel has all its files, with their hashes, and one file name means one file."""
    index = Index(place.home / "index")
    for channel in ("staging", "cascade-1"):
        numbers = index.numbers(channel)
        for number in numbers:
            generation = index.generation(channel, number)
            files = index.files_in(generation)
            assert files
            for file in files:
                assert file_sha256(index.root / file.location) == file.sha256, (channel, number, file.filename)
                assert (index.root / f"{file.location}.metadata").is_file()
            pages = index.path(generation) / "simple"
            assert {page.parent.name for page in pages.glob("*/index.html")} == {file.project for file in files}
        if numbers:
            assert index.current_number(channel) in numbers


def offered(place: Place) -> str:
    """The release of tiny that pip takes with the dependent from the channel."""
    url = (place.home / "index/staging/simple").as_uri()
    command = [sys.executable, "-m", "pip", "install", "--isolated", "--dry-run", "--ignore-installed", "--no-input"]
    done = subprocess.run([*command, "--index-url", url, "pytiny"], capture_output=True, text=True, check=True)
    return done.stdout.split("native-tiny-")[1].split()[0].partition("!")[2]


@pytest.mark.parametrize("seed", FEW)
def test_a_cascade_survives_chaos(seed: int, seeds: Seeds, tmp_path: Path) -> None:
    survive(seed, seeds, tmp_path)


@pytest.mark.slow
@pytest.mark.parametrize("seed", MANY)
def test_a_cascade_survives_much_chaos(seed: int, seeds: Seeds, tmp_path: Path) -> None:
    survive(seed, seeds, tmp_path)
