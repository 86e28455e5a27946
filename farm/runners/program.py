"""Compile a C program against unpacked native wheels, as a user of the library would, and run it."""

from __future__ import annotations

import signal
from pathlib import Path

from farm import process
from farm.errors import BinaryFormatError
from farm.model.native import NativeManifest
from farm.model.outcome import Outcome
from farm.process import Cancel, Completed
from farm.runners.values import ProgramTest, SmokeResult
from farm.wheel import native_manifest
from farm.wheel.archive import WheelArchive


def run(test: ProgramTest, scratch: Path, *, cancel: Cancel | None = None) -> SmokeResult:
    """Unpack, compile, link, run. Raises ProcessError when out of time or cancelled, MissingToolError, and
    BinaryFormatError for a wheel that is no native wheel."""
    site = scratch / "site"
    manifests = [_unpack(wheel, site) for wheel in test.natives]
    binary = scratch / "program"
    argv = [*test.compiler, "-o", binary.name, str(test.source.resolve()), *flags(site, manifests), *test.flags]
    variables = {"PATH": "/usr/bin:/bin", "HOME": str(scratch), "TMPDIR": str(scratch), "LC_ALL": "C.UTF-8"}
    compiled = process.run(
        argv, env={**variables, **test.environment}, cwd=scratch, check=False, timeout=test.timeout, cancel=cancel
    )
    if compiled.returncode != 0:
        reason = f"{test.source.name} does not compile against the native wheel"
        return SmokeResult(outcome=Outcome.FAILED, reason=reason, output=compiled.output, seconds=compiled.seconds)
    done = process.run([binary], env=variables, cwd=scratch, check=False, timeout=test.timeout, cancel=cancel)
    ok = done.returncode == 0
    return SmokeResult(
        outcome=Outcome.PASSED if ok else Outcome.FAILED,
        reason="" if ok else why(done),
        output=done.output,
        seconds=done.seconds,
    )


def flags(site: Path, manifests: list[NativeManifest]) -> list[str]:
    """Compiler and linker flags for all libraries of the native packages in a site directory, by their link names."""
    packages = [site / manifest.import_name for manifest in manifests]
    found = [f"-I{package / 'include'}" for package in packages]
    for package, manifest in zip(packages, manifests, strict=True):
        found += [f"-L{package / 'lib'}", f"-Wl,-rpath,{package / 'lib'}"]
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
