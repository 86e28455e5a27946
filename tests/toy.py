"""Tiny native wheels and dependents, really compiled, for tests of repairing and loading. Not a test module."""

from __future__ import annotations

import subprocess
import sys
import sysconfig
import venv
from dataclasses import dataclass
from pathlib import Path

from farm.model import names
from farm.model.native import NativeLibrary, NativeManifest
from farm.wheel import metadata
from farm.wheel.names import parse
from farm.wheel.pack import pack

EPOCH_SECONDS = 1_600_000_000
PYTHON = f"cp{sys.version_info[0]}{sys.version_info[1]}"
PLATFORM = "manylinux_2_17_x86_64"

# A stand-in for the farm's native package, as small as the contract allows.
NATIVE_INIT = """
import ctypes, os
__version__ = {version!r}
_handle = None
def load():
    global _handle
    if _handle is None:
        _handle = ctypes.CDLL(os.path.join(os.path.dirname(os.path.abspath(__file__)), {anchor!r}))
    return _handle
"""

TOY_C = """
int toy_add(int a, int b) {{ return a + b; }}
const char *toy_version(void) {{ return "{version}"; }}
{more}
"""
TOY_MUL = "int toy_mul(int a, int b) { return a * b; }"
TOP_C = "int toy_add(int, int); int top_twice(int a) { return toy_add(a, a); }"

EXTENSION_C = """
#include <Python.h>
{prototypes}
static PyObject *call(PyObject *self, PyObject *unused) {{ return PyLong_FromLong({expression}); }}
static PyMethodDef methods[] = {{{{"call", call, METH_NOARGS, ""}}, {{0}}}};
static struct PyModuleDef module = {{PyModuleDef_HEAD_INIT, "{name}", "", -1, methods}};
PyMODINIT_FUNC PyInit_{name}(void) {{ return PyModule_Create(&module); }}
"""
PROTOTYPES = "int toy_add(int, int); int toy_mul(int, int); int top_twice(int);"


def compile_c(source: str, target: Path, *arguments: str, strip: bool = True) -> Path:
    target.parent.mkdir(parents=True, exist_ok=True)
    file = target.with_suffix(".c")
    file.write_text(source)
    options = ["-shared", "-fPIC", "-O1", *(["-s"] if strip else [])]
    subprocess.run(["gcc", *options, "-o", str(target), str(file), *arguments], check=True, timeout=60)
    file.unlink()
    return target


def make_wheel(tree: Path, filename: str, out: Path, *, requires: tuple[str, ...] = ()) -> Path:
    """Pack a tree that has no .dist-info yet."""
    name = parse(filename)
    info = tree / name.dist_info
    info.mkdir(exist_ok=True)
    fields = [("Name", name.distribution.replace("_", "-")), ("Version", name.version)]
    info.joinpath("METADATA").write_bytes(
        metadata.make_metadata([*fields, *(("Requires-Dist", line) for line in requires)])
    )
    info.joinpath("WHEEL").write_bytes(metadata.make_wheel_file(name, generator="toy"))
    return pack(tree, filename, out, epoch_seconds=EPOCH_SECONDS)


@dataclass(frozen=True)
class Native:
    """A native wheel and the directory that holds its unpacked tree."""

    wheel: Path
    tree: Path
    shared_name: str

    @property
    def lib(self) -> Path:
        return next(self.tree.glob("native_*/lib"))


