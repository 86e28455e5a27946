"""Repair of Windows and macOS wheels: the loader, requirements, SBOM, tag, and the run paths of macOS modules."""

from __future__ import annotations

import json
import sys
import types
import zipfile
from dataclasses import replace
from pathlib import Path

import platform_wheels as pw
import pytest
import wheel_fixtures as wf
from platform_wheels import KINDS, Kind

from farm.binary import macho
from farm.binary.macho_signature import signature_fault
from farm.errors import BinaryFormatError, GateError, UsageError
from farm.gates.audit import audit_wheel, policy_for_tag, with_libraries
from farm.model.binary import BinaryFormat, Linkage
from farm.model.finding import Severity
from farm.repair import natives
from farm.repair.graft import Binary
from farm.repair.options import RepairOptions
from farm.repair.platforms import check
from farm.repair.repair import RepairResult, repair
from farm.wheel.native_templates import package_init

AMD64, ARM_MAC, INTEL_MAC = KINDS["win_amd64"], KINDS["macosx_11_0_arm64"], KINDS["macosx_10_13_x86_64"]


def repaired(
    kind: Kind, tmp_path: Path, changes: dict[str, bytes] | None = None, platform: str | None = None
) -> RepairResult:
    """A dependent as a build backend leaves it (no requirement), repaired with the native wheel."""
    native = pw.make_native(kind, tmp_path / "native")
    raw = pw.make_dependent(kind, tmp_path / "raw", changes, requires=())
    return repair(raw, tmp_path, natives.load([native]), RepairOptions(platform=platform))


def content(wheel: Path) -> dict[str, bytes]:
    with zipfile.ZipFile(wheel) as archive:
        return {name: archive.read(name) for name in archive.namelist()}


@pytest.mark.parametrize("kind", KINDS.values(), ids=KINDS)
def test_a_dependent_is_made_whole(tmp_path: Path, kind: Kind) -> None:
    done = repaired(kind, tmp_path, platform=kind.tag)
    files = content(done.wheel)
    assert done.findings == ()
    assert (done.platform, done.wheel.name) == (kind.tag, kind.dependent)
    assert files["dep/__init__.py"] == b"from . import _native_libs  # added by `farm repair`\n"
    assert b"('native_t', 'native-t', '1!2.0', '2!0')" in files["dep/_native_libs.py"]
    assert b"Requires-Dist: native-t>=1!2.0,<2!0\n" in files["dep-1.0.dist-info/METADATA"]
    listed = json.loads(files["dep-1.0.dist-info/sboms/native-libraries.cdx.json"])["components"]
    assert [component["name"] for component in listed] == ["native-t"]
    assert files[kind.extension_member] == pw.extension(kind)
    native = tmp_path / "native" / kind.native
    strict = with_libraries(replace(policy_for_tag(kind.tag), strict=True), natives=[native])
    assert audit_wheel(done.wheel, policy=strict) == ()


@pytest.mark.parametrize("kind", [ARM_MAC, INTEL_MAC], ids=["arm64", "x86_64"])
def test_modules_for_macos_find_the_library_from_where_they_lie(tmp_path: Path, kind: Kind) -> None:
    """One directory deep, three deep, and in none; whatever run paths the build left in them."""
    leaked = pw.extension(kind, run_path="/farm/deps/native_t/lib")
    places = {
        kind.extension_member: leaked,
        "dep/a/b/x.so": pw.extension(kind, run_path="@loader_path/../../../../native_t/lib"),
        "dep/a/same.so": pw.extension(kind, run_path="@loader_path/../../native_t/lib"),
        "dep/a/none.so": pw.extension(kind, run_path=""),
        "x.so": pw.extension(kind, run_path=""),
    }
    done = repaired(kind, tmp_path, places, platform=kind.tag)
    files = content(done.wheel)
    paths = {member: macho.read(files[member], member).runpath for member in places}
    assert paths == {
        kind.extension_member: ("@loader_path/../native_t/lib",),
        "dep/a/b/x.so": ("@loader_path/../../../native_t/lib",),
        "dep/a/same.so": ("@loader_path/../../native_t/lib",),
        "dep/a/none.so": ("@loader_path/../../native_t/lib",),
        "x.so": ("@loader_path/native_t/lib",),
    }
    assert [signature_fault(files[member], member) for member in places] == [""] * len(places)
    assert {macho.read(files[member], member).signed for member in places} == {kind is ARM_MAC}
    assert files["dep/a/same.so"] == places["dep/a/same.so"]
    assert len(files["dep/a/b/x.so"]) == len(places["dep/a/b/x.so"])
    native = tmp_path / "native" / kind.native
    strict = with_libraries(replace(policy_for_tag(kind.tag), strict=True), natives=[native])
    assert audit_wheel(done.wheel, policy=strict) == ()


