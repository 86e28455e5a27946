"""Filling in the files of `farm/wheel/templates`."""

from __future__ import annotations

import re
from collections.abc import Mapping
from importlib import resources

_PLACE = re.compile(r"@([A-Z_]+)@")
_FACTS = re.compile(r"(?<=# facts: begin\n).*?(?=# facts: end\n)", re.DOTALL)
_DOCSTRING = '"""A native library."""'
_TYPES = {str: "str", int: "int", tuple: "tuple[str, ...]"}
_REQUIRES_TYPE = "tuple[tuple[str, str, str, str], ...]"


def read(name: str) -> str:
    """A template by its path below the templates directory."""
    return resources.files("farm.wheel").joinpath("templates", *name.split("/")).read_text("utf-8")


def fill(name: str, values: Mapping[str, str]) -> str:
    """The text template `name` with every ``@NAME@`` replaced; a name without a value is a KeyError."""
    return _PLACE.sub(lambda found: values[found[1]], read(name))


def package_init(docstring: str, facts: Mapping[str, str | int | tuple[object, ...]]) -> str:
    """``__init__.py`` of a native package: the template with its facts and docstring."""
    lines = "".join(f"{name}: {_type(name, value)} = {_literal(value)}\n" for name, value in facts.items())
    source = read("package/__init__.py")
    if source.count(_DOCSTRING) != 1 or len(_FACTS.findall(source)) != 1:
        raise AssertionError("templates/package/__init__.py has lost its docstring or its facts block")
    safe = docstring.replace("\\", " ").replace('"', "'")
    return _FACTS.sub(lambda _: lines, source.replace(_DOCSTRING, f'"""{safe}"""'))


def _type(name: str, value: object) -> str:
    return _REQUIRES_TYPE if name == "_REQUIRES" else _TYPES[type(value)]


def _literal(value: object) -> str:
    """As the formatter would write it: double quotes."""
    if isinstance(value, tuple):
        inside = ", ".join(_literal(item) for item in value)
        return f"({inside},)" if len(value) == 1 else f"({inside})"
    if isinstance(value, str):
        import json

        return json.dumps(value, ensure_ascii=False)
    return repr(value)
