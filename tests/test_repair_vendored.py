"""Wheels that carry their own copies (made by the real auditwheel) give them up, if every symbol is there."""

from __future__ import annotations

import os
import subprocess
import sys
import zipfile
from pathlib import Path

import pytest
import toy

from farm.binary import formats
from farm.model.binary import Linkage
from farm.repair import natives as known
from farm.repair.natives import Natives
from farm.repair.repair import repair
from farm.wheel import record

TOP_SYSTEM = "int toy_add(int, int); int top_twice(int a) { return toy_add(a, a); }"


@pytest.fixture(scope="session")
def base(tmp_path_factory: pytest.TempPathFactory) -> toy.Native:
    return toy.toy(tmp_path_factory.mktemp("natives"))


@pytest.fixture(scope="session")
def natives(base: toy.Native) -> Natives:
    return known.load([base.wheel])


def vendored(work: Path, *, more: str = "", expression: str = "toy_mul(toy_add(1, 2), 14)", init: str = "") -> Path:
    """A wheel that auditwheel filled with a libtoy.so.1 and a libtop.so.1 that needs it."""
    system = work / "system"
    real = toy.compile_c(
        toy.TOY_C.format(version="1.1", more=toy.TOY_MUL + more), system / "libtoy.so.1.0.5", "-Wl,-soname,libtoy.so.1"
    )
    (system / "libtoy.so.1").symlink_to(real.name)
    toy.compile_c(TOP_SYSTEM, system / "libtop.so.1", "-Wl,-soname,libtop.so.1", f"-L{system}", "-l:libtoy.so.1")
    raw = toy.dependent(
        work,
        f"toy_add(0, {expression}) + 0 * top_twice(1)",
        f"-L{system}",
        "-l:libtoy.so.1",
        "-l:libtop.so.1",
        init=init or "from .ext import call\n",
    )
    out = work / "vendored"
    subprocess.run(
        [sys.executable, "-m", "auditwheel", "repair", str(raw), "-w", str(out), "--plat", "manylinux_2_17_x86_64"],
        check=True,
        timeout=60,
        capture_output=True,
        env={**os.environ, "LD_LIBRARY_PATH": str(system), "PATH": f"{Path(sys.executable).parent}:/usr/bin:/bin"},
    )
    (wheel,) = out.glob("*.whl")
    return wheel


def linkages(wheel: Path) -> dict[str, Linkage]:
    with zipfile.ZipFile(wheel) as archive:
        found = {name: formats.read_bytes(archive.read(name), name) for name in archive.namelist()}
    return {name: linkage for name, linkage in found.items() if linkage}


def test_copy_is_given_up(tmp_path: Path, base: toy.Native, natives: Natives) -> None:
    wheel = vendored(tmp_path)
    before = {Path(name).name.partition("-")[0] for name in linkages(wheel) if "tiny.libs" in name}
    assert before == {"libtoy", "libtop"}
    result = repair(wheel, tmp_path / "out", natives)
    assert not result.findings
    assert set(result.redirected.values()) == {"libtoy-nf01.so"}
    assert result.requirements == ("native-toy>=1!1.1,<2!0",)
    assert result.wheel.name == wheel.name  # the tag was right
    record.verify(result.wheel)
    after = linkages(result.wheel)
    assert [name for name in after if "libtoy" in name] == []
    (top,) = [linkage for name, linkage in after.items() if "libtop" in name]  # no native wheel for it: it stays
    (ext,) = [linkage for name, linkage in after.items() if "ext" in name]
    assert "libtoy-nf01.so" in top.needed
    assert "libtoy-nf01.so" in ext.needed
    assert top.runpath == ("$ORIGIN", "$ORIGIN/../native_toy/lib")
    assert ext.runpath == ("$ORIGIN/../tiny.libs", "$ORIGIN/../native_toy/lib")
    env = toy.environment(tmp_path / "v")
    env.pip(base.wheel, result.wheel)
    done = env.run(toy.PROOF)
    assert done.stdout.split() == ["42", "1", "libtoy-nf01.so"], done.stderr
    again = repair(result.wheel, tmp_path / "again", natives)
    assert not again.changed
    assert again.wheel.read_bytes() == result.wheel.read_bytes()


