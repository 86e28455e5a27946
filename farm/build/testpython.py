"""Interpreters for tests on platforms that have none to be fetched: the farm makes them, as a Python's file says.

In the per-user cache, `pythons/<tag>-<platform>-<digest>/`: whole or not at all, once for all farms of the user; those
that no test has used for a while go with `farm gc`. They are in no build key: which interpreter tests a wheel changes
no byte of it.
"""

from __future__ import annotations

import hashlib
import json
import logging
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from farm.build import testpython_assembled, testpython_compiled, toolchain
from farm.catalog.values import Catalog
from farm.errors import BuildError, MissingToolError
from farm.model.python import Assembled, Compiled, Python
from farm.model.toolchain import Toolchain
from farm.process import Cancel
from farm.runners.values import MadePython, Maker
from farm.settings import Settings
from farm.store.files import publish_dir
from farm.store.keeping import keep

LAYOUT = 1
"""Raised when what is made here changes, so that old ones in caches are not taken."""

Fill = Callable[[Path, Cancel | None], None]
_log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True, kw_only=True)
class _Way:
    """How one kind of interpreter is made: `pins` are all the inputs, `program` its place, `fill` makes it in an empty
    directory."""

    pins: object
    program: str
    fill: Fill


def maker(catalog: Catalog, settings: Settings) -> Maker:
    """What runners ask for an interpreter."""

    def make(platform: Toolchain, version: str, cancel: Cancel | None) -> MadePython:
        return materialise(f"cp{version.replace('.', '')}", platform, catalog, settings, cancel=cancel)

    return make


def described(catalog: Catalog, platform: str) -> tuple[str, ...]:
    """The tags of the Pythons that can be made for a platform."""
    return tuple(tag for tag, python in catalog.pythons.items() if _entry(python, platform) is not None)


def present(python_tag: str, platform: Toolchain, catalog: Catalog, settings: Settings) -> bool:
    """Whether it is in the cache already."""
    try:
        return _root(python_tag, platform, _way(python_tag, platform, catalog, settings), settings).is_dir()
    except MissingToolError:  # it cannot be made on this machine
        return False


def materialise(
    python_tag: str, platform: Toolchain, catalog: Catalog, settings: Settings, *, cancel: Cancel | None = None
) -> MadePython:
    """The interpreter of a tag; quick when it is in the cache, else it takes up to some minutes.

    Raises MissingToolError if the tag's file describes none for the platform, or if it cannot be built here;
    UnreachableError or SourceError if what the file pins cannot be had.
    """
    way = _way(python_tag, platform, catalog, settings)
    root = _root(python_tag, platform, way, settings)

    def make() -> None:
        _log.info("making %s for %s, which tests run with", python_tag, platform.platform)
        publish_dir(root, lambda folder: _filled(way, folder, python_tag, platform, cancel))

    keep(root, root.is_dir, make)
    return MadePython(root=root, executable=root / way.program)


def _filled(way: _Way, folder: Path, python_tag: str, platform: Toolchain, cancel: Cancel | None) -> None:
    try:
        way.fill(folder, cancel)
    except BuildError as error:
        what = f"{python_tag} for {platform.platform}, which tests run with, cannot be made: {error.what}"
        raise MissingToolError(what, where=error.where, fix=f"look into {error.log}") from error


def _root(python_tag: str, platform: Toolchain, way: _Way, settings: Settings) -> Path:
    made_from = json.dumps([LAYOUT, toolchain.tools_digest(platform), way.pins], sort_keys=True)
    digest = hashlib.sha256(made_from.encode()).hexdigest()
    return settings.cache / "pythons" / f"{python_tag}-{platform.platform}-{digest[:16]}"


def _entry(python: Python, platform: str) -> Assembled | Compiled | None:
    return python.assembled_for(platform) or python.compiled_for(platform)


def _way(python_tag: str, platform: Toolchain, catalog: Catalog, settings: Settings) -> _Way:
    python = catalog.pythons.get(python_tag)
    entry = _entry(python, platform.platform) if python else None
    if python is None or entry is None:
        raise MissingToolError(
            f"there is no {python_tag} to test with on {platform.platform}",
            fix=f"describe one in toolchains/pythons/{python_tag}.toml",
        )
    if isinstance(entry, Assembled):
        assembly = testpython_assembled.Assembly.of(python, entry, platform, catalog, settings)
        return _Way(pins=assembly.pins, program=testpython_assembled.PROGRAM, fill=assembly.fill)
    compilation = testpython_compiled.Compilation.of(python, entry, platform, catalog, settings)
    return _Way(pins=compilation.pins, program=f"bin/python{python.short}", fill=compilation.fill)
