"""Every way a catalog can be wrong is said at once, as `file: [table] key: why`."""

from __future__ import annotations

import itertools
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from catalog_builder import (
    PLATFORM,
    SHA,
    catalog,
    dependent,
    library,
    release,
    toolchain,
    write_recipe,
    write_toolchain,
)

from farm.catalog import load_from
from farm.catalog.faults import place_of
from farm.errors import CatalogError


def faults(root: Path) -> tuple[str, ...]:
    with pytest.raises(CatalogError) as caught:
        load_from(root)
    return caught.value.faults


def test_a_good_catalog_loads(tmp_path: Path) -> None:
    root = catalog(
        tmp_path,
        library("gmp", "6.2.1", "6.3.0", provides=["bignum"]),
        library("mpfr", "4.2.2", host=["gmp>=6.2"]),
        dependent("gmpy2", "2.3", host=["mpfr", "bignum"]),
    )
    loaded = load_from(root)
    assert list(loaded.recipes) == ["gmp", "gmpy2", "mpfr"]
    assert loaded.providers["bignum"] == "gmp"
    assert loaded.recipes["gmp"].recipe.current.version == "6.3.0"
    assert list(loaded.toolchains) == [PLATFORM]


def test_all_faults_of_all_files_are_said_at_once(tmp_path: Path) -> None:
    root = catalog(tmp_path, library("a", license="GPL3"), library("b", host=["nothing"]))
    write_recipe(root, library("c")).joinpath("recipe.toml").write_text("x = ")
    write_toolchain(root, toolchain("musllinux_1_2_x86_64", binary="pe"))
    said = faults(root)
    assert len(said) == 4
    assert [line.partition(":")[0] for line in said] == [
        "recipes/a/recipe.toml",
        "recipes/b/recipe.toml",
        "recipes/c/recipe.toml",
        "toolchains/musllinux_1_2_x86_64.toml",
    ]


def _build(**build: Any) -> dict[str, Any]:
    return library("a", build={"system": "autotools", **build})


def _named(**keys: str) -> dict[str, Any]:
    return {"library": [{"name": "a", "archive": "lib/liba.a", "exports": ["a_*"], **keys}]}


