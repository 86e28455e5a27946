"""What public names with a prefix or suffix mean for ABIs, and what cannot get other names at all."""

from __future__ import annotations

import ctypes
import re
import shutil
from dataclasses import replace
from pathlib import Path

import pytest
from build_factory import PLATFORM, ROOT, settings, step
from named_toy import MORE_C, PUBLIC, TOY_C, TREE, build, catalog_of, products, recipe
from platform_files import toolchain

from farm import measure
from farm.abi import baseline
from farm.binary import formats
from farm.build.library import build_library
from farm.build.result import BuiltLibrary
from farm.catalog import load_from
from farm.catalog.values import LoadedRecipe
from farm.errors import BuildError, GateError
from farm.gates.policy import policy_for
from farm.model.abi import Abi
from farm.plan import planner
from farm.plan.values import Wanted

PREFIXED = {"symbol_prefix": "my_"}
needs_abidw = pytest.mark.skipif(shutil.which("abidw") is None, reason="needs abidw: apt-get install abigail-tools")


def built(folder: Path, loaded: LoadedRecipe, platform: str = PLATFORM) -> BuiltLibrary:
    """Built and linked, with no native wheel made of it."""
    at = settings(folder / "home")
    log, one = at.logs / "x.log", replace(step(loaded), platform=platform, id=f"toy@1.0/{platform}")
    return build_library(one, loaded, toolchain(platform), {}, at, log, lambda _phase: None)


def pinned(folder: Path, **changes: object) -> LoadedRecipe:
    """A recipe that pins the exports of a build of its library with these keys."""
    loaded = recipe(folder / "recipes/toy", products=products(**changes))
    made = build(folder / "pinning", PLATFORM, loaded)
    (planned,) = planner.plan(made.catalog, Wanted(platforms=(PLATFORM,))).steps
    found = measure.exports_of_wheel(planned, made.wheels["toy"], loaded.recipe)
    place = baseline.path_of(loaded.directory, found)
    place.parent.mkdir(parents=True)
    place.write_bytes(baseline.content(found))
    return loaded


@pytest.mark.parametrize("keys", [{}, PREFIXED], ids=["plain", "prefixed"])
def test_another_prefix_breaks_the_abi(tmp_path: Path, keys: dict[str, object]) -> None:
    """Every name is gone for who was linked to it; the same names again are fine."""
    pinned(tmp_path, **keys)
    build(tmp_path / "again", PLATFORM, recipe(tmp_path / "recipes/toy", products=products(**keys)))
    other = recipe(tmp_path / "recipes/toy", products=products(symbol_prefix="other_"))
    with pytest.raises(GateError) as caught:
        build(tmp_path / "other", PLATFORM, other)
    gone = f"{keys.get('symbol_prefix', '')}toy_add"
    assert gone in str(caught.value)


def test_data_that_headers_declare_is_public_under_its_other_name(tmp_path: Path) -> None:
    """Its size is part of the ABI then: programs may hold a copy."""
    tree = {**TREE, "toy.c": TOY_C + "int toy_secret[3] = {1, 2, 3};\n"}
    loaded = recipe(tmp_path / "recipe", tree=tree, products=products(**PREFIXED))
    with built(tmp_path, loaded) as result:
        found = measure.exports(step(loaded), result, loaded.recipe).libraries["toy"]
    data = {symbol.name: (symbol.size, symbol.private) for symbol in found.symbols if symbol.kind == "object"}
    assert data == {"my_toy_table": (16, False), "my_toy_common": (32, False), "my_toy_secret": (12, True)}


def test_internal_names_are_written_as_in_the_sources(tmp_path: Path) -> None:
    loaded = recipe(
        tmp_path / "recipe", products=products(**PREFIXED), abi={"epoch": 4, "internal": ["toy_counter", "my_*"]}
    )
    with built(tmp_path, loaded) as result:
        found = measure.exports(step(loaded), result, loaded.recipe).libraries["toy"]
    assert {symbol.name for symbol in found.symbols} == {f"my_{name}" for name in PUBLIC - {"toy_counter"}}
    assert loaded.internal == ("my_toy_counter", "my_my_*")


