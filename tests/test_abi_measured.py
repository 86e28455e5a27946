"""ABIs of really compiled libraries: what libabigail finds becomes our words, and planted breaks are found."""

from __future__ import annotations

import shutil
import subprocess
from dataclasses import dataclass, replace
from pathlib import Path

import pytest
from build_factory import PLATFORM, settings, step, tiny, toolchain

from farm import measure
from farm.abi import compare, library, text
from farm.abi.debug_types import read
from farm.build import enter, workspace
from farm.build.library import build_library
from farm.catalog import Catalog
from farm.errors import BinaryFormatError, BuildError
from farm.model.abi import Abi, AbiFunction, AbiMember

pytestmark = pytest.mark.skipif(shutil.which("abidw") is None, reason="needs abidw: apt-get install abigail-tools")

HEADER = """
#define T_VERSION 1
enum level { LOW, HIGH };
typedef struct { int re, im; } pair;
struct hidden;
struct stream {
  const char *next;
  unsigned left : 3, right : 5;
  union { int number; pair both; } value;
  struct hidden *state;
};
extern const int t_table[4];
struct stream *t_open(const char *name, enum level level);
int t_close(struct stream *s);
pair t_pair(int n, ...);
void t_call(int (*callback)(void *, pair *), void *data);
"""
SOURCE = """
#include <stdlib.h>
#include "t.h"
struct hidden { int a; };
const int t_table[4] = {1, 2, 3, 4};
int t_internal_table[8] = {1};
struct stream *t_open(const char *name, enum level level) {
  struct stream *s = calloc(1, sizeof *s);
  s->next = name; s->left = level; s->state = malloc(sizeof(struct hidden)); return s;
}
int t_close(struct stream *s) { free(s->state); free(s); return 0; }
pair t_pair(int n, ...) { pair p = {n, n}; return p; }
void t_call(int (*callback)(void *, pair *), void *data) { pair p = {1, 2}; callback(data, &p); }
int t_more(void) __attribute__((alias("t_end")));
int t_end(void) { return t_internal_table[0]; }
"""


def compiled(folder: Path, header: str = HEADER, source: str = SOURCE) -> Abi:
    folder.mkdir()
    (folder / "t.h").write_text(header)
    (folder / "t.c").write_text(source)
    command = ["gcc", "-shared", "-fPIC", "-g", "-O1", "-w", "-o", str(folder / "t.so"), str(folder / "t.c")]
    subprocess.run(command, check=True, timeout=60)
    found = library.describe(folder / "t.so", folder, [folder / "t.h"])
    return Abi(recipe="t", release="1", epoch=1, platform="p", abi_class="elf64", libraries={"t": found})


@pytest.fixture(scope="module")
def base(tmp_path_factory: pytest.TempPathFactory) -> Abi:
    return compiled(tmp_path_factory.mktemp("abi") / "base")


def test_types_in_words(base: Abi) -> None:
    found = base.libraries["t"]
    assert found.functions["t_open"] == AbiFunction(result="struct stream *", parameters=("const char *", "enum level"))
    assert found.functions["t_pair"] == AbiFunction(result="struct pair", parameters=("int",), variadic=True)
    assert found.functions["t_call"].parameters == ("int (void *, struct pair *) *", "void *")
    assert found.functions["t_more"] == found.functions["t_end"]
    assert found.variables["t_table"] == "const int[4]"
    assert found.types["enum level"].values == {"LOW": 0, "HIGH": 1}
    stream = found.types["struct stream"]
    assert stream.size == 32
    assert stream.members[:3] == (
        AbiMember(name="next", type="const char *"),
        AbiMember(name="left", type="unsigned int : 3", offset=64),
        AbiMember(name="right", type="unsigned int : 5", offset=67),
    )
    assert stream.members[3].type == "union stream.value"
    assert found.types["union stream.value"].members[1].type == "struct pair"
    assert stream.members[4].type == "struct hidden *"
    assert "struct hidden" not in found.types, "what no header defines is private"


def test_data_that_no_header_names_is_private(base: Abi) -> None:
    facts = {symbol.name: (symbol.size, symbol.private) for symbol in base.libraries["t"].symbols if symbol.size}
    assert facts == {"t_table": (16, False), "t_internal_table": (32, True)}


