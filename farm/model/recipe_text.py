"""What the words in a recipe may look like. They become file names, arguments of linkers and lines of build files, so
what could mean something else there is refused when the recipe is read."""

from __future__ import annotations

from typing import Annotated

from pydantic import AfterValidator, StringConstraints

Name = Annotated[str, StringConstraints(pattern=r"^[a-z0-9]([a-z0-9-]*[a-z0-9])?$", max_length=60)]
Sha256 = Annotated[str, StringConstraints(pattern=r"^[0-9a-f]{64}$")]
PlatformGlob = Annotated[str, StringConstraints(pattern=r"^[a-z0-9_*?\[\]!]+$")]
SymbolGlob = Annotated[str, StringConstraints(pattern=r"^[A-Za-z0-9_.$*?\[\]^!-]+$")]
FileName = Annotated[str, StringConstraints(pattern=r"^[A-Za-z0-9_][A-Za-z0-9_.+-]*$", max_length=100)]
FileNameGlob = Annotated[str, StringConstraints(pattern=r"^[A-Za-z0-9_.+*?\[\]!-]+$", max_length=100)]
Module = Annotated[str, StringConstraints(pattern=r"^[^\W\d]\w*(\.[^\W\d]\w*)*$", max_length=200)]


def _stays_inside(path: str) -> str:
    """Refuse paths that could leave their directory."""
    if not path.isprintable() or not path or path.startswith("/") or "\\" in path or ".." in path.split("/"):
        raise ValueError(f"{path!r} is not a relative path that stays inside its directory")
    return path


def _is_glob(pattern: str) -> str:
    """Refuse what `pathlib` takes for no pattern."""
    if any(part in ("", ".") or ("**" in part and part != "**") for part in pattern.split("/")):
        raise ValueError(f"{pattern!r} is no glob of files, like '*.h', 'flint/*.h' or '**/*.h'")
    return pattern


RelPath = Annotated[str, AfterValidator(_stays_inside)]
FileGlob = Annotated[str, AfterValidator(_stays_inside), AfterValidator(_is_glob)]
