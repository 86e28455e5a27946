"""The programs of the build machine that a build may use: found by the names recipes write, and shown to it.

They only drive the build; what ends up in a wheel comes from the pinned compiler.
"""

from __future__ import annotations

import shutil
from collections.abc import Iterable, Sequence
from pathlib import Path

from farm.errors import MissingToolError, UsageError
from farm.model.tools import BASIC, BY_SYSTEM, EXTRA

__all__ = ["BASIC", "BY_SYSTEM", "EXTRA", "SYSTEM_PATH", "install", "link", "programs"]

SYSTEM_PATH = "/usr/bin:/bin:/usr/sbin:/sbin"


def programs(names: Iterable[str], *, path: str = SYSTEM_PATH) -> dict[str, Path]:
    """Program name -> file, for the basic set and the named tools.

    Raises UsageError for a name that the table does not know, MissingToolError for one that this machine lacks.
    """
    found: dict[str, Path] = {}
    missing: list[tuple[str, str]] = []
    for name in (*BASIC, *names):
        tool = BASIC.get(name) or EXTRA.get(name)
        if tool is None:
            raise UsageError(
                f"the tool {name!r} is unknown",
                where="requires.tools",
                fix=f"use one of: {', '.join(sorted({*BASIC, *EXTRA}))}",
            )
        for program in tool.programs:
            place = shutil.which(program.removesuffix("?"), path=path)
            if place is not None:
                found[program.removesuffix("?")] = Path(place)
            elif not program.endswith("?"):
                missing.append((program, tool.package))
    if missing:
        raise MissingToolError(
            f"this machine lacks {', '.join(program for program, _ in missing)}", fix=install(p for _, p in missing)
        )
    return found


def install(packages: Iterable[str]) -> str:
    """The command that installs packages on this machine's system (Debian's names)."""
    return "apt-get install " + " ".join(sorted(set(packages)))


def link(found: dict[str, Path], folder: Path, *, usr: Sequence[str] = ("/usr/", "/bin/")) -> None:
    """Fill a directory with links to programs; it becomes the builds' PATH.

    Programs outside the system's own directories are refused: the sandbox does not show them.
    """
    for name, place in found.items():
        if not str(place).startswith(tuple(usr)) or str(place).startswith("/usr/local/"):
            raise MissingToolError(
                f"{place} is outside the system's directories, which builds do not see",
                fix=f"install the system's own {name}; `farm doctor` names the package",
            )
        target = folder / name
        if target.is_symlink():
            target.unlink()
        target.symlink_to(place)
