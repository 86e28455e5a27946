"""ABIs as text: what is written is read back, equal ABIs give equal texts, and faults are told with their line."""

from __future__ import annotations

import string
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from farm.abi import header_text, parse, text
from farm.errors import CatalogError
from farm.model.abi import Abi, AbiFunction, AbiLibrary, AbiMember, AbiSymbol, AbiType
from farm.model.mangling import Mangling

HEAD = "abi 1\nrecipe t\nrelease 1\nepoch 1\nplatform p\nclass elf64\n"
NAMES = st.text(string.ascii_letters + string.digits + "_", min_size=1, max_size=8)
TYPES = st.sampled_from(
    [
        "int",
        "const char *",
        "struct s",
        "enum e",
        "void * (unsigned long int) *",
        "double[3]",
        "int (int (void) *, ...) *",
    ]
)
FUNCTIONS = st.builds(
    AbiFunction, result=TYPES, parameters=st.lists(TYPES, max_size=4).map(tuple), variadic=st.booleans()
)
SYMBOLS = st.builds(
    AbiSymbol,
    name=NAMES,
    version=st.sampled_from(["", "T_1.0"]),
    kind=st.sampled_from(["func", "object", "tls"]),
    size=st.integers(0, 10**6),
    private=st.booleans(),
)
RECORDS = st.builds(
    AbiType,
    size=st.integers(0, 4096),
    members=st.lists(
        st.builds(
            AbiMember,
            name=st.one_of(NAMES, st.just("")),
            type=st.one_of(TYPES, st.just("enum e : 3")),
            offset=st.integers(0, 999),
        ),
        max_size=3,
    ).map(tuple),
)
ENUMS = st.builds(AbiType, size=st.just(4), values=st.dictionaries(NAMES, st.integers(-9, 9), max_size=3))
LIBRARIES = st.builds(
    AbiLibrary,
    symbols=st.lists(SYMBOLS, max_size=4, unique_by=lambda s: (s.name, s.version)).map(lambda s: tuple(sorted(s))),
    functions=st.dictionaries(NAMES, FUNCTIONS, max_size=3),
    variables=st.dictionaries(NAMES, TYPES, max_size=3),
    types=st.one_of(
        st.dictionaries(NAMES.map("struct {}".format), RECORDS, max_size=2),
        st.dictionaries(NAMES.map("enum {}".format), ENUMS, max_size=2),
    ),
    typed=st.booleans(),
)
ABIS = st.builds(
    Abi,
    recipe=NAMES,
    release=st.sampled_from(["1.0", "6.2.1+ds"]),
    epoch=st.integers(1, 99),
    platform=st.sampled_from(["win32", "manylinux_2_17_x86_64"]),
    abi_class=st.sampled_from(["elf64", "pe32"]),
    libraries=st.dictionaries(NAMES, LIBRARIES, min_size=1, max_size=2),
    headers=st.dictionaries(
        NAMES.map("x/{}.h".format), st.dictionaries(NAMES, st.sampled_from(["1", "(-5)", '"a = b"']), max_size=2)
    ),
)


