"""Programs for musl on a machine of their own architecture: started by musl's loader from the sysroot."""

from __future__ import annotations

from farm.errors import MissingToolError
from farm.process import Cancel
from farm.runners.host import Host, wheel_platforms
from farm.runners.launcher import Interpreter, Launcher


def check(host: Host) -> None:
    """Raises MissingToolError if this machine's processor does not run such programs."""
    if not host.is_own:
        raise MissingToolError(
            f"a {host.machine} machine does not run {host.toolchain.arch} programs", fix="use an emulator"
        )


def program(host: Host, cancel: Cancel | None = None) -> Launcher:
    """For C programs. Raises MissingToolError."""
    check(host)
    return _launcher(host, cancel)


def python(host: Host, version: str, cancel: Cancel | None = None) -> Interpreter:
    """The Python that the farm compiles. Raises MissingToolError."""
    check(host)
    return Interpreter(
        launcher=_launcher(host, cancel),
        executable=host.made_python(version, cancel).executable,
        version=version,
        platforms=wheel_platforms(host.toolchain),
    )


def _launcher(host: Host, cancel: Cancel | None) -> Launcher:
    place = host.place(host.toolchain.run.sysroot, cancel)
    return Launcher(prefix=(str(place.loader),), renames="--argv0")
