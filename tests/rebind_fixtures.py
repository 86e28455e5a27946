"""A dependent and the native wheels of two ABI epochs, for each binary format: real files, tiny. Not a test module."""

from __future__ import annotations

import json
import zipfile
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path

import platform_wheels as pw
import wheel_fixtures as wf
from elf_fixtures import shared
from platform_wheels import KINDS, Kind

from farm.binary import formats
from farm.binary import macho_format as macho
from farm.binary.macho_fat import slices
from farm.model import names
from farm.repair import natives
from farm.repair.patch_macho import renew_signature
from farm.repair.repair import repair
from farm.wheel.edit import WheelEdits, edit


@dataclass(frozen=True)
class Case:
    """One format. `raw` makes the dependent as a build leaves it, `native` a native wheel of an epoch, from C source;
    `member` is the extension module."""

    name: str
    tag: str
    member: str
    raw: Callable[[Path], Path]
    library: Callable[[int, str], bytes]
    shape: str

    def shared_name(self, epoch: int) -> str:
        return names.shared_name("t", epoch, self.shape)

    def native(self, out: Path, epoch: int, source: str = wf.LIBRARY_SOURCE, **changes: object) -> Path:
        """A native wheel without faults but those in `changes` of its manifest."""
        shared_name, version = self.shared_name(epoch), f"{epoch}!{epoch}.5"
        info = f"native_t-{version}.dist-info"
        values = wf.manifest(
            version=version,
            abi_epoch=epoch,
            baseline=f"{epoch}.0",
            platform=self.tag,
            anchor=f"lib/{shared_name}",
            introduced={f"{epoch}.5": ["t_function_11"]},
            library=[{"link_name": "t", "shared_name": shared_name, "path": f"lib/{shared_name}"}],
        )
        files = {
            "native_t/__init__.py": b"",
            f"native_t/lib/{shared_name}": self.library(epoch, source),
            f"{info}/native.json": json.dumps(values | changes).encode(),
        }
        return wf.make_wheel(out, files, filename=f"native_t-{version}-py3-none-{self.tag}.whl", requires=())

    def dependent(self, work: Path) -> Path:
        """A finished dependent that needs epoch 1."""
        known = natives.load([self.native(work / "one", 1)])
        return repair(self.raw(work / "raw"), work / "built", known).wheel


def with_versions(library: bytes, current: int, compatible: int) -> bytes:
    """A library for macOS with other versions, as its linker would have written them (zig writes 1.0 always)."""
    data = bytearray(library)
    (file,) = slices(memoryview(data), "library")
    command = file.command(macho.LC_ID_DYLIB)
    assert command is not None
    name, stamp, _, _ = file.fields(command, "symtab")
    file.layout.symtab.pack_into(file.data, command.offset, name, stamp, current, compatible)
    return signed(bytes(data))


def signed(content: bytes) -> bytes:
    """The file; one for macOS that is signed gets the hashes that its pages have now."""
    data = bytearray(content)
    if formats.detect(content[: formats.HEAD_SIZE]) == "macho":
        for file in slices(memoryview(data), "file"):
            renew_signature(file)
    return bytes(data)


def _elf_raw(out: Path) -> Path:
    return wf.make_wheel(out, {"dep/__init__.py": b"from . import x\n", wf.EXTENSION: wf.extension()}, requires=())


def elf_library(epoch: int, source: str) -> bytes:
    return shared(source, soname=names.shared_name("t", epoch, "elf"))


def _platform_case(name: str, kind: Kind, shape: str) -> Case:
    def library(epoch: int, source: str) -> bytes:
        content = pw.library(replace(kind, library=names.shared_name("t", epoch, shape)), source=source)
        return content if shape == "pe" or epoch == 1 else with_versions(content, 0x2_01_00, 0x2_00_00)

    def raw(out: Path) -> Path:
        return pw.make_dependent(kind, out, requires=())

    return Case(name=name, tag=kind.tag, member=kind.extension_member, raw=raw, library=library, shape=shape)


ELF = Case(name="elf", tag=wf.PLATFORM, member=wf.EXTENSION, raw=_elf_raw, library=elf_library, shape="elf")
PE = _platform_case("pe", KINDS["win_amd64"], "pe")
MACHO = _platform_case("macho", KINDS["macosx_11_0_arm64"], "macho")
INTEL = _platform_case("macho-unsigned", KINDS["macosx_10_13_x86_64"], "macho")
CASES = {case.name: case for case in (ELF, PE, MACHO, INTEL)}


def content(wheel: Path) -> dict[str, bytes]:
    with zipfile.ZipFile(wheel) as archive:
        return {name: archive.read(name) for name in archive.namelist()}


def changed(wheel: Path, out: Path, files: dict[str, bytes]) -> Path:
    """The same wheel with other content, as somebody with another tool would leave it: a right RECORD, nothing else."""
    return edit(wheel, out, WheelEdits(put=files))
