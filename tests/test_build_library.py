"""Whole builds of a tiny library with the real compiler: from a tarball to the farm's shared library."""

from __future__ import annotations

import ctypes
import hashlib
import shutil
import sys
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import platform_files
import pytest
from build_factory import PLATFORM, TREE, settings, step, tiny, toolchain

from farm import process
from farm.binary import formats
from farm.build import enter
from farm.build.library import build_library
from farm.build.result import BuiltLibrary
from farm.catalog.values import LoadedRecipe
from farm.errors import BuildError, BusyError, MissingToolError, ProcessError, SourceError
from farm.model.tools import Tool
from farm.process import Cancel
from farm.settings import Settings

V3 = {"level": "x86-64-v3", "platform": ["manylinux_*"], "cflags": ["-march=x86-64-v3"]}


def build(recipe: LoadedRecipe, at: Settings, phases: list[str] | None = None, **more: object) -> BuiltLibrary:
    log = at.logs / "x.log"
    report = (phases if phases is not None else []).append
    return build_library(step(recipe), recipe, toolchain(), {}, at, log, report, **more)  # type: ignore[arg-type]


@pytest.fixture(scope="module")
def built(tmp_path_factory: pytest.TempPathFactory) -> Iterator[BuiltLibrary]:
    """The tiny library by make, with a variant."""
    home = tmp_path_factory.mktemp("farm")
    with build(tiny(home / "recipe", variant=[V3]), settings(home)) as result:
        yield result


def test_the_library_has_the_shared_name_and_only_the_public_symbols(built: BuiltLibrary) -> None:
    library = built.libraries[0]
    linkage = formats.read_file(library.path)
    assert linkage is not None
    assert library.shared_name == library.path.name == linkage.soname == "libtiny-nf01.so"
    assert {e.name for e in linkage.exports} == {"tiny_internal", "tiny_next", "tiny_file", "tiny_level"}
    assert (built.headers / "tiny.h").is_file()
    assert (built.source / "COPYING").is_file()
    assert built.epoch_seconds == 1_600_000_000


def test_it_works_and_knows_no_path_of_this_machine(built: BuiltLibrary) -> None:
    library = ctypes.CDLL(str(built.libraries[0].path))
    library.tiny_file.restype = ctypes.c_char_p
    assert library.tiny_next(41) == 42
    assert library.tiny_file() in (b"tiny.c", b"./tiny.c")
    data = built.libraries[0].path.read_bytes()
    assert b"/farm" not in data
    assert str(built.workspace.root).encode() not in data


def test_the_twin_is_the_same_library_with_its_symbol_table(built: BuiltLibrary) -> None:
    twin, shipped = (formats.read_file(p) for p in (built.libraries[0].unstripped, built.libraries[0].path))
    assert twin is not None
    assert shipped is not None
    assert twin.exports == shipped.exports
    assert b"hidden" not in built.libraries[0].path.read_bytes()
    assert b"tiny_internal" in built.libraries[0].unstripped.read_bytes()
    assert built.libraries[0].path.stat().st_size < built.libraries[0].unstripped.stat().st_size


def test_a_variant_is_another_build_under_the_same_name(built: BuiltLibrary) -> None:
    variant = built.variants[0]
    assert variant.level == "x86-64-v3"
    assert variant.shared_name == built.libraries[0].shared_name
    levels = [ctypes.CDLL(str(lib.path)).tiny_level() for lib in (*built.libraries, variant)]
    assert levels == [1, 3]


def test_all_levels_have_one_abi(tmp_path: Path) -> None:
    more = "#ifdef __AVX2__\nint tiny_only_fast(void) { return 1; }\n#endif\n"
    recipe = tiny(tmp_path / "recipe", tree={**TREE, "tiny.c": TREE["tiny.c"] + more}, variant=[V3])
    with build(recipe, settings(tmp_path)) as result:
        baseline, fast = (formats.read_file(lib.path) for lib in (*result.libraries, *result.variants))
        assert baseline is not None
        assert fast is not None
        assert {e.name for e in fast.exports} == {e.name for e in baseline.exports}
        assert sorted(result.twins) == [
            "native_tiny/lib/glibc-hwcaps/x86-64-v3/libtiny-nf01.so",
            "native_tiny/lib/libtiny-nf01.so",
        ]


