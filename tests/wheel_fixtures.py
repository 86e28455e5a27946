"""Small real wheels for tests of the gates: a native wheel, and a dependent that needs it."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

from elf_fixtures import shared

from farm.wheel.metadata import make_metadata, make_wheel_file
from farm.wheel.names import parse
from farm.wheel.pack import pack

PLATFORM = "manylinux_2_17_x86_64"
NATIVE = f"native_t-1!2.0-py3-none-{PLATFORM}.whl"
DEPENDENT = f"dep-1.0-cp311-cp311-{PLATFORM}.whl"
LIBRARY_SOURCE = "\n".join(f"int t_function_{i}(int x) {{ return x + {i}; }}" for i in range(12))
EXTENSION_SOURCE = """
extern int t_function_1(int); extern void *PyModule_Create2(void *, int);
static int def; void *PyInit_x(void) { def = t_function_1(1); return PyModule_Create2(&def, 1013); }
"""
EXTENSION = "dep/x.cpython-311-x86_64-linux-gnu.so"
LIBRARY = "native_t/lib/libt-nf01.so"
ANCHOR = "native_t/libnative_t-nf01.anchor.so"
VARIANT = "native_t/lib/glibc-hwcaps/x86-64-v3/libt-nf01.so"


def library(*flags: str, source: str = LIBRARY_SOURCE, soname: str = "libt-nf01.so") -> bytes:
    return shared(source, *flags, soname=soname)


def anchor() -> bytes:
    return shared(
        "",
        "-nostdlib",
        "-Wl,-rpath,$ORIGIN/lib",
        soname="libnative_t-nf01.anchor.so",
        needed={"libt-nf01.so": library()},
    )


def extension(*flags: str, source: str = EXTENSION_SOURCE, rpath: str = "$ORIGIN/../native_t/lib") -> bytes:
    run_path = (f"-Wl,-rpath,{rpath}",) if rpath else ()
    return shared(source, *run_path, *flags, soname="x.so", needed={"libt-nf01.so": library()})


def manifest(**changes: object) -> dict[str, object]:
    value: dict[str, object] = {
        "format": 1,
        "name": "t",
        "distribution": "native-t",
        "import_name": "native_t",
        "version": "1!2.0",
        "abi_epoch": 1,
        "baseline": "1.0",
        "platform": PLATFORM,
        "anchor": "libnative_t-nf01.anchor.so",
        "library": [
            {"link_name": "t", "shared_name": "libt-nf01.so", "path": "lib/libt-nf01.so", "replaces": ["libt.so.3"]}
        ],
        "introduced": {"2.0": ["t_function_11"]},
    }
    return value | changes


def native_files(**changes: object) -> dict[str, bytes]:
    """The content of a native wheel that has no fault."""
    return {
        "native_t/__init__.py": b"",
        LIBRARY: library(),
        ANCHOR: anchor(),
        VARIANT: library("-mavx2"),
        "native_t/lib/libt.so": b"INPUT(libt-nf01.so)\n",
        "native_t-1!2.0.dist-info/native.json": json.dumps(manifest(**changes)).encode(),
    }


def dependent_files() -> dict[str, bytes]:
    """The content of a dependent wheel that has no fault."""
    return {"dep/__init__.py": b"import native_t\n", EXTENSION: extension()}


def make_wheel(
    out: Path,
    files: dict[str, bytes],
    *,
    filename: str = DEPENDENT,
    requires: tuple[str, ...] = ("native-t>=1!1.0,<2!0",),
    license_expression: str = "MIT",
    license_files: tuple[str, ...] = ("LICENSE",),
) -> Path:
    """A wheel with these files and correct metadata, unless `files` says otherwise. `b""` content is kept."""
    name = parse(filename)
    fields = [("Name", name.distribution), ("Version", name.version)]
    fields += [("License-Expression", license_expression)] if license_expression else []
    fields += [("License-File", file) for file in license_files]
    fields += [("Requires-Dist", text) for text in requires]
    content = {
        f"{name.dist_info}/METADATA": make_metadata(fields),
        f"{name.dist_info}/WHEEL": make_wheel_file(name, generator="tests"),
        f"{name.dist_info}/licenses/LICENSE": b"Do what you like.\n",
        **files,
    }
    tree = out / f"tree-{filename}"
    shutil.rmtree(tree, ignore_errors=True)
    for path, data in content.items():
        place = tree / path
        place.parent.mkdir(parents=True, exist_ok=True)
        place.write_bytes(data)
    return pack(tree, filename, out, epoch_seconds=1_600_000_000)


def make_native(out: Path, files: dict[str, bytes] | None = None, /, **changes: object) -> Path:
    return make_wheel(out, files or native_files(**changes), filename=NATIVE, requires=())
