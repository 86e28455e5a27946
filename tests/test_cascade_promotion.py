"""From done tasks to what users install: staging, checks, one flip, the flip back, two cascades at once."""

from __future__ import annotations

import argparse
import os
import subprocess
import sys
import time
from collections.abc import Iterator
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
import toy
from cascade_farm import Farm, small, wheel
from cascades import Killed, draft
from plans import PLATFORM

from farm import catalog
from farm.cascade import installable, targets
from farm.cascade.advance import Advance
from farm.cascade.stage import Imported
from farm.cli import cascade
from farm.cli.cascading import Rooms, rooms
from farm.errors import NothingToDoError, StoreError, UsageError
from farm.index.contents import IndexFile
from farm.index.generations import Index
from farm.model.cascade import CascadeState, Draft
from farm.model.outcome import Outcome
from farm.model.rework import Verb
from farm.settings import Settings
from farm.store import frozen
from farm.store.ledger import Ledger

B, R, T = Verb.BUILD, Verb.REBIND, Verb.TEST
DAY = timedelta(days=1)


@pytest.fixture
def farm(at: Settings) -> Iterator[Farm]:
    with small(at) as farm:
        yield farm


def test_all_together_or_not_at_all_and_back(farm: Farm) -> None:
    before = farm.offered()
    id_ = farm.start("gmp", "gmpy2")
    cascade = farm.advance(id_)
    assert (cascade.state, cascade.base, cascade.staged) == (CascadeState.STAGED, 1, 1)
    assert farm.offered() == before, "nothing is served before it is promoted"
    assert len(farm.offered(f"cascade-{id_}")) == 3
    assert cascade.checks["resolved"] == 3
    promoted = farm.promoter.promote(id_)
    assert (promoted.state, promoted.promoted) == (CascadeState.PROMOTED, 2)
    after = farm.offered()
    assert after == farm.offered(f"cascade-{id_}")
    assert after.keys() - before.keys() == {f"native_gmp-11!6.3.0-py3-none-{PLATFORM}.whl"}
    assert farm.promoter.promote(id_) == promoted, "once more changes nothing"
    back = farm.promoter.rollback(id_)
    assert (back.state, back.note, farm.offered()) == (CascadeState.STAGED, "rolled back from staging@000002", before)
    assert farm.promoter.promote(id_).state is CascadeState.PROMOTED
    assert farm.offered() == after


def test_what_cannot_be_installed_is_not_offered(farm: Farm) -> None:
    farm.hands.make["gmpy2"] = ("gmpy2", "2.2", "native-gmp>=12!0")
    id_ = farm.start("gmp", "gmpy2")
    cascade = farm.advance(id_)
    assert cascade.state is CascadeState.BLOCKED
    assert "native-gmp>=12!0" in cascade.note
    assert "gmpy2-2.2" in cascade.note
    with pytest.raises(UsageError, match="is blocked, not staged: what it would offer is not sound"):
        farm.promoter.promote(id_)


def test_what_cannot_be_imported_is_not_offered(farm: Farm) -> None:
    farm.importing = [Imported(filename="gmpy2-2.2.whl", outcome=Outcome.FAILED, reason="ImportError: no")]
    cascade = farm.advance(farm.start("gmp", "gmpy2"))
    assert cascade.state is CascadeState.BLOCKED
    assert cascade.note == "what it would offer is not sound: gmpy2-2.2.whl: ImportError: no"
    farm.importing = [Imported(filename="gmpy2-2.2.whl", outcome=Outcome.PASSED)]  # mended: the next call looks again
    assert farm.advance(cascade.id).state is CascadeState.STAGED


