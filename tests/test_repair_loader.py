"""The loader goes after docstring and `from __future__`, once, and leaves every other line alone."""

from __future__ import annotations

import ast

import pytest
from hypothesis import given
from hypothesis import strategies as st

from farm.errors import BinaryFormatError
from farm.repair import loader
from farm.repair.bounds import Need

LINE = "from . import _native_libs  # added by `farm repair`\n"
NEED = Need(distribution="native-gmp", import_name="native_gmp", lower="10!6.3.0", upper="11!0")


@pytest.mark.parametrize(
    ("before", "after"),
    [
        ("", LINE),
        ("x = 1\n", LINE + "x = 1\n"),
        ("x = 1", LINE + "x = 1"),
        ('"""Doc."""', '"""Doc."""\n' + LINE),
        ('"""Doc.\n\nMore."""\nx = 1\n', '"""Doc.\n\nMore."""\n' + LINE + "x = 1\n"),
        ('#!/bin/sh\n# coding: utf-8\n\n"Doc"\nx\n', '#!/bin/sh\n# coding: utf-8\n\n"Doc"\n' + LINE + "x\n"),
        ("# only\n# comments\n", "# only\n# comments\n" + LINE),
        (
            "'a' \\\n 'b'\nfrom __future__ import (\n  annotations,\n)\n\nx\n",
            "'a' \\\n 'b'\nfrom __future__ import (\n  annotations,\n)\n" + LINE + "\nx\n",
        ),
        ("('doc')\nx\n", "('doc')\n" + LINE + "x\n"),
        ('"d"; import os; x\n', '"d"\n' + LINE + "import os; x\n"),
        ("from __future__ import division; import os\n", "from __future__ import division\n" + LINE + "import os\n"),
        ("from __future__ import a; 'x'", "from __future__ import a\n" + LINE + "'x'"),
        ('"d";\nx\n', '"d"\n' + LINE + "x\n"),
        ("'d'  # c\nx\n", "'d'  # c\n" + LINE + "x\n"),
        ("# c\nimport a\n'no doc'\n", "# c\n" + LINE + "import a\n'no doc'\n"),
        ("def f():\n    pass\n", LINE + "def f():\n    pass\n"),
        ("type X = int\nmatch = t'{x}'\n", LINE + "type X = int\nmatch = t'{x}'\n"),  # newer than this Python
    ],
)  # fmt: skip
def test_place(before: str, after: str) -> None:
    once = loader.inject(before.encode(), "_native_libs", "x")
    assert once.decode() == after
    assert loader.inject(once, "_native_libs", "x") == once


def test_line_ends_and_encodings_stay() -> None:
    assert loader.inject(b'"d"\r\nx\r\n', "m", "x").split(b"\r\n")[::2] == [b'"d"', b"x"]
    bom = b'\xef\xbb\xbf"\xc3\xa4"; x\n'
    assert loader.inject(bom, "m", "x").startswith(b'\xef\xbb\xbf"\xc3\xa4"\nfrom . import m')
    latin = b"# coding: latin-1\n'\xe4'; x\n"
    result = loader.inject(latin, "m", "x")
    assert result.startswith(b"# coding: latin-1\n'\xe4'\nfrom . import m")
    assert loader.inject(result, "m", "x") == result


def test_what_is_not_python_is_refused() -> None:
    for source in (b"'''never closed\n", b"# coding: no-such-code\nx\n", b"'\xff\xfe'\n"):
        with pytest.raises(BinaryFormatError, match=r"pkg/__init__\.py"):
            loader.inject(source, "m", "pkg/__init__.py")


@given(
    st.lists(
        st.sampled_from(
            [
                "# comment",
                "",
                '"""doc"""',
                "'a'; 'b'",
                "from __future__ import annotations",
                "import os",
                "x = '''\n'''",
            ]
        ),
        max_size=6,
    ),
    st.sampled_from(["\n", "\r\n"]),
    st.booleans(),
)
def test_meaning_is_kept(lines: list[str], newline: str, final: bool) -> None:
    text = "\n".join(lines) + "\n" * final
    try:
        compile(text, "x", "exec")
    except SyntaxError:
        return  # a `from __future__` too late
    before = ast.parse(text)
    source = text.replace("\n", newline).encode()
    once = loader.inject(source, "_native_libs", "x")
    assert loader.inject(once, "_native_libs", "x") == once
    after = compile(once, "x", "exec")  # `from __future__` is still at the head
    assert after is not None
    tree = ast.parse(once)
    ours = [n for n in tree.body if isinstance(n, ast.ImportFrom) and n.level == 1]
    assert len(ours) == 1
    tree.body.remove(ours[0])
    assert ast.dump(tree) == ast.dump(before)
    assert ast.get_docstring(ast.parse(once)) == ast.get_docstring(before)


def test_module_reads_in_old_pythons_and_is_recognised() -> None:
    source = loader.module_source("gmpy2", "2.3.2", [NEED])
    ast.parse(source, feature_version=(3, 7))
    assert loader.is_ours(source)
    assert not loader.is_ours(b'"""Something else."""\n')


@pytest.mark.parametrize(
    ("version", "fits"),
    [
        ("10!6.3.0", True), ("10!6.3", True), ("10!6.3.0.post1", True), ("10!6.10.0", True), ("10!6.2.1", False),
        ("11!6.3.0", False), ("9!7.0", False), ("6.3.0", False),
    ],
)  # fmt: skip
def test_versions_are_compared_as_pip_does(version: str, fits: bool) -> None:
    space: dict[str, object] = {}
    exec(loader.module_source("p", "1", []), space)
    parse = space["_parse"]
    assert callable(parse)
    assert (parse("10!6.3.0") <= parse(version) < parse("11!0")) is fits
