"""Whether a platform's runner works on this machine, without fetching or starting anything."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from farm import sysroot
from farm.errors import MissingToolError
from farm.runners.host import Host, install_command, installed
from farm.runners.kinds import KINDS


@dataclass(frozen=True, slots=True, kw_only=True)
class Readiness:
    """`detail` says how programs run, or why not; `fix` is the command that gets what is missing, empty if there is
    none or nothing is missing. What is only not fetched yet is no hindrance."""

    works: bool
    detail: str
    fix: str = ""


def readiness(host: Host) -> Readiness:
    """For `farm doctor`."""
    kind = KINDS[host.toolchain.run.kind]
    try:
        kind.check(host)
    except MissingToolError as error:
        return Readiness(works=False, detail=error.what)
    for program in (*kind.programs, *_emulator(host)):
        if installed(program) is None:
            return Readiness(works=False, detail=f"no {program}", fix=install_command(program))
    names = tuple(_sysroots(host))
    for name in names:
        if name not in host.sysroots:
            return Readiness(works=False, detail=f"there is no toolchains/sysroots/{name}.toml")
    detail = f"{host.toolchain.run.kind} with {', '.join(names)}" if names else host.toolchain.run.kind
    missing = [n for n in names if host.settings and not sysroot.present(host.sysroots[n], host.settings)]
    if missing:
        command = f"farm toolchain sysroot {' '.join(missing)}"
        return Readiness(works=True, detail=f"{detail}; fetched by the first test, or {command}")
    return Readiness(works=True, detail=detail)


def _emulator(host: Host) -> Iterator[str]:
    """The program that the toolchain names, where no sysroot has it."""
    program = host.toolchain.run.program
    if program and not _is_in_own_sysroot(host) and host.provider(program) is None:
        yield program


def _sysroots(host: Host) -> Iterator[str]:
    run = host.toolchain.run
    if run.sysroot:
        yield run.sysroot
    provider = None if _is_in_own_sysroot(host) else host.provider(run.program)
    if provider:
        yield provider.name


def _is_in_own_sysroot(host: Host) -> bool:
    """Wine is in the sysroot that it runs in; an emulator is a program of this machine."""
    own = host.sysroots.get(host.toolchain.run.sysroot)
    return own is not None and host.toolchain.run.program in own.programs