def test_a_fenced_recipe_stays_on_its_old_wheel(farm: Farm) -> None:
    before = farm.offered()
    id_ = farm.start("gmp", "gmpy2")
    farm.advance(id_)
    farm.ledger.fence(id_, ["gmpy2"], datetime.now(UTC) + DAY, "upstream is dead")
    farm.promoter.unstage(id_)
    with pytest.raises(UsageError, match="not staged"):
        farm.promoter.promote(id_)
    farm.advance(id_)
    farm.promoter.promote(id_)
    after = farm.offered()
    (gmpy2,) = (name for name in after if name.startswith("gmpy2"))
    assert after[gmpy2] == before[gmpy2]
    assert any(name.startswith("native_gmp-11!6.3.0") for name in after)


def test_a_fenced_wheel_never_meets_the_release_that_it_fails_with(farm: Farm) -> None:
    """Its bound admits a newer release of the same epoch: nothing is offered until that is corrected."""
    farm.hands.make["gmp"] = ("native-gmp", "10!6.3.0")
    id_ = farm.start("gmp", "gmpy2")
    farm.ledger.fence(id_, ["gmpy2"], datetime.now(UTC) + DAY, "fails with 6.3.0")
    cascade = farm.advance(id_)
    assert cascade.state is CascadeState.BLOCKED
    assert "is fenced, yet its bounds admit native_gmp-10!6.3.0" in cascade.note
    name = f"gmpy2-2.2-{toy.PYTHON}-{toy.PYTHON}-{PLATFORM}.whl"
    tag = f"{toy.PYTHON}-{toy.PYTHON}-{PLATFORM}"
    tight = wheel(farm.at.home, "gmpy2", "2.2", "native-gmp>=10!6.2,<10!6.3", tag=tag, content="tight")
    farm.index.publish("staging", [IndexFile(path=tight)], replace=True)
    assert farm.advance(id_).state is CascadeState.STAGED
    assert name in farm.offered(f"cascade-{id_}")


def test_a_fence_whose_time_is_over_is_lifted(farm: Farm) -> None:
    id_ = farm.start("gmp", "gmpy2")
    farm.ledger.fence(id_, ["gmpy2"], datetime.now(UTC) + DAY, "soon mended")
    assert farm.advance(id_).state is CascadeState.STAGED
    assert farm.promoter.lift_overdue(id_) == ()
    assert farm.promoter.lift_overdue(id_, datetime.now(UTC) + 2 * DAY) == ("gmpy2",)
    assert farm.advance(id_).state is CascadeState.STAGED
    assert len([name for name in farm.offered(f"cascade-{id_}") if name.startswith("gmpy2")]) == 1
    assert farm.ledger.fences(id_) == ()


def test_if_the_channel_moved_on_it_is_staged_anew(farm: Farm) -> None:
    id_ = farm.start("gmp")
    farm.advance(id_)
    other = wheel(farm.at.home, "native-png", "1!1.6", content="other")
    farm.index.publish("staging", [IndexFile(path=other)])
    cascade = farm.promoter.promote(id_)
    assert (cascade.state, cascade.base, cascade.promoted) == (CascadeState.PROMOTED, 2, 3)
    assert {name.partition("-")[0] for name in farm.offered()} == {"native_gmp", "native_png", "gmpy2"}


def test_a_wheel_that_is_gone_is_built_again(farm: Farm) -> None:
    id_ = farm.start("gmp", "gmpy2")
    Advance(farm.ledger.cascade(id_), ledger=farm.ledger, hands=farm.hands).to_the_end()
    (gmp, _) = farm.ledger.wheels_of(id_)
    artifact = farm.store.get(gmp.key)
    assert artifact is not None
    farm.store.path(artifact).chmod(0o644)
    farm.store.path(artifact).write_bytes(b"x" * artifact.size)
    assert farm.stage(id_).state is CascadeState.BUILDING
    farm.hands.order.clear()
    assert farm.advance(id_).state is CascadeState.STAGED
    assert [name.partition("@")[0] for name in farm.hands.order] == ["build gmp"]


