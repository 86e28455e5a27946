"""Writes a guessed recipe as text: recipe.toml with comments on what to check, and a smoke test."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping, Sequence

from farm.catalog.facts import Library
from farm.catalog.scaffold import Guess


def recipe(
    guess: Guess, *, url: str, sha256: str, hosts: Sequence[str] = (), unknown: Sequence[str] = (), smoke: str = ""
) -> str:
    """The text of recipe.toml. `hosts` are required recipes; `unknown` names that no recipe in the catalog provides."""
    parts = [
        *_comment([f"Made by `farm recipe new` from {url}: a first guess. Then: farm build {guess.name}"]),
        *_comment(f"CHECK: {doubt}" for doubt in guess.doubts),
        *_comment(f"CHECK: it seems to need {name!r}, which no recipe provides" for name in unknown),
        *_pairs(
            format=1,
            name=guess.name,
            kind=guess.kind,
            summary=guess.summary,
            license=guess.license,
            license_files=guess.license_files,
            homepage=guess.homepage,
        ),
        "",
        "[[release]]",
        *_pairs(version=guess.version),
        "[[release.source]]",
        f"location = [{{ url = {toml_value(url)}, sha256 = {toml_value(sha256)} }}]",
    ]
    if hosts or guess.tools:
        parts += ["", "[requires]", *_pairs(tools=guess.tools, host=hosts)]
    parts += ["", "[build]", *_pairs(system=guess.system, prepare=guess.prepare, args=guess.args)]
    if guess.kind == "library":
        parts += ["", "[products]", *_pairs(headers=guess.headers)]
        for library in guess.libraries:
            parts += _library(library, guess)
        parts += [
            "",
            "[abi]",
            "# Of releases that say no `abi_epoch` of their own.",
            "epoch = 1",
        ]
    else:
        parts += ["", "[products]", *_pairs(imports=(guess.name.replace("-", "_"),))]
    if smoke:
        parts += ["", "[tests]", *_pairs(smoke=smoke)]
    return "\n".join([*parts, ""])


def smoke_c(guess: Guess) -> str:
    """A smoke test that includes the main header and, where one was found, calls a function."""
    lines = ["/* CHECK: call something that proves the library works, and return 0 only if it does. */"]
    if guess.probe:
        lines.append("#include <stdio.h>")
    lines += [f"#include <{guess.main_header}>", "", "int main(void)", "{"]
    lines += [f'    printf("%s\\n", {guess.probe}());'] if guess.probe else []
    return "\n".join([*lines, "    return 0;", "}", ""])


def _library(library: Library, guess: Guess) -> list[str]:
    own = library.pkgconfig if library.pkgconfig != library.name else ""
    return [
        "",
        "[[products.library]]",
        *_pairs(name=library.name, archive=f"lib/lib{library.name}.a"),
        "# CHECK: globs of the public symbols; '*' takes all, also those that other libraries may define, too.",
        *_pairs(exports=("*",), system=guess.system_libraries, pkgconfig=own),
    ]


def _comment(lines: Iterable[str]) -> list[str]:
    return [f"# {' '.join(line.split())}" for line in lines]


def _pairs(**values: object) -> list[str]:
    return [f"{key} = {toml_value(value)}" for key, value in values.items() if value not in ("", (), [], None)]


def toml_value(value: object) -> str:
    """A TOML value; JSON's strings are TOML's basic strings but for DEL, which TOML wants escaped."""
    if isinstance(value, str):
        return json.dumps(value, ensure_ascii=False).replace("\x7f", "\\u007f")
    if isinstance(value, Mapping):
        return f"{{ {', '.join(f'{key} = {toml_value(item)}' for key, item in value.items())} }}"
    if isinstance(value, list | tuple):
        return f"[{', '.join(toml_value(item) for item in value)}]"
    return json.dumps(value)
