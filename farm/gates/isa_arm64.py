"""The AArch64 instructions that came after ARMv8.0-A with Advanced SIMD, by encoding (Arm Architecture Reference
Manual, chapter C4). Order matters: the first pattern counts.

Hint instructions (`paciasp`, `bti`) are left out on purpose: older processors execute them as nothing.
"""

from __future__ import annotations

from farm.gates.isa_words import WordTable, rules

# fcvt between half and single or double precision is ARMv8.0's; a key's second word only tells keys apart.
_TABLE = {
    " half": "fffffc00/1ee24000 fffffc00/1ee2c000",
    "SVE": "1e000000/04000000",
    "SME": "9e000000/80000000",
    # memory
    "RCPC": "3fe0fc00/38a0c000 3f200c00/19000000 bf200c00/99000800",
    "LSE": "3f200c00/38200000 3fa07c00/08a07c00 bfa07c00/08207c00",
    "LOR": "3fa08000/08800000",
    "PAUTH": "ff200400/f8200400 7fff0000/5ac10000 fe1ff800/d61f0800 ffe0fc00/9ac03000",
    "LSE128": "ff200c00/19200000",
    "THE": "bf200000/19200000",
    "RCPC3": "3f200c00/1d000800 bfbffc00/0d018400",
    "D128": "ffc00000/d5400000",
    "MOPS": "3b200c00/19000400",
    "MTE": "ff200000/d9200000 fe400000/68000000 ffc00000/91800000 ffc00000/d1800000 ffe0f800/9ac01000 "
    "ffe0fc00/9ac00000 ffe0fc00/bac00000",
    # integers, flags, system
    "CRC": "7fe0e000/1ac04000",
    "CSSC": "7fe0f000/1ac06000 7ffffc00/5ac01800 7ffffc00/5ac01c00 7ffffc00/5ac02000 7fc00000/11c00000",
    "FLAGM": "fffff0ff/d500401f fffff0ff/d500403f fffff0ff/d500405f ffe07c10/ba000400 ffffbc1f/3a00080d",
    "SB": "ffffffff/d50330ff",
    "RNG": "ffffffc0/d53b2400",
    "HBC": "ff000010/54000010",
    # cryptography
    "SM": "ffe08000/ce400000 ffe0c000/ce408000 ffe0f000/ce60c000 fffffc00/cec08400",
    "SHA3": "ff000000/ce000000",
    "CRYPTO": "ff3e0c00/4e280800 ff208c00/5e000000 ff3e0c00/5e280800 bfe0fc00/0ee0e000",
    # three registers, with accumulation
    "BF16": "bf20fc00/2e00fc00 bf20fc00/2e00ec00 bf40f400/0f40f000 bffffc00/0ea16800 fffffc00/1e634000",
    "I8MM": "9f20f400/0e00a400 bf20fc00/0e009c00 bf40f400/0f00f000",
    "DOTPROD": "9f20fc00/0e009400 9f00f400/0f00e000",
    "RDM": "bf20f400/2e008400 ff20f400/7e008400 bf00d400/2f00d000 ff00d400/7f00d000",
    "FCMA": "bf20c400/2e00c400 bf009400/2f001000",
    "FHM": "bf20fc00/0e20ec00 bf20fc00/2e20cc00 bfc0b400/0f800000 bfc0b400/2f808000",
    # floating point
    "FRINTTS": "ff3e7c00/1e284000 9fbfec00/0e21e800",
    "JSCVT": "fffffc00/1e7e0000",
    "FP16": "5fe00000/1ee00000 5fe00000/1ec00000 ffc00000/1fc00000 9f60c400/0e400400 df60c400/5e400400 "
    "9f7e0c00/0e780800 df7e0c00/5e780800 bf7ffc00/0e30c800 bf7ffc00/0e30f800 ff7ffc00/5e30c800 ff7ffc00/5e30d800 "
    "ff7ffc00/5e30f800 9ff80c00/0f000c00 9fc0f400/0f001000 9fc0f400/0f005000 9fc0f400/0f009000 dfc0f400/5f001000 "
    "dfc0f400/5f005000 dfc0f400/5f009000 9ff0fc00/0f10e400 9ff0fc00/0f10fc00 dff0fc00/5f10e400 dff0fc00/5f10fc00",
}
TABLE = WordTable(rules(_TABLE))

_APPLE_M1 = "LSE LOR RCPC PAUTH CRC CRYPTO SHA3 DOTPROD RDM FCMA FHM FRINTTS JSCVT FP16 FLAGM SB"
LEVELS = {"armv8.0-a": frozenset[str](), "apple-m1": frozenset(_APPLE_M1.split())}