def test_the_same_source_gives_the_same_text(tmp_path: Path, base: Abi) -> None:
    assert text.write(compiled(tmp_path / "elsewhere")) == text.write(base)


@dataclass(frozen=True)
class Planted:
    """A change of the header (or the source, if it does not hold the text), and what must be said about it."""

    old: str
    new: str
    verdict: str
    said: str


PLANTED = (
    Planted("  const char *next;", "  const char *next; long more;", "breaking", "member more is new, at byte 8"),
    Planted("{ LOW, HIGH }", "{ LOW, MIDDLE, HIGH }", "breaking", "HIGH was 1, is 2"),
    Planted("{ LOW, HIGH }", "{ LOW, HIGH, TOP }", "compatible", "TOP = 2 is new"),
    Planted("int re, im", "double re, im", "breaking", "member re was `int`, is `double`"),
    Planted(
        "int t_close(struct stream *s)",
        "int t_close(struct stream *s, int now)",
        "breaking",
        "took 1 argument, takes 2",
    ),
    Planted("(const char *name", "(char *name", "compatible", "differs in qualifiers"),
    Planted("t_table[4]", "t_table[6]", "breaking", "was 16 bytes of data, is 24"),
    Planted("t_internal_table[8]", "t_internal_table[9]", "compatible", "no header names it"),
    Planted("struct hidden { int a; }", "struct hidden { int a, b; }", "identical", ""),
    Planted("pair t_pair(int n, ...)", "pair t_pair2(int n, ...)", "breaking", "is gone"),
    Planted(
        "unsigned left : 3, right : 5", "unsigned left : 4, right : 4", "breaking", "right was at byte 8.3, is at 8.4"
    ),
    Planted("int number; pair both;", "long number; pair both;", "breaking", "member number was `int`, is `long int`"),
)


@pytest.mark.parametrize("planted", PLANTED, ids=lambda p: p.new)
def test_planted_changes(tmp_path: Path, base: Abi, planted: Planted) -> None:
    header, source = (t.replace(planted.old, planted.new) for t in (HEADER, SOURCE))
    found = compare.compare(base, compiled(tmp_path / "new", header, source))
    assert found.verdict == planted.verdict
    assert planted.said in "\n".join(change.text for change in found.changes)


NAMELESS = """
typedef struct { int a; } *first;
typedef struct { int b; } *second;
struct version { char level; };
extern int level;
extern int limit;
int two(first f, second s);
int other(struct version *v);
"""
NAMELESS_SOURCE = """
#include "t.h"
int level, limit;
int two(first f, second s) { return f->a + s->b; }
int other(struct version *v) { return v->level; }
"""


@pytest.mark.parametrize(
    ("old", "new", "verdict"),
    [
        ("{ int a; } *first", "{ int a, c; } *first", "breaking"),
        ("{ int b; } *second", "{ int b, c; } *second", "breaking"),
        ("extern int level", "extern float level", "breaking"),
        ("extern int limit", "extern const int limit", "breaking"),
        ("int other(", "int before(void); int other(", "identical"),
    ],
)
def test_types_without_a_name_and_data_named_like_members(tmp_path: Path, old: str, new: str, verdict: str) -> None:
    source = NAMELESS_SOURCE
    if "level" in old or "limit" in old:
        source = source.replace(
            "int level, limit;", f"{new.removeprefix('extern ')} = 1;\nint {'limit' if 'level' in old else 'level'};"
        )
    before = compiled(tmp_path / "before", NAMELESS, NAMELESS_SOURCE)
    found = compare.compare(before, compiled(tmp_path / "after", NAMELESS.replace(old, new), source))
    assert found.verdict == verdict, found.changes


def test_long_chains_and_large_libraries(tmp_path: Path) -> None:
    chain = "".join(f"struct s{n} {{ struct s{n + 1} *next; }};\n" for n in range(400))
    many = "".join(f"int f{n}(struct s0 *first_argument, unsigned long second_argument);\n" for n in range(2000))
    source = '#include "t.h"\n' + "".join(
        f"int f{n}(struct s0 *first_argument, unsigned long second_argument) {{ return {n}; }}\n" for n in range(2000)
    )
    found = compiled(tmp_path / "large", chain + many, source).libraries["t"]
    assert len(found.functions) == 2000
    assert len(found.types) == 400


