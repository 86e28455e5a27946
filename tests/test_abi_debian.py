"""What recipes pin, against Debian's lists of the same libraries: every name that only one of them has is explained.

Debian's lists say for each exported symbol which release had it first (deb-symbols(5)).
"""

from __future__ import annotations

from dataclasses import dataclass
from fnmatch import fnmatchcase

import pytest
import small_farm
from debian_releases import Symbols, listed

from farm.abi import baseline
from farm.model.abi import Abi

pytestmark = pytest.mark.slow


@dataclass(frozen=True, kw_only=True)
class Case:
    """`release` is pinned; `listed` is Debian's list of it or of the release before. `theirs` explains names that only
    Debian lists (globs), `ours` those that only the pin has."""

    release: str
    listed: Symbols
    theirs: dict[str, str]
    ours: dict[str, str]


CASES = {
    "zlib": Case(
        release="1.3.2",
        listed=Symbols(
            file="zlib_1.3.dfsg+really1.3.1-3.debian.tar.xz",
            sha256="162a2d6f8f15d62f9f70322279f1fddf4b72387a3610b550803fda9f1dcf6ce7",
            member="debian/zlib-core.symbols",
        ),
        theirs={"ZLIB_1.2.*": "names of symbol versions, which Debian lists as symbols; the farm's library has none"},
        ours={
            **dict.fromkeys(
                ("adler32_combine64", "crc32_combine64", "gzoffset64", "gzopen64", "gzseek64", "gztell64"),
                "in another list of Debian's, for platforms with 64-bit offsets beside others",
            ),
            **dict.fromkeys(
                ("compress_z", "compress2_z", "compressBound_z", "uncompress_z", "uncompress2_z", "deflateBound_z"),
                "came with 1.3.2",
            ),
            "deflateUsed": "came with 1.3.2",
        },
    ),
    "mpfr": Case(
        release="4.2.2",
        listed=Symbols(
            file="mpfr4_4.2.2-3.debian.tar.xz",
            sha256="b2f1c2a9203277ebdb741dd761e33a5d6c8b881da0084efa957b63d422efe52c",
            member="debian/libmpfr6.symbols",
        ),
        theirs={
            "mpfr_[gs]et_decimal*": "decimal floats, which clang has not",
            **dict.fromkeys(
                ("__bid*", "__dpd*", "__dfp*", "dec*", "__dec*", "DEC*", "__host_to_ieee_128", "__ieee_to_host_128"),
                "GCC's own code for decimal floats, linked into Debian's library and exported by it",
            ),
            "mpfr_clz_tab": "not on x86-64, which has an instruction for it",
        },
        ours={},
    ),
    "mpc": Case(
        release="1.3.1",
        listed=Symbols(
            file="mpclib3_1.3.1-3.debian.tar.xz",
            sha256="4c837eaa8ff949992def5dc6fd78c9296287bad0ec1170c96584a84b3be14934",
            member="debian/libmpc3.symbols",
        ),
        theirs={
            "mpc[br]_*": "ball arithmetic, new in 1.3: the recipe exports mpc_* alone",
            **dict.fromkeys(("set_pi_over_2", "sqrt_int64"), "internal; Debian's library exports all that is global"),
        },
        ours={},
    ),
}


def pinned(name: str, release: str) -> Abi:
    found = baseline.load(small_farm.ROOT / "recipes" / name).releases[release].get(small_farm.PLATFORM)
    assert found is not None
    return found


@pytest.mark.parametrize("name", sorted(CASES))
def test_every_difference_from_debians_list_is_explained(name: str) -> None:
    case = CASES[name]
    ours, theirs = pinned(name, case.release).names, set(listed(case.listed))
    assert len(ours & theirs) > 80
    for only, known in ((theirs - ours, case.theirs), (ours - theirs, case.ours)):
        unexplained = {symbol for symbol in only if not any(fnmatchcase(symbol, glob) for glob in known)}
        assert not unexplained
        assert all(any(fnmatchcase(symbol, glob) for symbol in only) for glob in known), "an explanation of nothing"