def test_dispatched_functions_are_written_as_in_the_sources(tmp_path: Path) -> None:
    """Static functions keep those names, public ones do not."""
    audit = {"dispatched": ["*_HASWELL"], "dispatch_reason": "why"}
    loaded = recipe(tmp_path, products=products(**PREFIXED), audit=audit)
    assert policy_for(toolchain(PLATFORM), loaded.recipe).dispatched == ("*_HASWELL", "my_*_HASWELL")


@needs_abidw
def test_types_belong_to_the_public_names(tmp_path: Path) -> None:
    """libabigail reads declarations, which have the names of the sources, and symbols, which have the others."""
    loaded = recipe(tmp_path / "recipe", products=products(**PREFIXED))
    catalog = catalog_of(tmp_path, PLATFORM, loaded)
    found: Abi = measure.measured(
        step(loaded), catalog, {}, settings(tmp_path / "home"), tmp_path / "log", lambda _phase: None
    )
    library = found.libraries["toy"]
    assert library.typed
    assert {f"my_{name}" for name in PUBLIC - {"toy_table", "toy_common"}} == set(library.functions)
    assert library.functions["my_toy_add"].parameters == ("int", "int")
    assert library.functions["my_toy_sum_of_the_whole_table"].result == "int"  # another file calls it by a declaration
    assert library.variables == {"my_toy_table": "int[4]", "my_toy_common": "int[8]"}


def test_a_second_library_of_the_recipe_may_use_the_first(tmp_path: Path) -> None:
    """It has names of its own: a suffix, or none."""
    tree = {
        **TREE,
        "twice.c": '#include "toy.h"\nint twice_add(int a) { return toy_add(a, a) + toy_table[0]; }\n',
        "Makefile": TREE["Makefile"]
        .replace("libtoy.a: ", "libtwice.a: twice.o\n\t$(AR) rcs $@ $^\nlibtoy.a: libtwice.a ")
        .replace("$^\ninstall", "toy.o more.o\ninstall")
        .replace("cp libtoy.a", "cp libtoy.a libtwice.a"),
    }
    for suffix in ("", "_2"):
        made = products(**PREFIXED)
        made["library"].append(  # type: ignore[attr-defined]
            {"name": "twice", "archive": "lib/libtwice.a", "exports": ["twice_*"], "symbol_suffix": suffix}
        )
        loaded = recipe(tmp_path / f"recipe{suffix}", tree=tree, products=made)
        with built(tmp_path / f"home{suffix}", loaded) as result:
            linkage = formats.read_file(result.libraries[1].path)
        assert linkage is not None
        assert {symbol.name for symbol in linkage.exports} == {f"twice_add{suffix}"}
        assert {"my_toy_add", "my_toy_table"} <= {symbol.name for symbol in linkage.imports}


MARKED = """\
#ifdef _WIN32
__declspec(dllexport)
#endif
int marked_function(int a) { return a; }
"""


@pytest.mark.parametrize("platform", ["win_amd64", "win32"])
def test_what_sources_mark_for_export_gets_the_prefix_too(tmp_path: Path, platform: str) -> None:
    """It is exported beside `exports`, by a word to the linker in the object."""
    tree = {**TREE, "more.c": MORE_C + MARKED}
    loaded = recipe(tmp_path / "recipe", tree=tree, products=products(**PREFIXED))
    with built(tmp_path, loaded, platform) as result:
        names = set(result.libraries[0].renamed.values())
        assert names == {f"my_{name}" for name in PUBLIC | {"marked_function"}}


