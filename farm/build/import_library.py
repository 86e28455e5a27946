"""Import libraries for Windows, made from a module definition file by the compiler's dlltool.

Not by the linker, though it offers to: what it writes of a weak function names the stand-in of the object file
(``.weak.f.default.g``), and nobody can link to ``f``. Of everything else both write the same bytes.
"""

from __future__ import annotations

_MACHINE = {"x86_64": "i386:x86-64", "i686": "i386", "aarch64": "arm64"}


def arguments(arch: str, dll: str, *, definition: str, out: str) -> list[str]:
    """What follows ``dlltool``: `definition` and `out` are paths as it sees them, `arch` is a toolchain's."""
    return ["-m", _MACHINE[arch], "-D", dll, "-d", definition, "-l", out]
