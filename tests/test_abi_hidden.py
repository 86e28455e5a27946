"""Breaks that hide: from the headers, from debug information, or from what libabigail makes of that."""

from __future__ import annotations

import contextlib
import shutil
import subprocess
from pathlib import Path

import pytest
from test_abi_measured import compiled

from farm.abi import compare, debug_info, debug_types, library
from farm.abi.text import signature
from farm.binary.elf_file import ElfFile
from farm.errors import BinaryFormatError
from farm.model.abi import Abi, AbiFunction

pytestmark = pytest.mark.skipif(shutil.which("abidw") is None, reason="needs abidw: apt-get install abigail-tools")


@pytest.mark.parametrize(
    ("header", "source", "was", "now", "said"),
    [
        (
            "extern @ names[2];",
            '@ names[2] = {"a", "b"};',
            "const char *",
            "const char *const",
            "const char * const[2]",
        ),
        (
            "#define T(name) t_##name\nextern int T(table)[@];",
            "int t_table[@] = {1};",
            "4",
            "6",
            "was 16 bytes of data, is 24",
        ),
        (
            "extern @ one[2], two[2];",
            '@ one[2] = {1};\nextern @ two[2] __attribute__((weak, alias("one")));',
            "int",
            "float",
            "was `int[2]`, is `float[2]`",
        ),
    ],
    ids=["pointers became constant", "a macro makes its name", "an alias"],
)
def test_data_that_changed(tmp_path: Path, header: str, source: str, was: str, now: str, said: str) -> None:
    old, new = (
        compiled(tmp_path / name, header.replace("@", word), '#include "t.h"\n' + source.replace("@", word))
        for name, word in (("was", was), ("now", now))
    )
    found = compare.compare(old, new)
    assert found.verdict == "breaking", found.changes
    assert said in "\n".join(change.text for change in found.changes)


def test_a_function_that_is_chosen_at_load_time_is_told_as_not_known(tmp_path: Path) -> None:
    """Debug information describes the code that chooses, so whether its type changed cannot be said."""
    source = """
    #include "t.h"
    static TYPE chosen(TYPE a) { return a; }
    static void *choose(void) { return chosen; }
    TYPE t_chosen(TYPE a) __attribute__((ifunc("choose")));
    int t_plain(void) { return 1; }
    """

    def made(type_: str) -> Abi:
        header = f"{type_} t_chosen({type_}); int t_plain(void);"
        return compiled(tmp_path / type_, header, source.replace("TYPE", type_))

    found = compare.compare(made("int"), made("long"))
    assert found.unknown == {"t_chosen"}
    assert found.verdict == "identical"


def test_vtables_and_data_of_cxx_are_public(tmp_path: Path) -> None:
    """No header says their mangled names."""
    header = "struct base { virtual int first(); MORE int a; }; namespace n { extern int table[4]; }\n"
    source = '#include "t.h"\nint base::first() { return a; }\nint n::table[4] = {1};\n'

    def made(name: str, more: str) -> Abi:
        folder = tmp_path / name
        folder.mkdir()
        (folder / "t.h").write_text(header.replace("MORE", more))
        (folder / "t.cc").write_text(source)
        command = ["g++", "-shared", "-fPIC", "-g", "-O1", "-o", str(folder / "t.so"), str(folder / "t.cc")]
        subprocess.run(command, check=True, timeout=60)
        described = library.describe(folder / "t.so", folder, [folder / "t.h"])
        return Abi(recipe="t", release="1", epoch=1, platform="p", abi_class="elf64", libraries={"t": described})

    before = made("before", "")
    assert not any(symbol.private for symbol in before.libraries["t"].symbols)
    found = compare.compare(before, made("after", "virtual int second() { return 1; }"))
    assert ("breaking", "_ZTV4base") in {(change.verdict.value, change.subject) for change in found.changes}


