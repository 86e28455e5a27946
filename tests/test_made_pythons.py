"""Interpreters that the farm makes for tests: what their files must say, and how they are put together."""

from __future__ import annotations

import hashlib
from contextlib import nullcontext
from dataclasses import replace
from pathlib import Path

import pytest
from wheel_factory import make_tree

from farm.build import testpython, testpython_assembled, testpython_compiled
from farm.catalog.pythoncheck import check
from farm.catalog.values import Catalog
from farm.errors import BuildError, MissingToolError, SourceError
from farm.model.python import Assembled, Compiled, Part, Python
from farm.model.recipe import Build
from farm.runners import mapped
from farm.runners.launcher import Interpreter, Launcher
from farm.settings import Settings
from farm.wheel.pack import pack

ROOT = Path(__file__).parent.parent
WHEEL = "engine-1.0-cp313-cp313-win_amd64.whl"
FILES = (
    "python313.dll", "VCRUNTIME140.dll", "_ctypes.pyd", "_wmi.pyd", "select.cp313t-win_amd64.pyd", "libffi-8.dll",
    "tk86t.dll", "below/_hashlib.pyd",
)  # fmt: skip


def _windows(real: Catalog, at: Settings, files: tuple[str, ...] = FILES) -> Catalog:
    """A catalog whose cp313 takes its binaries for Windows from a small wheel."""
    folder = at.toolchains / "pythons"
    folder.mkdir(parents=True)
    at.downloads.mkdir(parents=True)
    tree = make_tree(folder / "tree", WHEEL)
    for name in files:
        (tree / "libs" / name).parent.mkdir(parents=True, exist_ok=True)
        (tree / "libs" / name).write_text(name)
    wheel = pack(tree, WHEEL, folder, epoch_seconds=315532800)
    entry = {
        **real.pythons["cp313"].assembled[0].model_dump(mode="json"),
        "location": [{"url": f"file:{wheel.name}", "sha256": hashlib.sha256(wheel.read_bytes()).hexdigest()}],
        "folder": "libs",
    }
    return replace(real, pythons={"cp313": _with(real.pythons["cp313"], assembled=(Assembled.model_validate(entry),))})


def _with(python: Python, **changes: object) -> Python:
    return python.model_copy(update=changes)


