"""Each check finds the fault it is for, in real wheels with real binaries, and says nothing about sound ones."""

from __future__ import annotations

import json
import stat
import struct
import zipfile
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import wheel_fixtures as wf
from elf_fixtures import build, shared

from farm.gates.audit import AuditPolicy, audit_contents, audit_wheel, policy_for_tag, with_libraries
from farm.gates.checks import CHECKS, markdown
from farm.gates.contents import load
from farm.model.finding import Finding, Severity

STRICT = replace(policy_for_tag(wf.PLATFORM), strict=True, variants=("x86-64-v3",))


@pytest.fixture(scope="module")
def native(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return wf.make_native(tmp_path_factory.mktemp("native"))


@pytest.fixture(scope="module")
def policy(native: Path) -> AuditPolicy:
    return with_libraries(STRICT, natives=[native])


def found(findings: tuple[Finding, ...], check: str) -> list[Finding]:
    return [finding for finding in findings if finding.check == check]


def facts(findings: tuple[Finding, ...], check: str) -> str:
    return "\n".join(f"{f.file}: {f.fact}" for f in found(findings, check))


def audit(wheel: Path, policy: AuditPolicy) -> tuple[Finding, ...]:
    """An audit without asking auditwheel, which takes a process of its own."""
    return audit_contents(load(wheel), policy)


def audit_dependent(out: Path, policy: AuditPolicy, changes: dict[str, bytes], **metadata: Any) -> tuple[Finding, ...]:
    return audit(wf.make_wheel(out, wf.dependent_files() | changes, **metadata), policy)


def audit_native(out: Path, changes: dict[str, bytes | None], policy: AuditPolicy = STRICT) -> tuple[Finding, ...]:
    files = {name: data for name, data in (wf.native_files() | changes).items() if data is not None}
    return audit(wf.make_native(out, files), policy)


def test_a_sound_native_wheel_has_no_findings(native: Path) -> None:
    assert audit_wheel(native, policy=STRICT) == ()


def test_a_sound_dependent_has_no_findings(tmp_path: Path, policy: AuditPolicy) -> None:
    assert audit_wheel(wf.make_wheel(tmp_path, wf.dependent_files()), policy=policy) == ()


def test_every_finding_says_what_and_how_to_fix(tmp_path: Path, policy: AuditPolicy) -> None:
    findings = audit_dependent(tmp_path, policy, {"dep/a.pyc": b"", "dep/libt.a": b"!<arch>\n"}, requires=())
    assert len(findings) >= 3
    assert all(f.check and f.file and f.fact and f.fix for f in findings)


def test_errors_come_before_warnings(tmp_path: Path) -> None:
    policy = replace(STRICT, strict=False)
    findings = audit_dependent(tmp_path, policy, {"dep/a.pyc": b""})
    assert [f.severity for f in findings] == sorted(
        (f.severity for f in findings), key=lambda s: s is not Severity.ERROR
    )
    assert {f.severity for f in findings} == {Severity.ERROR, Severity.WARNING}


# --- libraries, symbols, versions


def test_a_newer_glibc_than_promised(tmp_path: Path, policy: AuditPolicy) -> None:
    source = wf.EXTENSION_SOURCE + "extern int pthread_create(void); int start(void) { return pthread_create(); }"
    wheel = wf.make_wheel(tmp_path, {wf.EXTENSION: wf.extension(source=source)})
    findings = audit_wheel(wheel, policy=policy)
    assert "needs GLIBC_2.34 (for pthread_create), but manylinux_2_17_x86_64 promises" in facts(findings, "glibc-floor")
    assert "auditwheel grants only manylinux_2_34_x86_64" in facts(findings, "platform-tag")
    assert "GLIBC_2.34" in facts(findings, "platform-tag")


def test_a_symbol_that_nobody_defines(tmp_path: Path, policy: AuditPolicy) -> None:
    source = wf.EXTENSION_SOURCE + "extern int t_function_99(void); int f(void) { return t_function_99(); }"
    findings = audit_dependent(tmp_path, policy, {wf.EXTENSION: wf.extension(source=source)})
    assert f"{wf.EXTENSION}: imports 1 symbol that no library it needs defines: t_function_99" in facts(
        findings, "undefined-symbols"
    )


def test_symbols_of_the_interpreter_are_fine_in_extensions_but_not_in_native_wheels(tmp_path: Path) -> None:
    source = wf.LIBRARY_SOURCE + "\nextern int PyErr_Occurred(void); int g(void) { return PyErr_Occurred(); }"
    findings = audit_native(tmp_path, {wf.LIBRARY: wf.library(source=source), wf.VARIANT: None})
    assert "PyErr_Occurred" in facts(findings, "undefined-symbols")


def test_loading_libraries_is_what_an_interpreter_can_do_but_no_native_wheel_asks_for(tmp_path: Path) -> None:
    loads = "\nextern void *dlopen(const char *, int); void *open_it(void) { return dlopen(0, 2); }"
    policy = with_libraries(STRICT, natives=[wf.make_native(tmp_path / "n", wf.native_files())])
    extension = wf.extension("-nostdlib", source=wf.EXTENSION_SOURCE + loads)
    findings = audit_dependent(tmp_path, policy, {wf.EXTENSION: extension})
    assert "dlopen" not in facts(findings, "undefined-symbols")
    library = wf.library("-nostdlib", source=wf.LIBRARY_SOURCE + loads)
    findings = audit_native(tmp_path, {wf.LIBRARY: library, wf.VARIANT: None})
    assert "dlopen" in facts(findings, "undefined-symbols")


def test_a_symbol_version_that_the_library_does_not_have(tmp_path: Path) -> None:
    versioned = ("v.map", b"T_1 { global: *; };")
    changed = ("v.map", b"T_2 { global: *; };")
    built_against = shared(wf.LIBRARY_SOURCE, "-Wl,--version-script=v.map", soname="libt-nf01.so", extra=(versioned,))
    shipped = shared(wf.LIBRARY_SOURCE, "-Wl,--version-script=v.map", soname="libt-nf01.so", extra=(changed,))
    user = shared(
        wf.EXTENSION_SOURCE, "-Wl,-rpath,$ORIGIN/../native_t/lib", soname="x.so", needed={"libt-nf01.so": built_against}
    )
    files: dict[str, bytes] = wf.native_files() | {wf.LIBRARY: shipped, wf.VARIANT: shipped}
    policy = with_libraries(STRICT, natives=[wf.make_native(tmp_path, files)])
    findings = audit_dependent(tmp_path, policy, {wf.EXTENSION: user})
    assert "wants t_function_1 of version T_1 from libt-nf01.so, which has it as T_2" in facts(
        findings, "undefined-symbols"
    )


def test_a_library_that_no_system_promises(tmp_path: Path, policy: AuditPolicy) -> None:
    user = shared(
        wf.EXTENSION_SOURCE,
        needed={"libt-nf01.so": wf.library(), "libodd.so.1": shared("int odd;", soname="libodd.so.1")},
    )
    findings = audit_wheel(wf.make_wheel(tmp_path, {wf.EXTENSION: user}), policy=policy)
    assert "needs libodd.so.1, which is not in the wheel" in facts(findings, "libraries")
    assert "libodd.so.1" in facts(findings, "platform-tag")
    allowed = replace(policy, allow_libraries=("libodd.so.1",))
    assert "libodd" not in facts(audit_dependent(tmp_path, allowed, {wf.EXTENSION: user}), "libraries")


def test_libpython_is_refused_with_its_own_advice(tmp_path: Path, policy: AuditPolicy) -> None:
    python = shared("int PyNothing;", soname="libpython3.11.so.1.0")
    user = shared(wf.EXTENSION_SOURCE, needed={"libt-nf01.so": wf.library(), "libpython3.11.so.1.0": python})
    (finding,) = [
        f for f in found(audit_dependent(tmp_path, policy, {wf.EXTENSION: user}), "libraries") if "libpython" in f.fact
    ]
    assert "do not link extension modules to libpython" in finding.fix


def test_an_unknown_native_library_asks_for_its_wheel(tmp_path: Path) -> None:
    findings = audit_dependent(tmp_path, STRICT, {})
    assert "needs libt-nf01.so, which is not in the wheel, not in a native wheel that the audit was shown" in facts(
        findings, "libraries"
    )


def test_a_run_path_that_does_not_lead_to_the_library(tmp_path: Path, policy: AuditPolicy) -> None:
    findings = audit_dependent(tmp_path, policy, {wf.EXTENSION: wf.extension(rpath="")})
    assert "needs libt-nf01.so, which lies in native_t/lib, but its run path leads to no directory" in facts(
        findings, "libraries"
    )


@pytest.mark.parametrize(
    ("rpath", "fact"),
    [
        ("/farm/prefix/lib", "is absolute"),
        ("lib", "not relative to $ORIGIN"),
        ("$ORIGIN/../../lib", "leaves site-packages: ../lib"),
        ("$ORIGIN/../native_t/lib:", "is empty"),
        ("$ORIGIN/$LIB", "uses a variable"),
        ("$ORIGIN/nowhere", "leads to dep/nowhere, which no wheel seen here has"),
    ],
)
def test_run_paths_that_are_refused(tmp_path: Path, policy: AuditPolicy, rpath: str, fact: str) -> None:
    findings = audit_dependent(tmp_path, policy, {wf.EXTENSION: wf.extension(rpath=rpath)})
    assert fact in facts(findings, "run-path")


def test_a_vendored_copy_under_a_hashed_name(tmp_path: Path, policy: AuditPolicy) -> None:
    copy = wf.library(soname="libt-1a2b3c4d.so.3.1")
    findings = audit_dependent(tmp_path, policy, {"dep.libs/libt-1a2b3c4d.so.3.1": copy})
    assert "own copy of a library that native-t shares as libt-nf01.so" in facts(findings, "vendored-copies")


def test_a_static_copy_inside_an_extension(tmp_path: Path, policy: AuditPolicy) -> None:
    source = wf.EXTENSION_SOURCE.replace("extern int t_function_1(int);", wf.LIBRARY_SOURCE)
    findings = audit_dependent(tmp_path, policy, {wf.EXTENSION: wf.extension(source=source)})
    assert "holds a static copy of libt-nf01.so (native-t): 12 of its functions" in facts(findings, "vendored-copies")


@pytest.mark.parametrize(
    ("requires", "fact"),
    [
        ((), "does not require native-t"),
        (('native-t>=1!1.0,<2!0; extra == "fast"',), "requires native-t only under a condition"),
        (("native-t>=1!1.0",), "without an upper bound"),
        (("native-t>=1!3.0,<2!0",), "excludes the 1!2.0"),
        (("native-t >= what",), "is not PEP 508"),
    ],
)
def test_requirements_of_shared_libraries(
    tmp_path: Path, policy: AuditPolicy, requires: tuple[str, ...], fact: str
) -> None:
    assert fact in facts(audit_dependent(tmp_path, policy, {}, requires=requires), "requires-dist")


# --- memory and instructions


def test_executable_stack_and_text_relocations(tmp_path: Path, policy: AuditPolicy) -> None:
    stack = wf.extension("-Wl,-z,execstack")
    text = wf.extension(
        "-Wl,-z,notext", source=wf.EXTENSION_SOURCE + 'int y; __asm__(".globl get\\nget: movabs $y, %rax\\nret");'
    )
    findings = audit_dependent(tmp_path, policy, {wf.EXTENSION: stack, "dep/t.so": text})
    assert wf.EXTENSION in facts(findings, "executable-stack")
    assert "dep/t.so" in facts(findings, "text-relocations")


AVX2 = """
typedef int v8 __attribute__((vector_size(32)));
__attribute__((target("avx2"), noinline)) void sum_haswell(v8 *a, v8 *b) { *a = *a + *b * 3; }
__attribute__((target("avx2"), noinline, cold)) static void hidden_helper(v8 *a) { *a = *a - 7; }
void sum(v8 *a, v8 *b) { if (__builtin_cpu_supports("avx2")) { sum_haswell(a, b); hidden_helper(a); } }
"""


def test_instructions_above_the_baseline_are_named(tmp_path: Path, policy: AuditPolicy) -> None:
    findings = audit_dependent(tmp_path, policy, {"dep/s.so": shared(AVX2, soname="s.so")})
    text = facts(findings, "instruction-set")
    assert "dep/s.so: sum_haswell uses AVX" in text
    assert "AVX2" in text
    assert "which x86-64 does not promise: `v" in text
    assert "sum uses" not in text


def test_dispatched_functions_are_exempt_and_the_unstripped_twin_names_static_ones(
    tmp_path: Path, policy: AuditPolicy
) -> None:
    dispatching = replace(policy, dispatched=("*_haswell", "hidden_*"))
    stripped = {"dep/s.so": shared(AVX2, soname="s.so")}
    findings = audit_dependent(tmp_path, dispatching, stripped)
    assert next(f.fact.split(",")[0] for f in found(findings, "instruction-set")).startswith("unnamed code at")
    twin = tmp_path / "s.so.unstripped"
    twin.write_bytes(shared(AVX2, soname="s.so", debug=True))
    findings = audit_dependent(tmp_path, replace(dispatching, debug_symbols={"s.so": twin}), stripped)
    assert found(findings, "instruction-set") == []


def test_a_twin_of_another_build_is_refused(tmp_path: Path, policy: AuditPolicy) -> None:
    twin = tmp_path / "other"
    twin.write_bytes(shared(AVX2 + "int more(int x) { return x * 77; }", soname="s.so", debug=True))
    wrong = replace(policy, debug_symbols={"dep/s.so": twin})
    findings = audit_dependent(tmp_path, wrong, {"dep/s.so": shared(AVX2, soname="s.so")})
    assert "is not dep/s.so before it was stripped" in facts(findings, "instruction-set")


def test_what_every_cpu_runs_is_allowed(tmp_path: Path, policy: AuditPolicy) -> None:
    """rep bsf (= tzcnt), pause, endbr64, cpuid with xgetbv, rdtsc: none of these breaks an old CPU."""
    source = """
    int f(int x) { return __builtin_ctz(x); }
    void p(void) { __builtin_ia32_pause(); }
    unsigned g(void) {
      unsigned a, b, c = 0, d;
      __asm__ volatile("cpuid" : "=a"(a), "=b"(b), "+c"(c), "=d"(d) : "0"(1));
      if (c & (1 << 27)) __asm__ volatile("xgetbv" : "=a"(a), "=d"(d) : "c"(0));
      __asm__ volatile("rep bsf %1, %0" : "=r"(b) : "r"(a));
      return a + b + (unsigned)__builtin_ia32_rdtsc();
    }"""
    findings = audit_dependent(tmp_path, policy, {"dep/s.so": shared(source, "-fcf-protection=full", soname="s.so")})
    assert found(findings, "instruction-set") == []


def test_lzcnt_is_refused_because_old_cpus_silently_compute_something_else(tmp_path: Path, policy: AuditPolicy) -> None:
    source = "int f(int x) { return __builtin_clz(x); }"
    findings = audit_dependent(tmp_path, policy, {"dep/s.so": shared(source, "-mlzcnt", soname="s.so")})
    assert "f uses LZCNT" in facts(findings, "instruction-set")


def test_an_unguarded_xgetbv_is_a_warning(tmp_path: Path, policy: AuditPolicy) -> None:
    source = 'unsigned f(void) { unsigned a, d; __asm__("xgetbv" : "=a"(a), "=d"(d) : "c"(0)); return a; }'
    (finding,) = found(
        audit_dependent(tmp_path, policy, {"dep/s.so": shared(source, soname="s.so")}), "instruction-set"
    )
    assert finding.severity is Severity.WARNING
    assert "guarded by its caller" in finding.fact


def test_data_between_functions_is_not_an_error(tmp_path: Path, policy: AuditPolicy) -> None:
    """Assembly often keeps tables in .text; bytes like 06 are no 64-bit instruction, some look like AVX."""
    table = ",".join(["0x06,0x07,0x0e,0xc5,0xf1,0xfe,0xc2,0x1e,0x1f,0x27,0x60,0x61,0xd6"] * 20)
    source = f'__asm__(".text\\n.globl f\\n.type f,@function\\nf: ret\\n.size f,.-f\\n.byte {table}\\n");'
    findings = found(audit_dependent(tmp_path, policy, {"dep/s.so": shared(source, soname="s.so")}), "instruction-set")
    assert {f.severity for f in findings} <= {Severity.WARNING}


def test_many_functions_are_summed_up(tmp_path: Path, policy: AuditPolicy) -> None:
    source = "typedef int v8 __attribute__((vector_size(32)));" + "".join(
        f"void f{i}(v8 *a) {{ *a = *a + {i + 1}; }}" for i in range(25)
    )
    findings = found(
        audit_dependent(tmp_path, policy, {"dep/s.so": shared(source, "-mavx2", soname="s.so")}), "instruction-set"
    )
    assert len(findings) == policy.shown + 1
    assert "15 more functions above x86-64" in findings[-1].fact


def test_variants_are_held_to_their_level(tmp_path: Path) -> None:
    source = (
        wf.LIBRARY_SOURCE + "\ntypedef int v16 __attribute__((vector_size(64))); int t_z(v16 *a) { *a += 3; return 1; }"
    )
    flags = ("-mavx512f", "-mprefer-vector-width=512")
    changes: dict[str, bytes | None] = {
        wf.LIBRARY: wf.library(source=source),
        wf.VARIANT: wf.library(*flags, source=source),
    }
    text = facts(audit_native(tmp_path, changes), "instruction-set")
    assert f"{wf.VARIANT}: t_z uses AVX512F, which x86-64-v3 does not promise" in text
    assert f"{wf.LIBRARY}:" not in text


# --- native wheels


def test_soname_file_name_and_shared_name_are_one(tmp_path: Path) -> None:
    findings = audit_native(tmp_path, {wf.LIBRARY: wf.library(soname="libt.so.3")})
    assert "has soname libt.so.3, file name libt-nf01.so and shared name libt-nf01.so" in facts(findings, "shared-name")


def test_a_variant_must_offer_what_the_baseline_offers(tmp_path: Path) -> None:
    less = "\n".join(wf.LIBRARY_SOURCE.splitlines()[:11]) + "\nint t_extra(void) { return 1; }"
    findings = audit_native(tmp_path, {wf.VARIANT: wf.library(source=less)})
    assert "lacks t_function_11 and adds t_extra" in facts(findings, "shared-name")
    findings = audit_native(tmp_path, {wf.VARIANT: wf.library(soname="libt-nf02.so")})
    assert "is a variant of libt-nf01.so but has soname libt-nf02.so" in facts(findings, "shared-name")


def test_a_variant_for_a_level_the_recipe_does_not_have(native: Path) -> None:
    assert "a variant for x86-64-v3" in facts(audit_wheel(native, policy=replace(STRICT, variants=())), "shared-name")


@pytest.mark.parametrize(
    ("changes", "fact"),
    [
        ({"distribution": "native-u"}, "is of native-u"),
        ({"version": "1!2.1"}, "says version 1!2.1, the wheel has 1!2.0"),
        ({"abi_epoch": 4}, "says ABI epoch 4"),
        ({"platform": "win_amd64"}, "is for win_amd64"),
        ({"baseline": "3.0"}, "newer than itself"),
        ({"introduced": {"2.5": ["x"]}}, "introduced in 2.5"),
        ({"import_name": "native_u"}, "names the import package native_u"),
        ({"requires": ["native-gmp>=10!6.3"]}, "requires native-gmp>=10!6.3, which METADATA does not"),
        ({"anchor": "lib/libt-nf01.so"}, "is the anchor but does not need libt-nf01.so"),
        ({"surprise": 1}, "is not a native manifest: surprise"),
    ],
)
def test_a_manifest_that_disagrees(tmp_path: Path, changes: dict[str, object], fact: str) -> None:
    findings = audit(wf.make_native(tmp_path, **changes), STRICT)
    assert fact in facts(findings, "native-manifest")


def test_a_native_wheel_without_a_manifest(tmp_path: Path) -> None:
    findings = audit_native(tmp_path, {"native_t-1!2.0.dist-info/native.json": None})
    assert "is missing" in facts(findings, "native-manifest")


# --- members and metadata


@pytest.mark.parametrize(
    ("path", "content", "path_found"),
    [
        ("dep/config.py", b'CC = "/farm/toolchain/bin/cc -O2"', "/farm/toolchain/bin/cc"),
        ("dep/x.pc", b"libs=-L/tmp/build-1/prefix/lib", "/tmp/build-1/prefix/lib"),
        ("dep/flags.txt", b"cc -I/home/me/src/include", "/home/me/src/include"),
    ],
)
def test_build_paths_in_text(tmp_path: Path, policy: AuditPolicy, path: str, content: bytes, path_found: str) -> None:
    assert f"{path}: holds 1 build path: {path_found}" in facts(
        audit_dependent(tmp_path, policy, {path: content}), "build-paths"
    )


def test_build_paths_in_binaries(tmp_path: Path, policy: AuditPolicy) -> None:
    source = wf.EXTENSION_SOURCE + 'const char *where = "/farm/src/mpn/add.c";'
    findings = audit_dependent(tmp_path, policy, {wf.EXTENSION: wf.extension(source=source)})
    assert "/farm/src/mpn/add.c" in facts(findings, "build-paths")


def test_examples_in_prose_and_python_only_warn(tmp_path: Path, policy: AuditPolicy) -> None:
    changes = {"dep/a.py": b"open('/home/me/data/x')", "dep/b.py": b"'/farm/work/x'", "dep/c.pc": b"L=/home/me/lib"}
    findings = found(audit_dependent(tmp_path, policy, changes), "build-paths")
    assert {f.file: f.severity for f in findings} == {
        "dep/a.py": Severity.WARNING,
        "dep/b.py": Severity.ERROR,
        "dep/c.pc": Severity.ERROR,
    }


@pytest.mark.parametrize(
    "content",
    [b"see https://example.org/farm/x/y", b"open('/tmp/x')", b"in pkg/home/a/b", b"/farm/", b"${prefix}/tmp/a/b"],
)
def test_what_only_looks_like_a_build_path(tmp_path: Path, policy: AuditPolicy, content: bytes) -> None:
    assert found(audit_dependent(tmp_path, policy, {"dep/readme.txt": content}), "build-paths") == []


@pytest.mark.parametrize(
    ("path", "content"),
    [
        ("dep/libt.a", b"!<arch>\n"),
        ("dep/libt.la", b"# libtool"),
        ("dep/__pycache__/a.cpython-311.pyc", b""),
        ("dep/a.o", b""),
    ],
)
def test_leftovers(tmp_path: Path, policy: AuditPolicy, path: str, content: bytes) -> None:
    assert path in facts(audit_dependent(tmp_path, policy, {path: content}), "leftovers")


def test_a_static_archive_that_the_recipe_wants(tmp_path: Path, policy: AuditPolicy) -> None:
    members = {"dep/lib/libt.a": b"!<arch>\n", "dep/libu.a": b"!<arch>\n"}
    found = facts(audit_dependent(tmp_path, replace(policy, allow_archives=("dep/lib/*.a",)), members), "leftovers")
    assert found == "dep/libu.a: is a static archive"


def test_debug_information(tmp_path: Path, policy: AuditPolicy) -> None:
    findings = audit_dependent(tmp_path, policy, {"dep/g.so": shared("int g;", soname="g.so", debug=True)})
    assert "dep/g.so" in facts(findings, "debug-information")


def test_licenses(tmp_path: Path, policy: AuditPolicy) -> None:
    for metadata, fact in (
        ({"license_expression": ""}, "has no License-Expression"),
        ({"license_expression": "GPL or so"}, "not SPDX"),
        ({"license_files": ()}, "lists no license file"),
        (
            {"license_files": ("LICENSE", "COPYING.LESSER")},
            "not in dep-1.0.dist-info/licenses/ or are empty: COPYING.LESSER",
        ),
    ):
        assert fact in facts(audit_dependent(tmp_path, policy, {}, **metadata), "license")


def test_license_files_from_before_pep_639_may_lie_beside_metadata(tmp_path: Path, policy: AuditPolicy) -> None:
    def judged(version: str) -> str:
        text = f"Metadata-Version: {version}\nName: dep\nVersion: 1.0\nLicense-File: COPYING\n"
        members = {"dep-1.0.dist-info/METADATA": text.encode(), "dep-1.0.dist-info/COPYING": b"Do what you like."}
        return facts(audit_dependent(tmp_path, policy, members), "license")

    assert "not in dep-1.0.dist-info/licenses/" not in judged("2.1")
    assert "not in dep-1.0.dist-info/licenses/" in judged("2.4")


def test_a_binary_in_no_scheme_of_the_data_directory(tmp_path: Path, policy: AuditPolicy) -> None:
    members = {"dep-1.0.data/x.so": wf.extension(), "dep-1.0.data/scripts/run": wf.extension()}
    assert "dep-1.0.data/x.so" in facts(audit_dependent(tmp_path, policy, members), "libraries")


def test_another_architecture_and_no_binary_at_all(tmp_path: Path, policy: AuditPolicy) -> None:
    arm = bytearray(wf.extension())
    struct.pack_into("<H", arm, 18, 183)
    findings = audit_dependent(tmp_path, policy, {wf.EXTENSION: bytes(arm)})
    assert "is for aarch64, the wheel for x86_64" in facts(findings, "identity")
    empty = audit(wf.make_wheel(tmp_path, {"dep/__init__.py": b""}), policy)
    assert "holds no binary" in facts(empty, "identity")


def test_a_damaged_binary(tmp_path: Path, policy: AuditPolicy) -> None:
    findings = audit_dependent(tmp_path, policy, {"dep/cut.so": wf.extension()[:2000]})
    assert "dep/cut.so: is cut short or lies" in facts(findings, "binary")


def rewrite(wheel: Path, change: dict[str, bytes], link: str = "") -> None:
    """Replace members of a wheel without touching RECORD; `link` becomes a symbolic link."""
    with zipfile.ZipFile(wheel) as archive:
        content = {info.filename: archive.read(info) for info in archive.infolist()}
    with zipfile.ZipFile(wheel, "w") as archive:
        for name, data in (content | change).items():
            archive.writestr(name, data)
        if link:
            info = zipfile.ZipInfo(link)
            info.create_system, info.external_attr = 3, (stat.S_IFLNK | 0o777) << 16
            archive.writestr(info, "target")


def test_record_that_lies(tmp_path: Path, policy: AuditPolicy) -> None:
    wheel = wf.make_wheel(tmp_path, wf.dependent_files())
    rewrite(wheel, {"dep/__init__.py": b"import native_u\n"})
    assert "dep/__init__.py" in facts(audit_wheel(wheel, policy=policy), "record")


def test_symbolic_links_and_broken_archives_end_the_audit(tmp_path: Path, policy: AuditPolicy) -> None:
    wheel = wf.make_wheel(tmp_path, wf.dependent_files())
    rewrite(wheel, {}, link="dep/link.so")
    (finding,) = audit_wheel(wheel, policy=policy)
    assert finding.check == "archive"
    assert "dep/link.so" in finding.fact
    wheel.write_bytes(wheel.read_bytes()[:300])
    assert [f.check for f in audit_wheel(wheel, policy=policy)] == ["archive"]


def test_a_program_in_a_wheel_is_judged_too(tmp_path: Path, policy: AuditPolicy) -> None:
    program = build("int main(void) { return 0; }", "-Wl,-rpath,/tmp/x", "-s", name="prog")
    findings = audit_dependent(tmp_path, policy, {"dep-1.0.data/scripts/prog": program})
    assert "dep-1.0.data/scripts/prog" in facts(findings, "run-path")


def test_the_documentation_lists_every_check() -> None:
    page = (Path(__file__).parents[1] / "docs" / "audit.md").read_text()
    assert markdown() in page, "regenerate the table in docs/audit.md: python -m farm.gates.checks"
    assert len({check.name for check in CHECKS}) == len(CHECKS)


def test_a_manifest_is_plain_json() -> None:
    assert json.loads(json.dumps(wf.manifest()))["abi_epoch"] == 1
