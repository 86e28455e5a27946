"""A repaired wheel loads one copy of each native library, asks for what it needs, and is repaired only once."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import zipfile
from pathlib import Path

import pytest
import toy

from farm.binary import formats
from farm.errors import BinaryFormatError, GateError, UsageError
from farm.model.binary import Linkage
from farm.repair import natives as known
from farm.repair.natives import Natives
from farm.repair.options import RepairOptions
from farm.repair.repair import repair
from farm.wheel import record


@pytest.fixture(scope="session")
def work(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("toys")


@pytest.fixture(scope="session")
def base(work: Path) -> toy.Native:
    return toy.toy(work)


@pytest.fixture(scope="session")
def top(work: Path, base: toy.Native) -> toy.Native:
    """A native library that needs another, as MPFR needs GMP."""
    return toy.native(
        work, "top", "1.0", toy.TOP_C, uses=(base,), requires=("native-toy>=1!1.0,<2!0",), replaces=("libtop.so.1",)
    )


@pytest.fixture(scope="session")
def natives(base: toy.Native, top: toy.Native) -> Natives:
    return known.load([base.wheel, top.wheel])


@pytest.fixture(scope="session")
def raw(work: Path, base: toy.Native) -> Path:
    """Uses toy_mul, so needs 1.1; leaks a build path; asks for something by hand."""
    return toy.dependent(
        work / "raw", "toy_mul(toy_add(1, 2), 14)", *toy.linked(base), requires=("native-toy", "numpy>=1")
    )


@pytest.fixture(scope="session")
def repaired(work: Path, raw: Path, natives: Natives) -> Path:
    return repair(raw, work / "repaired", natives).wheel


def read(wheel: Path, suffix: str) -> str:
    with zipfile.ZipFile(wheel) as archive:
        (name,) = [n for n in archive.namelist() if n.endswith(suffix)]
        return archive.read(name).decode()


def linkages(wheel: Path) -> dict[str, Linkage]:
    with zipfile.ZipFile(wheel) as archive:
        read_all = {n: formats.read_bytes(archive.read(n), n) for n in archive.namelist()}
    return {name: linkage for name, linkage in read_all.items() if linkage}


def test_repair_sets_everything(raw: Path, repaired: Path) -> None:
    assert repaired.name == raw.name.replace("linux_x86_64", "manylinux_2_17_x86_64")
    record.verify(repaired)
    (linkage,) = linkages(repaired).values()
    assert linkage.runpath == ("$ORIGIN/../native_toy/lib",)
    assert not linkage.rpath
    lines = read(repaired, "METADATA").splitlines()
    assert [x for x in lines if x.startswith("Requires-Dist")] == [
        "Requires-Dist: native-toy>=1!1.1,<2!0",
        "Requires-Dist: numpy>=1",
    ]
    assert f"Tag: {toy.PYTHON}-{toy.PYTHON}-manylinux_2_17_x86_64" in read(repaired, "WHEEL").splitlines()
    assert read(repaired, "tiny/__init__.py").splitlines()[:2] == [
        '"""Doc."""',
        "from . import _native_libs  # added by `farm repair`",
    ]
    bom = json.loads(read(repaired, "native-libraries.cdx.json"))
    assert [c["purl"] for c in bom["components"]] == ["pkg:pypi/native-toy@1%211.1"]
    assert str(raw.parents[1]) not in repaired.read_bytes().decode("latin-1")


def test_lower_bound_is_what_is_really_used(tmp_path: Path, base: toy.Native, natives: Natives) -> None:
    wheel = toy.dependent(tmp_path, "toy_add(40, 2)", *toy.linked(base))
    assert repair(wheel, tmp_path / "out", natives).requirements == ("native-toy>=1!1.0,<2!0",)


def test_the_lower_bound_is_not_below_what_it_was_compiled_for(
    tmp_path: Path, base: toy.Native, natives: Natives
) -> None:
    """What a project chooses for a release, by its version or by a macro, is in no symbol."""
    wheel = toy.dependent(tmp_path, "toy_add(40, 2)", *toy.linked(base))
    linked = repair(wheel, tmp_path / "linked", natives, RepairOptions(linked=True))
    assert linked.requirements == ("native-toy>=1!1.1,<2!0",)
    again = repair(linked.wheel, tmp_path / "again", natives)
    assert (again.changed, again.requirements) == (False, linked.requirements), "nobody lowers what is asked for"


@pytest.mark.parametrize(
    ("asked", "bound"),
    [
        ("native-toy>=1!1.0.5", "1!1.0.5"),
        ("native-toy==1!1.1,!=1!1.2", "1!1.1"),
        ("native-toy>=3!7", "1!1.0"),
        ("native-toy>=1!1.1; sys_platform == 'win32'", "1!1.0"),
    ],
)
def test_a_bound_that_the_project_itself_asks_for_stays(
    tmp_path: Path, base: toy.Native, natives: Natives, asked: str, bound: str
) -> None:
    wheel = toy.dependent(tmp_path, "toy_add(40, 2)", *toy.linked(base), requires=(asked,))
    assert repair(wheel, tmp_path / "out", natives).requirements == (f"native-toy>={bound},<2!0",)


def test_newer_compatible_native_changes_nothing(tmp_path: Path, raw: Path, repaired: Path) -> None:
    newer = toy.native(
        tmp_path,
        "toy",
        "1.2",
        toy.TOY_C.format(version="1.2", more=toy.TOY_MUL + "int toy_new(void) { return 1; }"),
        introduced={"1.1": ("toy_mul",), "1.2": ("toy_new",)},
    )
    again = repair(raw, tmp_path / "out", known.load([newer.wheel]))
    assert again.wheel.read_bytes() == repaired.read_bytes()


def test_repairing_twice_changes_nothing(tmp_path: Path, repaired: Path, natives: Natives) -> None:
    again = repair(repaired, tmp_path, natives)
    assert not again.changed
    assert again.wheel.read_bytes() == repaired.read_bytes()
    in_place = tmp_path / repaired.name
    assert repair(in_place, tmp_path, natives).wheel.read_bytes() == repaired.read_bytes()


def test_a_recipes_requirements_and_revision_reach_the_wheel_once(tmp_path: Path, raw: Path, natives: Natives) -> None:
    """A raised `revision` gives another file name, since the bytes differ too; `requires.run` is asked for."""
    options = RepairOptions(requires=("attrs>=23", "numpy>=1"), build="2")
    first = repair(raw, tmp_path / "first", natives, options).wheel
    assert first.name == raw.name.replace("-1.0-", "-1.0-2-").replace("linux_x86_64", "manylinux_2_17_x86_64")
    record.verify(first)
    asked = [x.removeprefix("Requires-Dist: ") for x in read(first, "METADATA").splitlines() if "Requires-Dist" in x]
    assert asked == ["native-toy>=1!1.1,<2!0", "numpy>=1", "attrs>=23"]
    for number, again in enumerate((options, RepairOptions())):  # with and without a recipe at hand
        result = repair(first, tmp_path / f"again{number}", natives, again)
        assert (result.changed, result.wheel.name) == (False, first.name)


def test_same_input_same_bytes(tmp_path: Path, raw: Path, repaired: Path, natives: Natives) -> None:
    assert repair(raw, tmp_path, natives).wheel.read_bytes() == repaired.read_bytes()


def test_installed_natives_serve_as_well(tmp_path: Path, raw: Path, repaired: Path, base: toy.Native) -> None:
    env = toy.environment(tmp_path / "v")
    env.pip(base.wheel)
    (site,) = env.root.glob("lib/python*/site-packages")
    assert repair(raw, tmp_path, known.load([site])).wheel.read_bytes() == repaired.read_bytes()


@pytest.mark.parametrize("isolated", [(), ("-I",)])
def test_venv(tmp_path: Path, repaired: Path, base: toy.Native, isolated: tuple[str, ...]) -> None:
    env = toy.environment(tmp_path / "v")
    env.pip(base.wheel, repaired)
    done = env.run(toy.PROOF, *isolated)
    assert done.stdout.split() == ["42", "1", "libtoy-nf01.so"], done.stderr


def test_target_directory(tmp_path: Path, repaired: Path, base: toy.Native) -> None:
    env = toy.environment(tmp_path / "v")
    env.pip("--target", tmp_path / "t", base.wheel, repaired)
    done = env.run(toy.PROOF, env={"PYTHONPATH": str(tmp_path / "t")})
    assert done.stdout.split() == ["42", "1", "libtoy-nf01.so"], done.stderr


@pytest.mark.parametrize("native_first", [True, False])
def test_split_site_directories(tmp_path: Path, repaired: Path, base: toy.Native, native_first: bool) -> None:
    env = toy.environment(tmp_path / "v")
    env.pip("--target", tmp_path / "a", base.wheel)
    env.pip("--target", tmp_path / "b", repaired)
    order = ["a", "b"] if native_first else ["b", "a"]
    done = env.run(toy.PROOF, env={"PYTHONPATH": os.pathsep.join(str(tmp_path / x) for x in order)})
    assert done.stdout.split() == ["42", "1", "libtoy-nf01.so"], done.stderr


def test_user_site(tmp_path: Path, repaired: Path, base: toy.Native) -> None:
    """The native wheel in the user's site, the dependent in a directory of its own."""
    user = tmp_path / "home"
    command = [sys.executable, "-m", "pip", "install", "-q", "--no-index", "--no-deps", "--user"]
    environ = {"PATH": "/usr/bin:/bin", "PYTHONUSERBASE": str(user), "PIP_BREAK_SYSTEM_PACKAGES": "1"}
    real = Path(os.path.realpath(sys.executable))
    pip = subprocess.run([str(real), "-m", "pip", "--version"], capture_output=True, env=environ)
    if pip.returncode:
        pytest.skip("the base interpreter has no pip")
    subprocess.run([str(real), *command[1:], "--no-warn-script-location", str(base.wheel)], check=True, env=environ)
    toy.environment(tmp_path / "v").pip("--target", tmp_path / "b", repaired)
    done = subprocess.run(
        [str(real), "-c", toy.PROOF],
        capture_output=True,
        text=True,
        env={**environ, "PYTHONPATH": str(tmp_path / "b")},
    )
    assert done.stdout.split() == ["42", "1", "libtoy-nf01.so"], done.stderr


