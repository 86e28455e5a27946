"""Runs inside the environment under test, not in the farm: imports modules, runs a script, leaves what is mapped.

``python -I driver.py <maps file> <script or empty> [module...]``. Only the standard library, Python 3.9 or newer.
"""

import contextlib
import os
import runpy
import sys
from importlib import import_module

# Modules of the interpreter that bring system libraries along: its zlib is no second copy of a wheel's.
INTERPRETERS = ("zlib", "bz2", "lzma", "ssl", "sqlite3")


def main(maps_file: str, script: str, modules: "list[str]") -> None:
    """Leave the process's memory map in `maps_file` also if the script fails, less what is the interpreter's: what it
    is linked to itself, and what its own modules bring along."""
    for module in INTERPRETERS:
        with contextlib.suppress(ImportError):
            import_module(module)
    environment = sys.prefix.encode() + b"/"
    own = {path for path in paths() if not path.startswith(environment)}
    try:
        for module in modules:
            import_module(module)
        if script:
            sys.argv = [script]
            runpy.run_path(script, run_name="__main__")
    finally:
        with contextlib.suppress(OSError), open(maps_file, "wb") as out:  # noqa: PTH123
            out.writelines(line for line in lines() if path(line) not in own)


def lines() -> "list[bytes]":
    """The process's memory map, as proc(5) describes it; empty where nobody tells."""
    if os.name == "nt":
        return [b"0-0 r-xp 0 0:0 0 " + file.encode() + b"\n" for file in dlls()]
    try:
        with open("/proc/self/maps", "rb") as maps:  # noqa: PTH123
            return maps.readlines()
    except OSError:
        return []


def dlls() -> "list[str]":
    """The DLLs in a Windows process, without their drives and with slashes."""
    import ctypes
    from ctypes import wintypes

    kernel = ctypes.WinDLL("kernel32")  # type: ignore[attr-defined,unused-ignore]
    handle, double_word = ctypes.c_void_p, wintypes.DWORD
    kernel.GetCurrentProcess.restype = handle
    kernel.K32EnumProcessModules.argtypes = (handle, handle, double_word, ctypes.POINTER(double_word))
    kernel.GetModuleFileNameW.argtypes = (handle, wintypes.LPWSTR, double_word)
    handles, size = (handle * 4096)(), double_word()
    kernel.K32EnumProcessModules(kernel.GetCurrentProcess(), handles, ctypes.sizeof(handles), ctypes.byref(size))
    names = []
    for module in handles[: size.value // ctypes.sizeof(handle)]:
        name = ctypes.create_unicode_buffer(4096)
        kernel.GetModuleFileNameW(module, name, len(name))
        names.append(name.value)
    return [name.partition(":")[2].replace("\\", "/") for name in names]


def path(line: bytes) -> bytes:
    """The file of a line of the map; empty for memory without a file."""
    return b"".join(line.split(maxsplit=5)[5:]).strip()


def paths() -> "set[bytes]":
    return {path(line) for line in lines()} - {b""}


if __name__ == "__main__":
    main(sys.argv[1], sys.argv[2], sys.argv[3:])
