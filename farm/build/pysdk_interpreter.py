"""The interpreter that runs builds: Debian's, out of a pinned sysroot, made to run where that sysroot is.

It brings its own C library, so it runs on any Linux of its architecture. A copy of the program gets the sysroot's
loader and library path; the rest of it stays where it is.
"""

from __future__ import annotations

import shutil
import tempfile
from pathlib import Path

from farm import process, sysroot
from farm.catalog.values import Catalog
from farm.errors import MissingToolError
from farm.model.python import Python
from farm.model.sysroot import Sysroot
from farm.process import Cancel
from farm.repair.patch import patchelf
from farm.settings import Settings, build_machine
from farm.store.files import settle_dir
from farm.store.keeping import keep

_PROGRAM = "python"


def sysroot_of(python: Python, catalog: Catalog, *, needed: str = "") -> Sysroot:
    """The sysroot with the interpreter that runs builds on this machine.

    `needed` says what for, in the MissingToolError that is raised if the Python's file pins none.
    """
    found = catalog.sysroots.get(python.build.get(build_machine(), ""))
    if found is None:
        raise MissingToolError(
            f"no {python.tag} is pinned that runs builds on a {build_machine()} machine{needed and f': {needed}'}",
            fix=f"name its sysroot in [build] of toolchains/pythons/{python.tag}.toml",
        )
    return found


def program(pinned: Sysroot) -> str:
    """The interpreter's place in its sysroot. Raises MissingToolError if the sysroot has none."""
    if _PROGRAM not in pinned.programs or pinned.loader is None:
        raise MissingToolError(
            f"the sysroot {pinned.name} holds no Python that can run", fix="name another in toolchains/pythons/"
        )
    return pinned.programs[_PROGRAM]


def adapt(pinned: Sysroot, root: Path, target: Path, *, seen_as: str) -> None:
    """Copy the interpreter of a sysroot (at `root`) to the file `target`, so that it runs where the sysroot is seen
    as `seen_as`. Raises MissingToolError without patchelf, ProcessError."""
    shutil.copyfile(root / program(pinned), target)
    target.chmod(0o755)
    libraries = ":".join(f"{seen_as}/{path}" for path in pinned.library_path)
    # The old kind of run path: it holds for the modules that the interpreter loads, too.
    argv = [
        str(patchelf()),
        "--set-interpreter",
        f"{seen_as}/{pinned.loader}",
        "--force-rpath",
        "--set-rpath",
        libraries,
    ]
    process.run([*argv, str(target)], timeout=120)


def directory(root: Path) -> str:
    """The name in the cache of the interpreter that is made of a sysroot's directory."""
    return f"python-{root.name}"


def runnable(pinned: Sysroot, settings: Settings, *, cancel: Cancel | None = None) -> Path:
    """The interpreter of a sysroot as a program that runs on this machine; quick when it is in the cache.

    Raises what `farm.sysroot.materialise` raises, and MissingToolError without patchelf.
    """
    root = sysroot.materialise(pinned, settings, cancel=cancel)
    short = pinned.python
    place = settings.cache / "sdk" / directory(root)
    file = place / "bin" / f"python{short}"

    def make() -> None:
        scratch = Path(tempfile.mkdtemp(prefix=".run-", dir=place.parent))
        try:
            (scratch / "bin").mkdir()
            adapt(pinned, root, scratch / "bin" / f"python{short}", seen_as=str(root))
            (scratch / "lib").symlink_to((root / program(pinned)).parents[1] / "lib")  # makes it a prefix of its own
            scratch.chmod(0o755)
            settle_dir(scratch, place)
        finally:
            shutil.rmtree(scratch, ignore_errors=True)

    keep(place, file.is_file, make)
    return file