def test_security_overtakes_and_the_other_is_planned_anew_on_top(farm: Farm) -> None:
    bump = farm.start("gmp", "gmpy2", priority=10, what="gmp 6.3.0")
    assert farm.advance(bump).state is CascadeState.STAGED
    urgent = farm.start("gmp", "gmpy2", salt="cve", priority=100, what="CVE-1")
    with pytest.raises(UsageError, match=r"cascade 2 \(CVE-1, priority 100\) makes some of the same and goes first"):
        farm.promoter.promote(bump)
    assert farm.advance(urgent).state is CascadeState.STAGED, "nobody of lower priority holds it up"
    farm.promoter.promote(urgent)
    served = farm.offered()
    farm.replanned = draft(
        {("gmp", B): [], ("gmpy2", R): [("gmp", B)]}, salt="both", base=2, what="gmp 6.3.0", priority=10
    )
    with pytest.raises(UsageError, match="is planned, not staged: planned anew on top of cascade 2"):
        farm.promoter.promote(bump)
    assert farm.offered() == served, "never a mixture of both"
    assert farm.advance(bump).state is CascadeState.STAGED
    assert farm.promoter.promote(bump).state is CascadeState.PROMOTED
    keys = {task.key for task in farm.ledger.wheels_of(bump)}
    assert set(farm.offered().values()) >= {a.sha256 for key in keys if (a := farm.store.get(key))}


@pytest.mark.parametrize(
    ("error", "state", "told"),
    [
        (NothingToDoError("nothing"), "abandoned", "brought all of it"),
        (
            UsageError("gmp has no release 6.3.0"),
            "blocked",
            "of cascade 2 (other, priority 5): gmp has no release",
        ),
    ],
)
def test_what_cannot_be_planned_anew_is_over_or_for_people(
    farm: Farm, error: UsageError, state: str, told: str
) -> None:
    first, other = farm.start("gmp", what="first"), farm.start("gmp", salt="2", priority=5, what="other")
    farm.advance(other)
    farm.promoter.promote(other)
    served = farm.offered()

    def replan(*_: object) -> Draft:
        raise error

    Advance(farm.ledger.cascade(first), ledger=farm.ledger, hands=farm.hands).to_the_end()
    ended = farm.stage(first, replace(farm.promoter, replan=replan))
    assert ended.state == state
    assert told in ended.note
    assert farm.offered() == served


def test_the_younger_of_two_waits_and_a_blocked_one_holds_nobody_up(farm: Farm) -> None:
    first, second = farm.start("gmp", what="first"), farm.start("gmp", salt="2", what="second")
    waiting = farm.advance(second)
    assert (waiting.state, waiting.note) == (
        CascadeState.TESTING, "waits for cascade 1 (first, priority 0), which makes some of the same",
    )  # fmt: skip
    farm.importing = [Imported(filename="x", outcome=Outcome.FAILED, reason="no")]
    assert farm.advance(first).state is CascadeState.BLOCKED
    farm.importing = []
    assert farm.advance(second).state is CascadeState.STAGED
    unrelated = farm.start("zlib", what="third")
    assert farm.advance(unrelated).state is CascadeState.STAGED
    assert farm.promoter.promote(unrelated).state is CascadeState.PROMOTED


