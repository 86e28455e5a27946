"""A catalog of the farm's own recipes with older releases in them: `python -m benchmarks.older DIR`.

The older releases are in `benchmarks/releases/`, whose README says why not in the recipes.
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

RELEASES = Path(__file__).resolve().parent / "releases"
_OLDER = "older.toml"


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("directory", type=Path, help="where the catalog is made; must not exist")
    parser.add_argument("recipe", nargs="*", help="only these get older releases; none: all that have some")
    parser.add_argument(
        "--before", action="store_true", help="without the releases that came since: as the catalog was before them"
    )
    args = parser.parse_args()
    if args.directory.exists():
        parser.error(f"{args.directory} exists")
    if unknown := [name for name in args.recipe if not (RELEASES / name / _OLDER).exists()]:
        parser.error(f"no older releases of {', '.join(unknown)} are in {RELEASES}")
    make(args.directory, args.recipe, before=args.before)
    return 0


def make(catalog: Path, recipes: Sequence[str] = (), *, before: bool = False) -> Path:
    """Copy the project's catalog with older releases in some of its recipes, with `before` in place of their own; none
    means all. Raises KeyError for a recipe that has none."""
    for name in ("recipes", "toolchains"):
        shutil.copytree(ROOT / name, catalog / name)
    known = {path.parent.name: path.parent for path in sorted(RELEASES.glob(f"*/{_OLDER}"))}
    for folder in [known[name] for name in recipes or known]:
        place = catalog / "recipes" / folder.name
        shutil.copytree(folder, place, dirs_exist_ok=True, ignore=shutil.ignore_patterns(_OLDER))
        file = place / "recipe.toml"
        older = tomllib.loads((folder / _OLDER).read_text("utf-8"))
        recipe = _merged(tomllib.loads(file.read_text("utf-8")), older)
        if before:
            for release in recipe["release"][len(older["release"]) :]:
                shutil.rmtree(place / "abi" / release["version"], ignore_errors=True)
            recipe["release"] = older["release"]
        _write(file, recipe)
        for name, host in older.get("before", {}).items() if before else ():
            _ask_for_less(catalog / "recipes" / name / "recipe.toml", host)
    return catalog


def record(recipe: str, version: str) -> Mapping[str, str]:
    """What is on record of a release's ABI against the older one: ``verdict`` and ``source``; empty if nothing is."""
    file = RELEASES / recipe / _OLDER
    if not file.exists():
        return {}
    found: Mapping[str, str] = tomllib.loads(file.read_text("utf-8")).get("record", {}).get(version, {})
    return found


def _ask_for_less(file: Path, host: Sequence[str]) -> None:
    """A dependent as it was before the releases that it waits for now: `host` instead of what it asks of the same."""
    recipe = tomllib.loads(file.read_text("utf-8"))
    less = {parse_host(text).name: text for text in host}
    asked = [less.get(parse_host(text).name, text) for text in recipe["requires"]["host"]]
    _write(file, {**recipe, "requires": {**recipe["requires"], "host": asked}})


def _write(file: Path, recipe: Mapping[str, Any]) -> None:
    file.write_text("\n".join(_toml(recipe)), "utf-8")


def _merged(recipe: dict[str, Any], older: Mapping[str, Any]) -> dict[str, Any]:
    """The recipe with older releases; what it says of patches and exports that they lack is bound to its own."""
    own = f">={recipe['release'][0]['version']}"
    rows = [{"release": own, **row} if "patches" in row else row for row in recipe.get("when", ())]
    rows += older.get("when", ())
    for version, exports in older.get("since", {}).items():
        for library in recipe["products"]["library"]:
            library["exports"] = [name for name in library["exports"] if name not in exports.get(library["name"], ())]
        rows.append({"release": f">={version}", "exports": exports})
    build = {**recipe["build"], **older.get("build", {})}
    return {**recipe, "release": [*older["release"], *recipe["release"]], "build": build, "when": rows}


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
