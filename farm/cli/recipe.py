"""Make, check and list recipes."""

from __future__ import annotations

import argparse
import shutil
import tempfile
from collections.abc import Iterable
from pathlib import Path
from typing import TYPE_CHECKING, Any

from farm.cli import bump, cibuildwheel, output
from farm.errors import CatalogError, SourceError, UsageError

if TYPE_CHECKING:
    from farm.catalog.scaffold import Guess
    from farm.settings import Settings

EPILOG = """examples:
  farm recipe new https://example.org/foo-1.2.tar.gz    guess a recipe from a release
  farm recipe new ./foo-1.2.tar.gz --name foo           the file is copied beside the recipe
  farm recipe new debian:gmp_6.3.0+dfsg.orig.tar.xz     from the machine's own Debian mirror
  farm recipe lint gmp mpfr                             every fault of these; none named: of the whole catalog
  farm recipe bump gmp                                  add upstream's newest release: hashes, patches, lint
  farm recipe bump gmp=6.4.0                            a certain one
  farm recipe bump gmp --branch --abi                   the branch bump/gmp-..., with ABI verdict and plan in its commit
  farm recipe bump gmp --pull-request                   that branch, pushed, with a pull request ($GITHUB_TOKEN)
  farm recipe cibuildwheel gmpy2 --platform win_arm64 --python 3.13 -o handout    to be built on such a machine
  farm recipe list --json
  farm recipe schema > recipe.schema.json               for your editor
"""
_SMOKE = "smoke.c"


def configure(parser: argparse.ArgumentParser) -> None:
    """Add the actions and their options."""
    actions = parser.add_subparsers(dest="action", metavar="ACTION", required=True)
    listing = actions.add_parser("list", help="show all recipes")
    listing.add_argument("--json", action="store_true", help="print one JSON document")
    lint = actions.add_parser("lint", help="check recipes; prints every fault and hint")
    lint.add_argument("recipe", nargs="*", metavar="RECIPE", help="recipes; none: the whole catalog")
    lint.add_argument("--json", action="store_true", help="print one JSON document")
    schema = actions.add_parser("schema", help="print the JSON Schema of recipe files")
    schema.add_argument("--markdown", action="store_true", help="print the reference instead")
    new = actions.add_parser("new", help="make a recipe from a release archive")
    new.add_argument("source", metavar="URL_OR_FILE", help="https://..., debian:FILE, pypi:FILE or a file")
    new.add_argument("--name", metavar="N", help="the recipe's name; guessed unless given")
    bump.configure(actions.add_parser("bump", help="add a new release of upstream to a recipe"))
    cibuildwheel.configure(actions.add_parser("cibuildwheel", help="hand a dependent out to a native runner"))


def run(args: argparse.Namespace, settings: Settings) -> int:
    """Do the action. Raises CatalogError, UsageError, SourceError."""
    actions = {
        "list": _list,
        "lint": _lint,
        "schema": _schema,
        "new": _new,
        "bump": bump.run,
        "cibuildwheel": cibuildwheel.run,
    }
    return actions[args.action](args, settings)


def _list(args: argparse.Namespace, settings: Settings) -> int:
    from farm import catalog

    rows: list[dict[str, Any]] = []
    for name, loaded in catalog.load(settings).recipes.items():
        recipe = loaded.recipe
        rows.append(
            {
                "name": name,
                "kind": recipe.kind,
                "versions": [release.version for release in recipe.release],
                "retired": [release.version for release in recipe.retired],
                "license": recipe.license,
                "provides": list(recipe.provides),
                "requires": list(recipe.requires.host),
                "summary": recipe.summary,
            }
        )
    if args.json:
        output.print_json(rows)
        return 0
    cells = [
        (
            r["name"],
            r["kind"],
            " ".join(r["versions"]),
            " ".join(r["retired"]) or "-",
            " ".join(r["requires"]) or "-",
            r["summary"],
        )
        for r in rows
    ]
    output.print_table(("name", "kind", "releases", "retired", "requires", "summary"), cells)
    return 0


def _lint(args: argparse.Namespace, settings: Settings) -> int:
    """Faults are errors of the catalog (exit code 3); hints are shown and change nothing."""
    from farm.catalog import hints, loader

    catalog, faults = loader.examine(settings.catalog)
    there = {path.name for path in settings.recipes.iterdir()} if settings.recipes.is_dir() else set()
    for name in args.recipe:
        if name not in there:
            raise UsageError(f"there is no recipe {name!r}", fix="`farm recipe list`")
    files = tuple(f"recipes/{name}/" for name in args.recipe)
    said = [str(fault) for fault in faults if not files or fault.file.startswith(files)]
    names = args.recipe or sorted(catalog.recipes)
    said += _abi_faults(catalog.recipes[name].directory for name in names if name in catalog.recipes)
    found = [hint for name in names if name in catalog.recipes for hint in hints.of(catalog.recipes[name])]
    if args.json:
        output.print_json({"faults": said, "hints": found})
        return CatalogError.exit_code if said else 0
    for hint in found:
        print(f"hint: {hint}")
    if said:
        raise CatalogError(said)
    print(f"{len(names)} {'recipe' if len(names) == 1 else 'recipes'}: no faults")
    return 0


