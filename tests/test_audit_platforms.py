"""The audit on Windows, macOS and musl: real binaries for each, and linkages changed by hand for single faults."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path

import platform_wheels as pw
import pytest
import wheel_fixtures as wf
from platform_wheels import KINDS, Kind

from farm.gates import data, judge
from farm.gates.audit import AuditPolicy, audit_contents, audit_wheel, policy_for_tag, with_libraries
from farm.gates.contents import WheelContents, load
from farm.model.binary import BinaryFormat, Linkage, Symbol
from farm.model.finding import Finding, Severity

WINDOWS = [kind for kind in KINDS.values() if kind.is_windows]
MACOS = [kind for kind in KINDS.values() if not kind.is_windows]
ARM_MAC, AMD64 = KINDS["macosx_11_0_arm64"], KINDS["win_amd64"]


def strict(kind: Kind, *natives: Path) -> AuditPolicy:
    return with_libraries(replace(policy_for_tag(kind.tag), strict=True), natives=natives)


def facts(findings: tuple[Finding, ...], check: str) -> str:
    return "\n".join(f"{f.file}: {f.fact}" for f in findings if f.check == check)


@pytest.fixture
def dependent(tmp_path: Path) -> dict[str, tuple[WheelContents, AuditPolicy]]:
    """The sound dependent of each kind as it was read, with its policy; made when it is asked for."""

    class Made(dict[str, tuple[WheelContents, AuditPolicy]]):
        def __missing__(self, tag: str) -> tuple[WheelContents, AuditPolicy]:
            kind = KINDS[tag]
            native = pw.make_native(kind, tmp_path)
            return load(pw.make_dependent(kind, tmp_path)), strict(kind, native)

    return Made()


def changed(wheel: WheelContents, **changes: object) -> WheelContents:
    """The wheel with every binary's linkage changed by hand."""
    binaries = {file: replace(linkage, **changes) for file, linkage in wheel.binaries.items()}  # type: ignore[arg-type]
    return replace(wheel, binaries=binaries)


@pytest.mark.parametrize("kind", KINDS.values(), ids=KINDS)
def test_sound_wheels_have_no_findings_and_their_judges_agree(tmp_path: Path, kind: Kind) -> None:
    native, dependent = pw.make_native(kind, tmp_path), pw.make_dependent(kind, tmp_path)
    assert audit_wheel(native, policy=strict(kind)) == ()
    assert audit_wheel(dependent, policy=strict(kind, native)) == ()


# --- Windows


def test_a_dll_that_nobody_brings(tmp_path: Path) -> None:
    """Both the farm and delvewheel say so when the native wheel is not known."""
    findings = audit_wheel(pw.make_dependent(AMD64, tmp_path), policy=strict(AMD64))
    assert "needs t-nf01.dll, which is not in the wheel" in facts(findings, "libraries")
    assert "delvewheel grants only nothing (t-nf01.dll is neither in the wheel" in facts(findings, "platform-tag")


def test_a_dll_in_another_directory_is_found_only_if_python_code_adds_it(tmp_path: Path) -> None:
    elsewhere = {"dep.libs/t-nf01.dll": pw.library(AMD64)}
    policy = strict(AMD64)
    found = audit_contents(load(pw.make_dependent(AMD64, tmp_path, elsewhere)), policy)
    assert "lies in dep.libs, but only dep is searched: no Python code adds a directory" in facts(found, "libraries")
    adds = {**elsewhere, "dep/__init__.py": b"import os\nos.add_dll_directory('x')\n"}
    assert facts(audit_contents(load(pw.make_dependent(AMD64, tmp_path, adds)), policy), "libraries") == ""
    beside = {"dep/T-NF01.dll": pw.library(AMD64)}
    assert facts(audit_contents(load(pw.make_dependent(AMD64, tmp_path, beside)), policy), "libraries") == ""


@pytest.mark.parametrize(
    ("needed", "check", "fact"),
    [
        (("msvcrt.dll", "api-ms-win-crt-heap-l1-1-0.dll"), "c-runtime", "mixes two C run times: msvcrt.dll and the"),
        (("MSVCR100.dll",), "c-runtime", "uses MSVCR100.dll, another C run time than CPython's"),
        (("VCRUNTIME140D.dll",), "c-runtime", "needs VCRUNTIME140D.dll, which only development machines have"),
        (("libwinpthread-1.dll",), "libraries", "needs libwinpthread-1.dll, which is not in the wheel"),
    ],
)
def test_needs_that_windows_users_suffer_from(
    dependent: Mapping[str, tuple[WheelContents, AuditPolicy]], needed: tuple[str, ...], check: str, fact: str
) -> None:
    wheel, policy = dependent["win_amd64"]
    assert fact in facts(audit_contents(changed(wheel, needed=needed, imports=()), policy), check)


