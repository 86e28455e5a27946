"""Instruction-set levels as data: which CPU features each level promises (x86-64 psABI, section 3.1.1)."""

from __future__ import annotations


def _names(text: str) -> frozenset[str]:
    return frozenset(text.split())


# Names are those of iced-x86's CpuidFeature.
_I686 = _names("INTEL8086 INTEL186 INTEL286 INTEL386 INTEL486 CPUID FPU FPU287 FPU387 TSC MSR CX8 CMOV SEP SMM RDPMC")
_SSE2 = _I686 | _names("MMX SSE SSE2 FXSR CLFSH")
_X86_64 = _SSE2 | _names("X64 SYSCALL")
_PENRYN = _X86_64 | _names("CMPXCHG16B SSE3 SSSE3 SSE4_1")  # every Mac that runs 10.12 or newer
_V2 = _X86_64 | _names("CMPXCHG16B POPCNT SSE3 SSE4_1 SSE4_2 SSSE3")
_V3 = _V2 | _names("AVX AVX2 BMI1 BMI2 F16C FMA LZCNT MOVBE XSAVE")
_V4 = _V3 | _names("AVX512F AVX512BW AVX512CD AVX512DQ AVX512VL")

LEVELS: dict[str, frozenset[str]] = {
    "i686": _I686,
    "sse2": _SSE2,
    "x86-64": _X86_64,
    "penryn": _PENRYN,
    "x86-64-v2": _V2,
    "x86-64-v3": _V3,
    "x86-64-v4": _V4,
}

# Encoded in what older CPUs execute as a NOP (hint space, F3 90), so they run everywhere.
HINTS = _names("MULTIBYTENOP PAUSE CET_IBT CLDEMOTE PREFETCHW PREFETCHWT1 PREFETCHITI MPX")

# Single instructions that differ from their feature: iced's Code names.
# TZCNT runs as BSF on older CPUs, and compilers use it (`rep bsf`) where both give the same. LZCNT does not: it would
# silently run as BSR with another result. RDSSP is a NOP without shadow stacks. UD0/UD1/UD2 are meant to trap.
HARMLESS = _names("TZCNT_R16_RM16 TZCNT_R32_RM32 TZCNT_R64_RM64 RDSSPD_R32 RDSSPQ_R64 INCSSPD_R32 INCSSPQ_R64")
# May only run after CPUID said that the system uses XSAVE: what every dispatcher does, in the function that asks CPUID.
NEEDS_CPUID = frozenset({"XGETBV"})
