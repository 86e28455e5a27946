"""Small real ELF files for tests, compiled with the machine's gcc once per distinct source and flags."""

from __future__ import annotations

import functools
import tempfile
from pathlib import Path

import pytest

from farm.errors import MissingToolError
from farm.process import run


@functools.cache
def build(source: str, *flags: str, name: str = "libt.so", extra: tuple[tuple[str, bytes], ...] = ()) -> bytes:
    """Compile C source with gcc and return the file. `extra` are files beside it (version scripts, libraries)."""
    with tempfile.TemporaryDirectory() as tmp:
        root = Path(tmp)
        (root / "t.c").write_text(source)
        for filename, content in extra:
            (root / filename).write_bytes(content)
        try:
            run(["gcc", "-O1", "t.c", "-o", name, *flags], cwd=root)
        except MissingToolError:
            pytest.skip("no gcc on this machine")
        return (root / name).read_bytes()


def shared(
    source: str,
    *flags: str,
    soname: str = "libt.so",
    needed: dict[str, bytes] | None = None,
    debug: bool = False,
    extra: tuple[tuple[str, bytes], ...] = (),
) -> bytes:
    """A shared library. `needed` maps file names of libraries to link to, to their content."""
    libraries = tuple((needed or {}).items())
    return build(
        source,
        "-fPIC",
        "-shared",
        f"-Wl,-soname,{soname}",
        *(("-g",) if debug else ("-s",)),
        *flags,
        "-Wl,--no-as-needed",
        *(f"./{file}" for file, _ in libraries),
        extra=(*libraries, *extra),
    )