REFUSED = [
    (
        {"more.c": MORE_C + "int my_toy_add(int a) { return a; }\n"},
        {"symbol_prefix": "my_", "exports": ["toy_*"]},
        "uses the name my_toy_add, which another symbol gets from the recipe",
    ),
    (
        {"more.c": MORE_C + "int my_toy_add(int); int other(int a) { return my_toy_add(a); }\n"},
        {"symbol_prefix": "my_"},
        "uses the name my_toy_add, which another symbol gets",
    ),
    (
        {"more.c": MORE_C + 'int cxx(int) __asm__("_ZN3toy3addEi"); int cxx(int a) { return a; }\n'},
        {"symbol_prefix": "my_", "exports": ["*"]},
        "_ZN3toy3addEi: names of C++ have types and classes in them",
    ),
    ({}, {"symbol_prefix": "my_", "exports": ["my_*"]}, "defines no symbol that matches my_*"),
]


@pytest.mark.parametrize(("files", "keys", "why"), REFUSED, ids=[why[:40] for _, _, why in REFUSED])
def test_what_cannot_be_renamed_is_refused(
    tmp_path: Path, files: dict[str, str], keys: dict[str, object], why: str
) -> None:
    loaded = recipe(tmp_path / "recipe", tree={**TREE, **files}, products=products(**keys))
    with pytest.raises(BuildError, match=re.escape(why)) as caught:
        built(tmp_path, loaded)
    assert caught.value.fix


THREAD = "#ifdef __ELF__\n__thread int toy_errno;\n#else\n__thread int toy_errno = 1;\n#endif\n"


@pytest.mark.parametrize("platform", [PLATFORM, "macosx_11_0_arm64"])
def test_a_threads_own_variable_gets_the_prefix(tmp_path: Path, platform: str) -> None:
    loaded = recipe(tmp_path / "recipe", tree={**TREE, "more.c": MORE_C + THREAD}, products=products(**PREFIXED))
    with built(tmp_path, loaded, platform) as result:
        assert result.libraries[0].renamed["toy_errno"] == "my_toy_errno"
        assert result.libraries[0].renamed.keys() == PUBLIC | {"toy_errno"}


def test_no_dll_exports_a_threads_own_variable(tmp_path: Path) -> None:
    """As without a prefix: a glob leaves it out, a name that is listed is refused, by the name that is written."""
    tree = {**TREE, "more.c": MORE_C + THREAD}
    with built(tmp_path, recipe(tmp_path / "recipe", tree=tree, products=products(**PREFIXED)), "win_amd64") as result:
        assert result.libraries[0].renamed.keys() == PUBLIC
    listed = products(**PREFIXED, exports=["toy_*", "toy_errno"])
    with pytest.raises(BuildError, match="toy_errno is thread-local"):
        built(tmp_path, recipe(tmp_path / "listed", tree=tree, products=listed), "win_amd64")


def test_openblas_as_its_recipe_exports_it(tmp_path: Path) -> None:
    """All names that numpy and scipy ask of their own OpenBLAS, as the farm's recipe would give them with the keys for
    it: `scipy_dgemm_64_`, `scipy_cblas_dgemm64_`. Each function answers with its number, so none is mixed up."""
    names = (Path(__file__).parent / "data/openblas-names.txt").read_text().split()
    names += ["goto_set_num_threads"]  # which the recipe lists by its name
    library = load_from(ROOT).recipes["openblas"].recipe.products.library[0]
    source = "".join(f"int {name}(void) {{ return {number}; }}\n" for number, name in enumerate(names))
    tree = {**TREE, "more.c": source, "toy.c": "int internal(int a) { return a; }\n"}
    keys = {"exports": library.exports, "symbol_prefix": "scipy_", "symbol_suffix": "64_"}
    loaded = recipe(tmp_path / "recipe", tree=tree, products=products(**keys))
    with built(tmp_path, loaded) as result:
        linked = result.libraries[0]
        assert linked.renamed == {name: f"scipy_{name}64_" for name in names}
        handle = ctypes.CDLL(str(linked.path))
        assert [getattr(handle, f"scipy_{name}64_")() for name in names] == list(range(len(names)))