def test_binaries_for_windows_lie_where_python_looks_for_them(
    real: Catalog, at: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(testpython_assembled.Assembly, "_library", lambda *_: None)
    monkeypatch.setattr(testpython_assembled.Assembly, "_programs", lambda *_: None)
    catalog = _windows(real, at)
    assert testpython.described(catalog, "win_amd64") == ("cp313",)
    assert not testpython.present("cp313", real.toolchains["win_amd64"], catalog, at)
    made = testpython.materialise("cp313", real.toolchains["win_amd64"], catalog, at)
    found = sorted(p.relative_to(made.root).as_posix() for p in made.root.rglob("*") if p.is_file())
    assert found == ["DLLs/_ctypes.pyd", "DLLs/libffi-8.dll", "VCRUNTIME140.dll", "python313.dll"]
    assert made.executable == made.root / "python.exe"
    assert testpython.present("cp313", real.toolchains["win_amd64"], catalog, at)


def test_links_that_lead_to_nothing_in_the_sysroot_are_left_out(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Debian's sitecustomize.py is a link into etc/, which is not unpacked, but which this machine may have."""
    library, machine = tmp_path / "root" / "usr" / "lib" / "python3.11", tmp_path / "machine" / "a" / "b" / "c"
    library.mkdir(parents=True)
    machine.mkdir(parents=True)
    (library / "os.py").write_text("os")
    (library / "linked.py").symlink_to("os.py")
    (library / "sitecustomize.py").symlink_to("../../../etc/python3.11/sitecustomize.py")
    (tmp_path / "machine" / "etc" / "python3.11").mkdir(parents=True)
    (tmp_path / "machine" / "etc" / "python3.11" / "sitecustomize.py").touch()
    monkeypatch.chdir(machine)
    testpython_assembled.copy_library(library, tmp_path / "Lib")
    assert {path.name: path.is_symlink() for path in (tmp_path / "Lib").iterdir()} == {
        "os.py": False,
        "linked.py": False,
    }


def test_an_archive_without_pythons_dll_is_refused(
    real: Catalog, at: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(testpython_assembled.Assembly, "_library", lambda *_: None)
    with pytest.raises(SourceError, match=r"python313\.dll"):
        testpython.materialise("cp313", real.toolchains["win_amd64"], _windows(real, at, ("_ctypes.pyd",)), at)
    assert not list((at.cache / "pythons").glob("cp313-*/"))


def test_what_cannot_be_compiled_is_no_fault_of_the_wheel_under_test(
    real: Catalog, at: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(*_: object) -> None:
        raise BuildError("make failed", where="cp313-for-tests", fix="look", log="/the/log")

    monkeypatch.setattr(testpython_compiled.Compilation, "fill", fail)
    with pytest.raises(MissingToolError, match="make failed") as caught:
        testpython.materialise("cp313", real.toolchains["musllinux_1_2_x86_64"], real, at)
    assert caught.value.fix == "look into /the/log"


@pytest.mark.parametrize(
    ("soabi", "fits"), [("cpython-313-x86_64-linux-musl", True), ("cpython-313-x86_64-linux-gnu", False)]
)
def test_a_compiled_interpreter_must_find_the_modules_of_wheels(
    real: Catalog, tmp_path: Path, soabi: str, fits: bool
) -> None:
    data = tmp_path / "lib/python3.13/_sysconfigdata__linux_x86_64-linux.py"
    data.parent.mkdir(parents=True)
    data.write_text(f"build_time_vars = {{'EXT_SUFFIX': '.{soabi}.so',\n 'SOABI': '{soabi}'}}\n")
    chain = real.toolchains["musllinux_1_2_x86_64"]
    with nullcontext() if fits else pytest.raises(BuildError, match=r"linux-gnu, those of wheels for .*linux-musl"):
        testpython_compiled.check_names(tmp_path, real.pythons["cp313"], chain)


def test_a_platform_without_a_description_says_where_one_is_written(real: Catalog, at: Settings) -> None:
    with pytest.raises(MissingToolError, match=r"no cp313 to test with on win_arm64") as caught:
        testpython.materialise("cp313", real.toolchains["win_arm64"], real, at)
    assert "toolchains/pythons/cp313.toml" in caught.value.fix


def test_every_input_changes_where_an_interpreter_lies(real: Catalog, at: Settings) -> None:
    chain, python = real.toolchains["musllinux_1_2_x86_64"], real.pythons["cp313"]
    part = python.compiled[0].part[-1]
    other = part.model_copy(update={"build": part.build.model_copy(update={"args": ("--with-pydebug",)})})
    catalogs = (
        real,
        replace(real, pythons={"cp313": _with(python, compiled=(Compiled(platform=("musl*",), part=(other,)),))}),
        replace(real, pythons={"cp313": _with(python, source=python.source[:0])}),
    )
    places_ = {testpython._root("cp313", chain, testpython._way("cp313", chain, c, at), at) for c in catalogs}
    assert len(places_) == 3


def test_faults_of_descriptions_are_said(real: Catalog) -> None:
    python = real.pythons["cp313"]
    part = Part(name="cpython", build=Build(system="autotools"))
    headers = tuple(entry for entry in python.headers if entry.sysroot)
    wrong = _with(python, build={}, source=(), headers=headers, compiled=(Compiled(platform=("musl*",), part=(part,)),))
    said = [str(fault) for fault in check({"cp313": wrong}, real.sysroots)]
    assert [line.partition(": ")[2].partition(":")[0] for line in said] == [
        "assembled",
        "compiled",
        "[compiled #1] part #1",
    ]


def test_an_environment_holds_a_copy_of_a_windows_program(tmp_path: Path) -> None:
    base = tmp_path / "base"
    (base / "DLLs").mkdir(parents=True)
    for name in ("python.exe", "python313.dll", "notes.txt", "DLLs/a.dll"):
        (base / name).touch()
    interpreter = Interpreter(
        launcher=Launcher(prefix=("wine",)),
        executable=base / "python.exe",
        version="3.13",
        platforms=("win_amd64",),
        site="Lib/site-packages",
        programs="Scripts",
        copied=("*.dll",),
    )
    program = interpreter.put(tmp_path / "venv")
    assert sorted(p.name for p in program.parent.iterdir()) == ["python.exe", "python313.dll"]
    assert f"exec wine {program}" in interpreter.script(tmp_path, tmp_path / "python", program)
    posix = replace(interpreter, programs="", site="lib/python{version}/site-packages")
    assert posix.put(tmp_path / "other") == base / "python.exe"
    assert posix.site_packages == "lib/python3.13/site-packages"


def test_dlls_are_counted_as_copies_too() -> None:
    found = mapped.parse("0-0 r-xp 0 0:0 0 /a/gmp-nf10.dll\n0-0 r-xp 0 0:0 0 /b/libgmp-10.DLL\n")
    assert mapped.duplicates(found, ["gmp", "mpfr"]) == {"gmp": ("/a/gmp-nf10.dll", "/b/libgmp-10.DLL")}


def test_extension_modules_for_windows_are_among_what_is_mapped() -> None:
    """As those of other systems are, which end in .so."""
    line = "0-0 r-xp 0 0:0 0 {}\n"
    found = mapped.parse(line.format("/a/_speedups.cp313-win_amd64.pyd") + line.format("/a/notes.txt"))
    assert found == {"_speedups.cp313-win_amd64.pyd": ("/a/_speedups.cp313-win_amd64.pyd",)}
    assert mapped.duplicates(found, ["speedups"]) == {}
