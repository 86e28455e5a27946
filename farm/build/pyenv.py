"""The Python packages of a build (PEP 517 backends and what they need): pinned by hash, fetched once, laid out offline.

A lock file beside the recipe names every package with its hashes. pip fetches the wheels into the cache, through
whatever index this machine has configured; each build then gets a fresh virtual environment of unpacked wheels, with
nothing in it that the lock does not name.
"""

from __future__ import annotations

import configparser
import hashlib
import os
import shutil
import sys
import tempfile
from collections.abc import Callable
from pathlib import Path

from farm import process
from farm.build.pysdk import PythonSdk
from farm.errors import BuildError, FarmError, ProcessError, SourceError, UnreachableError
from farm.process import Cancel
from farm.settings import Settings
from farm.store.keeping import keep
from farm.wheel.archive import WheelArchive

_SECONDS = 1200.0


def fetch(lock: Path, sdk: PythonSdk, settings: Settings, *, cancel: Cancel | None = None) -> tuple[Path, ...]:
    """The wheels of a lock file for the build's Python, sorted by name; from the cache if they are there.

    Raises UnreachableError if the index does not answer, SourceError for a wrong hash or a lock that leaves out a
    package.
    """
    name = directory(lock, sdk.tag)
    folder = settings.cache / "python-build" / name
    keep(folder, folder.is_dir, lambda: _download(lock, sdk, folder, cancel))
    return tuple(sorted(folder.glob("*.whl")))


def directory(lock: Path, python_tag: str) -> str:
    """The name in the cache of the wheels of a lock file for a Python (``cp311``)."""
    return hashlib.sha256(f"{python_tag}\n".encode() + lock.read_bytes()).hexdigest()


def _download(lock: Path, sdk: PythonSdk, folder: Path, cancel: Cancel | None) -> None:
    scratch = Path(tempfile.mkdtemp(prefix=".pip-", dir=folder.parent))
    argv = [sys.executable, "-m", "pip", "--python", str(sdk.interpreter), "--disable-pip-version-check", "download"]
    argv += ["--quiet", "--no-deps", "--only-binary", ":all:", "--require-hashes", "-r", str(lock), "-d", str(scratch)]
    try:
        process.run(argv, timeout=_SECONDS, cancel=cancel)
        scratch.chmod(0o755)
        scratch.rename(folder)
    except ProcessError as error:
        raise _pip_error(lock, error) from error
    finally:
        shutil.rmtree(scratch, ignore_errors=True)


def _pip_error(lock: Path, error: ProcessError) -> FarmError:
    if "cancelled" in error.what:
        return error
    last = "\n".join(error.output.strip().splitlines()[-12:])
    if "HASHES" in last.upper():
        return SourceError(
            f"a Python package of the build is not what its hash says:\n{last}",
            where=str(lock),
            fix="compare the index with the lock file; `uv pip compile --generate-hashes` makes a new one",
        )
    return UnreachableError(
        f"the build's Python packages cannot be fetched:\n{last}",
        where=str(lock),
        fix="check `pip config list` and the network",
    )


def lay_out(
    target: Path,
    wheels: tuple[Path, ...],
    *,
    seen_as: str,
    python: str,
    short: str,
    put: Callable[[Path], None] | None = None,
    paths: tuple[str, ...] = (),
) -> None:
    """Make the virtual environment of a build in the empty directory `target`.

    `seen_as` is its path as the build sees it, `python` the interpreter as the build sees it, `short` its version
    (``3.11``); `put` writes the environment's own copy of the interpreter where a link to it would not run. `paths`
    are further directories of modules, also for programs that start Python without its environment variables. Raises
    BinaryFormatError for a wheel that is damaged.
    """
    site = target / "lib" / f"python{short}" / "site-packages"
    programs = target / "bin"
    site.mkdir(parents=True)
    programs.mkdir()
    first, *others = f"python{short}", "python", "python3"
    if put is None:
        (programs / first).symlink_to(python)
    else:
        put(programs / first)
    for name in others:
        (programs / name).symlink_to(first)
    home = os.path.dirname(python)  # noqa: PTH120 - a path of the sandbox, not of this machine
    (target / "pyvenv.cfg").write_text(f"home = {home}\ninclude-system-site-packages = false\n", "utf-8")
    if paths:
        (site / "farm.pth").write_text("".join(f"{path}\n" for path in paths), "utf-8")
    for wheel in wheels:
        _install(wheel, target, site, f"{seen_as}/bin/python")


def _install(wheel: Path, target: Path, site: Path, python: str) -> None:
    with WheelArchive.open(wheel) as archive:
        archive.extract(site)
        data, info = site / archive.name.data, site / archive.dist_info
    if data.is_dir():
        _spread(data, target, site, python)
    points = configparser.ConfigParser(delimiters=("=",), interpolation=None)
    points.optionxform = str  # type: ignore[assignment,method-assign]
    if (file := info / "entry_points.txt").is_file():
        points.read_string(file.read_text("utf-8"))
    if points.has_section("console_scripts"):
        for name, value in points.items("console_scripts"):
            _script(target / "bin", name, value.partition("[")[0].strip(), python, wheel)


def _spread(data: Path, target: Path, site: Path, python: str) -> None:
    """Move what a wheel keeps in ``.data`` to where its scheme says (binary distribution format, step 2)."""
    places = {"purelib": site, "platlib": site, "data": target, "scripts": target / "bin"}
    for scheme, place in places.items():
        if (data / scheme).is_dir():
            shutil.copytree(data / scheme, place, dirs_exist_ok=True)
    for script in (data / "scripts").glob("*"):
        installed = target / "bin" / script.name
        content = installed.read_bytes()
        if content.startswith(b"#!python"):
            installed.write_bytes(f"#!{python}\n".encode() + content.partition(b"\n")[2])
        installed.chmod(0o755)
    shutil.rmtree(data)


def _script(programs: Path, name: str, value: str, python: str, wheel: Path) -> None:
    module, _, attribute = value.partition(":")
    words = [*module.split("."), *attribute.split(".")]
    if not all(word.isidentifier() for word in words) or "/" in name or name in ("", ".", ".."):
        raise BuildError(
            f"has the console script {name!r} = {value!r}, which is none",
            where=str(wheel),
            fix="lock another release of it",
        )
    text = f"#!{python}\nimport sys\nfrom {module} import {words[len(module.split('.'))]}\nsys.exit({attribute}())\n"
    script = programs / name
    script.write_text(text, "utf-8")
    script.chmod(0o755)
