"""How a program of another platform is started on this machine: a value, the same for C programs and for Pythons."""

from __future__ import annotations

import os
import shlex
import shutil
from collections.abc import Mapping
from dataclasses import dataclass, field
from fnmatch import fnmatchcase
from pathlib import Path

_WORK = "{work}"
_REWRITTEN = ".reg"  # files that are written in place; all others are replaced, so that links to them are safe


@dataclass(frozen=True, slots=True, kw_only=True)
class Launcher:
    """`prefix` stands before the program; ``{work}`` in it is the test's scratch directory. `renames` is the option
    at the end of the prefix that sets what the program takes as its own name. `seeds`: name in the scratch directory
    -> directory of which each test gets a copy there."""

    prefix: tuple[str, ...] = ()
    renames: str = ""
    seeds: Mapping[str, Path] = field(default_factory=dict)

    def argv(self, work: Path, program: Path, *arguments: str, name: Path | None = None) -> list[str]:
        """The command line; `name` is what the program shall think it is called."""
        words = [word.replace(_WORK, str(work)) for word in self.prefix]
        if name is not None and self.renames:
            words += [self.renames, str(name)]
        return [*words, str(program), *arguments]

    def prepare(self, work: Path) -> None:
        """Put the copies there; once for a scratch directory."""
        for name, seed in self.seeds.items():
            if not (work / name).exists():
                shutil.copytree(seed, work / name, symlinks=True, copy_function=_link_or_copy)


def _link_or_copy(source: str, target: str) -> None:
    if not source.endswith(_REWRITTEN):
        try:
            os.link(source, target)
        except OSError:
            pass  # another disk, or one without links
        else:
            return
    shutil.copy2(source, target)


@dataclass(frozen=True, slots=True, kw_only=True)
class Interpreter:
    """A Python of another platform: its executable, its version (``3.13``), the tags of wheels that it takes, best
    first.

    Where an environment holds a copy of the executable, `copied` are the files that go with it (globs of names beside
    it), `programs` is the directory it goes to, and `home` the executable's directory as programs see it.
    """

    launcher: Launcher
    executable: Path
    version: str
    platforms: tuple[str, ...]
    site: str = "lib/python{version}/site-packages"
    programs: str = ""
    copied: tuple[str, ...] = ()
    home: str = ""

    @property
    def site_packages(self) -> str:
        """Where packages are in an environment."""
        return self.site.format(version=self.version)

    def script(self, work: Path, name: Path, executable: Path) -> str:
        """A shell script that is the interpreter under another name, for all that starts `sys.executable`."""
        return f'#!/bin/sh\nexec {shlex.join(self.launcher.argv(work, executable, name=name))} "$@"\n'

    def put(self, root: Path) -> Path:
        """What starts it in an environment at `root`: a copy there, or itself."""
        if not self.programs:
            return self.executable
        folder = root / self.programs
        folder.mkdir(parents=True)
        for file in sorted(self.executable.parent.iterdir()):
            if file.is_file() and any(fnmatchcase(file.name, glob) for glob in (self.executable.name, *self.copied)):
                shutil.copy2(file, folder / file.name)
        return folder / self.executable.name