@pytest.mark.parametrize("needed", ["KERNEL32.dll", "ucrtbase.dll", "api-ms-win-core-path-l1-1-0.dll", "WS2_32.dll"])
def test_needs_that_every_windows_meets(
    dependent: Mapping[str, tuple[WheelContents, AuditPolicy]], needed: str
) -> None:
    wheel, policy = dependent["win_amd64"]
    findings = audit_contents(changed(wheel, needed=(needed, "python3.dll"), imports=()), policy)
    assert facts(findings, "libraries") == facts(findings, "c-runtime") == ""


def test_the_interpreter_is_for_extension_modules_only(tmp_path: Path) -> None:
    wheel = load(pw.make_native(AMD64, tmp_path, {AMD64.library_member: pw.extension(AMD64)}))
    findings = audit_contents(wheel, strict(AMD64))
    assert "needs python311.dll, which comes with Python" in facts(findings, "libraries")


@pytest.mark.parametrize(("kind", "wanted"), [(AMD64, "high-entropy-va"), (KINDS["win32"], "nx and aslr")])
def test_protections(dependent: Mapping[str, tuple[WheelContents, AuditPolicy]], kind: Kind, wanted: str) -> None:
    wheel, policy = dependent[kind.tag]
    has = ("nx", "aslr") if kind is AMD64 else ()
    findings = audit_contents(changed(wheel, hardening=has), policy)
    assert f"does not ask Windows for {wanted}" in facts(findings, "protections")


def test_real_flags_are_read(tmp_path: Path) -> None:
    library = bytearray(pw.library(AMD64))
    flags_at = int.from_bytes(library[0x3C:0x40], "little") + 4 + 20 + 70
    library[flags_at : flags_at + 2] = (0x0040).to_bytes(2, "little")
    wheel = load(pw.make_native(AMD64, tmp_path, {AMD64.library_member: bytes(library)}))
    findings = audit_contents(wheel, strict(AMD64))
    assert "does not ask Windows for nx and high-entropy-va" in facts(findings, "protections")


def test_the_directory_of_a_pdb_is_a_build_path(
    dependent: Mapping[str, tuple[WheelContents, AuditPolicy]],
) -> None:
    wheel, policy = dependent["win_amd64"]
    file = AMD64.extension_member
    for path, shown in ((b"C:\\jenkins\\x.pdb", True), (b"x.pdb", False), (b"D:\\a\\x\\y.c", True)):
        record = b"RSDS" + bytes(20) + path + b"\0"
        leaky = replace(wheel, files={**wheel.files, file: wheel.files[file] + record})
        assert (path.decode() in facts(audit_contents(leaky, policy), "build-paths")) is shown, path


def test_static_libraries_do_not_pass_as_import_libraries(tmp_path: Path) -> None:
    static = {"native_t/lib/u.lib": b"!<arch>\n" + b"u.o/".ljust(58) + b"`\n" + b"\x64\x86" + bytes(60)}
    findings = audit_contents(load(pw.make_native(AMD64, tmp_path, static)), strict(AMD64))
    assert facts(findings, "leftovers") == "native_t/lib/u.lib: is a static archive"


@pytest.mark.parametrize("file", ["dep/x.pdb", "dep/x.exp", "dep/x.so.dSYM/Contents/Info.plist", "dep/x.obj"])
def test_files_of_debuggers_are_leftovers(tmp_path: Path, file: str) -> None:
    native = pw.make_native(AMD64, tmp_path)
    wheel = load(pw.make_dependent(AMD64, tmp_path, {file: b"x"}))
    assert file in facts(audit_contents(wheel, strict(AMD64, native)), "leftovers")


# --- macOS


def test_a_newer_macos_than_promised(tmp_path: Path) -> None:
    intel = KINDS["macosx_10_13_x86_64"]
    older = replace(intel, tag="macosx_10_9_x86_64")
    native = pw.make_native(older, tmp_path)
    findings = audit_wheel(native, policy=strict(older))
    fact = "asks for macOS 10.13, but macosx_10_9_x86_64 promises to run on 10.9"
    assert fact in facts(findings, "os-floor")
    assert "delocate grants only macosx_10_13_x86_64" in facts(findings, "platform-tag")


