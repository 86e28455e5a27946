"""What native runners fail to build keeps nothing else from staging, and is told of."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any

import pytest
from packaging.requirements import Requirement
from small_farm import PLATFORM, TAG
from test_admit import STEP, Native, remote_work
from test_workflows import script, taken_in
from wheel_factory import make_wheel

from farm.cascade.absent import Absent, held_back
from farm.index.reading import IndexReader
from farm.store.artifacts import Store

WIN = "win_arm64"


def wheel(name: str, tag: str = f"cp313-cp313-{WIN}") -> str:
    return f"{name}-{tag}.whl"


def requiring(**wheels: str) -> dict[str, list[Requirement]]:
    return {wheel(f"{name}-1.0"): [Requirement(text)] if text else [] for name, text in wheels.items()}


def absent(project: str, python: str = "cp313") -> Absent:
    return Absent(project=project, python=python, platform=WIN, what=f"{project}@1.0/{WIN}/{python}")


def test_what_requires_a_wheel_that_is_not_there_is_held_back_and_what_requires_that() -> None:
    wheels = requiring(a="gmpy2>=2.2", b="a", c="zlib-ng")
    held = held_back(wheels, [absent("gmpy2")], [])
    assert list(held) == [wheel("a-1.0"), wheel("b-1.0")]
    assert held[wheel("a-1.0")] == f"it requires gmpy2>=2.2, and gmpy2@1.0/{WIN}/cp313 is not there"
    assert held[wheel("b-1.0")].endswith(f"and {wheel('a-1.0')} is not there")
    assert held_back(wheels, [], []) == {}


@pytest.mark.parametrize(
    ("served", "free"),
    [
        (wheel("gmpy2-2.3"), True),
        (wheel("gmpy2-2.3", f"cp311-abi3-{WIN}"), True),
        (wheel("gmpy2-2.3", "py3-none-any"), True),
        (wheel("gmpy2-2.1"), False),  # older than what is required
        (wheel("gmpy2-2.3", f"cp312-cp312-{WIN}"), False),
        (wheel("gmpy2-2.3", "cp313-cp313-win_amd64"), False),
        (wheel("other-2.3"), False),
    ],
)
def test_an_older_release_that_is_offered_already_is_as_good(served: str, *, free: bool) -> None:
    assert (held_back(requiring(a="gmpy2>=2.2"), [absent("gmpy2")], [served]) == {}) == free


@pytest.mark.parametrize(
    ("python", "tag", "held"),
    [
        ("cp313", f"cp313-cp313-{WIN}", True),
        ("cp312", f"cp313-cp313-{WIN}", False),
        ("", f"cp313-cp313-{WIN}", True),  # of the stable ABI: it would have been for all Pythons
        ("cp312", f"cp311-abi3-{WIN}", True),
        ("cp313", "cp313-cp313-win_amd64", False),
        ("cp313", "py3-none-any", True),
    ],
)
def test_only_what_would_be_installed_with_it_is_held_back(python: str, tag: str, *, held: bool) -> None:
    wheels = {wheel("a-1.0", tag): [Requirement("gmpy2")]}
    assert bool(held_back(wheels, [absent("gmpy2", python)], [])) == held


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Native:
    return remote_work(tmp_path_factory.mktemp("remote"))


@pytest.fixture
def work(made: Native, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> tuple[Native, Path]:
    """What jobs left: the library in a store, its dependent with a report, as it was handed out."""
    work, taken = taken_in(tmp_path, monkeypatch, made)
    rows = [{"step": STEP, "key": work.keys[STEP], "recipe": "pytiny", "tag": TAG, "requires": ["tiny@1.0"]}]
    monkeypatch.setenv("HANDOUTS", json.dumps([{"platform": PLATFORM, "handouts": rows}]))
    monkeypatch.setenv("GITHUB_STEP_SUMMARY", str(tmp_path / "summary.md"))
    return work, taken


def published(tmp_path: Path) -> set[str]:
    reader = IndexReader(tmp_path / "home/index")
    generation = reader.current("staging")
    return set() if generation is None else {file.project for file in reader.files_in(generation)}


def changed(taken: Path, **values: Any) -> None:
    (report,) = (taken / "built").rglob("*.json")
    report.write_text(json.dumps(json.loads(report.read_text()) | values))


def require_pytiny(tmp_path: Path, taken: Path) -> None:
    """A build job made a wheel that requires the handed-out one, and one that requires that."""
    store = Store(taken / "stores/store-b")
    tag = f"{TAG}-{TAG}-{PLATFORM}"
    store.put("c" * 64, make_wheel(tmp_path, f"user-1.0-{tag}.whl", requires=("pytiny>=0.5",)))
    store.put("d" * 64, make_wheel(tmp_path, f"farther-1.0-{tag}.whl", requires=("user",)))


def test_what_was_handed_out_and_built_is_published_with_all_else(tmp_path: Path, work: tuple[Native, Path]) -> None:
    require_pytiny(tmp_path, work[1])
    assert script("ci_publish").main([str(work[1])]) == 0
    assert published(tmp_path) == {"native-tiny", "pytiny", "user", "farther"}
    assert not (tmp_path / "summary.md").exists()


def test_a_build_that_failed_on_its_runner_is_left_out_with_what_requires_it(
    tmp_path: Path, work: tuple[Native, Path], capsys: pytest.CaptureFixture[str]
) -> None:
    require_pytiny(tmp_path, work[1])
    shutil.rmtree(work[1] / "built")
    assert script("ci_publish").main([str(work[1])]) == 6
    assert published(tmp_path) == {"native-tiny"}
    said = [line for line in capsys.readouterr().out.splitlines() if line.startswith("::error ")]
    assert len(said) == 3
    assert f"{STEP} is left out: its native runner did not build it: see the job native-build" in said[0]
    assert "user-1.0-" in said[1] + said[2]
    assert "farther-1.0-" in said[1] + said[2]
    assert STEP in (tmp_path / "summary.md").read_text()


def test_the_next_run_that_builds_it_publishes_all(tmp_path: Path, work: tuple[Native, Path]) -> None:
    require_pytiny(tmp_path, work[1])
    aside = shutil.move(work[1] / "built", tmp_path / "aside")
    assert script("ci_publish").main([str(work[1])]) == 6
    shutil.move(aside, work[1] / "built")
    assert script("ci_publish").main([str(work[1])]) == 0
    assert published(tmp_path) == {"native-tiny", "pytiny", "user", "farther"}


def test_what_the_store_has_by_now_is_not_missed(tmp_path: Path, work: tuple[Native, Path]) -> None:
    """A cascade cross-built it meanwhile."""
    native, taken = work
    shutil.rmtree(taken / "built")
    Store(tmp_path / "home/store").put(native.keys[STEP], native.wheel)
    assert script("ci_publish").main([str(taken)]) == 0


def test_a_wheel_that_failed_its_tests_there_is_not_taken(
    tmp_path: Path, work: tuple[Native, Path], capsys: pytest.CaptureFixture[str]
) -> None:
    native, taken = work
    reason = "Traceback\n::set-output name=x::y\n100%"
    changed(taken, verdicts=[{"suite": "smoke", "outcome": "failed", "reason": reason}])
    assert script("ci_publish").main([str(taken)]) == 13
    assert published(tmp_path) == {"native-tiny"}
    assert Store(tmp_path / "home/store").get(native.keys[STEP]) is None
    out = capsys.readouterr().out
    assert f"{STEP} is left out: its smoke test failed on machine 7: Traceback " in out
    assert not [line for line in out.splitlines() if line.startswith("::set-output")], "it is text of a stranger"
    assert "100%25" in out


def test_a_wheel_that_the_farm_refuses_is_not_taken(
    tmp_path: Path, work: tuple[Native, Path], capsys: pytest.CaptureFixture[str]
) -> None:
    native, taken = work
    changed(taken, sha256="0" * 64)
    assert script("ci_publish").main([str(taken)]) == 7
    assert published(tmp_path) == {"native-tiny"}
    assert Store(tmp_path / "home/store").get(native.keys[STEP]) is None
    said = capsys.readouterr()
    assert "what machine 7 built is refused" in said.out
    assert "is not the file that was tested" in said.err


def test_a_fault_of_our_own_machine_publishes_nothing(
    tmp_path: Path, work: tuple[Native, Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Then nobody knows whether the wheel is good."""
    (tmp_path / "ledger").mkdir()
    monkeypatch.setenv("FARM_LEDGER", f"sqlite:///{tmp_path}/ledger")
    assert script("ci_publish").main([str(work[1])]) == 9
    assert published(tmp_path) == set()


def test_a_handout_that_breaks_its_build_stops_no_other(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    made, built = script("native_build"), []
    monkeypatch.setattr(made, "_tools", lambda place, requirements: Path("python"))
    real = made._build

    def build(handout: Path, *rest: object) -> int:
        if handout.name == "whole.tar":
            built.append(handout)
            return 0
        return int(real(handout, *rest))

    monkeypatch.setattr(made, "_build", build)
    (tmp_path / "damaged.tar").write_bytes(b"no archive")
    handouts = [str(tmp_path / "missing.tar"), str(tmp_path / "damaged.tar"), str(tmp_path / "whole.tar")]
    assert made.main([*handouts, "--runner", "m", "--output", str(tmp_path / "out")]) == made.BROKEN
    assert [handout.name for handout in built] == ["whole.tar"]
