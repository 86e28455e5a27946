"""Code for AArch64, POWER, Windows and macOS is held to its baseline: real code of the pinned compiler; patterns."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import platform_wheels as pw
import pytest
import wheel_fixtures as wf
from platform_wheels import KINDS, Kind
from zig_fixtures import made

from farm.binary import formats
from farm.binary.functions import Program, programs
from farm.errors import BinaryFormatError
from farm.gates import isa
from farm.gates.audit import audit_contents, policy_for_tag
from farm.gates.contents import load
from farm.gates.isa_arm64 import TABLE as ARM
from farm.gates.isa_power import TABLE as POWER
from farm.model.binary import BinaryFormat
from farm.model.finding import Severity

AARCH64, PPC64LE = "aarch64-linux-gnu.2.17", "powerpc64le-linux-gnu.2.19"
PLAIN = """
int sum(const int *x, int n) { int s = 0; for (int i = 0; i < n; i++) s += x[i] * i; return s; }
double scale(double *x, int n, double f) { for (int i = 0; i < n; i++) x[i] = x[i] * f + 1; return x[0]; }
int count(int *x) { return __atomic_fetch_add(x, 1, __ATOMIC_SEQ_CST); }
"""
AVX = """
typedef int v8 __attribute__((vector_size(32)));
__attribute__((target("avx2"), noinline)) static void hidden_helper(v8 *a) { *a = *a * 3; }
__attribute__((target("avx2"), noinline)) void t_sum_haswell(v8 *a) { *a = *a + *a * 5; hidden_helper(a); }
"""


def elf(target: str, *flags: str, source: str = PLAIN, strip: bool = True) -> bytes:
    link = ("cc", "-g0", "-nostdlib", "-shared", "-fPIC", *(("-s",) if strip else ()), "t.c", "-o", "t.so")
    return made(target, ((*link, *flags),), (("t.c", source),))["t.so"]


def program(data: bytes, name: str = "t.so") -> Program:
    format_ = formats.detect(data[: formats.HEAD_SIZE])
    assert format_ is not None
    (found,) = programs(data, name, format_)
    return found


@pytest.mark.parametrize(
    ("target", "cpu", "level"),
    [
        (AARCH64, "-mcpu=generic", "armv8.0-a"),
        (PPC64LE, "-mcpu=pwr8", "power8"),
        ("aarch64-macos.11.0", "-mcpu=apple_m1", "apple-m1"),
    ],
)
@pytest.mark.parametrize("optimise", ["-O0", "-O3"])
def test_code_for_the_baseline_passes(target: str, cpu: str, level: str, optimise: str) -> None:
    flags = ("-dynamiclib",) if "macos" in target else ()
    found = program(elf(target, cpu, optimise, *flags))
    assert found.functions
    assert isa.excess_of(found, level=level) == ()


@pytest.mark.parametrize(
    ("target", "cpu", "level", "feature"),
    [
        (AARCH64, "-mcpu=generic+lse", "armv8.0-a", "LSE"),
        (AARCH64, "-mcpu=generic+sve", "armv8.0-a", "SVE"),
        (PPC64LE, "-mcpu=pwr9", "power8", "POWER9"),
        (PPC64LE, "-mcpu=pwr10", "power8", "POWER10"),
    ],
)
def test_code_for_newer_processors_is_named(target: str, cpu: str, level: str, feature: str) -> None:
    found = isa.excess_of(program(elf(target, cpu, "-O3")), level=level)
    assert feature in {name for excess in found for name in excess.features}
    assert {excess.function for excess in found} <= {"sum", "scale", "count"}
    assert not any(excess.doubt for excess in found)


def test_a_dispatched_function_is_exempt() -> None:
    newer = program(elf(AARCH64, "-mcpu=generic+lse", "-O3"))
    assert [e.function for e in isa.excess_of(newer, level="armv8.0-a")] == ["count"]
    assert isa.excess_of(newer, level="armv8.0-a", dispatched=["cou*"]) == ()


@pytest.mark.parametrize(
    ("target", "label"),
    [("x86_64-linux-gnu.2.17", "..@15.done"), ("x86_64-macos.10.13", ".L15")],
    ids=["NASM", "macOS"],
)
def test_labels_of_assemblers_begin_no_function(target: str, label: str) -> None:
    name = "_t_sum_avx2" if "macos" in target else "t_sum_avx2"
    text = f'{name}: call \\"{label}\\"\\n\\"{label}\\": pop %rax\\nvpaddd %ymm0, %ymm1, %ymm2\\nret'
    source = f'__asm__(".text\\n.globl {name}\\n{text}");'
    flags = ("-dynamiclib",) if "macos" in target else ()
    found = program(elf(target, "-mcpu=x86_64", *flags, source=source, strip=False))
    assert label in {function.name for function in found.functions}
    (excess,) = isa.excess_of(found, level="x86-64")
    assert excess.function == "t_sum_avx2"
    assert isa.excess_of(found, level="x86-64", dispatched=["t_*_avx2"]) == ()


def test_an_atomic_that_asked_the_system_first() -> None:
    """What GCC and LLVM call outline atomics: `cbz w16` over the instruction of ARMv8.1."""
    function = ".globl {0}\\n.type {0},%function\\n{0}: {1}\\n.size {0},.-{0}\\n"
    ask = function.format("ask", "cbz w16, 1f\\nldadd w0, w0, [x1]\\nret\\n1: ret")
    bare = function.format("bare", "ldadd w0, w0, [x1]\\nret")
    source = f'__asm__(".arch_extension lse\\n{ask}{bare}");'
    found = isa.excess_of(program(elf(AARCH64, source=source)), level="armv8.0-a")
    assert [excess.function for excess in found] == ["bare"]


def test_a_table_of_distances_behind_a_jump_is_no_code() -> None:
    """GCC puts the tables of `switch` among POWER code; a negative distance alone looks like POWER9."""
    function = ".globl {0}\\n.type {0},%function\\n{0}: {1}\\n.size {0},.-{0}\\n"
    table = function.format("table", "bctr\\n.long 0xb68, 0xfffffbc8, 0xfffffbc8\\nblr")
    bare = function.format("bare", "nop\\n.long 0xfffffbc8\\nblr")
    found = isa.excess_of(program(elf(PPC64LE, source=f'__asm__(".text\\n{table}{bare}");')), level="power8")
    assert [excess.function for excess in found] == ["bare"]


@pytest.mark.parametrize(
    ("word", "feature"),
    [
        (0x8B020020, ""),  # add x0, x1, x2
        (0xC85FFC20, ""),  # ldaxr x0, [x1]
        (0xD503233F, ""),  # paciasp: a hint
        (0x1EE24000, ""),  # fcvt s0, h0
        (0xF8200041, "LSE"),  # ldadd x0, x1, [x2]
        (0xC8A07C41, "LSE"),  # cas x0, x1, [x2]
        (0xF8BFC020, "RCPC"),  # ldapr x0, [x1]
        (0x1AC24020, "CRC"),  # crc32b w0, w1, w2
        (0x4E284820, "CRYPTO"),  # aese v0.16b, v1.16b
        (0x4E829420, "DOTPROD"),  # sdot v0.4s, v1.16b, v2.16b
        (0x6E828420, "RDM"),  # sqrdmlah v0.4s, v1.4s, v2.4s
        (0x4E421420, "FP16"),  # fadd v0.8h, v1.8h, v2.8h
        (0x04A00000, "SVE"),  # add z0.s, z0.s, z0.s
        (0xD65F0BFF, "PAUTH"),  # retaa
        (0xCE020C20, "SHA3"),  # eor3 v0.16b, v1.16b, v2.16b, v3.16b
        (0x6E42FC20, "BF16"),  # bfdot v0.4s, v1.8h, v2.8h
        (0x4E82A420, "I8MM"),  # smmla v0.4s, v1.16b, v2.16b
    ],
)
def test_words_of_aarch64(word: int, feature: str) -> None:
    assert ARM.feature(word) == feature


@pytest.mark.parametrize(
    ("word", "feature"),
    [
        (0x38600001, ""),  # li r3, 1
        (0x7C6300D0, ""),  # neg r3, r3
        (0x7C6005E6, "POWER9"),  # darn r3, 0
        (0xF4010001, "POWER9"),  # lxv vs0, 0(r1)
        (0x7C630774, ""),  # extsb r3, r3
        (0x06000000, "POWER10"),  # the first half of an 8-byte instruction
    ],
)
def test_words_of_power(word: int, feature: str) -> None:
    assert POWER.feature(word) == feature


# --- x86 in other formats


@pytest.mark.parametrize(
    "kind", [KINDS["win_amd64"], KINDS["win32"], KINDS["macosx_10_13_x86_64"]], ids=lambda k: k.tag
)
def test_x86_code_in_other_formats(tmp_path: Path, kind: Kind) -> None:
    policy = replace(policy_for_tag(kind.tag), strict=True)
    plain = load(pw.make_native(kind, tmp_path))
    assert [f for f in audit_contents(plain, policy) if f.check == "instruction-set"] == []
    library = pw.library(
        kind,
        source=pw.FUNCTIONS.replace("t_function_3", "t_unused")
        + AVX.replace("t_sum_haswell(v8 *a)", "t_function_3(v8 *a)"),
    )
    wheel = load(pw.make_native(kind, tmp_path, {kind.library_member: library}))
    found = [f for f in audit_contents(wheel, policy) if f.check == "instruction-set"]
    assert any("t_function_3 uses AVX" in f.fact for f in found)
    assert all(f.severity is Severity.ERROR for f in found)
    exempt = [
        f
        for f in audit_contents(wheel, replace(policy, dispatched=("t_function_3", "hidden_*")))
        if f.check == "instruction-set"
    ]
    assert not any(f.fact.startswith("t_function_3") for f in exempt)
    if kind.is_windows:  # no file of this format names `hidden_helper`
        assert {f.severity for f in exempt} <= {Severity.WARNING}
    others = [
        f.severity
        for f in audit_contents(wheel, replace(policy, dispatched=("other_*",)))
        if f.check == "instruction-set" and f.fact.startswith("t_function_3")
    ]
    # 32-bit Windows has no table of functions: what follows an exported one may be one of those without a name.
    assert others == [Severity.WARNING if kind.tag == "win32" else Severity.ERROR]


def test_the_unstripped_twin_of_a_dylib_names_hidden_functions() -> None:
    kind = KINDS["macosx_10_13_x86_64"]
    source = pw.FUNCTIONS + AVX
    stripped, twin = program(pw.library(kind, "-Wl,-x", "-s", source=source)), program(pw.library(kind, source=source))
    named = isa.excess_of(stripped, level="x86-64", twin=twin)
    assert {e.function for e in named} == {"hidden_helper", "t_sum_haswell"}
    assert isa.excess_of(stripped, level="x86-64", twin=twin, dispatched=["hidden_*", "*_haswell"]) == ()
    other = program(pw.library(kind, source=pw.FUNCTIONS + "int more(int x) { return 3 * x; }"), "other")
    with pytest.raises(BinaryFormatError, match="before it was stripped"):
        isa.excess_of(stripped, level="x86-64", twin=other)


def test_a_processor_without_a_table_is_noted(tmp_path: Path) -> None:
    wheel = load(wf.make_wheel(tmp_path, {"dep/x.so": elf("riscv64-linux-gnu.2.31")}, requires=()))
    findings = audit_contents(wheel, policy_for_tag("manylinux_2_31_riscv64"))
    (note,) = [f for f in findings if f.check == "instruction-set"]
    assert note.severity is Severity.NOTE
    assert note.fact == "not judged against rv64gc: there is no table of riscv64 instructions (1 file)"


@pytest.mark.parametrize("kind", KINDS.values(), ids=KINDS)
def test_damaged_code_tables_are_refused_not_believed(kind: Kind) -> None:
    data = bytearray(pw.library(kind))
    format_ = BinaryFormat.PE if kind.is_windows else BinaryFormat.MACHO
    for at in range(0x3C, len(data), 97):
        broken = bytes(data[:at]) + b"\xff\xff\xff\x7f" + bytes(data[at + 4 :])
        try:
            programs(broken, "broken", format_)
        except BinaryFormatError:
            continue
