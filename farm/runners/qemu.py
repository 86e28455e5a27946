"""Programs of other processors, emulated: system calls go to this machine's kernel, files come from the sysroot first.

The processor model is pinned: the emulator's newest one is several times slower and computes differently in places.
"""

from __future__ import annotations

from farm.errors import MissingToolError
from farm.process import Cancel
from farm.runners import bytecode
from farm.runners.host import Host, Place, wheel_platforms
from farm.runners.launcher import Interpreter, Launcher
from farm.settings import on_linux


def check(host: Host) -> None:
    """Raises MissingToolError if no emulator of this machine could do it."""
    if not on_linux():
        raise MissingToolError(f"{host.toolchain.platform} programs are emulated on Linux only")


def program(host: Host, cancel: Cancel | None = None) -> Launcher:
    """For C programs. Raises MissingToolError."""
    return _launcher(host, host.place(host.toolchain.run.sysroot, cancel), cancel)


def python(host: Host, version: str, cancel: Cancel | None = None) -> Interpreter:
    """The Python of a sysroot, or, where the platform has no such sysroots, the one that the farm compiles. Raises
    MissingToolError."""
    if host.has_pythons:
        place = host.place(host.python_sysroot(version), cancel)
        bytecode.ensure(host, place, cancel)
        executable = place.program("python")
    else:
        place = host.place(host.toolchain.run.sysroot, cancel)
        executable = host.made_python(version, cancel).executable
    return Interpreter(
        launcher=_launcher(host, place, cancel),
        executable=executable,
        version=version,
        platforms=wheel_platforms(host.toolchain),
    )


def _launcher(host: Host, place: Place, cancel: Cancel | None) -> Launcher:
    run = host.toolchain.run
    cpu = ("-cpu", run.cpu) if run.cpu else ()
    return Launcher(prefix=(str(host.tool(run.program, cancel)), *cpu, "-L", str(place.root)), renames="-0")