def test_without_debug_information_types_are_not_known(tmp_path: Path, base: Abi) -> None:
    (tmp_path / "t.c").write_text("int f(void) { return 1; }")
    subprocess.run(["gcc", "-shared", "-o", tmp_path / "t.so", tmp_path / "t.c"], check=True, timeout=60)
    with pytest.raises(BinaryFormatError, match="has no debug information"):
        library.describe(tmp_path / "t.so", tmp_path, [])
    known = base.libraries["t"]
    fewer = {name: f for name, f in known.functions.items() if name != "t_close"}
    assembly = replace(base, libraries={"t": replace(known, functions=fewer)})
    found = compare.compare(base, assembly)
    assert ("breaking", "t_close") in {(c.verdict.value, c.subject) for c in found.changes}


def test_output_that_is_no_corpus() -> None:
    for xml in (b"", b"<abi-corpus", b"<html/>", b"<abi-corpus><elf-symbol/></abi-corpus>"):
        with pytest.raises(BinaryFormatError, match="no corpus"):
            read(xml, "t.so")


def test_a_recipe_is_measured_once(tmp_path: Path) -> None:
    product = {"name": "tiny", "archive": "lib/libtiny.a", "exports": ["tiny_*"]}
    recipe = tiny(tmp_path / "recipes/tiny", products={"library": [product], "headers": ["tiny.h"]})
    loaded = Catalog(
        root=tmp_path, recipes={"tiny": recipe}, toolchains={PLATFORM: toolchain()}, providers={"tiny": "tiny"}
    )
    phases: list[str] = []
    first = measure.measured(step(recipe), loaded, {}, settings(tmp_path), tmp_path / "log", phases.append)
    assert phases[-1] == "abi"
    assert first.libraries["tiny"].functions["tiny_next"] == AbiFunction(result="int", parameters=("int",))
    assert first.headers == {"tiny.h": {}}
    phases.clear()
    (kept,) = settings(tmp_path).abi.iterdir()
    for damage in (b"", b"abi 1\nrecipe t\n", b"\xff"):
        kept.write_bytes(damage)
        again = measure.measured(step(recipe), loaded, {}, settings(tmp_path), tmp_path / "log", phases.append)
        assert (again, phases[-1]) == (first, "abi")
    phases.clear()
    again = measure.measured(step(recipe), loaded, {}, settings(tmp_path), tmp_path / "log", phases.append)
    assert (again, phases) == (first, [])


def test_measuring_leaves_what_the_last_build_left(tmp_path: Path) -> None:
    """A step's own failed build waits for a person; the build with debug information that ABIs are read from, and that
    may fail as well, is made elsewhere."""
    recipe = tiny(
        tmp_path / "recipes/tiny",
        products={
            "library": [{"name": "tiny", "archive": "lib/libtiny.a", "exports": ["tiny_*"]}],
            "headers": ["tiny.h"],
        },
    )
    loaded = Catalog(
        root=tmp_path, recipes={"tiny": recipe}, toolchains={PLATFORM: toolchain()}, providers={"tiny": "tiny"}
    )
    at, made = settings(tmp_path), step(recipe)
    broken = tiny(tmp_path / "broken/tiny", build={"system": "script", "script": "echo half > $SOURCE/half; exit 1"})
    with pytest.raises(BuildError):
        build_library(made, broken, toolchain(), {}, at, tmp_path / "log", lambda phase: None)
    half = workspace.location(at, made.id) / "build" / "src" / "half"
    assert half.is_file()
    measure.measured(made, loaded, {}, at, tmp_path / "log", lambda phase: None)
    assert half.is_file()
    assert enter.kept(at, made.id) == [made.id]
    with pytest.raises(BuildError, match=rf"farm shell {made.id}\.debug"):
        build_library(made, broken, toolchain(), {}, at, tmp_path / "log", lambda phase: None, debug=True)
    assert half.is_file()
    assert enter.kept(at, made.id) == [made.id]
    assert enter.kept(at, "tiny") == [made.id, f"{made.id}.debug"]
    shutil.rmtree(workspace.location(at, made.id))
    assert enter.kept(at, made.id) == [f"{made.id}.debug"]