def _abi_faults(folders: Iterable[Path]) -> list[str]:
    """What is wrong with the ABIs that recipes pin."""
    from farm.abi import baseline

    said: list[str] = []
    for folder in folders:
        try:
            baseline.load(folder)
        except CatalogError as error:
            said += error.faults
    return said


def _schema(args: argparse.Namespace, _settings: Settings) -> int:
    from farm.catalog import reference

    if args.markdown:
        print(reference.markdown(), end="")
    else:
        output.print_json(reference.schema("recipe"))
    return 0


def _new(args: argparse.Namespace, settings: Settings) -> int:
    from farm.catalog import scaffold
    from farm.fetch import archives

    archive, url, sha256 = _obtain(args.source, settings)
    with tempfile.TemporaryDirectory(prefix="farm-new-") as scratch:
        tree = Path(scratch) / "source"
        archives.unpack(archive, tree)
        guess = scaffold.guess(tree, archive.name, name=args.name or "")
    place = settings.recipes / guess.name
    if place.exists():
        raise UsageError(f"{place} exists", fix="choose another --name, or add a [[release]] to that recipe")
    _write(guess, place, archive, url, sha256, settings)
    print(f"wrote {place / 'recipe.toml'}")
    for doubt in guess.doubts:
        print(f"  check: {doubt}")
    print(f"next: look at it, then `farm recipe lint {guess.name}` and `farm build {guess.name}`")
    return 0


def _check_url(source: str) -> None:
    from urllib.parse import urlsplit

    try:
        urlsplit(source)
    except ValueError as error:
        raise UsageError(f"{source!r} is no URL: {error}", where="URL_OR_FILE", fix="check it") from error


def _obtain(source: str, settings: Settings) -> tuple[Path, str, str]:
    """The archive on this disk, the location to write down, and its sha256."""
    from farm.fetch import download
    from farm.fetch.locations import CannotResolveError, addresses
    from farm.fetch.obtain import filename
    from farm.store.files import file_sha256

    scheme = source.partition(":")[0]
    if scheme not in ("https", "debian", "pypi"):
        path = Path(source.removeprefix("file://").removeprefix("file:"))
        if not path.is_file():
            raise UsageError(
                f"{source!r} is neither a file nor https://..., debian:FILE, pypi:FILE",
                where="URL_OR_FILE",
                fix="check the path, or give a whole URL",
            )
        return path, f"file:{path.name}", file_sha256(path)
    reasons = []
    _check_url(source)
    try:
        for address in addresses(source, settings.recipes):
            try:
                path, sha256 = download.fetch_new(address, filename(source), settings.downloads)
            except download.CannotReachError as error:
                reasons.append(f"{address}: {error}")
            else:
                return path, source, sha256
    except CannotResolveError as error:
        reasons.append(str(error))
    raise SourceError("\n".join(["cannot be fetched:", *reasons]), where=source, fix="download it and name the file")


def _write(guess: Guess, place: Path, archive: Path, url: str, sha256: str, settings: Settings) -> None:
    """The whole directory appears at once, or not at all."""
    from farm.catalog import loader, render

    providers = loader.examine(settings.catalog)[0].providers
    hosts = [name for name in guess.requires if name in providers]
    unknown = [name for name in guess.requires if name not in providers]
    smoke = _SMOKE if guess.main_header else ""
    text = render.recipe(guess, url=url, sha256=sha256, hosts=hosts, unknown=unknown, smoke=smoke)
    place.parent.mkdir(parents=True, exist_ok=True)
    building = Path(tempfile.mkdtemp(prefix=f".{guess.name}-", dir=place.parent))  # dot: the loader passes it by
    try:
        (building / "recipe.toml").write_text(text, "utf-8")
        if smoke:
            (building / _SMOKE).write_text(render.smoke_c(guess), "utf-8")
        if url.startswith("file:"):
            shutil.copyfile(archive, building / archive.name)
        building.chmod(0o755)
        building.rename(place)
    except BaseException:
        shutil.rmtree(building, ignore_errors=True)
        raise
