"""Compile a C program against unpacked native wheels, as a user of the library would, and run it."""

from __future__ import annotations

import shutil
import signal
from dataclasses import dataclass
from pathlib import Path

from farm import process
from farm.errors import BinaryFormatError
from farm.model.native import NativeManifest
from farm.model.outcome import Outcome
from farm.process import Cancel, Completed
from farm.runners.launcher import Launcher
from farm.runners.values import ProgramTest, SmokeResult
from farm.wheel import native_manifest
from farm.wheel.archive import WheelArchive


@dataclass(frozen=True, slots=True, kw_only=True)
class Shape:
    """How programs of a binary format are named, and how they find the libraries of the packages they are linked to:
    by a run path in them, or (`beside`, a glob) because copies of the libraries lie beside them."""

    name: str = "program"
    has_run_path: bool = True
    beside: str = ""


SHAPES = {
    "elf": Shape(),
    "pe": Shape(name="program.exe", has_run_path=False, beside="*.dll"),
    "macho": Shape(),
}
"""By the toolchain's `binary`."""


def run(
    test: ProgramTest,
    scratch: Path,
    *,
    launcher: Launcher = Launcher(),  # noqa: B008 - a frozen value
    shape: Shape = SHAPES["elf"],
    cancel: Cancel | None = None,
) -> SmokeResult:
    """Unpack, compile, link, run. Raises ProcessError when out of time or cancelled, MissingToolError, and
    BinaryFormatError for a wheel that is no native wheel."""
    site = scratch / "site"
    manifests = [_unpack(wheel, site) for wheel in test.natives]
    binary = scratch / shape.name
    found = flags(site, manifests, has_run_path=shape.has_run_path)
    argv = [*test.compiler, "-o", binary.name, str(test.source.resolve()), *found, *test.flags]
    variables = {"PATH": "/usr/bin:/bin", "HOME": str(scratch), "TMPDIR": str(scratch), "LC_ALL": "C.UTF-8"}
    compiled = process.run(
        argv, env={**variables, **test.environment}, cwd=scratch, check=False, timeout=test.timeout, cancel=cancel
    )
    if compiled.returncode != 0:
        reason = f"{test.source.name} does not compile against the native wheel"
        return SmokeResult(outcome=Outcome.FAILED, reason=reason, output=compiled.output, seconds=compiled.seconds)
    _put_beside(site, manifests, shape, scratch)
    launcher.prepare(scratch)
    started = launcher.argv(scratch, binary)
    done = process.run(started, env=variables, cwd=scratch, check=False, timeout=test.timeout, cancel=cancel)
    ok = done.returncode == 0
    return SmokeResult(
        outcome=Outcome.PASSED if ok else Outcome.FAILED,
        reason="" if ok else why(done),
        output=done.output,
        seconds=done.seconds,
    )


def _put_beside(site: Path, manifests: list[NativeManifest], shape: Shape, scratch: Path) -> None:
    for manifest in manifests if shape.beside else ():
        for library in (site / manifest.import_name / "lib").glob(shape.beside):
            shutil.copyfile(library, scratch / library.name)


def flags(site: Path, manifests: list[NativeManifest], *, has_run_path: bool = True) -> list[str]:
    """Compiler and linker flags for all libraries of the native packages in a site directory, by their link names."""
    packages = [site / manifest.import_name for manifest in manifests]
    found = [f"-I{package / 'include'}" for package in packages]
    found += [
        word for manifest in manifests if manifest.symbols_header for word in ("-include", manifest.symbols_header)
    ]
    for package, manifest in zip(packages, manifests, strict=True):
        found += [f"-L{package / 'lib'}", *([f"-Wl,-rpath,{package / 'lib'}"] if has_run_path else [])]
        found += [f"-l{library.link_name}" for library in manifest.library]
    return [*found, "-lm"]


def why(done: Completed) -> str:
    """A failed program's end in words."""
    if done.returncode < 0:
        try:
            return f"killed by {signal.Signals(-done.returncode).name}"
        except ValueError:
            return f"killed by signal {-done.returncode}"
    last = next((line.strip() for line in reversed(done.output.splitlines()) if line.strip()), "")
    return f"exit code {done.returncode}: {last[:300]}" if last else f"exit code {done.returncode}"


def _unpack(wheel: Path, site: Path) -> NativeManifest:
    with WheelArchive.open(wheel) as archive:
        manifest = native_manifest.read(archive)
        if manifest is None:
            raise BinaryFormatError(
                "has no native.json: it is not a native wheel", where=str(wheel), fix="build it again with the farm"
            )
        archive.extract(site)
    return manifest
