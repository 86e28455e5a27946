"""The pinned cross compiler: fetched through pip, which knows this machine's index, and unpacked into the cache."""

from __future__ import annotations

import os
import sys
import tempfile
from pathlib import Path

from farm import process
from farm.errors import FarmError, MissingToolError, ProcessError, SourceError, UnreachableError
from farm.fetch import archives, download
from farm.model.toolchain import Toolchain
from farm.process import Cancel
from farm.settings import Settings, build_machine
from farm.store.files import publish_dir
from farm.store.keeping import keep


def materialise(toolchain: Toolchain, settings: Settings, place: Path, cancel: Cancel | None = None) -> Path:
    """The compiler's directory below `place`; quick when it is there.

    Raises UnreachableError if it cannot be fetched, SourceError if it is not what the toolchain file pins,
    MissingToolError if the file pins none for this machine.
    """
    sha256 = toolchain.compiler.sha256.get(build_machine())
    if sha256 is None:
        raise MissingToolError(
            f"the toolchain {toolchain.platform} pins no compiler for a {build_machine()} build machine",
            fix=f"add its hash to [compiler.sha256] of toolchains/{toolchain.platform}.toml",
        )
    target = _directory(toolchain, place, sha256)

    def make() -> None:
        wheel = _wheel(toolchain, sha256, settings.downloads, cancel)
        publish_dir(target, lambda folder: archives.unpack(wheel, folder, strip=False))

    keep(target, lambda: _is_whole(target), make)
    return target


def present(toolchain: Toolchain, settings: Settings) -> bool:
    """Whether the compiler is in the cache already (for `farm doctor`)."""
    sha256 = toolchain.compiler.sha256.get(build_machine(), "")
    return bool(sha256) and _directory(toolchain, settings.cache / "toolchains", sha256).is_dir()


def directories(toolchain: Toolchain) -> frozenset[str]:
    """The names in the cache of the compilers that a toolchain pins, for any machine."""
    pinned = toolchain.compiler.sha256.values()
    return frozenset(_directory(toolchain, Path(), sha256).name for sha256 in pinned)


def _directory(toolchain: Toolchain, place: Path, sha256: str) -> Path:
    return place / f"{toolchain.compiler.kind}-{toolchain.compiler.version}-{sha256[:16]}"


def _is_whole(place: Path) -> bool:
    return os.access(place / "ziglang" / "zig", os.X_OK)


def _wheel(toolchain: Toolchain, sha256: str, downloads: Path, cancel: Cancel | None) -> Path:
    """The compiler's wheel through pip, which knows this machine's index; pip checks the hash."""
    found = download.cached(downloads, sha256)
    if found is not None:
        return found
    pinned = f"{toolchain.compiler.distribution}=={toolchain.compiler.version}"
    folder = downloads / sha256
    folder.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(prefix=".pip-", dir=downloads) as scratch:
        wanted = Path(scratch) / "requirements.txt"
        wanted.write_text(f"{pinned} --hash=sha256:{sha256}\n", "utf-8")
        argv = [sys.executable, "-m", "pip", "--disable-pip-version-check", "download", "--no-deps", "--quiet"]
        argv += ["--only-binary", ":all:", "--require-hashes", "-r", str(wanted), "-d", f"{scratch}/wheel"]
        try:
            process.run(argv, timeout=1200, cancel=cancel)
        except ProcessError as error:
            raise _pip_error(pinned, sha256, error) from error
        wheel = next((Path(scratch) / "wheel").glob("*.whl"))
        target = folder / wheel.name
        wheel.replace(target)
    return target


def _pip_error(pinned: str, sha256: str, error: ProcessError) -> FarmError:
    last = "\n".join(error.output.strip().splitlines()[-12:])
    if "HASHES" in last.upper() and "MATCH" in last.upper():
        return SourceError(f"{pinned} has not the pinned hash {sha256}:\n{last}", fix="compare the index with the file")
    return UnreachableError(
        f"the compiler {pinned} cannot be fetched:\n{last}", fix="check `pip config list` and the network"
    )