@pytest.mark.parametrize(
    ("changes", "check", "fact"),
    [
        ({"os_floor": (12, 3)}, "os-floor", "asks for macOS 12.3, but macosx_11_0_arm64 promises to run on 11.0"),
        ({"os_floor": (0, 0)}, "os-floor", "does not say which macOS it needs"),
        ({"needed": ("/opt/homebrew/lib/libgmp.10.dylib",)}, "libraries", "needs a library by path: /opt/homebrew"),
        ({"needed": ("@rpath/libodd.dylib",)}, "libraries", "needs @rpath/libodd.dylib, which is not in the wheel"),
        ({"runpath": ()}, "libraries", "lies in native_t/lib, but its run path leads to no directory at all"),
        ({"runpath": ("/Users/me/lib",)}, "run-path", "is absolute"),
        ({"runpath": ("@executable_path/../lib",)}, "run-path", "is not relative to @loader_path"),
        ({"runpath": ("@loader_path/../../x",)}, "run-path", "leaves site-packages"),
        ({"arch": "x86_64"}, "identity", "is for x86_64, the wheel for aarch64"),
        ({"format": BinaryFormat.ELF}, "identity", "is a file of another system (elf)"),
        ({"disagreements": ("the slices differ in exports",)}, "identity", "the slices differ in exports"),
    ],
)
def test_faults_of_macos_wheels(
    dependent: Mapping[str, tuple[WheelContents, AuditPolicy]], changes: dict[str, object], check: str, fact: str
) -> None:
    wheel, policy = dependent["macosx_11_0_arm64"]
    findings = audit_contents(changed(wheel, imports=(), **changes), policy)
    assert fact in facts(findings, check)


def test_a_dylib_beside_the_module_by_loader_path(
    dependent: Mapping[str, tuple[WheelContents, AuditPolicy]],
) -> None:
    """As delocate leaves wheels."""
    wheel, policy = dependent["macosx_11_0_arm64"]
    (linkage,) = wheel.binaries.values()
    binaries = {
        "dep/x.so": replace(linkage, needed=("@loader_path/.dylibs/libu.dylib",), imports=()),
        "dep/.dylibs/libu.dylib": replace(linkage, soname="/DLC/dep/libu.dylib", needed=(), imports=()),
    }
    bytes_ = wheel.files[ARM_MAC.extension_member]
    moved = replace(wheel, binaries=binaries, files={**wheel.files, **dict.fromkeys(binaries, bytes_)})
    assert facts(audit_contents(moved, policy), "libraries") == ""
    lost = replace(
        moved, binaries={**binaries, "dep/x.so": replace(binaries["dep/x.so"], needed=("@loader_path/libu.dylib",))}
    )
    assert "lies in dep/.dylibs" in facts(audit_contents(lost, policy), "libraries")


def test_signatures(tmp_path: Path) -> None:
    native = pw.make_native(ARM_MAC, tmp_path)
    stale = bytearray(pw.extension(ARM_MAC))
    at = stale.index(b"t_function_11")
    stale[at : at + 13] = b"t_function_10"
    wheel = load(pw.make_dependent(ARM_MAC, tmp_path, {ARM_MAC.extension_member: bytes(stale)}))
    assert "signature that does not hold" in facts(audit_contents(wheel, strict(ARM_MAC, native)), "code-signature")


def test_an_unsigned_file_is_for_intel_only(tmp_path: Path) -> None:
    """zig signs what it links for arm64; one that did not is made by taking the load command away."""
    native = pw.make_native(ARM_MAC, tmp_path)
    unsigned = bytearray(pw.extension(ARM_MAC))
    at = unsigned.index((0x1D).to_bytes(4, "little") + (16).to_bytes(4, "little"))
    unsigned[at : at + 4] = (0x26).to_bytes(4, "little")  # LC_FUNCTION_STARTS has the same shape
    wheel = load(pw.make_dependent(ARM_MAC, tmp_path, {ARM_MAC.extension_member: bytes(unsigned)}))
    assert "has no code signature" in facts(audit_contents(wheel, strict(ARM_MAC, native)), "code-signature")


# --- names and symbols on both


@pytest.mark.parametrize("kind", [AMD64, ARM_MAC], ids=["pe", "macho"])
def test_a_library_under_another_name(tmp_path: Path, kind: Kind) -> None:
    wheel = load(pw.make_native(kind, tmp_path))
    findings = audit_contents(changed(wheel, soname="libt.3"), strict(kind))
    assert "has soname libt.3" in facts(findings, "shared-name")


