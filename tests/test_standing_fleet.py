"""A cascade that a fleet carries out with a PostgreSQL ledger and a bucket: what it rebound stands in for the build on
every machine, and is built by the fleet where somebody asks for that."""

from __future__ import annotations

import contextlib
import json
import shutil
import uuid
from collections.abc import Iterator
from pathlib import Path

import pytest
from chaos_farm import PLATFORMS, Place, Seeds, ended, must
from databases import copied, postgresql, why_no_postgresql
from redis_server import redis, why_no_redis
from s3_server import BUCKET, credentials, s3

from farm.store.remote.address import connect
from farm.store.standing import stand_in

pytestmark = pytest.mark.slow

HERE = ("--platform", PLATFORMS[0])


@pytest.fixture
def place(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Place]:
    """A farm whose cascade to an ABI break is about to be carried out, with two workers."""
    if reason := why_no_postgresql() or why_no_redis():
        pytest.skip(f"the fleet was not tested: {reason}")
    credentials(monkeypatch, tmp_path)
    with contextlib.ExitStack() as stack:
        seeds = Seeds(stack.enter_context(postgresql()), tmp_path / "seeds")
        begun = seeds.get("breaking")
        shutil.copytree(begun.root, tmp_path / "farm", symlinks=True)
        place = Place(tmp_path / "farm", begun.catalog, copied(seeds.server, "round", "breaking"))
        place.broker = stack.enter_context(redis()).url
        place.bucket = filled(place.store, stack.enter_context(s3()))
        place.make_workers()
        for number in range(2):
            worker = place.begin(f"worker{number}", "worker", home=place.worker_home(number))
            stack.enter_context(ended(lambda worker=worker: worker))  # type: ignore[misc]
        yield place


def filled(store: Path, endpoint: str) -> str:
    """A bucket with what a directory has: layouts are equal."""
    url = f"s3://{BUCKET}/{uuid.uuid4().hex}?endpoint={endpoint}&region=us-east-1"
    remote = connect(url)
    for file in store.rglob("*"):
        if file.is_file() and "tmp" not in file.relative_to(store).parts:
            remote.write(file.relative_to(store).as_posix(), file.read_bytes())
    return url


def pytiny(place: Place, *words: str, home: Path | None = None) -> dict[str, object]:
    """What `farm build` says of the dependent."""
    said = must(place.farm("build", "pytiny", *HERE, *words, "--json", home=home))
    rows: dict[str, dict[str, object]] = {row["step"].partition("@")[0]: row for row in json.loads(said)["steps"]}
    return rows["pytiny"]


def test_what_a_fleet_rebound_stands_in_everywhere(place: Place) -> None:
    must(place.farm("cascade", "advance", "1", "--wait", "--broker", "env"))
    must(place.farm("cascade", "promote", "1"))
    shared = connect(place.bucket)
    other = place.root / "other"

    there = pytiny(place, home=other)  # a machine that knows nothing: the ledger and the bucket tell it
    assert (there["state"], there["rebound"]) == ("cached", True)
    key = str(there["key"])
    assert shared.read(f"keys/{stand_in(key)[:2]}/{stand_in(key)}.json") is not None
    assert "by cascade 1: tiny moves from 1.0 to 2.0" in must(place.farm("why", f"pytiny/{PLATFORMS[0]}", home=other))

    by_fleet = pytiny(place, "--broker", "env")
    assert (by_fleet["state"], by_fleet["rebound"]) == ("cached", True), "the fleet has nothing to do"

    built = pytiny(place, "--broker", "env", "--no-rebound")
    assert (built["state"], built["rebound"]) == ("built", False), "workers see the stand-in, and build all the same"
    again = pytiny(place, home=place.root / "third")
    assert (again["state"], again["rebound"], again["sha256"]) == ("cached", False, built["sha256"])