def test_two_versions_of_a_function_have_their_own_aliases(tmp_path: Path) -> None:
    source = """
    int old_f(int a) { return a; }
    long new_f(long a) { return a; }
    __asm__(".symver old_f,f@V1");
    __asm__(".symver new_f,f@@V2");
    """
    (tmp_path / "t.c").write_text(source)
    (tmp_path / "t.map").write_text("V1 {}; V2 {} V1;")
    command = ["gcc", "-shared", "-fPIC", "-g", "-o", "t.so", "t.c", "-Wl,--version-script=t.map"]
    subprocess.run(command, check=True, timeout=60, cwd=tmp_path)
    found = library.describe(tmp_path / "t.so", tmp_path, [])
    assert found.functions["old_f"] == AbiFunction(result="int", parameters=("int",))
    assert found.functions["new_f"] == AbiFunction(result="long int", parameters=("long int",))
    assert {symbol.version for symbol in found.symbols if symbol.name == "f"} == {"V1", "V2"}


@pytest.mark.parametrize(
    ("old", "new", "verdict", "said"),
    [
        (
            "unsigned b : 8; int c;",
            "unsigned b : 16; int c;",
            "breaking",
            "was `unsigned int : 8`, is `unsigned int : 16`",
        ),
        ("unsigned b : 8; int c;", "unsigned char b; int c;", "breaking", "was `unsigned int : 8`, is `unsigned char`"),
        ("_Atomic int b, c;", "_Atomic int c, b;", "breaking", "member b was at byte 4, is at 8"),
        ("int b, c;", "_Atomic int b, c;", "compatible", "member b was `int`, is `volatile int`"),
    ],
)
def test_members_that_libabigail_does_not_tell(tmp_path: Path, old: str, new: str, verdict: str, said: str) -> None:
    header, source = (
        "struct s { int a; @ };\nint t_f(struct s *s);",
        '#include "t.h"\nint t_f(struct s *s) { return s->b; }',
    )
    before, after = (
        compiled(tmp_path / str(n), header.replace("@", text), source) for n, text in enumerate((old, new))
    )
    found = compare.compare(before, after)
    assert found.verdict == verdict, found.changes
    assert said in "\n".join(change.text for change in found.changes)


def test_arguments_of_atomic_types(tmp_path: Path) -> None:
    header, source = "int t_f(_Atomic @ *a);", '#include "t.h"\nint t_f(_Atomic @ *a) { return *a; }'
    before, after = (
        compiled(tmp_path / word, header.replace("@", word), source.replace("@", word)) for word in ("int", "long")
    )
    assert compare.compare(before, after).verdict == "breaking"


FIELDS = (
    "struct s { int a; unsigned first : 8, second : 5; int c; _Bool flag : 1; };\nint f(struct s *s) { return s->a; }"
)


def shared(folder: Path, source: str, *flags: str) -> Path:
    (folder / "t.c").write_text(source)
    command = ["gcc", "-shared", "-fPIC", *flags, "-o", str(folder / "t.so"), str(folder / "t.c")]
    subprocess.run(command, check=True, timeout=60)
    return folder / "t.so"


@pytest.mark.parametrize("version", [3, 4, 5])
def test_bit_fields_in_each_version_of_debug_information(tmp_path: Path, version: int) -> None:
    data = shared(tmp_path, FIELDS, f"-gdwarf-{version}").read_bytes()
    assert debug_info.told(data, "t.so").bit_fields == {
        (16, "first", 32): {8},
        (16, "second", 40): {5},
        (16, "flag", 96): {1},
    }


def test_what_another_file_declares_of_a_function_counts_if_it_can_be_what_is_defined(tmp_path: Path) -> None:
    """C calls a Fortran library as it likes; of LAPACK's functions libabigail keeps now the one, now the other."""
    data = shared(tmp_path, "int f(int *n) { return *n; }\nvoid g(int *n, double x) { *n = x; }", "-g").read_bytes()
    assert debug_info.told(data, "t.so").shapes == {"f": debug_info.Shape(True, 1), "g": debug_info.Shape(False, 2)}
    corpus = b"""<abi-corpus>
      <elf-function-symbols><elf-symbol name='f'/><elf-symbol name='g'/></elf-function-symbols>
      <abi-instr>
        <type-decl name='void' id='v'/><type-decl name='int' id='i'/>
        <function-decl name='f'><parameter type-id='i'/><return type-id='v'/></function-decl>
        <function-decl name='g'><parameter type-id='i'/><parameter type-id='i'/><return type-id='v'/></function-decl>
      </abi-instr></abi-corpus>"""
    found = debug_types.read(corpus, "t.so", told=debug_info.told(data, "t.so"))
    assert found.functions == {"g": AbiFunction(result="void", parameters=("int", "int"))}