def test_a_level_that_lacks_a_symbol_is_refused(tmp_path: Path) -> None:
    more = "#ifndef __AVX2__\nint tiny_only_slow(void) { return 1; }\n#endif\n"
    recipe = tiny(tmp_path / "recipe", tree={**TREE, "tiny.c": TREE["tiny.c"] + more}, variant=[V3])
    with pytest.raises(BuildError, match="link failed") as caught:
        build(recipe, settings(tmp_path))
    assert any("tiny_only_slow" in line for line in caught.value.tail)


def test_the_anchor_is_small_and_needs_the_library(built: BuiltLibrary) -> None:
    assert built.anchor is not None
    linkage = formats.read_file(built.anchor)
    assert linkage is not None
    assert linkage.soname == built.anchor.name == "libnative_tiny-nf01.anchor.so"
    assert linkage.needed == ("libtiny-nf01.so",)
    assert linkage.runpath == ("$ORIGIN/lib",)
    assert built.anchor.stat().st_size < 4096


def digests(result: BuiltLibrary) -> list[str]:
    assert result.anchor is not None
    files = [*(lib.path for lib in (*result.libraries, *result.variants)), result.anchor]
    return [hashlib.sha256(f.read_bytes()).hexdigest() for f in files]


def test_the_same_bytes_from_another_place_and_without_a_sandbox(tmp_path: Path, built: BuiltLibrary) -> None:
    expected = digests(built)
    for place, sandbox in (("another/deeper/place", True), ("open", False)):
        home = tmp_path / place
        with build(tiny(home / "recipe", variant=[V3]), settings(home, sandbox=sandbox)) as again:
            assert digests(again) == expected, f"sandbox: {sandbox}"
        assert not again.workspace.root.exists(), "the workspace stays behind"


@pytest.mark.skipif(shutil.which("cmake") is None or shutil.which("ninja") is None, reason="needs cmake and ninja")
def test_a_cmake_project(tmp_path: Path) -> None:
    phases: list[str] = []
    with build(tiny(tmp_path / "recipe", build={"system": "cmake"}), settings(tmp_path), phases) as result:
        assert ctypes.CDLL(str(result.libraries[0].path)).tiny_next(1) == 2
    assert phases[:5] == ["toolchain", "fetch", "configure", "make", "install"]


def test_a_script_sees_source_and_prefix(tmp_path: Path) -> None:
    script = "cd $SOURCE; cc -c tiny.c -o $WORK/tiny.o; mkdir $PREFIX/lib; ar rcs $PREFIX/lib/libtiny.a $WORK/tiny.o"
    with build(tiny(tmp_path / "recipe", build={"system": "script", "script": script}), settings(tmp_path)) as result:
        assert result.libraries[0].path.exists()


def test_debug_information_is_in_the_twin_only(tmp_path: Path) -> None:
    with build(tiny(tmp_path / "recipe", variant=[V3]), settings(tmp_path), debug=True) as result:
        assert result.variants == (), "an ABI is measured from one build"
        assert b".debug_info" in result.libraries[0].unstripped.read_bytes()
        assert b".debug_info" not in result.libraries[0].path.read_bytes()


TWO = {
    **TREE,
    "more.c": "int tiny_next(int);\nint more_twice(int a) { return tiny_next(tiny_next(a)); }\n",
    "alone.c": "int alone(int a) { return a; }\n",
    "Makefile": "install:\n\tmkdir -p $(PREFIX)/lib\n"
    + "".join(
        f"\t$(CC) $(CFLAGS) -c {name}.c -o {name}.o\n\t$(AR) rcs $(PREFIX)/lib/lib{name}.a {name}.o\n"
        for name in ("tiny", "more", "alone")
    ),
}
PRODUCTS = [
    {"name": "tiny", "archive": "lib/libtiny.a", "exports": ["tiny_*"]},
    {"name": "more", "archive": "lib/libmore.a", "exports": ["more_*"]},
    {"name": "alone", "archive": "lib/libalone.a", "exports": ["alone"]},
]


