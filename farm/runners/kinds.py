"""The kinds of runners: how each starts C programs and Pythons."""

from __future__ import annotations

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
    """Both raise MissingToolError, UnreachableError or SourceError if this machine cannot run such programs; the
    error says why. `python` is None where the Python under test is a program of this machine."""

    program: Callable[[Host, Cancel | None], Launcher]
    python: Callable[[Host, str, Cancel | None], Interpreter] | None


def _native(host: Host, _cancel: Cancel | None = None) -> Launcher:
    if host.toolchain.os == "linux" and host.is_own:
        return Launcher()
    raise MissingToolError(f"{host.toolchain.platform} binaries do not run on this {host.machine} machine")


def _inspect(host: Host, _cancel: Cancel | None = None) -> NoReturn:
    raise MissingToolError(f"{host.toolchain.platform} binaries are inspected only: nothing on this machine runs them")


def _no_python(host: Host, _version: str, _cancel: Cancel | None = None) -> NoReturn:
    _inspect(host)


KINDS: Mapping[str, Kind] = {
    "native": Kind(program=_native, python=None),
    "native-ld": Kind(program=native_ld.program, python=native_ld.python),
    "qemu": Kind(program=qemu.program, python=qemu.python),
    "musl": Kind(program=musl.program, python=musl.python),
    "wine": Kind(program=wine.program, python=wine.python),
    "inspect": Kind(program=_inspect, python=_no_python),
}
"""The kind of a toolchain's `[run]` table -> how it starts programs."""
