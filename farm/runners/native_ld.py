"""Programs of this processor for another C library: started by the sysroot's loader, with the sysroot's libraries."""

from __future__ import annotations

from farm.errors import MissingToolError
from farm.process import Cancel
from farm.runners import bytecode
from farm.runners.host import Host, Place, wheel_platforms
from farm.runners.launcher import Interpreter, Launcher

_RUNS_TOO = {"x86_64": ("i686",), "aarch64": ()}
"""Architecture of a build machine -> others that its processor runs."""

_PERSONALITY = {"i686": ("/usr/bin/linux32",)}
"""What must tell the kernel, so that `uname` says what the program is."""


def check(host: Host) -> None:
    """Raises MissingToolError if this machine's processor does not run such programs."""
    arch = host.toolchain.arch
    if not host.is_own and arch not in _RUNS_TOO.get(host.machine, ()):
        raise MissingToolError(
            f"a {host.machine} machine does not run {arch} programs", fix="use a machine that does, or an emulator"
        )


def program(host: Host, cancel: Cancel | None = None) -> Launcher:
    """For C programs. Raises MissingToolError."""
    check(host)
    return _launcher(host, host.place(host.toolchain.run.sysroot, cancel))


def python(host: Host, version: str, cancel: Cancel | None = None) -> Interpreter:
    """For Pythons. Raises MissingToolError."""
    check(host)
    place = host.place(host.python_sysroot(version), cancel)
    bytecode.ensure(host, place, cancel)
    return Interpreter(
        launcher=_launcher(host, place),
        executable=place.program("python"),
        version=version,
        platforms=wheel_platforms(host.toolchain),
    )


def _launcher(host: Host, place: Place) -> Launcher:
    loader = (str(place.loader), "--library-path", place.library_path)
    return Launcher(prefix=(*_PERSONALITY.get(host.toolchain.arch, ()), *loader), renames="--argv0")