def test_a_macos_module_without_room_for_a_run_path_is_told(tmp_path: Path) -> None:
    tight = bytearray(pw.extension(ARM_MAC, run_path=""))
    command = 32  # the header's size; the commands' own size is at 20
    end = command + int.from_bytes(tight[20:24], "little")
    tight[end : end + 8] = b"occupied"
    with pytest.raises(BinaryFormatError, match="-headerpad_max_install_names"):
        repaired(ARM_MAC, tmp_path, {ARM_MAC.extension_member: bytes(tight)})


@pytest.mark.parametrize("kind", [AMD64, ARM_MAC], ids=["pe", "macho"])
def test_a_repaired_wheel_is_left_alone(tmp_path: Path, kind: Kind) -> None:
    once = repaired(kind, tmp_path)
    again = repair(once.wheel, tmp_path / "again", natives.load([tmp_path / "native" / kind.native]))
    assert not again.changed
    assert content(again.wheel) == content(once.wheel)


@pytest.mark.parametrize("kind", [AMD64, ARM_MAC], ids=["pe", "macho"])
def test_the_bound_is_that_of_the_symbols_taken_from_this_library(tmp_path: Path, kind: Kind) -> None:
    """`t_function_11` came with 2.0; who does not import it gets by with the baseline."""
    older = {kind.extension_member: pw.extension(kind, source=pw.EXTENSION.replace("+ t_function_11(2)", ""))}
    assert repaired(kind, tmp_path, older).requirements == ("native-t>=1!1.0,<2!0",)


@pytest.mark.parametrize(
    ("kind", "copy"),
    [
        (AMD64, "dep.libs/libt-3-0123456789abcdef0123456789abcdef.dll"),
        (ARM_MAC, "dep/.dylibs/libt.3.dylib"),
    ],
)
def test_copies_of_other_repair_tools_stay_with_a_warning(tmp_path: Path, kind: Kind, copy: str) -> None:
    binary = pw.extension(kind, run_path="@loader_path/../../native_t/lib")
    done = repaired(kind, tmp_path, {copy: binary})
    (finding,) = [f for f in done.findings if f.check == "redirect"]
    assert (finding.severity, finding.file) == (Severity.WARNING, copy)
    assert "native-t shares as" in finding.fact
    assert content(done.wheel)[copy] == binary
    assert done.removed == ()


def test_a_module_without_a_package(tmp_path: Path) -> None:
    """A run path still serves it on macOS; Windows has none."""
    for kind, severity in ((AMD64, Severity.ERROR), (ARM_MAC, Severity.WARNING)):
        place = tmp_path / kind.tag
        native = pw.make_native(kind, place)
        files = {kind.extension: pw.extension(kind)}
        raw = wf.make_wheel(place, files, filename=kind.dependent, requires=())
        done = repair(raw, place / "out", natives.load([native]))
        (finding,) = [f for f in done.findings if f.check == "loader"]
        assert finding.severity is severity, kind.tag


# --- tags


@pytest.mark.parametrize(
    ("kind", "platform", "fact"),
    [
        (INTEL_MAC, "macosx_10_9_x86_64", "asks for version 10.13, the tag promises 10.9"),
        (INTEL_MAC, "macosx_10_9_x86_64", "it needs a native wheel for macosx_10_13_x86_64"),
    ],
)
def test_a_tag_that_promises_too_much(tmp_path: Path, kind: Kind, platform: str, fact: str) -> None:
    with pytest.raises(GateError, match=fact):
        repaired(kind, tmp_path, platform=platform)


def test_files_for_another_processor(tmp_path: Path) -> None:
    wrong = {"dep/y.pyd": pw.extension(KINDS["win_arm64"])}
    with pytest.raises(GateError, match=r"dep/y\.pyd is for aarch64"):
        repaired(AMD64, tmp_path, wrong, platform="win_amd64")
    with pytest.raises(UsageError, match="cannot be tagged win32"):
        repaired(AMD64, tmp_path / "other", platform="win32")


