"""docs/recipe-reference.md and the JSON Schemas, made from the model: `python -m farm.catalog.reference [DIR]`."""

from __future__ import annotations

import inspect
import json
import os
import sys
import tempfile
import types
import typing
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from annotated_types import Ge, Le
from pydantic import BaseModel
from pydantic.fields import FieldInfo

from farm.catalog.faults import table_in
from farm.model.python import Python
from farm.model.recipe import Recipe
from farm.model.sysroot import Sysroot
from farm.model.toolchain import Toolchain

DOCS = Path(__file__).parent.parent.parent / "docs"

_FILES: Mapping[str, tuple[str, type[BaseModel]]] = {
    "recipe": ("`recipes/<name>/recipe.toml`", Recipe),
    "toolchain": ("`toolchains/<platform>.toml`", Toolchain),
    "python": ("`toolchains/pythons/<tag>.toml`", Python),
    "sysroot": ("`toolchains/sysroots/<name>.toml`", Sysroot),
}
"""Name of a schema -> the files it is of, and their model."""

_HEAD = """# Recipe and toolchain reference

Generated from `farm/model/` by `python -m farm.catalog.reference`; do not edit. How to write a recipe is told in
[recipes.md](recipes.md), what the files below `toolchains/` do in [toolchains.md](toolchains.md) and
[pythons.md](pythons.md). Editors read the schemas beside this file: `recipe.schema.json`, `toolchain.schema.json`,
`python.schema.json`, `sysroot.schema.json`.

Unknown keys are errors. `farm recipe lint` shows every fault of the catalog at once.
"""


def schema(name: str) -> dict[str, Any]:
    """The JSON Schema of one kind of file: ``recipe``, ``toolchain``, ``python``, ``sysroot``."""
    return {"$schema": "https://json-schema.org/draft/2020-12/schema", **_FILES[name][1].model_json_schema()}


def markdown() -> str:
    """The reference: one section per table."""
    parts = [_HEAD]
    for title, model in _FILES.values():
        parts.append(f"## {title}\n")
        parts += [_section(path, table) for path, table in _tables(model)]
    return "\n".join(parts)


def files() -> dict[str, str]:
    """File name -> text of everything that is generated."""
    return {"recipe-reference.md": markdown(), **{f"{name}.schema.json": _json(schema(name)) for name in _FILES}}


def write(docs: Path) -> list[Path]:
    """Write what differs; returns the files that changed."""
    changed = []
    for name, text in files().items():
        path = docs / name
        if not path.is_file() or path.read_text("utf-8") != text:
            _replace(path, text)
            changed.append(path)
    return changed


def _json(value: object) -> str:
    return json.dumps(value, indent=2, ensure_ascii=False) + "\n"


def _replace(path: Path, text: str) -> None:
    handle, temporary = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}.")
    with os.fdopen(handle, "w", encoding="utf-8") as stream:
        stream.write(text)
        stream.flush()
        os.fsync(stream.fileno())
    place = Path(temporary)
    place.chmod(0o644)
    place.replace(path)


def _tables(model: type[BaseModel]) -> list[tuple[str, type[BaseModel]]]:
    """Every table of a file with its path as it is written in TOML, in the order of the fields."""
    found: list[tuple[str, type[BaseModel]]] = [("", model)]
    for path, table in found:  # grows while it is walked
        for name, field in table.model_fields.items():
            inner = table_in(field.annotation)
            if inner is not None:
                key = f"{path.strip('[]')}.{name}" if path else name
                found.append((f"[[{key}]]" if _repeated(field.annotation) else f"[{key}]", inner))
    return sorted(found, key=lambda item: _order(model, item[0]))


def _order(model: type[BaseModel], path: str) -> tuple[int, str]:
    names = list(model.model_fields)
    first = path.strip("[]").partition(".")[0]
    return (names.index(first) + 1 if first else 0, path.strip("[]"))


def _section(path: str, table: type[BaseModel]) -> str:
    lines = [f"### `{path}`\n" if path else "### Top level\n", f"{inspect.cleandoc(table.__doc__ or '')}\n"]
    lines += ["| key | type | default | meaning |", "| --- | --- | --- | --- |"]
    for name, field in table.model_fields.items():
        if table_in(field.annotation) is None:
            meaning = _cell(field.description or "")
            lines.append(f"| `{name}` | {_type(field)} | {_default(field)} | {meaning} |")
        else:
            kind = "tables" if _repeated(field.annotation) else "table"
            need = "**required**" if field.is_required() else ""
            lines.append(f"| `{name}` | {kind} | {need} | {_cell(field.description or 'see below')} |")
    return "\n".join([*lines, ""])


def _cell(text: str) -> str:
    return text.replace("|", "\\|").replace("\n", " ")


def _repeated(annotation: Any) -> bool:
    return typing.get_origin(annotation) is tuple


def _type(field: FieldInfo) -> str:
    text = _type_name(field.annotation)
    limits = [f"at least {item.ge}" for item in field.metadata if isinstance(item, Ge)]
    limits += [f"at most {item.le}" for item in field.metadata if isinstance(item, Le)]
    return _cell(f"{text} ({', '.join(limits)})" if limits else text)


def _type_name(annotation: Any) -> str:
    origin, args = typing.get_origin(annotation), typing.get_args(annotation)
    if origin is typing.Annotated:
        return _type_name(args[0])
    if origin is typing.Literal:
        return ", ".join(f"`{json.dumps(value)}`" for value in args)
    if origin is tuple:
        inner = [_type_name(arg) for arg in args if arg is not Ellipsis]
        return f"list of {inner[0]}" if Ellipsis in args else f"[{', '.join(inner)}]"
    if origin is dict:
        return f"table of {_type_name(args[1])}"
    if origin in (typing.Union, types.UnionType):
        return " or ".join(_type_name(arg) for arg in args if arg is not type(None))
    return {str: "string", int: "integer", bool: "boolean"}.get(annotation, str(annotation))


def _default(field: FieldInfo) -> str:
    if field.is_required():
        return "**required**"
    value = field.get_default(call_default_factory=True, validated_data={})
    if value in (None, "", (), {}):
        return ""
    return f"`{json.dumps(value)}`"


def main() -> None:
    """Write the reference and the schemas into docs/, or into the directory that is given."""
    docs = Path(sys.argv[1]) if len(sys.argv) > 1 else DOCS
    for path in write(docs):
        print(f"wrote {path}")


if __name__ == "__main__":
    main()