ONE_RECIPE: list[tuple[dict[str, Any], str]] = [
    (_build(arg=["x"]), "[build] arg: is not a known key; did you mean 'args'?"),
    (_build(args="x"), "[build] args: input should be a valid tuple"),
    (_build(args=["x", 3]), "[build] args #2: input should be a valid string"),
    (library("a", build={}), "[build] system: is missing"),
    (library("a", build={"system": "bazel"}), "[build] system: 'bazel' is not allowed"),
    (library("a", summry="x"), "summry: is not a known key; did you mean 'summary'?"),
    (library("a", format=2), "format: 2 is not allowed"),
    (library("a", license="GPL3"), "license: 'GPL3' is not an SPDX license expression"),
    (library("a", license="mit"), "license: 'mit' is spelled 'MIT' by SPDX"),
    (library("a", "one"), "[release #1] version: 'one' is not a PEP 440 version"),
    (library("a", "1!2"), "[release #1] version: '1!2' has an epoch"),
    (library("a", "1.0", "1.0.0"), "[release #2] version: '1.0.0' is there twice (as '1.0' before)"),
    (library("a", "2.0", "1.0"), "[release #2] version: '1.0' stands after a newer one"),
    (library("a", release=[]), "release: tuple should have at least 1 item"),
    (library("a", "1", release=[{"version": "1", "source": []}]), "[release #1] source: tuple should have at least 1"),
    (
        library("a", release=[release("1", source=[{"location": [{"url": "https://x/y", "sha256": "12"}]}])]),
        "[release #1, source #1, location #1] sha256: '12' is not allowed",
    ),
    (
        library("a", release=[release("1", source=[{"location": [{"url": "ftp://x/y", "sha256": SHA}]}])]),
        "[release #1, source #1, location #1] url: 'ftp://x/y' is none of https://...",
    ),
    (
        library("a", release=[release("1", source=[{"location": [{"url": "file:../x.tar", "sha256": SHA}]}])]),
        "url: '../x.tar' leaves the recipe's directory",
    ),
    (
        library("a", release=[release("1", source=[{"location": [{"url": "pypi:a/b.tar.gz", "sha256": SHA}]}])]),
        "is not a plain file name",
    ),
    (library("a", release=[release("1", patches=["fix.patch"])]), "there is no file 'patches/fix.patch'"),
    (library("a", release=[release("1", patches=["../../b/x"])]), "is not a relative path that stays inside"),
    (library("a", tests={"smoke": "smoke.c"}), "[tests] smoke: there is no file 'smoke.c'"),
    (dependent("a", requires={"python": "build.txt"}), "[requires] python: there is no file 'build.txt'"),
    (library("a", requires={"python": "build.txt"}), "[requires] python: is for dependents"),
    (library("a", products={}), "[products] library: is missing: a library recipe"),
    ({k: v for k, v in library("a").items() if k != "abi"}, "abi: is missing"),
    (library("a", build={"system": "pep517"}), "[build] system: 'pep517' builds wheels of Python packages"),
    (dependent("a", abi={"epoch": 1}), "abi: does not belong to a dependent"),
    (dependent("a", provides=["b"]), "provides: does not belong to a dependent"),
    (dependent("native-a"), "name: a dependent cannot be called native-"),
    (library("a", abi={"epoch": 100}), "[abi] epoch: input should be less than or equal to 99"),
    (library("a", host=["GMP>6"]), "[requires] host #1: 'GMP>6' is not a library name"),
    (library("a", host=["gmp>>6"]), "[requires] host #1: 'gmp>>6': '>>6' is not a version bound"),
    (library("a", host=["b"]), "[requires] host #1: no recipe provides 'b'"),
    (library("a", host=["a"]), "recipes require each other: a -> a"),
    (library("a", requires={"run": ["x y z"]}), "[requires] run #1: 'x y z' is not a PEP 508 requirement"),
    (
        library("a", when=[{"platform": ["manylinx*"]}]),
        "[when #1] platform #1: 'manylinx*' matches no toolchain",
    ),
    (library("a", when=[{"platform": []}]), "[when #1] platform: tuple should have at least 1 item"),
    (library("a", when=[{"release": "2"}]), "[when #1] release: '2' is not a version bound, like '>=6.2'"),
    (
        library("a", when=[{"release": ">=1", "impossible": "no"}]),
        "[when #1] release: does not go with `impossible`, which is said of a platform",
    ),
    (library("a", when=[{"exports": {"b": ["b_*"]}}]), "[when #1, exports] b: is no library of this recipe"),
    (
        library("a", variant=[{"level": "x86-64-v3", "platform": ["*"]}]),
        "[variant #1] platform #1: x86-64-v3 is for x86_64 with glibc only (glibc-hwcaps), not for macosx_10",
    ),
    (
        library("a", variant=[{"level": "x86-64-v9", "platform": ["*"]}]),
        "[variant #1] level: 'x86-64-v9' is not allowed",
    ),
    (
        library("a", products=_named(symbol_prefix="9x_")),
        "[products, library #1] symbol_prefix: '9x_' cannot begin a name in C: letters, digits and underscores only",
    ),
    (
        library("a", products=_named(symbol_prefix="my-")),
        "[products, library #1] symbol_prefix: 'my-' cannot begin a name in C: letters, digits and underscores only",
    ),
    (
        library("a", products=_named(symbol_suffix="64.")),
        "[products, library #1] symbol_suffix: '64.' cannot end a name in C: letters, digits and underscores only",
    ),
    (
        library("a", products=_named(symbol_suffix="x" * 61)),
        "[products, library #1] symbol_suffix: 'xxx",
    ),
    (
        dependent("a", products=_named(symbol_prefix="my_")),
        "[products, library #1] symbol_prefix: does not belong to a dependent: nothing links to it",
    ),
    (
        dependent("a", products=_named(symbol_suffix="64_")),
        "[products, library #1] symbol_suffix: does not belong to a dependent: nothing links to it",
    ),
    (library("a", purl="gmp"), "purl: 'gmp' is not a package URL without a version"),
    (library("a", audit={"dispatched": ["x_*"]}), "[audit] dispatch_reason: is missing"),
    (library("a", watch={"kind": "page", "at": "x", "pattern": "("}), "[watch] pattern: is not a regular expression"),
    (library("a", watch={"kind": "page", "at": "x", "pattern": "(a)"}), "[watch] at: 'x' is not the https:// URL of"),
    (library("a", watch={"kind": "page", "at": "https://x"}), "[watch] pattern: is missing: the archive's name"),
    (library("a", watch={"kind": "page", "at": "https://x", "pattern": "a"}), "[watch] pattern: has no group for the"),
    (library("a", watch={"kind": "pypi", "at": "x", "pattern": "(a)"}), "[watch] pattern: is for pages: 'pypi' knows"),
    (
        library("a", watch={"kind": "pypi", "at": "x", "schedule": "@daily"}),
        "[watch] schedule: '@daily' is no time in cron form: it has 1 fields, not the 5 of 'minute hour day month",
    ),
    (library("a", watch={"kind": "pypi", "at": "x", "schedule": ""}), "[watch] schedule: '' is no time in cron form"),
    (
        library("a", rebuild={"schedule": "0 25 * * *"}),
        "[rebuild] schedule: '0 25 * * *' is no time in cron form: ",
    ),
    (
        library("a", rebuild={"schedule": "0 0 31 2 *"}),
        "[rebuild] schedule: '0 0 31 2 *' is no time in cron form: ",
    ),
    (library("a", build={"system": "script"}), "[build] script: is missing"),
    (_build(script="make"), "[build] script: is not used by"),
]