def test_two_dependents_share_one_copy(
    tmp_path: Path, repaired: Path, base: toy.Native, top: toy.Native, natives: Natives
) -> None:
    other = toy.dependent(tmp_path, "toy_add(0, top_twice(21))", *toy.linked(top, base), package="other")
    result = repair(other, tmp_path / "out", natives)
    assert result.requirements == ("native-toy>=1!1.0,<2!0", "native-top>=1!1.0,<2!0")  # in the order of loading
    env = toy.environment(tmp_path / "v")
    env.pip(base.wheel, top.wheel, repaired, result.wheel)
    done = env.run("import other; assert other.call() == 42\n" + toy.PROOF)
    assert done.stdout.split() == ["42", "1", "libtoy-nf01.so"], done.stderr


def test_missing_native_says_what_to_install(tmp_path: Path, repaired: Path) -> None:
    env = toy.environment(tmp_path / "v")
    env.pip(repaired)
    done = env.run("import tiny")
    assert done.stderr.splitlines()[-1] == (
        "ImportError: tiny 1.0 needs native-toy>=1!1.1,<2!0, which is not installed:"
        " pip install 'native-toy>=1!1.1,<2!0'"
    )


@pytest.mark.parametrize(("release", "epoch"), [("1.0", 1), ("1.1", 2)])
def test_wrong_native_says_so(tmp_path: Path, repaired: Path, release: str, epoch: int) -> None:
    wrong = toy.toy(tmp_path, release, epoch=epoch)
    env = toy.environment(tmp_path / "v")
    env.pip(wrong.wheel, repaired)
    done = env.run("import tiny")
    last = done.stderr.splitlines()[-1]
    assert last.startswith("ImportError: tiny 1.0 needs native-toy>=1!1.1,<2!0, but ")
    assert f"but {epoch}!{release} is installed at " in last
    assert last.endswith("pip install 'native-toy>=1!1.1,<2!0'")


