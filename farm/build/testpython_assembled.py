"""Put an interpreter for Windows together: published DLLs, a program that starts them, a standard library.

The library is that of the interpreter that runs builds: it is the same on all systems, and pinned already. The two may
differ in the last number of the version; byte code is the same for all of a minor version.
"""

from __future__ import annotations

import shutil
import tempfile
from collections.abc import Iterable
from dataclasses import dataclass
from fnmatch import fnmatchcase
from importlib import resources
from pathlib import Path
from typing import Self

from farm import process, sysroot
from farm.binary import pe
from farm.build import pysdk_interpreter, toolchain
from farm.catalog.values import Catalog
from farm.errors import SourceError
from farm.fetch.obtain import obtain
from farm.model.python import Assembled, Python
from farm.model.sysroot import Sysroot
from farm.model.toolchain import Toolchain
from farm.process import Cancel
from farm.settings import Settings
from farm.sysroot import place
from farm.wheel.archive import WheelArchive

PROGRAM = "python.exe"
_MODULES = "DLLs"
_LIBRARY = "Lib"
_LEFT_OUT = ("__pycache__", "test", "tests", "idlelib", "lib2to3", "turtledemo", "ensurepip", "site-packages")
_COMPILED_NOT = r"[/\\](lib2to3|bad)[/\\]"
_SOURCE = "launcher.c"


@dataclass(frozen=True, slots=True, kw_only=True)
class Assembly:
    """What an assembled interpreter is made from."""

    python: Python
    entry: Assembled
    platform: Toolchain
    library: Sysroot
    settings: Settings

    @classmethod
    def of(cls, python: Python, entry: Assembled, platform: Toolchain, catalog: Catalog, settings: Settings) -> Self:
        """Raises MissingToolError if the Python's file names no interpreter for this build machine."""
        library = pysdk_interpreter.sysroot_of(python, catalog, needed="its library is needed")
        return cls(python=python, entry=entry, platform=platform, library=library, settings=settings)

    @property
    def pins(self) -> object:
        """All inputs, for a digest."""
        return [self.entry.model_dump(mode="json", exclude={"platform"}), place.digest(self.library), _launcher()]

    @property
    def dll(self) -> str:
        """``python313.dll``."""
        return f"python{self.python.short.replace('.', '')}.dll"

    def fill(self, root: Path, cancel: Cancel | None = None) -> None:
        """Make it in an empty directory. Raises UnreachableError, SourceError, ProcessError."""
        self._binaries(root)
        self._library(root / _LIBRARY, cancel)
        self._programs(root, cancel)

    def _binaries(self, root: Path) -> None:
        """Python's DLL beside the program, extension modules and what they need in their directory."""
        file = obtain(
            self.entry.location,
            self.settings.toolchains / "pythons",
            self.settings.downloads,
            what=f"the binaries of {self.python.tag} for {self.platform.platform}",
        )
        (root / _MODULES).mkdir()
        with WheelArchive.open(file) as archive:
            for member in archive.members:
                name = member.removeprefix(f"{self.entry.folder}/")
                folder = self._folder(root, name) if name != member else None
                if folder is not None:
                    (folder / name).write_bytes(archive.read(member))
        if not (root / self.dll).is_file():
            why = f"holds no {self.entry.folder}/{self.dll}, or the file does not put it beside the program"
            raise SourceError(why, where=file.name, fix=f"correct toolchains/pythons/{self.python.tag}.toml")

    def _folder(self, root: Path, name: str) -> Path | None:
        if "/" in name or _matches(name, self.entry.drop):
            return None
        if _matches(name, self.entry.beside):
            return root
        return root / _MODULES if _matches(name, self.entry.modules) else None

    def _library(self, target: Path, cancel: Cancel | None) -> None:
        """The standard library with its byte code: Wine would compile what it imports at each start."""
        base = sysroot.materialise(self.library, self.settings, cancel=cancel)
        source = base / "usr" / "lib" / f"python{self.python.short}"
        copy_library(source, target)
        interpreter = pysdk_interpreter.runnable(self.library, self.settings, cancel=cancel)
        argv = [str(interpreter), "-I", "-m", "compileall", "-q", "--invalidation-mode", "unchecked-hash"]
        process.run(
            [*argv, "-x", _COMPILED_NOT, str(target)],
            env={"PATH": "/usr/bin:/bin"},
            timeout=900,
            check=False,
            cancel=cancel,
        )

    def _programs(self, root: Path, cancel: Cancel | None) -> None:
        tools = toolchain.materialise(self.platform, self.settings, cancel=cancel)
        with tempfile.TemporaryDirectory(prefix=".launcher-", dir=root.parent) as folder:
            work = Path(folder).resolve()
            (work / _SOURCE).write_text(_launcher(), "utf-8")
            (work / "nothing.c").write_text("", "utf-8")
            forwards = "".join(
                f"  {name} = {self.dll.removesuffix('.dll')}.{name}\n" for name in _exports(root / self.dll)
            )
            (work / "python3.def").write_text(f"LIBRARY python3.dll\nEXPORTS\n{forwards}", "utf-8")
            compiler, environment = toolchain.user_compiler(tools, work)
            links = (
                ("-municode", f'-DLIBRARY=L"{self.dll}"', "-o", PROGRAM, _SOURCE),
                # The stable ABI's DLL has no code: it says where else each symbol is.
                ("-shared", "-nostdlib", "-Wl,--no-entry", "-o", "python3.dll", "nothing.c", "python3.def"),
            )
            for words in links:
                process.run([*compiler, *words], env=environment, cwd=work, timeout=600, cancel=cancel)
            for name in (PROGRAM, "python3.dll"):
                shutil.copyfile(work / name, root / name)
                (root / name).chmod(0o755)


def _launcher() -> str:
    return resources.files("farm.build").joinpath(_SOURCE).read_text("utf-8")


def _exports(dll: Path) -> tuple[str, ...]:
    return tuple(sorted(symbol.name for symbol in pe.read(dll.read_bytes(), dll.name).exports))


def _matches(name: str, globs: Iterable[str]) -> bool:
    return any(fnmatchcase(name.lower(), glob.lower()) for glob in globs)


def copy_library(source: Path, target: Path) -> None:
    """Copy a standard library for another system: without what is of the interpreter that it comes with, and with files
    for links. Those that lead to nothing in the sysroot are left out (shutil asks this machine for relative ones)."""
    shutil.copytree(source, target, symlinks=False, ignore=_left_out)


def _left_out(folder: str, names: list[str]) -> list[str]:
    unwanted = {name for name in names if name in _LEFT_OUT or name.startswith("config-") or name.endswith(".so")}
    return [name for name in names if name in unwanted or not Path(folder, name).exists()]