@pytest.mark.parametrize(("data", "expected"), ONE_RECIPE, ids=[text[:60] for _, text in ONE_RECIPE])
def test_a_wrong_recipe_is_named_with_the_key_and_the_reason(
    data: dict[str, Any], expected: str, tmp_path: Path
) -> None:
    said = faults(catalog(tmp_path, data, platforms=(PLATFORM, "manylinux_2_17_aarch64")))
    where = f"recipes/{data['name']}/recipe.toml: "
    assert all(line.startswith(where) for line in said)
    assert any(expected in line for line in said), said


def _text(text: str | bytes) -> Callable[[Path], None]:
    def write(path: Path) -> None:
        path.write_bytes(text if isinstance(text, bytes) else text.encode())

    return write


@pytest.mark.parametrize(
    ("spoil", "expected"),
    [
        (_text('format = 1\nname = "a\n'), "recipes/a/recipe.toml: line 2, column"),
        (_text("format = 1\nformat = 1\n"), "recipes/a/recipe.toml: line 2, column"),
        (_text(b'format = 1\nname = "\xff"\n'), "recipes/a/recipe.toml: line 2: is not UTF-8 text"),
        (_text("x = " + "[" * 20_000), "recipes/a/recipe.toml: "),
        (_text("#" * 2_000_000), "recipes/a/recipe.toml: is larger than"),
        (_text(""), "recipes/a/recipe.toml: name: is missing"),
        (Path.unlink, "recipes/a/recipe.toml: is missing"),
        (lambda path: path.unlink() or path.mkdir(), "recipes/a/recipe.toml: "),
    ],
)
def test_a_file_that_is_no_toml(spoil: Callable[[Path], Any], expected: str, tmp_path: Path) -> None:
    root = catalog(tmp_path, library("a"))
    spoil(root / "recipes/a/recipe.toml")
    assert any(line.startswith(expected) for line in faults(root)), faults(root)


def test_rows_for_platforms_without_a_toolchain_yet_are_fine(tmp_path: Path) -> None:
    rows = [{"platform": ["win_*", "*_i686", "macosx_*", "win_arm64"], "args": ["x"]}]
    assert load_from(catalog(tmp_path, library("a", when=rows))).recipes["a"].recipe.when


def test_directory_and_name_must_be_equal(tmp_path: Path) -> None:
    root = catalog(tmp_path, library("a"))
    (root / "recipes/a").rename(root / "recipes/b")
    assert "recipes/b/recipe.toml: name: is 'a', but the directory is 'b': they must be equal" in faults(root)


def test_a_patch_must_not_leave_the_recipe_through_a_link(tmp_path: Path) -> None:
    root = catalog(tmp_path, library("a", release=[release("1", patches=["x.patch"])]))
    (tmp_path / "secret").write_text("x")
    (root / "recipes/a/patches").mkdir()
    (root / "recipes/a/patches/x.patch").symlink_to(tmp_path / "secret")
    assert any("is a symbolic link that leaves" in line for line in faults(root))


def test_cycles_are_shown_as_a_way_round(tmp_path: Path) -> None:
    root = catalog(
        tmp_path,
        library("a", host=["b"]),
        library("b", host=["c"]),
        library("c", host=["a"]),
        library("d", host=["d2"]),
        library("d2", host=["d"]),
        library("e", host=["a"]),
    )
    said = [line.partition("each other: ")[2].split(" -> ") for line in faults(root)]
    assert len(said) == 2
    for way in said:
        assert way[0] == way[-1]
        edges = {"a": "b", "b": "c", "c": "a", "d": "d2", "d2": "d"}
        assert all(edges[x] == y for x, y in itertools.pairwise(way))


def test_names_that_two_recipes_claim(tmp_path: Path) -> None:
    product = {"library": [{"name": "z", "archive": "lib/libz.a", "exports": ["*"]}]}
    root = catalog(
        tmp_path,
        library("zlib", provides=["z"], products=product),
        library("zlib-ng", provides=["z", "zlib"], products=product),
    )
    said = faults(root)
    where = "recipes/zlib-ng/recipe.toml: "
    assert where + "provides #1: 'z' is provided by zlib already".replace("provides #1", "provides #1") in said
    assert any(line.startswith(where) and "'zlib' is a recipe of its own" in line for line in said)
    assert any(line.startswith(where) and "the shared name libz-nf01.so is that of zlib" in line for line in said)