def test_namespace_package_gets_its_loader_below(tmp_path: Path, base: toy.Native, natives: Natives) -> None:
    tree = tmp_path / "tree"
    toy.extension(tree / "space" / "inner" / "deep" / "ext.so", "toy_add(1, 1)", *toy.linked(base))
    (tree / "space" / "inner" / "__init__.py").write_text("from .deep.ext import call\n")
    wheel = toy.make_wheel(tree, f"space_inner-1.0-{toy.PYTHON}-{toy.PYTHON}-linux_x86_64.whl", tmp_path / "raw")
    result = repair(wheel, tmp_path / "out", natives)
    assert not result.findings
    (linkage,) = linkages(result.wheel).values()
    assert linkage.runpath == ("$ORIGIN/../../../native_toy/lib",)
    env = toy.environment(tmp_path / "v")
    env.pip("--target", tmp_path / "a", base.wheel)
    env.pip(result.wheel)
    done = env.run("import space.inner; print(space.inner.call())", env={"PYTHONPATH": str(tmp_path / "a")})
    assert done.stdout == "2\n", done.stderr


def test_single_module_has_its_run_path_and_a_warning(tmp_path: Path, base: toy.Native, natives: Natives) -> None:
    tree = tmp_path / "tree"
    toy.extension(tree / "alone.so", "toy_add(1, 1)", *toy.linked(base))
    wheel = toy.make_wheel(tree, f"alone-1.0-{toy.PYTHON}-{toy.PYTHON}-linux_x86_64.whl", tmp_path / "raw")
    result = repair(wheel, tmp_path / "out", natives)
    assert [(f.check, f.severity, f.file) for f in result.findings] == [("loader", "warning", "alone.so")]
    env = toy.environment(tmp_path / "v")
    env.pip(base.wheel, result.wheel)
    assert env.run("import alone; print(alone.call())").stdout == "2\n"