def test_who_waits_sees_what_comes_of_another_process_that_stages(
    farm: Farm, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """The other one may die or meet a full disk: then who waited stages."""
    id_ = farm.start("gmp")
    Advance(farm.ledger.cascade(id_), ledger=farm.ledger, hands=farm.hands).to_the_end()
    other = farm.ledger.lease(f"cascade-{id_}")
    assert other is not None
    monkeypatch.setattr(Rooms, "promoter", property(lambda _rooms: farm.promoter))
    monkeypatch.setattr(time, "sleep", lambda _seconds: farm.ledger.release(other))
    with rooms(farm.at) as found:
        opened = replace(found, ledger=farm.ledger)
        args = argparse.Namespace(json=False, jobs=1, broker="", cascade=[id_], retry=False, wait=False)
        assert cascade._advance(args, opened) == 0
        assert "another process is staging it" in capsys.readouterr().out
        assert farm.ledger.cascade(id_).state is CascadeState.TESTING
        args.wait = True
        assert cascade._advance(args, opened) == 0
    assert farm.ledger.cascade(id_).state is CascadeState.STAGED
    assert capsys.readouterr().out.count("staging: which installs") == 1


def test_both_changed_the_same_file(farm: Farm) -> None:
    old = frozen.freeze(farm.at, farm.at.catalog)
    recipe = farm.at.catalog / "recipes/gmp/recipe.toml"
    mine = _edited(farm, recipe, "the gmp library", "mine")
    theirs = _edited(farm, recipe, "mine", "theirs")
    merged = frozen.merge(farm.at, before=old, ours=mine, theirs=theirs)
    assert merged == frozen.Merge(digest="", conflicts=("recipes/gmp/recipe.toml",))
    other = _edited(farm, farm.at.catalog / "recipes/gmpy2/recipe.toml", "the gmpy2 library", "new")
    merged = frozen.merge(farm.at, before=theirs, ours=other, theirs=mine)
    files = frozen.place(farm.at, merged.digest)
    assert '"mine"' in (files / "recipes/gmp/recipe.toml").read_text()
    assert '"new"' in (files / "recipes/gmpy2/recipe.toml").read_text()
    assert frozen.merge(farm.at, before=old, ours=old, theirs=mine).digest == mine
    (farm.at.catalog / "recipes/gmp").rename(farm.at.catalog / "recipes/.gone")
    assert list(frozen.sweep(farm.at, frozenset(), keep_days=0, dry_run=False)) == [], "a cascade may be starting"
    for path in frozen.folder(farm.at).iterdir():
        os.utime(path, (0, 0))
    assert len(list(frozen.sweep(farm.at, frozenset({mine}), keep_days=0, dry_run=False))) == 4
    with pytest.raises(StoreError, match="is gone"):
        frozen.place(farm.at, old)


def _edited(farm: Farm, path: Path, old: str, new: str) -> str:
    path.write_text(path.read_text().replace(old, new))
    return frozen.freeze(farm.at, farm.at.catalog)


@pytest.mark.parametrize("after", [False, True], ids=["before", "after"])
@pytest.mark.parametrize("what", ["publish", "move_cascade", "promote", "rollback"])
def test_a_kill_leaves_the_old_or_the_new(farm: Farm, monkeypatch: pytest.MonkeyPatch, what: str, after: bool) -> None:
    """Killed before or after the n-th call of what writes, then done again to the end."""
    before = farm.offered()
    id_ = farm.start("gmp", "gmpy2")
    Advance(farm.ledger.cascade(id_), ledger=farm.ledger, hands=farm.hands).to_the_end()
    owner: Any = Ledger if what == "move_cascade" else Index
    real, deaths = getattr(owner, what), [0]

    def dying(self: Any, *args: Any, **more: Any) -> Any:
        deaths[0] += 1
        if not after and deaths[0] % 2:
            raise Killed
        result = real(self, *args, **more)
        if after and deaths[0] % 2:
            raise Killed
        return result

    monkeypatch.setattr(owner, what, dying)
    for call in (farm.stage, farm.promoter.promote, farm.promoter.rollback, farm.promoter.promote):
        for _ in range(4):
            try:
                call(id_)
            except Killed:
                served = farm.offered()
                assert served == before or served == farm.offered(f"cascade-{id_}")
                continue
            break
    assert farm.ledger.cascade(id_).state is CascadeState.PROMOTED
    assert farm.offered() == farm.offered(f"cascade-{id_}")


def test_abandoned_is_abandoned(farm: Farm) -> None:
    id_ = farm.start("gmp")
    assert farm.promoter.abandon(id_, "not needed").note == "not needed"
    with pytest.raises(UsageError, match="is abandoned already"):
        farm.promoter.abandon(id_, "again")
    assert farm.advance(id_).state is CascadeState.ABANDONED


@pytest.mark.parametrize("what", ["rollback", "abandon"])
def test_nobody_takes_back_what_is_being_promoted(farm: Farm, monkeypatch: pytest.MonkeyPatch, what: str) -> None:
    """Between the flip and its record: the record would be of what is served no more."""
    id_ = farm.start("gmp", "gmpy2")
    farm.advance(id_)
    real, other = Index.promote, farm.promoter

    def promote(self: Index, *words: Any, **named: Any) -> Any:
        served = real(self, *words, **named)
        with pytest.raises(UsageError, match="another process is staging or promoting it"):
            other.rollback(id_) if what == "rollback" else other.abandon(id_, "no")
        return served

    monkeypatch.setattr(Index, "promote", promote)
    promoted = farm.promoter.promote(id_)
    assert promoted.state is CascadeState.PROMOTED
    assert farm.index.current_number("staging") == promoted.promoted
    assert farm.promoter.rollback(id_).state is CascadeState.STAGED


def test_nothing_is_rolled_back_that_others_built_on(farm: Farm) -> None:
    id_ = farm.start("gmp")
    farm.advance(id_)
    with pytest.raises(UsageError, match="is staged, not promoted"):
        farm.promoter.rollback(id_)
    farm.promoter.promote(id_)
    farm.index.publish("staging", [IndexFile(path=wheel(farm.at.home, "native-png", "1!1.6", content="other"))])
    with pytest.raises(UsageError, match="serves generation 3 by now, not 2"):
        farm.promoter.rollback(id_)


def test_targets_are_the_same_whatever_python_runs_the_farm(farm: Farm, monkeypatch: pytest.MonkeyPatch) -> None:
    toolchains = list(catalog.load_from(farm.at.catalog).toolchains.values())
    here = list(targets.targets(toolchains, ["3.13"]))
    for variable in ("Py_DEBUG", "Py_GIL_DISABLED"):
        monkeypatch.setattr("packaging.tags._get_config_var", lambda name, _warn=False, it=variable: int(name == it))
        assert list(targets.targets(toolchains, ["3.13"])) == here


def test_the_resolver_answers_as_pip_does(farm: Farm) -> None:
    """For each wheel and a Python: the farm's answer and pip's own, from the same generation."""
    tag = f"cp313-cp313-{PLATFORM}"
    cases = {
        "good": ["native-gmp>=10!6,<11!0"],
        "marked": ['native-gmp>=99!0; python_version < "3.13"', 'native-none; sys_platform == "win32"'],
        "bad": ["native-gmp>=99!0"],
        "gone": ["native-none"],
        "torn": ["good", "native-gmp>=11!0"],
        "odd": ['good; os_name ~= "posix"'],
    }
    files = [wheel(farm.at.home, name, "1.0", *requires, tag=tag, content=name) for name, requires in cases.items()]
    generation = farm.index.publish("staging", [IndexFile(path=path) for path in files])
    contents = farm.index.contents(generation)
    wanted = targets.targets(catalog.load_from(farm.at.catalog).toolchains.values(), ["3.13"])
    stager = farm.promoter.stager
    answer = installable.check(contents, wanted, stager._requires)
    assert {problem.filename.partition("-")[0] for problem in answer.problems} == {"bad", "gone", "torn", "odd"}
    url = (farm.index.path(generation) / "simple").as_uri()
    command = [sys.executable, "-m", "pip", "install", "--isolated", "--dry-run", "-q", "--no-input", "--target", "x"]
    command += [
        "--disable-pip-version-check",
        "--only-binary",
        ":all:",
        "--platform",
        PLATFORM,
        "--python-version",
        "3.13",
    ]
    for name in ("good", "torn"):  # a second each; and pip judges markers by the Python that runs it
        ended = subprocess.run([*command, "--index-url", url, f"{name}==1.0"], capture_output=True, text=True)
        assert (ended.returncode == 0) == (name == "good"), ended.stderr