def test_empty_directory_leaves_no_run_path(tmp_path: Path, base: toy.Native) -> None:
    top = toy.native(tmp_path, "top", "1.0", toy.TOP_C, uses=(base,), replaces=("libtop.so.1",))
    result = repair(vendored(tmp_path), tmp_path / "out", known.load([base.wheel, top.wheel]))
    (ext,) = linkages(result.wheel).values()
    assert ext.runpath == ("$ORIGIN/../native_top/lib", "$ORIGIN/../native_toy/lib")


def test_missing_symbol_keeps_the_copy(tmp_path: Path, natives: Natives) -> None:
    toy_only = "int toy_private(void) { return 7; }"
    wheel = vendored(tmp_path, more=toy_only, expression="toy_add(1, ({ int toy_private(void); toy_private(); }))")
    result = repair(wheel, tmp_path / "out", natives)
    assert not result.changed
    assert result.wheel.read_bytes() == wheel.read_bytes()
    (finding,) = result.findings
    assert "imports toy_private" in finding.fact
    assert "libtoy-nf01.so of native-toy" in finding.fact


def test_copy_that_python_code_opens_stays(tmp_path: Path, natives: Natives) -> None:
    first = vendored(tmp_path / "first")
    (copy,) = [name.rpartition("/")[2] for name in linkages(first) if "libtoy" in name]
    wheel = vendored(tmp_path / "second", init=f"NAME = {copy!r}\nfrom .ext import call\n")
    result = repair(wheel, tmp_path / "out", natives)
    (finding,) = result.findings
    assert "Python code speaks of" in finding.fact
    assert not result.changed


def test_system_soname_is_redirected_when_proven(tmp_path: Path, base: toy.Native, natives: Natives) -> None:
    """A raw wheel that was linked to the system's libtoy.so.1."""
    system = tmp_path / "system"
    toy.compile_c(toy.TOY_C.format(version="1.1", more=toy.TOY_MUL), system / "libtoy.so.1", "-Wl,-soname,libtoy.so.1")
    raw = toy.dependent(tmp_path, "toy_mul(6, 7)", f"-L{system}", "-l:libtoy.so.1")
    result = repair(raw, tmp_path / "out", natives)
    assert result.redirected == {"libtoy.so.1": "libtoy-nf01.so"}
    env = toy.environment(tmp_path / "v")
    env.pip(base.wheel, result.wheel)
    assert env.run(toy.PROOF).stdout.split() == ["42", "1", "libtoy-nf01.so"]


def test_symbol_versions_follow_the_redirect(tmp_path: Path, natives: Natives) -> None:
    """A copy with symbol versions cannot be replaced by a library without them: the linker would look in vain."""
    system = tmp_path / "system"
    (system).mkdir()
    (system / "map").write_text("TOY_1 { global: *; };")
    toy.compile_c(
        toy.TOY_C.format(version="1.1", more=toy.TOY_MUL),
        system / "libtoy.so.1",
        "-Wl,-soname,libtoy.so.1",
        f"-Wl,--version-script={system}/map",
    )
    tree = tmp_path / "tree"
    toy.extension(tree / "p" / "ext.so", "toy_add(1, 1)", f"-L{system}", "-l:libtoy.so.1", "-Wl,-rpath,$ORIGIN")
    (tree / "p" / "__init__.py").write_text("")
    (tree / "p" / "libtoy.so.1").write_bytes((system / "libtoy.so.1").read_bytes())
    wheel = toy.make_wheel(tree, f"p-1.0-{toy.PYTHON}-{toy.PYTHON}-manylinux_2_17_x86_64.whl", tmp_path / "raw")
    result = repair(wheel, tmp_path / "out", natives)
    (finding,) = result.findings
    assert "imports toy_add" in finding.fact