@settings(deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(ABIS)
def test_what_is_written_is_read_back(abi: Abi) -> None:
    written = text.write(abi)
    again = parse.read(written, "t.abi")
    assert again == abi
    assert text.write(again) == written


@pytest.mark.parametrize(
    ("content", "line", "why"),
    [
        ("", 1, "is not `abi ...`"),
        ("abi 2\nrecipe t\n", 1, "is of format '2'"),
        ("abi 1\nrecipe t\nrelease 1\n", 3, "is not `epoch ...`"),
        ("abi 1\nrecipe t\nrelease 1\nepoch x\nplatform p\nclass elf64\n", 6, "has 'x' for an epoch"),
        (HEAD, 6, "ends without a library"),
        (HEAD + "library t type\n", 7, "is not complete"),
        (HEAD + "library t\nlibrary t\n", 8, "is not complete, or is there twice"),
        (HEAD + "library t\nsymbol f banana\n", 8, "is not complete"),
        (HEAD + "library t\nsymbol f object size=4\nsymbol f object size=8\n", 9, "is not complete, or is there twice"),
        (HEAD + "header t.h\n  SIZE = 4\n  SIZE = 8\nlibrary t\n", 9, "is not complete, or is there twice"),
        (HEAD + "library t\ntype enum e 4\n  A = 1\n  A = 2\n", 10, "is not complete, or is there twice"),
        (HEAD + "library t\nsymbol f object size=-4\n", 8, "is not complete"),
        ("abi 1\nrecipe t\nrelease 1\nepoch 1\nplatform p\nclass elf64\n<<<<<<< HEAD\n", 7, "begins with '<<<<<<<'"),
        ("abi 1\nrecipe t\nrelease 1\nepoch 1\nplatform p\nclass elf64\nsymbol f func\n", 7, "is not complete"),
        ("abi 1\nrecipe t\nrelease 1\nepoch 1\nplatform p\nclass elf64\nlibrary t\nsymbol f\n", 8, "is not complete"),
        (
            "abi 1\nrecipe t\nrelease 1\nepoch 1\nplatform p\nclass elf64\nlibrary t\ntype struct s big\n",
            8,
            "is not complete",
        ),
        (
            "abi 1\nrecipe t\nrelease 1\nepoch 1\nplatform p\nclass elf64\nlibrary t\nfunction f : int\n",
            8,
            "is not complete",
        ),
    ],
)
def test_faults_have_a_line(content: str, line: int, why: str) -> None:
    with pytest.raises(CatalogError) as caught:
        parse.read(content, "t.abi")
    assert f"t.abi:{line}: {why}" in str(caught.value)


def test_macros_that_programs_carry_in_them(tmp_path: Path) -> None:
    (tmp_path / "t.h").write_text(
        '#define SIZE 4 /* bytes */\n# define NAME "t"\n#define BOTH 1\n#define BOTH 2\n#define CALL(x) f(x)\n'
        '#define OTHER SIZE\n#define LINE 7 // a line\n#define AT "file://x"\n'
        "#define MINUS (-1)\n#define LONG \\\n  0x10UL\n#define BIT (1 << 4)\n#define ALL (BIT|SIZE  )\n"
        "#define NONE ((unsigned int) -1)\n#define API extern\n#define HALF 0.5f\n#define CALLED f(1)\n"
        "#ifdef _WIN32\n#define WIDE 2\n#else\n#define WIDE sizeof(wchar_t)\n#endif\n"
    )
    found = header_text.constants_of(tmp_path, [tmp_path / "t.h"])
    assert found["t.h"] == {
        "ALL": "(BIT|SIZE )",
        "AT": '"file://x"',
        "BIT": "(1 << 4)",
        "BOTH": "1 | 2",
        "HALF": "0.5f",
        "LINE": "7",
        "LONG": "0x10UL",
        "MINUS": "(-1)",
        "NAME": '"t"',
        "NONE": "((unsigned int) -1)",
        "OTHER": "SIZE",
        "SIZE": "4",
        "WIDE": "2",
    }


def test_constants_of_enumerations_that_programs_carry_in_them(tmp_path: Path) -> None:
    (tmp_path / "t.h").write_text(
        "enum level { LOW, HIGH = 0x10, /* not, these */ TOP, // nor this,\n  BIT = 1 << 3, BELOW = (-4), AFTER };\n"
        "typedef enum { OCTAL = 010, SAME = LOW, UNKNOWN, CALLED(x), KNOWN = 7 } kind;\n"
        "enum some {\n#ifdef MORE\n  MORE_OF_IT,\n#endif\n  LAST };\nenum level f(int a) { return LOW; }\n"
    )
    found = header_text.constants_of(tmp_path, [tmp_path / "t.h"])["t.h"]
    assert found == {
        "LOW": "0",
        "HIGH": "16",
        "TOP": "17",
        "BIT": "8",
        "BELOW": "-4",
        "AFTER": "-3",
        "OCTAL": "8",
        "KNOWN": "7",
    }


def test_names_that_macros_put_together(tmp_path: Path) -> None:
    (tmp_path / "t.h").write_text(
        "#define T(name) t_ ## name\n#define TABLE(x) x##_table\n#define JOIN(a, b) a##_##b\n"
        "extern int T(size), TABLE(prime), plain;\n"
    )
    named = header_text.names_in([tmp_path / "t.h"])
    assert all(name in named for name in ("t_size", "prime_table", "plain"))
    assert not any(name in named for name in ("_private", "private_", "x_size", "at_all"))
    mangled = named.under(Mangling(prefix="my_", suffix="64"))
    assert all(name in mangled for name in ("my_t_size64", "my_prime_table64", "my_plain64"))
    assert "plain" not in mangled