@pytest.mark.parametrize(
    ("platform", "needed", "beside"),
    [
        (PLATFORM, "libtiny-nf01.so", ("$ORIGIN",)),
        ("macosx_11_0_arm64", "@rpath/libtiny-nf01.dylib", ("@loader_path",)),
        ("win_amd64", "tiny-nf01.dll", ()),
    ],
)
def test_a_second_library_finds_the_first_beside_it(
    tmp_path: Path, platform: str, needed: str, beside: tuple[str, ...]
) -> None:
    """The third needs none of them, and is linked as if it were alone."""
    recipe = tiny(tmp_path / "recipe", tree=TWO, products={"library": PRODUCTS})
    made = replace(step(recipe), platform=platform)
    log = tmp_path / "log"
    with build_library(made, recipe, platform_files.toolchain(platform), {}, settings(tmp_path), log, print) as result:
        tiny_, more, alone = (formats.read_file(library.path) for library in result.libraries)
        assert tiny_
        assert more
        assert alone
        assert needed in more.needed
        assert (tiny_.runpath, more.runpath, alone.runpath) == ((), beside, ())
        twin = formats.read_file(result.libraries[1].unstripped)
        assert twin is not None
        assert twin.runpath == beside


def test_a_second_library_is_loaded_with_the_first(tmp_path: Path) -> None:
    """By itself, from wherever it lies; a variant takes the first one's variant."""
    recipe = tiny(tmp_path / "recipe", tree=TWO, products={"library": PRODUCTS}, variant=[V3])
    with build(recipe, settings(tmp_path)) as result:
        for libraries in (result.libraries, result.variants):
            place = tmp_path / f"moved-{libraries[0].level}"
            place.mkdir()
            for library in libraries:
                shutil.copyfile(library.path, place / library.shared_name)
            code = f"import ctypes; print(ctypes.CDLL({str(place / libraries[1].shared_name)!r}).more_twice(40))"
            assert process.run([sys.executable, "-c", code]).output == "42\n"


def broken(tmp_path: Path) -> LoadedRecipe:
    return tiny(tmp_path / "recipe", tree={**TREE, "tiny.c": TREE["tiny.c"] + "int oops(void) { return nothing; }\n"})


def test_a_compiler_error_shows_what_failed_and_how_to_go_on(tmp_path: Path) -> None:
    at = settings(tmp_path)
    with pytest.raises(BuildError) as caught:
        build(broken(tmp_path), at)
    error = caught.value
    assert error.what.startswith("make failed with exit code 2: make -j")
    assert any("nothing" in line and "error" in line for line in error.tail)
    assert len(error.tail) <= 20
    assert error.log == str(at.logs / "x.log")
    assert "nothing" in Path(error.log).read_text()
    assert "farm shell tiny@1.0/manylinux_2_17_x86_64 -c 'cd /farm/src && make -j" in error.fix


def test_a_failed_build_can_be_entered_and_its_command_repeated(tmp_path: Path) -> None:
    at = settings(tmp_path)
    with pytest.raises(BuildError):
        build(broken(tmp_path), at)
    assert enter.kept(at, "tiny") == ["tiny@1.0/manylinux_2_17_x86_64"]
    entrance = enter.enter_kept(at, "tiny@1.0/manylinux_2_17_x86_64")
    script = "cd /farm/src && make CC=cc; echo $FARM_PLATFORM; echo 'int x;' > /tmp/x.c; cc -c /tmp/x.c -o /tmp/x.o"
    argv, env, cwd = entrance.argv(f"{script} && echo cc works")
    done = process.run(argv, env=env, cwd=Path(cwd), check=False)
    assert "undeclared identifier 'nothing'" in done.output
    assert done.output.splitlines()[-2:] == ["manylinux_2_17_x86_64", "cc works"]
    entrance.space.remove()
    assert enter.kept(at, "tiny") == []


