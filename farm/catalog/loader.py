"""Reads the catalog. Everything that is wrong anywhere in it is said at once."""

from __future__ import annotations

import stat
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import TypeVar

from pydantic import BaseModel, ValidationError

from farm.catalog import crosscheck, pythoncheck, recipecheck, toolchaincheck
from farm.catalog.faults import Fault, from_validation
from farm.catalog.values import Catalog, LoadedRecipe
from farm.errors import CatalogError
from farm.model import toml
from farm.model.python import Python
from farm.model.recipe import Recipe
from farm.model.sysroot import Sysroot
from farm.model.toolchain import Toolchain
from farm.settings import Settings

_Model = TypeVar("_Model", bound=BaseModel)
_MAX_BYTES = 1 << 20  # a recipe is a page of text; anything larger is not a recipe


def load(settings: Settings) -> Catalog:
    """The farm's catalog. Raises CatalogError with *all* faults of all files."""
    return load_from(settings.catalog)


def load_from(root: Path) -> Catalog:
    """The catalog in a directory that holds ``recipes/`` and ``toolchains/``. Raises CatalogError."""
    catalog, faults = examine(root)
    if faults:
        raise CatalogError([str(fault) for fault in faults])
    return catalog


def examine(root: Path, *, instead: Mapping[str, bytes] | None = None) -> tuple[Catalog, list[Fault]]:
    """What could be loaded, and every fault found, sorted by file. For `farm recipe lint`; others use `load`.

    `instead` maps names of recipes to what is read in place of their files: how the catalog would be with those.
    """
    faults: list[Fault] = []
    if not (root / "recipes").is_dir():
        faults.append(Fault(file="recipes", why=f"{root} holds no such directory (set --catalog or FARM_CATALOG)"))
    toolchains = _toolchains(root, faults)
    sysroots = _beside_toolchains(root, "sysroots", Sysroot, "name", faults)
    pythons = _beside_toolchains(root, "pythons", Python, "tag", faults)
    faults += toolchaincheck.check_runs(
        toolchains, {path.stem for path in (root / "toolchains/sysroots").glob("*.toml")}
    )
    faults += pythoncheck.check(pythons, sysroots)
    recipes = _recipes(root, faults, instead or {})
    for loaded in recipes.values():
        faults += recipecheck.check(loaded, toolchains)
    providers = crosscheck.providers(recipes, faults)
    # A recipe that could not even be read would make its dependents look wrong too.
    unread = {path.name for path in _recipe_directories(root)} - recipes.keys()
    faults += crosscheck.check(recipes, providers, unread)
    catalog = Catalog(
        root=root,
        recipes=recipes,
        toolchains=toolchains,
        sysroots=sysroots,
        pythons=pythons,
        providers=providers,
    )
    return catalog, sorted(faults, key=lambda fault: fault.file)


def _recipes(root: Path, faults: list[Fault], instead: Mapping[str, bytes]) -> dict[str, LoadedRecipe]:
    found = {}
    for directory in _recipe_directories(root):
        file = f"recipes/{directory.name}/recipe.toml"
        recipe = _read(directory / "recipe.toml", file, Recipe, faults, instead.get(directory.name))
        if recipe is None:
            continue
        if recipe.name != directory.name:
            why = f"is {recipe.name!r}, but the directory is {directory.name!r}: they must be equal"
            faults.append(Fault(file=file, at=("name",), why=why))
        found[directory.name] = LoadedRecipe(recipe=recipe, directory=directory)
    return found


def _recipe_directories(root: Path) -> Iterator[Path]:
    place = root / "recipes"
    if place.is_dir():
        yield from sorted(p for p in place.iterdir() if p.is_dir() and not p.name.startswith((".", "_")))


def _toolchains(root: Path, faults: list[Fault]) -> dict[str, Toolchain]:
    place = root / "toolchains"
    found = {}
    for path in sorted(place.glob("*.toml")) if place.is_dir() else ():
        file = f"toolchains/{path.name}"
        toolchain = _read(path, file, Toolchain, faults)
        if toolchain is not None:
            faults += toolchaincheck.check(file, path.stem, toolchain)
            found[path.stem] = toolchain
    if not found and not any(fault.file.startswith("toolchains/") for fault in faults):
        faults.append(Fault(file="toolchains", why="the catalog has no toolchain; a platform needs a file here"))
    return found


def _beside_toolchains(
    root: Path, folder: str, model: type[_Model], field: str, faults: list[Fault]
) -> dict[str, _Model]:
    """The files of a directory below `toolchains/` by name; `field` holds the name in the file."""
    found = {}
    for path in sorted((root / "toolchains" / folder).glob("*.toml")):
        file = f"toolchains/{folder}/{path.name}"
        value = _read(path, file, model, faults)
        if value is None:
            continue
        if (name := getattr(value, field)) != path.stem:
            why = f"is {name!r}, but the file is {path.name}: they must be equal"
            faults.append(Fault(file=file, at=(field,), why=why))
        found[path.stem] = value
    return found


def _read(
    path: Path, file: str, model: type[_Model], faults: list[Fault], content: bytes | None = None
) -> _Model | None:
    """Parse and validate one file, or what is given as its content; what is wrong goes to `faults`."""
    try:
        if content is None and (why := _unreadable(path)) is not None:
            faults.append(Fault(file=file, why=why))
            return None
        data = toml.loads((path.read_bytes() if content is None else content).decode("utf-8"))
    except FileNotFoundError:
        faults.append(Fault(file=file, why="is missing"))
    except OSError as error:
        faults.append(Fault(file=file, why=f"cannot be read: {error.strerror}"))
    except UnicodeDecodeError as error:
        line = error.object[: error.start].count(b"\n") + 1
        faults.append(Fault(file=file, why=f"line {line}: is not UTF-8 text"))
    except toml.TomlError as error:
        faults.append(Fault(file=file, why=_syntax(str(error))))
    else:
        unusable = [Fault(file=file, at=at, why="holds a NUL character: no program takes it") for at in _nuls(data)]
        faults += unusable
        try:
            return model.model_validate(data) if not unusable else None
        except ValidationError as error:
            faults += from_validation(file, model, error)
    return None


def _unreadable(path: Path) -> str | None:
    """Why a file is not even opened. A pipe or a device would never end. Raises OSError."""
    facts = path.stat()
    if stat.S_ISDIR(facts.st_mode):
        return "cannot be read: Is a directory"
    if not stat.S_ISREG(facts.st_mode):
        return "is not a regular file"
    return f"is larger than {_MAX_BYTES} bytes" if facts.st_size > _MAX_BYTES else None


def _nuls(value: object, at: tuple[str | int, ...] = ()) -> Iterator[tuple[str | int, ...]]:
    """Where a parsed document has NUL characters, in keys or values: TOML allows them as ``\\u0000``."""
    if isinstance(value, str) and "\0" in value:
        yield at
    elif isinstance(value, dict):
        for key, item in value.items():
            yield from [at] if "\0" in key else _nuls(item, (*at, key))
    elif isinstance(value, list):
        for index, item in enumerate(value):
            yield from _nuls(item, (*at, index))


def _syntax(message: str) -> str:
    """tomllib's ``Expected '=' ... (at line 3, column 5)`` with the place first, as compilers have it."""
    text, found, place = message.removesuffix(")").rpartition(" (at ")
    return f"{place}: {text[:1].lower()}{text[1:]}" if found else message
