"""A catalog of the farm's own recipes in which retired releases count as others do: `python -m benchmarks.older DIR`.

With it real upgrades are planned and carried out as they were when the older release was the newest.
"""

from __future__ import annotations

import argparse
import shutil
import sys
import tomllib
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from benchmarks._environments import ROOT
from farm.catalog.render import toml_value
from farm.plan.requirements import parse_host

_BEFORE = Path(__file__).resolve().parent / "before.toml"


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("directory", type=Path, help="where the catalog is made; must not exist")
    parser.add_argument("recipe", nargs="*", help="only these get older releases; none: all that have retired some")
    parser.add_argument(
        "--before", action="store_true", help="without the releases that came since: as the catalog was before them"
    )
    parser.add_argument("--baseline", action="store_true", help="without variants: FLINT builds in half the time")
    args = parser.parse_args()
    if args.directory.exists():
        parser.error(f"{args.directory} exists")
    if unknown := [name for name in args.recipe if name not in _with_retired(ROOT)]:
        parser.error(f"no recipe {', '.join(unknown)} has retired a release")
    make(args.directory, args.recipe, before=args.before, baseline=args.baseline)
    return 0


def make(catalog: Path, recipes: Sequence[str] = (), *, before: bool = False, baseline: bool = False) -> Path:
    """Copy the project's catalog with the retired releases of some recipes among their others, with `before` in place
    of these; none means all. With `baseline` they are built without variants. Raises KeyError for a recipe that retired
    none."""
    for name in ("recipes", "toolchains"):
        shutil.copytree(ROOT / name, catalog / name)
    known = _with_retired(catalog)
    less = tomllib.loads(_BEFORE.read_text("utf-8"))
    for name in recipes or known:
        place, recipe = catalog / "recipes" / name, known[name]
        newer = recipe["release"]
        recipe["release"] = [*recipe.pop("retired"), *([] if before else newer)]
        if baseline:
            recipe.pop("variant", None)
        for release in newer if before else ():
            shutil.rmtree(place / "abi" / release["version"], ignore_errors=True)
        _write(place / "recipe.toml", recipe)
        for dependent, host in less.get(name, {}).items() if before else ():
            _ask_for_less(catalog / "recipes" / dependent / "recipe.toml", host)
    return catalog


def _with_retired(catalog: Path) -> dict[str, dict[str, Any]]:
    """The recipes that retired releases, by name, as tomllib reads them."""
    files = sorted(catalog.glob("recipes/*/recipe.toml"))
    read = ((file.parent.name, tomllib.loads(file.read_text("utf-8"))) for file in files)
    return {name: recipe for name, recipe in read if "retired" in recipe}


def _ask_for_less(file: Path, host: Sequence[str]) -> None:
    """A dependent as it was before the releases that it waits for now: `host` instead of what it asks of the same."""
    recipe = tomllib.loads(file.read_text("utf-8"))
    less = {parse_host(text).name: text for text in host}
    asked = [less.get(parse_host(text).name, text) for text in recipe["requires"]["host"]]
    _write(file, {**recipe, "requires": {**recipe["requires"], "host": asked}})


def _write(file: Path, recipe: Mapping[str, Any]) -> None:
    file.write_text("\n".join(_toml(recipe)), "utf-8")


def _toml(table: Mapping[str, Any], path: str = "") -> Iterator[str]:
    """The lines of a table: plain values first, then tables and lists of tables."""
    inner = {key: value for key, value in table.items() if _is_table(value)}
    yield from (f"{toml_value(key)} = {toml_value(value)}" for key, value in table.items() if key not in inner)
    for key, value in inner.items():
        name = f"{path}{toml_value(key)}"
        for item in value if isinstance(value, list) else (value,):
            yield f"[[{name}]]" if isinstance(value, list) else f"[{name}]"
            yield from _toml(item, f"{name}.")


def _is_table(value: object) -> bool:
    return isinstance(value, Mapping) or (isinstance(value, list) and bool(value) and isinstance(value[0], Mapping))


if __name__ == "__main__":
    sys.exit(main())
