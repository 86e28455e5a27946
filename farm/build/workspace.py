"""A step's scratch directory: one per step, locked while a farm uses it, kept after a failure for `farm shell`."""

from __future__ import annotations

import contextlib
import fcntl
import os
from dataclasses import dataclass
from pathlib import Path

from farm.errors import BusyError
from farm.settings import Settings
from farm.store.home import remove_tree

STEP = "step"
"""The file in a workspace that names its step."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Rooms:
    """The directories of one build (the baseline's or a variant's): source tree, build directory, install prefix."""

    root: Path

    @property
    def source(self) -> Path:
        """The patched source tree."""
        return self.root / "src"

    @property
    def work(self) -> Path:
        """The build directory."""
        return self.root / "work"

    @property
    def prefix(self) -> Path:
        """Where it installs."""
        return self.root / "prefix"

    def create(self) -> None:
        """Make the three directories."""
        for place in (self.source, self.work, self.prefix):
            place.mkdir(parents=True, exist_ok=True)


@dataclass(frozen=True, slots=True, kw_only=True)
class Workspace:
    """Scratch space of one step below ``FARM_HOME/work``. `lock` is an open file descriptor, -1 when not held."""

    root: Path
    lock: int = -1

    @property
    def baseline(self) -> Rooms:
        """The rooms of the build for the platform's own instruction-set level."""
        return Rooms(root=self.root / "build")

    def variant(self, level: str) -> Rooms:
        """The rooms of the build for a higher level."""
        return Rooms(root=self.root / "variants" / level)

    @property
    def deps(self) -> Path:
        """Unpacked native wheels, as a site directory."""
        return self.root / "deps"

    @property
    def tools(self) -> Path:
        """Links to the programs that the build may use."""
        return self.root / "tools"

    @property
    def compiler_cache(self) -> Path:
        """The build's own copy of the compiler's cache."""
        return self.root / "zig-cache"

    @property
    def out(self) -> Path:
        """Where the farm links."""
        return self.root / "out"

    def release(self) -> None:
        """Give the lock back and keep the files."""
        if self.lock >= 0:
            with contextlib.suppress(OSError):
                os.close(self.lock)

    def remove(self) -> None:
        """Remove the files, then give the lock back."""
        remove_tree(self.root)
        self.release()


def location(settings: Settings, step: str) -> Path:
    """The workspace directory of a step: readable, and safe as a file name."""
    return settings.work / step.replace("/", "-")


def claim(settings: Settings, step: str, *, fresh: bool = True) -> Workspace:
    """Lock a step's workspace; `fresh` empties it first.

    Raises BusyError if another process is using it.
    """
    root = location(settings, step)
    root.parent.mkdir(parents=True, exist_ok=True)
    lock = os.open(root.with_name(root.name + ".lock"), os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o644)
    try:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError as error:
        os.close(lock)
        raise BusyError(
            f"{root} is in use by another farm process",
            where=step,
            fix="wait for it, or end that process; two farms on one machine may share FARM_HOME, not a step",
        ) from error
    space = Workspace(root=root, lock=lock)
    if fresh:
        remove_tree(root)
    for place in (space.deps, space.tools, space.out):
        place.mkdir(parents=True, exist_ok=True)
    space.baseline.create()
    (root / STEP).write_text(step + "\n", "utf-8")
    return space
