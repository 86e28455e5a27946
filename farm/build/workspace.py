"""A step's scratch directory: locked while in use, kept after a failure for `farm shell`. Measuring has its own."""

from __future__ import annotations

import contextlib
import fcntl
import os
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from farm.errors import BusyError
from farm.process import Cancel
from farm.settings import Settings
from farm.store.home import remove_tree

STEP = "step"
"""The file in a workspace that names its step."""

_SHELL = b"shell"  # in the lock's file while a person is inside
_PATIENCE = 6 * 3600.0  # seconds that another build of the step is waited for: longer than any takes
_POLL = 0.5


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

    def hold_for_shell(self) -> None:
        """Let the lock live on in the program that this process becomes, and say that builds are not to wait for it."""
        if self.lock >= 0:
            os.pwrite(self.lock, _SHELL, 0)
            os.set_inheritable(self.lock, True)

    def remove(self) -> None:
        """Remove the files, then give the lock back, whatever became of them."""
        try:
            remove_tree(self.root)
        finally:
            self.release()


def name_of(step: str, *, debug: bool = False) -> str:
    """What the workspace of a step's build is called. A build for debugging, by which its ABI is measured, has one of
    its own: what the step's own last build left stays."""
    return f"{step}.debug" if debug else step


def location(settings: Settings, step: str) -> Path:
    """The workspace directory of a step: readable, and safe as a file name."""
    return settings.work / step.replace("/", "-")


def claim(settings: Settings, step: str, *, fresh: bool = True) -> Workspace:
    """Lock a step's workspace; `fresh` empties it first.

    Raises BusyError if another process is using it, OSError if the disk is full; it is not locked then.
    """
    root = location(settings, step)
    root.parent.mkdir(parents=True, exist_ok=True)
    lock = os.open(_lock_file(root), os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o644)
    try:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError as error:
        os.close(lock)
        raise BusyError(
            f"{root} is in use by another farm process",
            where=step,
            fix="wait for it, leave its `farm shell`, or end that process",
        ) from error
    space = Workspace(root=root, lock=lock)
    try:
        _prepare(space, step, fresh=fresh)
    except BaseException:  # a full disk: a lock that nobody knows of would keep this very process out, too
        space.release()
        raise
    return space


def _prepare(space: Workspace, step: str, *, fresh: bool) -> None:
    os.ftruncate(space.lock, 0)
    if fresh:
        remove_tree(space.root)
    for place in (space.deps, space.tools, space.out):
        place.mkdir(parents=True, exist_ok=True)
    space.baseline.create()
    (space.root / STEP).write_text(step + "\n", "utf-8")


def claim_in_turn(settings: Settings, step: str, tell: Callable[[], None], cancel: Cancel | None = None) -> Workspace:
    """As `claim`, after whoever builds or measures the step now; `tell` is called once if that takes a while.

    Raises BusyError if a shell is open in it (people take their time), and when cancelled.
    """
    until, told = time.monotonic() + _PATIENCE, False
    while True:
        try:
            return claim(settings, step)
        except BusyError:
            if _is_shell(location(settings, step)) or time.monotonic() > until or (cancel and cancel.is_set):
                raise
        if not told:
            tell()
            told = True
        time.sleep(_POLL)


def _lock_file(root: Path) -> Path:
    return root.with_name(root.name + ".lock")


def _is_shell(root: Path) -> bool:
    try:
        return _lock_file(root).read_bytes() == _SHELL
    except OSError:
        return False
