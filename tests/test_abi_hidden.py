"""Breaks that hide: from the headers, from debug information, or from what libabigail makes of that."""

from __future__ import annotations

import shutil
import subprocess
from pathlib import Path

import pytest
from test_abi_measured import compiled

from farm.abi import compare, library
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