@pytest.mark.parametrize("kind", [AMD64, ARM_MAC], ids=["pe", "macho"])
def test_a_symbol_that_the_native_library_does_not_have(tmp_path: Path, kind: Kind) -> None:
    native = pw.make_native(kind, tmp_path)
    policy = strict(kind, native)
    known = policy.libraries[kind.library]
    fewer = tuple(s for s in known.linkage.exports if s.name != "t_function_11")
    older = replace(known.linkage, exports=fewer)
    policy = replace(policy, libraries={kind.library: replace(known, read=lambda: older)})
    findings = audit_contents(load(pw.make_dependent(kind, tmp_path)), policy)
    assert "wants t_function_11 from" in facts(findings, "undefined-symbols")


@pytest.mark.parametrize("kind", [AMD64, ARM_MAC], ids=["pe", "macho"])
def test_requirements_are_asked_for(tmp_path: Path, kind: Kind) -> None:
    native = pw.make_native(kind, tmp_path)
    findings = audit_contents(load(pw.make_dependent(kind, tmp_path, requires=())), strict(kind, native))
    assert "does not require native-t" in facts(findings, "requires-dist")


@pytest.mark.parametrize(
    ("kind", "copy"),
    [
        (AMD64, "dep.libs/libt-3-0123456789abcdef0123456789abcdef.dll"),
        (AMD64, "dep/t.dll"),
        (ARM_MAC, "dep/.dylibs/libt.3.dylib"),
    ],
)
def test_vendored_copies(tmp_path: Path, kind: Kind, copy: str) -> None:
    native = pw.make_native(kind, tmp_path)
    wheel = load(pw.make_dependent(kind, tmp_path, {copy: pw.extension(kind)}))
    assert f"{copy}: is the wheel's own copy" in facts(audit_contents(wheel, strict(kind, native)), "vendored-copies")


# --- judges


def test_a_judge_that_is_not_there_is_noted(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(judge, "find_spec", lambda name: None)
    native = pw.make_native(ARM_MAC, tmp_path)
    (finding,) = audit_wheel(native, policy=strict(ARM_MAC))
    assert finding.severity is Severity.NOTE
    assert finding.fact == "delocate was not asked about macosx_11_0_arm64: it is not installed"


# --- musl


MUSL = "musllinux_1_2_aarch64"


def musl_wheel(tmp_path: Path, **changes: object) -> WheelContents:
    """A wheel for musl on aarch64 whose one binary is a linkage made by hand."""
    wheel = load(wf.make_wheel(tmp_path, {wf.EXTENSION: wf.extension()}, requires=()))
    linkage = Linkage(format=BinaryFormat.ELF, arch="aarch64", bits=64, needed=("libc.musl-aarch64.so.1",))
    return replace(wheel, binaries={wf.EXTENSION: replace(linkage, **changes)})  # type: ignore[arg-type]


def imports(*names: str) -> tuple[Symbol, ...]:
    return tuple(Symbol(name=name) for name in names)


def test_functions_newer_than_the_oldest_musl(tmp_path: Path) -> None:
    wheel = musl_wheel(tmp_path, imports=imports("malloc", "PyLong_FromLong", "preadv2", "statx"))
    text = facts(audit_contents(wheel, policy_for_tag(MUSL)), "musl-floor")
    assert text == f"{wf.EXTENSION}: imports 2 symbols that musl 1.2.3 does not have: preadv2, statx"


def test_what_another_library_defines_is_not_musls(tmp_path: Path) -> None:
    policy = policy_for_tag(MUSL)
    weak = (Symbol(name="__cxa_thread_atexit_impl", weak=True),)
    assert facts(audit_contents(musl_wheel(tmp_path, imports=weak), policy), "musl-floor") == ""
    unknown = musl_wheel(tmp_path, imports=imports("odd"), needed=("libodd.so.1",))
    findings = audit_contents(unknown, policy)
    assert facts(findings, "musl-floor") == ""
    assert "needs libodd.so.1" in facts(findings, "libraries")


def test_the_linkers_name_of_musl(tmp_path: Path) -> None:
    findings = audit_contents(musl_wheel(tmp_path, needed=("libc.so",)), policy_for_tag(MUSL))
    assert "needs libc.so, a name that only a linker knows: the file is called libc.musl-aarch64" in facts(
        findings, "musl-floor"
    )


def test_the_symbols_of_musl() -> None:
    assert {"malloc", "pthread_create", "qsort_r"} <= data.musl_symbols("x86_64")
    assert "iopl" in data.musl_symbols("x86_64")
    assert "iopl" not in data.musl_symbols("aarch64")
    assert "preadv2" not in data.musl_symbols("aarch64")
