"""Run build commands where nothing of this machine can leak in.

Inside, paths are fixed, so they are the same in every build on every machine: ``/farm/src`` ``/farm/work``
``/farm/prefix`` (writable), ``/farm/deps`` ``/farm/toolchain`` ``/farm/tools`` (read-only). The system's programs are
there; its headers, its .pc and CMake files, /usr/local, home directories and the network are not. PATH holds the
toolchain and the links to declared tools only.

Without a sandbox the same commands run with the real paths; the compiler is told to write the fixed ones.
"""

from __future__ import annotations

import os
import shutil
import tempfile
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import BinaryIO

from farm import process
from farm.build import spent
from farm.errors import MissingToolError
from farm.process import Cancel, Completed

BWRAP = "bwrap"
NO_HOME = "/nonexistent"
SCRATCH = "/tmp"  # noqa: S108 - inside a sandbox: private and empty
_HIDDEN = (
    "/usr/include",
    "/usr/local",
    "/usr/src",
    "/usr/lib/pkgconfig",
    "/usr/share/pkgconfig",
    "/usr/lib/cmake",
    "/usr/lib/python3/dist-packages",
)
_HIDDEN_BELOW_LIB = ("pkgconfig", "cmake")
_USER_ID = "1000"


@dataclass(frozen=True, slots=True, kw_only=True)
class Mount:
    """A directory of this machine and where builds see it."""

    source: Path
    inside: str
    writable: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class Sandbox:
    """Where commands run. `enabled` false: the same, with real paths and no walls."""

    mounts: tuple[Mount, ...]
    enabled: bool = True
    environment: Mapping[str, str] = field(default_factory=dict)
    network: bool = False

    def path(self, place: Path) -> str:
        """A path of this machine as commands see it; `place` must lie in one of the mounts."""
        if not self.enabled:
            return str(place)
        for mount in sorted(self.mounts, key=lambda m: len(m.source.parts), reverse=True):
            if place.is_relative_to(mount.source):
                rest = place.relative_to(mount.source).as_posix()
                return mount.inside if rest == "." else f"{mount.inside}/{rest}"
        raise ValueError(f"{place} is in no mount")

    def place(self, inside: str) -> str:
        """One of the fixed paths (``/farm/...``) as commands see it: itself, or the real path without a sandbox."""
        if self.enabled:
            return inside
        for mount in sorted(self.mounts, key=lambda m: len(m.inside), reverse=True):
            if inside == mount.inside or inside.startswith(mount.inside + "/"):
                return str(mount.source) + inside[len(mount.inside) :]
        raise ValueError(f"{inside} is in no mount")

    def argv(
        self,
        command: Sequence[str | os.PathLike[str]],
        *,
        cwd: str,
        env: Mapping[str, str] | None = None,
        interactive: bool = False,
    ) -> tuple[list[str], dict[str, str]]:
        """What really runs for a command, and its environment. `cwd` as commands see it, empty for
        the caller's own directory, which a mount must show under its own name; `interactive` keeps the terminal (a
        build must not reach it: it could type into it).

        Raises MissingToolError if this machine has no bubblewrap.
        """
        environment = {**self.environment, **(env or {})}
        words = [os.fspath(word) for word in command]
        if not self.enabled:
            return words, environment
        settings = [word for name, value in sorted(environment.items()) for word in ("--setenv", name, value)]
        place = ("--chdir", cwd) if cwd else ()
        return [*self._walls(interactive=interactive), *settings, *place, "--", *words], {"PATH": "/usr/bin:/bin"}

    def run(
        self,
        command: Sequence[str | os.PathLike[str]],
        *,
        cwd: str,
        env: Mapping[str, str] | None = None,
        log: BinaryIO | None = None,
        check: bool = True,
        timeout: float | None = None,
        cancel: Cancel | None = None,
    ) -> Completed:
        """Run a command to its end; like `farm.process.run`, with `cwd` as commands see it."""
        if not self.enabled:
            argv, environment = self.argv(command, cwd=cwd, env=env)
            return process.run(
                argv, env=environment, cwd=Path(cwd), log=log, check=check, timeout=timeout, cancel=cancel
            )
        with tempfile.NamedTemporaryFile(prefix="farm-times-") as file:
            times = Path(file.name)
            counting = replace(self, mounts=(*self.mounts, Mount(source=times, inside=spent.INSIDE, writable=True)))
            argv, environment = counting.argv(spent.counted([os.fspath(w) for w in command]), cwd=cwd, env=env)
            try:
                done = process.run(argv, env=environment, log=log, check=check, timeout=timeout, cancel=cancel)
            finally:
                inside = spent.seconds(times)
                process.add_cpu(inside)
            return replace(done, cpu_seconds=done.cpu_seconds + inside)

    def _walls(self, *, interactive: bool) -> list[str]:
        walls = [require_bwrap(), "--unshare-all", "--die-with-parent", "--clearenv"]
        if not interactive:
            walls.append("--new-session")
        walls += ["--uid", _USER_ID, "--gid", _USER_ID, "--hostname", "farm", "--cap-drop", "ALL"]
        if self.network:
            walls.append("--share-net")
        walls += _system_mounts()
        for mount in sorted(self.mounts, key=lambda m: m.inside):
            walls += ["--bind" if mount.writable else "--ro-bind", str(mount.source), mount.inside]
        return walls


def require_bwrap() -> str:
    """The path of bubblewrap. Raises MissingToolError with both ways on."""
    found = shutil.which(BWRAP, path="/usr/bin:/bin:/usr/local/bin")
    if found is None:
        raise MissingToolError(
            "builds run in a sandbox, and this machine has no bubblewrap",
            fix="apt-get install bubblewrap; or go on without walls: --no-sandbox (files of this machine may leak in)",
        )
    return found


def works() -> str:
    """Empty if a sandbox can be made on this machine, else why not (for `farm doctor`)."""
    try:
        probe = Sandbox(mounts=())
        argv, env = probe.argv(["/bin/sh", "-c", "exit 0"], cwd=SCRATCH)
        done = process.run(argv, env=env, check=False, timeout=30)
    except MissingToolError as error:
        return error.what
    return "" if done.returncode == 0 else done.output.strip() or f"bwrap ends with {done.returncode}"


def _system_mounts() -> list[str]:
    """The system's programs, read-only, with everything a build could find by accident covered by empty directories."""
    words = ["--ro-bind", "/usr", "/usr"]
    for name in ("bin", "sbin", "lib", "lib32", "lib64", "libx32"):
        place = Path("/") / name
        if place.is_symlink():
            words += ["--symlink", str(place.readlink()), f"/{name}"]
        elif place.is_dir():  # not merged into /usr
            words += ["--ro-bind", f"/{name}", f"/{name}"]
    for hidden in _hidden():
        words += ["--tmpfs", hidden]
    words += ["--proc", "/proc", "--dev", "/dev", "--tmpfs", SCRATCH, "--dir", "/etc"]
    for shared in ("/etc/alternatives", "/etc/ld.so.cache"):
        if Path(shared).exists():
            words += ["--ro-bind", shared, shared]
    words += ["--dir", "/farm"]
    return words


def _hidden() -> list[str]:
    places = [Path(p) for p in _HIDDEN]
    places += [lib / name for lib in Path("/usr/lib").glob("*-linux-*") for name in _HIDDEN_BELOW_LIB]
    places += [Path("/usr/lib64") / name for name in _HIDDEN_BELOW_LIB]
    return [str(place) for place in places if place.is_dir()]
