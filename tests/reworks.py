"""Plans, ABI differences and imports for tests of reworks: values alone, no files. Not a test module."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

from catalog_builder import PLATFORM, release, toolchain

from farm.abi.compare import compare
from farm.catalog.values import Catalog, LoadedRecipe
from farm.model.abi import Abi, AbiDifference, AbiFunction, AbiLibrary, AbiMember, AbiSymbol, AbiType
from farm.model.plan import Plan
from farm.model.recipe import Recipe
from farm.model.toolchain import Toolchain
from farm.plan.moves import Move
from farm.plan.planner import plan
from farm.plan.reach import Imports
from farm.plan.values import Wanted

WANT = Wanted(pythons=("3.11",))


def values(*recipes: Mapping[str, Any], platforms: tuple[str, ...] = (PLATFORM,), **more: Any) -> Catalog:
    """A catalog without files, as the planner needs it; `more` changes the toolchains."""
    loaded = {
        data["name"]: LoadedRecipe(recipe=Recipe.model_validate(data), directory=Path("/nowhere")) for data in recipes
    }
    toolchains = {platform: Toolchain.model_validate(toolchain(platform, **more)) for platform in platforms}
    return Catalog(root=Path("/nowhere"), recipes=loaded, toolchains=toolchains, providers={n: n for n in loaded})


def planned(*recipes: Mapping[str, Any], want: Wanted = WANT, **more: Any) -> Plan:
    return plan(values(*recipes, **more), want)


def releases(*versions: str, epochs: Mapping[str, int] | None = None) -> list[dict[str, Any]]:
    """Releases, some of which begin an ABI epoch."""
    begun = epochs or {}
    return [release(v, abi_epoch=begun[v]) if v in begun else release(v) for v in versions]


def abi(
    recipe: str,
    version: str,
    functions: Mapping[str, Iterable[str]],
    types: Mapping[str, int] | None = None,
    *,
    platform: str = PLATFORM,
    typed: bool = True,
) -> Abi:
    """Functions by name with the types of their arguments; `types` are structs of so many bytes."""
    layouts = {
        name: AbiType(size=size, members=(AbiMember(name="x", type=f"char[{size}]"),))
        for name, size in (types or {}).items()
    }
    library = AbiLibrary(
        symbols=tuple(AbiSymbol(name=name) for name in sorted(functions)),
        functions={name: AbiFunction(result="int", parameters=tuple(types)) for name, types in functions.items()},
        types=layouts,
        typed=True,
    )
    if not typed:
        library = AbiLibrary(symbols=library.symbols)
    return Abi(
        recipe=recipe,
        release=version,
        epoch=1,
        platform=platform,
        abi_class="elf64",
        libraries={recipe: library},
    )


def move(recipe: str, older: str, newer: str, platform: str = PLATFORM) -> Move:
    return Move(recipe=recipe, older=older, newer=newer, platform=platform)


def lost(recipe: str, older: str, newer: str, *gone: str) -> dict[Move, AbiDifference]:
    """A difference in which some functions are gone, and one that stays."""
    stays = {f"{recipe}_stays": ("int",)}
    return {
        move(recipe, older, newer): compare(
            abi(recipe, older, {**stays, **dict.fromkeys(gone, ("int",))}), abi(recipe, newer, stays)
        )
    }


def imports(*symbols: str, needs: Iterable[str] = ()) -> Imports:
    """An ELF wheel's imports."""
    return Imports(needs=frozenset(needs), free=frozenset(symbols))


def key_of(found: Plan, recipe: str) -> str:
    """The build key of a recipe's one step."""
    (step,) = (step for step in found.steps if step.recipe == recipe)
    return step.key