def native(
    work: Path,
    name: str,
    release: str,
    source: str,
    *,
    epoch: int = 1,
    baseline: str = "1.0",
    introduced: dict[str, tuple[str, ...]] | None = None,
    uses: tuple[Native, ...] = (),
    requires: tuple[str, ...] = (),
    replaces: tuple[str, ...] = (),
) -> Native:
    """Build a native wheel."""
    version = names.native_version(release, 0, epoch)
    package = f"native_{name}"
    tree = work / f"{package}-{version}"
    shared, anchor = names.shared_name(name, epoch, "elf"), names.anchor_name(package, epoch)
    lib = tree / package / "lib"
    links = [word for n in uses for word in (f"-L{n.lib}", f"-l:{n.shared_name}")]
    rpaths = [f"-Wl,--enable-new-dtags,-rpath,$ORIGIN/../../{n.lib.parent.name}/lib" for n in uses]
    compile_c(source, lib / shared, f"-Wl,-soname,{shared}", *links, *rpaths)
    compile_c(
        "",
        tree / package / anchor,
        f"-Wl,-soname,{anchor}",
        "-Wl,--no-as-needed",
        f"-L{lib}",
        f"-l:{shared}",
        "-Wl,--enable-new-dtags,-rpath,$ORIGIN/lib",
        *[f"-Wl,-rpath-link,{n.lib}" for n in uses],
    )
    (tree / package / "__init__.py").write_text(
        "".join(f"import {n.lib.parent.name}; {n.lib.parent.name}.load()\n" for n in uses)
        + NATIVE_INIT.format(version=version, anchor=anchor)
    )
    manifest = NativeManifest(
        name=name,
        distribution=f"native-{name}",
        import_name=package,
        version=version,
        abi_epoch=epoch,
        baseline=baseline,
        platform=PLATFORM,
        anchor=anchor,
        library=(NativeLibrary(link_name=name, shared_name=shared, path=f"lib/{shared}", replaces=replaces),),
        introduced=introduced or {},
        requires=requires,
    )
    info = tree / f"{package}-{version}.dist-info"
    info.mkdir(parents=True, exist_ok=True)
    (info / "native.json").write_text(manifest.model_dump_json())
    wheel = make_wheel(tree, f"{package}-{version}-py3-none-{PLATFORM}.whl", work / "wheels", requires=requires)
    return Native(wheel=wheel, tree=tree, shared_name=shared)


def toy(work: Path, release: str = "1.1", *, epoch: int = 1) -> Native:
    """native-toy: `toy_add` since 1.0, `toy_mul` since 1.1; stands for libtoy.so.1."""
    has_mul = release != "1.0"
    return native(
        work,
        "toy",
        release,
        TOY_C.format(version=release, more=TOY_MUL if has_mul else ""),
        epoch=epoch,
        introduced={"1.1": ("toy_mul",)} if has_mul else {},
        replaces=(f"libtoy.so.{epoch}",),
    )


def extension(target: Path, expression: str, *arguments: str, strip: bool = True) -> Path:
    name = target.name.partition(".")[0]
    source = EXTENSION_C.format(prototypes=PROTOTYPES, name=name, expression=expression)
    return compile_c(source, target, f"-I{sysconfig.get_path('include')}", *arguments, strip=strip)


def linked(*natives: Native) -> tuple[str, ...]:
    """Linker arguments, with the leaked build path that meson-python and others leave behind."""
    return tuple(
        word
        for n in natives
        for word in (f"-L{n.lib}", f"-l:{n.shared_name}", f"-Wl,--enable-new-dtags,-rpath,{n.lib}")
    )


def dependent(
    work: Path,
    expression: str,
    *arguments: str,
    package: str = "tiny",
    init: str = '"""Doc."""\nfrom .ext import call\n',
    requires: tuple[str, ...] = (),
    tag: str = "linux_x86_64",
    strip: bool = True,
) -> Path:
    """A raw wheel of one package with one extension module, as a build backend leaves it."""
    tree = work / f"{package}-tree"
    module = tree / package / f"ext.{sysconfig.get_config_var('SOABI')}.so"
    extension(module, expression, *arguments, strip=strip)
    (tree / package / "__init__.py").write_text(init)
    (tree / package / "ext.pyi").write_text("def call() -> int: ...\n")
    filename = f"{package}-1.0-{PYTHON}-{PYTHON}-{tag}.whl"
    return make_wheel(tree, filename, work / "raw", requires=requires)


@dataclass(frozen=True)
class Environment:
    """A fresh virtual environment."""

    root: Path

    @property
    def python(self) -> Path:
        return self.root / "bin" / "python"

    def pip(self, *arguments: str | Path) -> None:
        command = [
            sys.executable,
            "-m",
            "pip",
            "--python",
            str(self.python),
            "install",
            "-q",
            "--no-index",
            "--no-deps",
        ]
        subprocess.run([*command, *map(str, arguments)], check=True, timeout=120)

    def run(self, code: str, *options: str, env: dict[str, str] | None = None) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            [str(self.python), *options, "-c", code],
            capture_output=True,
            text=True,
            timeout=60,
            cwd=self.root,
            env={"PATH": "/usr/bin:/bin", **(env or {})},
        )


def environment(root: Path) -> Environment:
    venv.create(root, with_pip=False, symlinks=True)
    return Environment(root)


# Prints the result and how many files of each shared library are mapped.
PROOF = """
import tiny
print(tiny.call())
paths = {l.split()[-1] for l in open('/proc/self/maps') if 'toy' in l and '.anchor' not in l and '/' in l}
print(len(paths), *sorted(p.rsplit('/', 1)[-1] for p in paths))
"""
