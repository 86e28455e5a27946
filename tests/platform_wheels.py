"""Small real wheels for Windows and macOS, linked with the pinned zig: a native wheel and a dependent. Not a test
module."""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path

import wheel_fixtures as wf
from zig_fixtures import made

from farm.model import names

FUNCTIONS = "\n".join(f"int t_function_{i}(int x) {{ return x + {i}; }}" for i in range(12))
EXTENSION = """
extern int t_function_1(int); extern int t_function_11(int); extern void *PyModule_Create2(void *, int);
static int def;
void *PyInit_x(void) { def = t_function_1(1) + t_function_11(2); return PyModule_Create2(&def, 1013); }
"""
RUN_PATH = "@loader_path/../native_t/lib"
_START = "int __stdcall DllMainCRTStartup(void *a, unsigned b, void *c) { return 1; }\n"
_IMPORTED = "__declspec(dllimport) "


@dataclass(frozen=True)
class Kind:
    """One platform: its tag, zig's target, the names of the files in the wheels."""

    tag: str
    target: str
    machine: str
    library: str
    extension: str
    link_name: str

    @property
    def is_windows(self) -> bool:
        return self.tag.startswith("win")

    @property
    def native(self) -> str:
        return f"native_t-1!2.0-py3-none-{self.tag}.whl"

    @property
    def dependent(self) -> str:
        return f"dep-1.0-cp311-cp311-{self.tag}.whl"

    @property
    def library_member(self) -> str:
        return f"native_t/lib/{self.library}"

    @property
    def extension_member(self) -> str:
        return f"dep/{self.extension}"


def _windows(tag: str, target: str, machine: str) -> Kind:
    library = names.shared_name("t", 1, "pe")
    return Kind(
        tag=tag, target=target, machine=machine, library=library, extension=f"x.cp311-{tag}.pyd", link_name="t.lib"
    )


def _macos(tag: str, target: str) -> Kind:
    library = names.shared_name("t", 1, "macho")
    return Kind(
        tag=tag, target=target, machine="", library=library, extension="x.cpython-311-darwin.so", link_name="libt.tbd"
    )


KINDS = {
    kind.tag: kind
    for kind in (
        _windows("win_amd64", "x86_64-windows-gnu", "i386:x86-64"),
        _windows("win32", "x86-windows-gnu", "i386"),
        _windows("win_arm64", "aarch64-windows-gnu", "arm64"),
        _macos("macosx_11_0_arm64", "aarch64-macos.11.0"),
        _macos("macosx_10_13_x86_64", "x86_64-macos.10.13"),
    )
}


def library(kind: Kind, *flags: str, source: str = FUNCTIONS) -> bytes:
    return _binaries(kind, flags, source, EXTENSION, ())[kind.library]


def extension(kind: Kind, *flags: str, source: str = EXTENSION, run_path: str = RUN_PATH) -> bytes:
    """An extension module that takes functions of the library; on macOS with a run path, unless that is empty."""
    flags += () if kind.is_windows or not run_path else (f"-Wl,-rpath,{run_path}",)
    return _binaries(kind, (), FUNCTIONS, source, flags)[kind.extension]


def link_name(kind: Kind) -> bytes:
    if not kind.is_windows:
        return b"--- !tapi-tbd\n"
    return _binaries(kind, (), FUNCTIONS, EXTENSION, ())[kind.link_name]


def _binaries(
    kind: Kind, flags: tuple[str, ...], source: str, user: str, user_flags: tuple[str, ...]
) -> dict[str, bytes]:
    if kind.is_windows:
        return _pe(kind, flags, source, user, user_flags)
    link = ("cc", "-g0", "-nostdlib", "-dynamiclib", "-Wl,-undefined,dynamic_lookup")
    commands = (
        (*link, "t.c", "-lSystem", "-install_name", f"@rpath/{kind.library}", *flags, "-o", kind.library),
        (
            *(*link, "x.c", kind.library, "-lSystem", "-install_name", kind.extension),
            *("-Wl,-headerpad_max_install_names", *user_flags, "-o", kind.extension),
        ),
    )
    return made(kind.target, commands, (("t.c", source), ("x.c", user)))


def _pe(kind: Kind, flags: tuple[str, ...], source: str, user: str, user_flags: tuple[str, ...]) -> dict[str, bytes]:
    exports = f"LIBRARY {kind.library}\nEXPORTS\n" + "\n".join(f"t_function_{i}" for i in range(12)) + "\n"
    python = "LIBRARY python311.dll\nEXPORTS\nPyModule_Create2\n"
    link = ("cc", "-g0", "-s", "-nostdlib", "-shared")
    commands = (
        ("dlltool", "-m", kind.machine, "-d", "t.def", "-l", "t.lib"),
        ("dlltool", "-m", kind.machine, "-d", "python.def", "-l", "python.lib"),
        (*link, "t.c", "t.def", *flags, "-o", kind.library),
        (*link, "x.c", "x.def", "t.lib", "python.lib", *user_flags, "-o", kind.extension),
    )
    files = (
        ("t.c", _START + source),
        ("x.c", _START + user.replace("extern ", _IMPORTED)),
        ("t.def", exports),
        ("python.def", python),
        ("x.def", f"LIBRARY {kind.extension}\nEXPORTS\nPyInit_x\n"),
    )
    return made(kind.target, commands, files)


def manifest(kind: Kind, **changes: object) -> dict[str, object]:
    place = f"lib/{kind.library}"
    library_ = {"link_name": "t", "shared_name": kind.library, "path": place, "replaces": ["libt.so.3"]}
    return wf.manifest(platform=kind.tag, anchor=place, library=[library_]) | changes


def native_files(kind: Kind, **changes: object) -> dict[str, bytes]:
    """The content of a native wheel that has no fault."""
    return {
        "native_t/__init__.py": b"",
        kind.library_member: library(kind),
        f"native_t/lib/{kind.link_name}": link_name(kind),
        "native_t-1!2.0.dist-info/native.json": json.dumps(manifest(kind, **changes)).encode(),
    }


def make_native(kind: Kind, out: Path, changes: dict[str, bytes] | None = None) -> Path:
    files = native_files(kind) | (changes or {})
    return wf.make_wheel(out, files, filename=kind.native, requires=())


def make_dependent(
    kind: Kind,
    out: Path,
    changes: dict[str, bytes] | None = None,
    requires: tuple[str, ...] = ("native-t>=1!2.0,<2!0",),
) -> Path:
    files = {"dep/__init__.py": b"", kind.extension_member: extension(kind), **(changes or {})}
    return wf.make_wheel(out, files, filename=kind.dependent, requires=requires)