def test_a_link_name_of_another_epoch_is_taken_too(tmp_path: Path) -> None:
    """Both would be installed as libz.so for linkers, so a dependent of both could not say which it means."""
    product = {"library": [{"name": "z", "archive": "lib/libz.a", "exports": ["*"]}]}
    root = catalog(tmp_path, library("zlib", products=product), library("zlib2", products=product, abi={"epoch": 2}))
    (said,) = faults(root)
    assert said.startswith("recipes/zlib2/recipe.toml: [products, library #1] name: -lz is the link name of zlib")


def test_a_requirement_that_no_release_meets(tmp_path: Path) -> None:
    root = catalog(tmp_path, library("gmp", "6.2", "6.3"), library("mpfr", host=["gmp>=7"]))
    assert faults(root) == (
        "recipes/mpfr/recipe.toml: [requires] host #1: no release of gmp meets 'gmp>=7' (it has 6.2, 6.3)",
    )


def test_a_near_name_is_suggested(tmp_path: Path) -> None:
    root = catalog(tmp_path, library("libpng"), library("x", host=["libpgn"]))
    assert faults(root)[0].endswith("no recipe provides 'libpgn'; did you mean 'libpng'?")


def test_a_broken_requirement_is_not_blamed_on_its_dependents(tmp_path: Path) -> None:
    root = catalog(tmp_path, library("a", nonsense=1), library("b", host=["a"]))
    assert len(faults(root)) == 1


def test_a_dependent_is_no_host_requirement(tmp_path: Path) -> None:
    root = catalog(tmp_path, dependent("numpy"), dependent("scipy", host=["numpy"]))
    assert "numpy is not a library" in faults(root)[0]


def test_a_catalog_without_recipes_directory_or_toolchains(tmp_path: Path) -> None:
    said = faults(tmp_path)
    assert any(line.startswith("recipes: ") and "FARM_CATALOG" in line for line in said)
    assert any(line.startswith("toolchains: ") for line in said)


@pytest.mark.parametrize(
    ("change", "expected"),
    [
        ({"floor": [2, 28]}, "floor: (2, 28) is not the floor that the tag"),
        ({"arch": "i686"}, "arch: 'i686' is not the architecture of the tag"),
        ({"libc": "musl"}, "platform: 'manylinux_2_17_x86_64' is not a wheel platform tag of musl"),
        ({"os": "windows"}, "libc: 'glibc' is not a libc of windows: ucrt is"),
        ({"binary": "macho"}, "binary: 'macho' is not the format of linux: 'elf' is"),
        ({"flags": {"rewrite": {"(": "x"}}}, "[flags, rewrite] (: is not a regular expression"),
        ({"loader": ""}, "loader: is missing"),
        ({"run": {"kind": "podman"}}, "[run] kind: 'podman' is not allowed"),
    ],
)
def test_a_wrong_toolchain(change: dict[str, Any], expected: str, tmp_path: Path) -> None:
    root = catalog(tmp_path, library("a"))
    write_toolchain(root, toolchain(PLATFORM, **change))
    assert any(line.startswith(f"toolchains/{PLATFORM}.toml: {expected}") for line in faults(root)), faults(root)


def test_a_toolchain_is_called_as_its_file(tmp_path: Path) -> None:
    root = catalog(tmp_path, library("a"))
    (root / f"toolchains/{PLATFORM}.toml").rename(root / "toolchains/other.toml")
    assert "toolchains/other.toml: platform: is 'manylinux_2_17_x86_64'" in faults(root)[0]


def test_places_are_written_for_people() -> None:
    assert place_of(()) == ""
    assert place_of(("license",)) == "license"
    assert place_of(("release", 1, "source", 0, "into")) == "[release #2, source #1] into"
    assert place_of(("license_files", 0)) == "license_files #1"


def test_unknown_tools_and_sysroots_are_said_with_what_is_near(tmp_path: Path) -> None:
    recipe = library("a", requires={"tools": ["nasn", "c++"]}, when=[{"platform": ["*"], "tools": ["cmaek"]}])
    root = catalog(tmp_path, recipe)
    write_toolchain(root, toolchain(run={"kind": "qemu", "sysroot": "debian-amd65"}))
    (root / "toolchains" / "sysroots").mkdir()
    (root / "toolchains" / "sysroots" / "debian-amd64.toml").write_text("x = ")
    said = tuple(line for line in faults(root) if "debian-amd64.toml: end of" not in line)
    file, run = "recipes/a/recipe.toml", "[run] sysroot: there is no toolchains/sysroots/debian-amd65.toml"
    assert said == (
        f"{file}: [requires] tools #1: 'nasn' is no tool that the farm knows; did you mean 'nasm'?",
        f"{file}: [when #1] tools #1: 'cmaek' is no tool that the farm knows; did you mean 'cmake'?",
        f"toolchains/{PLATFORM}.toml: {run}; did you mean 'debian-amd64'?",
    )
