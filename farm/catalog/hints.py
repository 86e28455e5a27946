"""What is allowed in a recipe but probably not meant: shown by `farm recipe lint`, never an error."""

from __future__ import annotations

from collections.abc import Iterator

from farm.catalog.values import LoadedRecipe
from farm.plan.requirements import bound, parse_version


def of(loaded: LoadedRecipe) -> list[str]:
    """The hints for one recipe, as ``recipes/gmp/recipe.toml: [tests] smoke: ...``."""
    file = f"recipes/{loaded.directory.name}/recipe.toml"
    return [f"{file}: {hint}" for rule in (_tests, _exports, _unused, _rows, _watch, _lock) for hint in rule(loaded)]


def _tests(loaded: LoadedRecipe) -> Iterator[str]:
    if not loaded.recipe.tests.smoke:
        yield "[tests] smoke: no smoke test: nothing shows that the wheel works"


def _exports(loaded: LoadedRecipe) -> Iterator[str]:
    for i, library in enumerate(loaded.recipe.products.library, 1):
        if "*" in library.exports:
            yield f"[products, library #{i}] exports: '*' takes all symbols, also those that other libraries may define"


def _unused(loaded: LoadedRecipe) -> Iterator[str]:
    folder = loaded.directory / "patches"
    named = set(loaded.named_files())
    for path in sorted(folder.rglob("*")) if folder.is_dir() else ():
        if path.is_file() and path.relative_to(loaded.directory).as_posix() not in named:
            yield f"{path.relative_to(loaded.directory).as_posix()} is applied to no release"


def _rows(loaded: LoadedRecipe) -> Iterator[str]:
    """A row may wait for a release that is not there yet, or be left from one that was taken out."""
    releases = [parse_version(release.version) for release in loaded.recipe.history]
    for i, row in enumerate(loaded.recipe.when, 1):
        if row.release and not any(bound(row.release).contains(release, prereleases=True) for release in releases):
            yield f"[when #{i}] release: no release of the recipe is {row.release}"


def _watch(loaded: LoadedRecipe) -> Iterator[str]:
    if loaded.recipe.watch is None:
        yield "[watch]: nobody looks for new releases"


def _lock(loaded: LoadedRecipe) -> Iterator[str]:
    """pip's --require-hashes is only as good as the file."""
    name = loaded.recipe.requires.python
    if not name:
        return
    try:
        text = (loaded.directory / name).read_text("utf-8")
    except (OSError, UnicodeDecodeError):
        return
    for line in text.replace("\\\n", " ").splitlines():
        plain = line.partition("#")[0].strip() if " #" in f" {line}" else line.strip()
        if plain and not plain.startswith("-") and "--hash=" not in plain:
            yield f"{name}: {plain.split()[0]!r} has no --hash"