def test_structs_that_agree_in_all_but_the_width_of_a_field(tmp_path: Path) -> None:
    source = "".join(f"struct s{n} {{ int a : {n}; }}; int f{n}(struct s{n} *s) {{ return s->a; }}\n" for n in (3, 5))
    assert debug_info.told(shared(tmp_path, source, "-g").read_bytes(), "t.so").bit_fields == {(4, "a", 0): {3, 5}}


def test_debug_information_that_is_compressed_or_damaged_is_refused(tmp_path: Path) -> None:
    with pytest.raises(BinaryFormatError, match="compressed"):
        library.describe(shared(tmp_path, FIELDS, "-g", "-gz"), tmp_path, [])
    with pytest.raises(BinaryFormatError, match="DWARF 2"):
        debug_info.told(shared(tmp_path, FIELDS, "-gdwarf-2").read_bytes(), "t.so")
    data = shared(tmp_path, FIELDS, "-g").read_bytes()
    file = ElfFile(data, "t.so")
    for name in (".debug_info", ".debug_abbrev", ".debug_str"):
        place = file.section(name)
        assert place is not None
        for at in range(place.offset, place.offset + place.size):
            broken = bytearray(data)
            broken[at] = 0xFF
            with contextlib.suppress(BinaryFormatError):
                debug_info.without_atomics(bytes(broken), "t.so")
                debug_info.told(bytes(broken), "t.so")


def test_parameters_of_a_type_are_not_those_of_the_function_before_it(tmp_path: Path) -> None:
    """Of two files, the second of which begins with the type of a callback."""
    callback = "typedef int (*callback)(int, long, char); struct s { callback c; };\n"
    (tmp_path / "a.c").write_text("int first(int a) { return a; }\n")
    (tmp_path / "b.c").write_text(callback + "int second(struct s *s) { return s->c(1, 2, 3); }\n")
    command = ["gcc", "-shared", "-fPIC", "-g", "-o", "t.so", "a.c", "b.c"]
    subprocess.run(command, check=True, timeout=60, cwd=tmp_path)
    found = debug_info.told((tmp_path / "t.so").read_bytes(), "t.so").shapes
    assert {name: shape.parameters for name, shape in found.items()} == {"first": 1, "second": 1}


THEIRS = """
typedef struct { int size; long *limbs; } z_struct;
typedef struct { z_struct num, den; } q_struct;
typedef union { int number; void *at; } one;
union other { int number; long more; };
"""
OURS = """
#include "theirs.h"
typedef struct { int kind; union other in; } holder;
int t_z(z_struct *); int t_q(const q_struct *); int t_one(one *, int); int t_held(holder *);
union other *t_other(union other);
"""
OURS_C = """
#include "ours.h"
int t_z(z_struct *z) { return z->size; }
int t_q(const q_struct *q) { return q->num.size; }
int t_one(one *o, int n) { return o->number + n; }
int t_held(holder *h) { return h->kind; }
union other *t_other(union other o) { return o.more ? 0 : (union other *)1; }
"""


def test_types_of_another_library_keep_their_names(tmp_path: Path) -> None:
    """They are opaque; libabigail takes all structs without a tag for one then, and leaves out what is a union."""
    (tmp_path / "theirs").mkdir()
    (tmp_path / "include").mkdir()
    (tmp_path / "theirs" / "theirs.h").write_text(THEIRS)
    (tmp_path / "include" / "ours.h").write_text(OURS)
    folders = [f"-I{tmp_path / name}" for name in ("theirs", "include")]
    found = library.describe(
        shared(tmp_path, OURS_C, *folders, "-g"), tmp_path / "include", [tmp_path / "include" / "ours.h"]
    )
    assert {name: signature(function) for name, function in found.functions.items()} == {
        "t_z": "int (struct z_struct *)",
        "t_q": "int (const struct q_struct *)",
        "t_one": "int (union one *, int)",
        "t_held": "int (struct holder *)",
        "t_other": "union other * (union other)",
    }
    assert list(found.types) == ["struct holder"]
    assert [member.type for member in found.types["struct holder"].members] == ["int", "union other"]
