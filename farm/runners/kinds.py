"""The kinds of runners: how each starts C programs and Pythons."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import NoReturn

from farm.errors import MissingToolError
from farm.process import Cancel
from farm.runners import musl, native_ld, qemu, wine
from farm.runners.host import Host
from farm.runners.launcher import Interpreter, Launcher


@dataclass(frozen=True, slots=True, kw_only=True)
class Kind:
    """`check` raises MissingToolError if such programs never run on this machine; `programs` of it are needed.

    `program` and `python` also raise UnreachableError and SourceError; the error says why. `python` is None where the
    Python under test is a program of this machine. `lacks` finds in a failed program's output what the runner itself
    cannot do, which is no fault of the wheel.
    """

    check: Callable[[Host], None]
    program: Callable[[Host, Cancel | None], Launcher]
    python: Callable[[Host, str, Cancel | None], Interpreter] | None
    programs: tuple[str, ...] = ()
    lacks: re.Pattern[str] | None = None


def _native_check(host: Host) -> None:
    if host.toolchain.os != "linux" or not host.is_own:
        raise MissingToolError(f"{host.toolchain.platform} binaries do not run on this {host.machine} machine")


def _native(host: Host, _cancel: Cancel | None = None) -> Launcher:
    _native_check(host)
    return Launcher()


def _inspect(_host: Host, *_: object) -> NoReturn:
    raise MissingToolError("its binaries are inspected only: nothing on this machine runs them")


KINDS: Mapping[str, Kind] = {
    "native": Kind(check=_native_check, program=_native, python=None),
    "native-ld": Kind(check=native_ld.check, program=native_ld.program, python=native_ld.python),
    "qemu": Kind(check=qemu.check, program=qemu.program, python=qemu.python),
    "musl": Kind(check=musl.check, program=musl.program, python=musl.python),
    "wine": Kind(
        check=wine.check, program=wine.program, python=wine.python, programs=("bwrap",), lacks=wine.UNIMPLEMENTED
    ),
    "inspect": Kind(check=_inspect, program=_inspect, python=_inspect),
}
"""The kind of a toolchain's `[run]` table -> how it starts programs."""