@pytest.mark.parametrize(
    ("arch", "loader"), [("x86_64", "ld-linux-x86-64.so.2"), ("ppc64le", "ld64.so.2"), ("s390x", "ld64.so.1")]
)
def test_modules_with_thread_local_data_need_the_loader(arch: str, loader: str) -> None:
    linkage = Linkage(format=BinaryFormat.ELF, arch=arch, bits=64, needed=("libc.so.6", loader))
    module = Binary(member="toy/_toy.so", place="toy/_toy.so", linkage=linkage)
    check([module], f"manylinux_2_17_{arch}", known=frozenset(), where="toy.whl")
    stranger = replace(module, linkage=replace(linkage, needed=("ld65.so.2",)))
    with pytest.raises(GateError, match=r"ld65\.so\.2, which is not in the wheel"):
        check([stranger], f"manylinux_2_17_{arch}", known=frozenset(), where="toy.whl")


def test_a_higher_tag_is_fine_and_universal_ones_name_what_is_there(tmp_path: Path) -> None:
    assert repaired(ARM_MAC, tmp_path / "a", platform="macosx_12_0_arm64").platform == "macosx_12_0_arm64"
    native = pw.make_native(ARM_MAC, tmp_path)
    universal = replace(ARM_MAC, tag="macosx_11_0_universal2")
    raw = pw.make_dependent(universal, tmp_path, {universal.extension_member: pw.extension(ARM_MAC)}, requires=())
    known = natives.load([native])
    done = repair(raw, tmp_path / "out", known, RepairOptions(platform="macosx_11_0_arm64"))
    assert done.platform == "macosx_11_0_arm64"
    with pytest.raises(GateError, match="is for arm64"):
        repair(raw, tmp_path / "out2", known, RepairOptions(platform="macosx_11_0_universal2"))


# --- load() on other systems: unit tests of the template with a faked `os` and `ctypes`, not runs on those systems


class Loaded:
    """What the faked system was asked to do, in order."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch, *, fails: bool = False) -> None:
        self.calls: list[tuple[str, str]] = []
        self.fails = fails
        fake = types.ModuleType("ctypes")
        fake.CDLL = self._open  # type: ignore[attr-defined]
        monkeypatch.setitem(sys.modules, "ctypes", fake)
        monkeypatch.setattr("os.add_dll_directory", self._add, raising=False)

    def _open(self, path: str) -> object:
        self.calls.append(("open", path))
        if self.fails:
            raise OSError("not a library")
        return object()

    def _add(self, path: str) -> types.SimpleNamespace:
        self.calls.append(("add", path))
        return types.SimpleNamespace(close=lambda: self.calls.append(("close", path)))


def package(tmp_path: Path, format_: str, *opened: str) -> types.ModuleType:
    """The native package of another system, imported here."""
    file = tmp_path / "native_t" / "__init__.py"
    file.parent.mkdir()
    facts: dict[str, str | int] = {"__version__": "1!2.0", "ABI_EPOCH": 1, "_DISTRIBUTION": "native-t"}
    facts["_PLATFORM"] = "win_amd64"
    empty: dict[str, tuple[str, ...]] = {"_LINK_NAMES": (), "_CFLAGS": (), "_REQUIRES": ()}
    source = package_init("Doc.", {**facts, **empty, "_FORMAT": format_, "_OPENED": opened})
    module = types.ModuleType("native_t")
    module.__file__ = str(file)
    exec(compile(source, str(file), "exec"), module.__dict__)
    return module


def test_windows_adds_the_directory_before_it_opens_the_dll_by_its_full_path(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    system = Loaded(monkeypatch)
    module = package(tmp_path, "pe", "lib/t-nf01.dll", "lib/u-nf01.dll")
    assert module.load() is module.load()
    lib = str(tmp_path / "native_t" / "lib")
    assert system.calls == [("add", lib), ("open", f"{lib}/t-nf01.dll"), ("open", f"{lib}/u-nf01.dll")]


def test_macos_opens_the_dylib_by_its_full_path(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    system = Loaded(monkeypatch)
    package(tmp_path, "macho", "lib/libt-nf01.dylib").load()
    assert system.calls == [("open", str(tmp_path / "native_t" / "lib" / "libt-nf01.dylib"))]


def test_a_directory_is_given_back_if_the_dll_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    system = Loaded(monkeypatch, fails=True)
    with pytest.raises(ImportError, match=r"This wheel is for win_amd64: pip install --force-reinstall"):
        package(tmp_path, "pe", "lib/t-nf01.dll").load()
    assert [what for what, _ in system.calls] == ["add", "open", "close"]