def test_a_fresh_environment_stands_before_configure(tmp_path: Path) -> None:
    at = settings(tmp_path)
    recipe = tiny(tmp_path / "recipe")
    entrance = enter.enter_fresh(step(recipe), recipe, toolchain(), {}, at, lambda _phase: None)
    argv, env, cwd = entrance.argv("ls")
    assert "tiny.c" in process.run(argv, env=env, cwd=Path(cwd)).output
    entrance.space.remove()


def test_one_step_is_built_by_one_process_after_the_other(tmp_path: Path) -> None:
    at = settings(tmp_path)
    recipe = tiny(tmp_path / "recipe")
    first, phases = build(recipe, at), []

    def say(phase: str) -> None:
        phases.append(phase)
        if phase == "wait for another process":
            first.discard()

    build_library(step(recipe), recipe, toolchain(), {}, at, at.logs / "x.log", say).discard()
    assert phases.count("wait for another process") == 1
    assert phases.index("wait for another process") < phases.index("make")


def test_who_waits_for_another_process_may_be_cancelled(tmp_path: Path) -> None:
    at, cancel = settings(tmp_path), Cancel()
    recipe = tiny(tmp_path / "recipe")

    def say(phase: str) -> None:
        if phase == "wait for another process":
            cancel.set()

    with build(recipe, at), pytest.raises(BusyError, match="in use by another farm"):
        build_library(step(recipe), recipe, toolchain(), {}, at, at.logs / "x.log", say, cancel)


def test_an_undefined_symbol_is_found_when_linking(tmp_path: Path) -> None:
    tree = {**TREE, "tiny.c": TREE["tiny.c"] + "int missing(void);\nint tiny_x(void) { return missing(); }\n"}
    with pytest.raises(BuildError, match="link failed") as caught:
        build(tiny(tmp_path / "recipe", tree=tree), settings(tmp_path))
    assert any("undefined symbol: missing" in line for line in caught.value.tail)


def test_an_archive_that_is_elsewhere(tmp_path: Path) -> None:
    products = {"library": [{"name": "tiny", "archive": "lib64/libtiny.a", "exports": ["tiny_*"]}]}
    with pytest.raises(BuildError, match=r"left no lib64/libtiny\.a .*archives there: lib/libtiny\.a"):
        build(tiny(tmp_path / "recipe", products=products), settings(tmp_path))


def test_a_wrong_hash_stops_before_anything_is_unpacked(tmp_path: Path) -> None:
    recipe = tiny(tmp_path / "recipe")
    (tmp_path / "recipe/tiny-1.0.tar.gz").write_bytes(b"another file")
    at = replace(settings(tmp_path), cache=tmp_path / "cache")
    (tmp_path / "cache").mkdir()
    (tmp_path / "cache/toolchains").symlink_to(settings(tmp_path).cache / "toolchains")
    with pytest.raises(SourceError, match="wrong hash"):
        build(recipe, at)


def test_a_tool_that_is_not_there(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("farm.build.tools.EXTRA", {"meson": replace(_meson(), programs=("no-such-meson",))})
    with pytest.raises(MissingToolError, match="no-such-meson"):
        build(tiny(tmp_path / "recipe", requires={"tools": ["meson"]}), settings(tmp_path))


def _meson() -> Tool:
    from farm.build.tools import EXTRA

    return EXTRA["meson"]


def test_a_cancelled_build_stops(tmp_path: Path) -> None:
    cancel = Cancel()
    phases: list[str] = []

    def stop_at_make(phase: str) -> None:
        phases.append(phase)
        if phase == "make":
            cancel.set()

    recipe = tiny(tmp_path / "recipe")
    at = settings(tmp_path)
    with pytest.raises(ProcessError, match="cancelled"):
        build_library(step(recipe), recipe, toolchain(), {}, at, at.logs / "x.log", stop_at_make, cancel)
    assert phases[-1] == "make"
