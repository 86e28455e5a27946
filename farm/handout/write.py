"""Write the handout of a step: a directory from which cibuildwheel builds it on another machine."""

from __future__ import annotations

import json
import shutil
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from farm.build import environment as env
from farm.build import sources
from farm.build import tools as machine_tools
from farm.build.frame import release_of, unpack_deps
from farm.build.sandbox import NO_HOME, Mount, Sandbox
from farm.catalog.values import Catalog
from farm.errors import CatalogError, UsageError
from farm.handout import config
from farm.handout.config import Order
from farm.model.plan import Step
from farm.plan.effective import Effective, merged
from farm.settings import Settings
from farm.store import frozen
from farm.store.files import disk_errors, file_sha256
from farm.store.home import work_dir
from farm.wheel.names import parse

FORMAT = 1


@dataclass(frozen=True, slots=True, kw_only=True)
class Wheels:
    """What goes with the source. `linked` are the native wheels that the step is built against, by step id; `beside`
    those that its tests run with: the newest of the same epochs; `farm` is the farm's own wheel, or a requirement by
    which pip finds it."""

    linked: Mapping[str, Path]
    beside: Sequence[Path]
    farm: Path | str


@dataclass(frozen=True, slots=True, kw_only=True)
class Handout:
    """A finished one. `identifier` is cibuildwheel's name of the build; `left_out` are flags and arguments of the
    recipe that the other machine's compiler does not know."""

    place: Path
    identifier: str
    left_out: tuple[str, ...]


def write(step: Step, catalog: Catalog, wheels: Wheels, place: Path, settings: Settings) -> Handout:
    """Make the directory `place`, which appears whole or not at all.

    Raises UsageError if it is there already, SourceError for the release's source or patches, CatalogError for a recipe
    without pinned build requirements, MissingToolError, ProcessError if a `prepare` command fails.
    """
    if place.exists():
        raise UsageError(f"{place} exists", where="-o", fix="name a directory that is not there yet")
    with disk_errors(place.parent):
        place.parent.mkdir(parents=True, exist_ok=True)
        with work_dir(place.parent, f".{place.name}") as scratch:
            order = _filled(step, catalog, wheels, scratch, settings)
            scratch.chmod(0o755)
            scratch.rename(place)
    return Handout(
        place=place,
        identifier=config.identifier(step, order.toolchain),
        left_out=config.left_out(order),
    )


def _filled(step: Step, catalog: Catalog, wheels: Wheels, root: Path, settings: Settings) -> Order:
    loaded = catalog.recipes[step.recipe]
    release = release_of(loaded, step)
    effective = merged(loaded.recipe, release, step.platform)
    tree = root / config.SOURCE
    prepared = sources.prepare(release, effective.patches, loaded.directory, settings.downloads, settings.sources, tree)
    _prepare(effective, tree, root / ".tools", settings)
    unpack_deps(wheels.linked, root / config.DEPS)
    (root / config.WORK).mkdir()
    _copy(wheels.linked.values(), root / config.LINKED)
    _copy(wheels.beside, root / config.BESIDE)
    order = Order(
        step=step,
        recipe=loaded,
        effective=effective,
        toolchain=catalog.toolchains[step.platform],
        packages=tuple(package.name for package in env.packages(root / config.DEPS)),
        beside=tuple(sorted(parse(wheel.name).project for wheel in wheels.beside)),
        farm=_farm(wheels.farm, root),
        epoch_seconds=prepared.epoch_seconds,
    )
    _copy_catalog(settings.catalog, root / config.CATALOG)
    (root / config.REQUIREMENTS).write_text(_requirements(order, wheels.linked), "utf-8")
    (root / config.FILE).write_text(config.text(order), "utf-8")
    (root / config.JOB).write_text(json.dumps(_job(order), indent=2) + "\n", "utf-8")
    return order


def _prepare(effective: Effective, tree: Path, tools: Path, settings: Settings) -> None:
    """The recipe's `prepare` commands, here and behind walls: the other machine need not have what they call."""
    build = effective.build
    if not build.prepare:
        return
    tools.mkdir()
    machine_tools.link(machine_tools.programs(effective.tools), tools)
    mounts = (Mount(source=tree, inside=env.SOURCE, writable=True), Mount(source=tools, inside=env.TOOLS))
    walls = Sandbox(mounts=mounts, enabled=settings.sandbox)
    variables = {"PATH": walls.place(env.TOOLS), "HOME": NO_HOME, "LC_ALL": "C.UTF-8", "TZ": "UTC"}
    source = walls.place(env.SOURCE) + ("" if build.directory == "." else f"/{build.directory}")
    for command in build.prepare:
        argv = [word.replace("{source}", source) for word in command]
        walls.run(argv, cwd=source, env=variables, timeout=600)
    shutil.rmtree(tools)


def _copy(wheels: Iterable[Path], folder: Path) -> None:
    folder.mkdir(parents=True)
    for wheel in wheels:
        shutil.copyfile(wheel, folder / wheel.name)


def _farm(given: Path | str, root: Path) -> str:
    """What pip is told; a wheel comes along."""
    folder = root / config.FARM
    folder.mkdir()
    if isinstance(given, str):
        return given
    shutil.copyfile(given, folder / given.name)
    return f"{{project}}/{config.FARM}/{given.name}"


def _copy_catalog(root: Path, target: Path) -> None:
    for name in frozen.files(root):
        (target / name).parent.mkdir(parents=True, exist_ok=True)
        shutil.copyfile(root / name, target / name)


def _requirements(order: Order, linked: Mapping[str, Path]) -> str:
    """The recipe's lock file, and the native wheels, each by the one hash that will do."""
    lock = order.recipe.recipe.requires.python
    if lock is None:
        raise CatalogError(
            [f"recipes/{order.step.recipe}/recipe.toml: [requires] python: is missing"],
            fix="name a requirements file with hashes that holds the build backend and all it needs",
        )
    lines = [(order.recipe.directory / lock).read_text("utf-8").rstrip("\n")]
    for wheel in linked.values():
        name = parse(wheel.name)
        lines.append(f"{name.project}=={name.version} --hash=sha256:{file_sha256(wheel)}")
    return "\n".join(lines) + "\n"


def _job(order: Order) -> dict[str, object]:
    """What `scripts/native_build.py` and `scripts/native_trial.py` read."""
    recipe, step = order.recipe.recipe, order.step
    row = {
        "step": step.id,
        "key": step.key,
        "recipe": step.recipe,
        "platform": step.platform,
        "python": step.python,
        "distribution": recipe.distribution,
        "imports": list(order.effective.products.imports),
        "smoke": config.smoke(order.recipe),
    }
    return {
        "format": FORMAT,
        "build": config.identifier(step, order.toolchain),
        "package": order.package,
        "config": config.FILE,
        "farm": order.farm,
        "steps": [row],
    }