def test_stale_byte_code_goes(tmp_path: Path, base: toy.Native, natives: Natives) -> None:
    tree = tmp_path / "tree"
    toy.extension(tree / "p" / "ext.so", "toy_add(1, 1)", *toy.linked(base))
    (tree / "p" / "__pycache__").mkdir()
    for name in ("__init__.py", "__pycache__/__init__.cpython-311.pyc", "__pycache__/other.cpython-311.pyc"):
        (tree / "p" / name).write_text("")
    wheel = toy.make_wheel(tree, f"p-1.0-{toy.PYTHON}-{toy.PYTHON}-linux_x86_64.whl", tmp_path / "raw")
    assert repair(wheel, tmp_path / "out", natives).removed == ("p/__pycache__/__init__.cpython-311.pyc",)


def test_wheel_without_natives_only_gets_its_tag(tmp_path: Path, natives: Natives) -> None:
    wheel = toy.dependent(tmp_path, "1", "-Wl,-rpath,/home/me/lib")
    result = repair(wheel, tmp_path / "out", natives)
    assert result.platform == "manylinux_2_17_x86_64"
    assert result.requirements == ()
    (linkage,) = linkages(result.wheel).values()
    assert linkage.runpath + linkage.rpath == ()
    with zipfile.ZipFile(result.wheel) as archive:
        assert not [n for n in archive.namelist() if "native" in n]


def test_libpython_is_dropped(tmp_path: Path, base: toy.Native, natives: Natives) -> None:
    """As auditwheel does: an extension module takes Python's symbols from the interpreter that loads it."""
    fake = toy.compile_c("", tmp_path / "libpython3.99.so.1.0", "-Wl,-soname,libpython3.99.so.1.0")
    wheel = toy.dependent(tmp_path, "toy_add(1, 1)", *toy.linked(base), "-Wl,--no-as-needed", str(fake))
    result = repair(wheel, tmp_path / "out", natives)
    (linkage,) = linkages(result.wheel).values()
    assert [name for name in linkage.needed if "python" in name] == []
    assert result.platform == "manylinux_2_17_x86_64"


def test_platform_option_is_checked(tmp_path: Path, raw: Path, natives: Natives) -> None:
    result = repair(raw, tmp_path, natives, RepairOptions(platform="manylinux_2_28_x86_64"))
    assert result.wheel.name.endswith("-manylinux_2_28_x86_64.whl")
    with pytest.raises(UsageError, match="cannot be tagged manylinux_2_17_aarch64"):
        repair(raw, tmp_path, natives, RepairOptions(platform="manylinux_2_17_aarch64"))


def test_unknown_library_stops_the_tag(tmp_path: Path, raw: Path) -> None:
    with pytest.raises(GateError, match=r"libtoy-nf01\.so.*not in the wheel"):
        repair(raw, tmp_path, Natives([]))
    assert not list(tmp_path.glob("*.whl"))


def test_changed_member_is_noticed(tmp_path: Path, raw: Path, natives: Natives) -> None:
    bad = tmp_path / raw.name
    with zipfile.ZipFile(raw) as old, zipfile.ZipFile(bad, "w") as new:
        for name in old.namelist():
            new.writestr(name, old.read(name) + (b"\n#" if name.endswith("__init__.py") else b""))
    with pytest.raises(BinaryFormatError, match=r"tiny/__init__\.py"):
        repair(bad, tmp_path / "out", natives)


@pytest.mark.parametrize(
    "change",
    [
        {"path": "../../etc/passwd"},
        {"path": "lib/other.so"},
        {"shared_name": "libc.so.6"},
        {"shared_name": "libtoy-nf02.so", "path": "lib/libtoy-nf02.so"},
    ],
)
def test_lying_native_is_refused(tmp_path: Path, base: toy.Native, change: dict[str, str]) -> None:
    lying = tmp_path / base.wheel.name
    with zipfile.ZipFile(base.wheel) as old, zipfile.ZipFile(lying, "w") as new:
        for name in old.namelist():
            content = old.read(name)
            if name.endswith("native.json"):
                manifest = json.loads(content)
                manifest["library"][0].update(change)
                content = json.dumps(manifest).encode()
            new.writestr(name, content)
    with pytest.raises(BinaryFormatError):
        known.load([lying])


def test_native_that_is_not_there(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="does not exist"):
        known.load([tmp_path / "none.whl"])
