"""Verdicts on libraries that the farm has no recipe for, against what Debian's maintainers found in the same upgrades.

Debian lists for each symbol of a library the first release that had it (deb-symbols(5)).
"""

from __future__ import annotations

import itertools
import json
import re
import shutil
from dataclasses import dataclass, field
from pathlib import Path

import pytest
import small_farm
from debian_releases import Symbols, listed, member, optional, releases
from packaging.version import Version

pytestmark = pytest.mark.slow


@dataclass(frozen=True, kw_only=True)
class Stranger:
    """A library: how it is built, and its releases (version -> file of Debian's pool, sha256), oldest first.

    `declared`: a header of the source, and what finds the exported names in it where no prefix tells them from internal
    ones. `listed`: Debian's list. `breaks`: the symbols and types that a release broke, as its maintainers know.
    """

    license: str
    rest: str
    releases: dict[str, tuple[str, str]]
    declared: tuple[str, str] | None = None
    listed: Symbols | None = None
    breaks: dict[str, set[str]] = field(default_factory=dict)


STRANGERS = {
    "libpng": Stranger(
        license="LICENSE",
        rest="""
[requires]
host = ["zlib"]

[build]
system = "cmake"
args = [
  "-DPNG_SHARED=OFF", "-DPNG_STATIC=ON", "-DPNG_TESTS=OFF", "-DPNG_TOOLS=OFF", "-DPNG_EXECUTABLES=OFF",
  "-DCMAKE_INSTALL_LIBDIR=lib",
]

[products]
headers = ["libpng16/*.h"]

[[products.library]]
name = "png16"
archive = "lib/libpng16.a"
exports = [{exports}]
system = ["m"]
""",
        releases={
            "1.6.39": (
                "libpng1.6_1.6.39.orig.tar.gz",
                "a00e9d2f2f664186e4202db9299397f851aea71b36a35e74910b8820e380d441",
            ),
            "1.6.48": (
                "libpng1.6_1.6.48.orig.tar.gz",
                "b17e99026055727e8cba99160c3a9a7f9af788e9f786daeadded5a42243f1dd0",
            ),
        },
        declared=("png.h", r"(?s)\bPNG_(?:FP_|FIXED_)?EXPORTA?\(\d+,[^,]*,\s*(png_\w+),"),
    ),
    "lcms2": Stranger(
        license="COPYING",
        rest="""
[build]
system = "autotools"
args = ["--disable-shared", "--enable-static", "--without-jpeg", "--without-tiff"]

[build.env]
CXX = "no"

[products]
headers = ["lcms2.h", "lcms2_plugin.h"]

[[products.library]]
name = "lcms2"
archive = "lib/liblcms2.a"
exports = ["cms*", "_cms*"]
system = ["m", "pthread"]
""",
        releases={
            "2.14": ("lcms2_2.14.orig.tar.gz", "28474ea6f6591c4d4cee972123587001a4e6e353412a41b3e9e82219818d5740"),
            "2.16": ("lcms2_2.16.orig.tar.gz", "d873d34ad8b9b4cea010631f1a6228d2087475e4dc5e763eb81acc23d9d45a51"),
            "2.19.1": ("lcms2_2.19.1.orig.tar.gz", "bfc54f7bab59fbc921012014a8032e4cba4abd46db47d46b76416a8c0b2815c8"),
        },
        listed=Symbols(
            file="lcms2_2.19.1-1.debian.tar.xz",
            sha256="7962456f14e98850331f227773dc5e63ad27b9595dbefbcbb6e6835da2b76aac",
            member="debian/liblcms2-2.symbols",
        ),
        # Upstream took it out under the same soname; Debian's unbreak-API-compatibility.patch brings it back.
        breaks={"2.16": {"cmsGetToneCurveParams"}},
    ),
    "openjpeg": Stranger(
        license="LICENSE",
        rest="""
[build]
system = "cmake"
args = ["-DBUILD_SHARED_LIBS=OFF", "-DBUILD_STATIC_LIBS=ON", "-DBUILD_CODEC=OFF"]

[products]
headers = ["openjpeg-2.5/*.h"]

[[products.library]]
name = "openjp2"
archive = "lib/libopenjp2.a"
exports = [{exports}]
system = ["m", "pthread"]
""",
        releases={
            "2.5.0": (
                "openjpeg2_2.5.0.orig.tar.xz",
                "007e19d772c8b6b22e35379630b06ff3549e49ba719d96453607a36ad7b4de73",
            ),
            "2.5.4": (
                "openjpeg2_2.5.4.orig.tar.xz",
                "6f6cf917e9587bc2df83aee5b51aa22dd56111640b3bad290b93443b6a4682b7",
            ),
        },
        declared=("src/lib/openjp2/openjpeg.h", r"OPJ_CALLCONV (opj_\w+)\("),
    ),
    "freetype": Stranger(
        license="LICENSE.TXT",
        rest="""
[build]
system = "cmake"
args = [
  "-DBUILD_SHARED_LIBS=OFF", "-DFT_DISABLE_ZLIB=ON", "-DFT_DISABLE_BZIP2=ON", "-DFT_DISABLE_PNG=ON",
  "-DFT_DISABLE_HARFBUZZ=ON", "-DFT_DISABLE_BROTLI=ON",
]

[products]
headers = ["freetype2/*.h", "freetype2/freetype/*.h", "freetype2/freetype/config/*.h"]

[[products.library]]
name = "freetype"
archive = "lib/libfreetype.a"
exports = ["FT_*", "FTC_*", "TT_*"]
system = ["m"]
""",
        releases={
            "2.12.1": (
                "freetype_2.12.1+dfsg.orig.tar.xz",
                "7dedb6b9adf331559daea614a83b8de42a753e685ec8e1c4bdb4529eb880b0d1",
            ),
            "2.14.3": (
                "freetype_2.14.3+dfsg.orig.tar.xz",
                "dc1bec263a6fffa436029efe6428f601d6b1a0b800837508ee3e49bbab8f1006",
            ),
        },
        listed=Symbols(
            file="freetype_2.14.3+dfsg-2.debian.tar.xz",
            sha256="f0cc588976e0347a6fc53d4e973e8bd5df48d2751522989f6bc347775b598598",
            member="debian/libfreetype6.symbols",
        ),
        # The COLR v1 structs were called experimental until 2.13; Outline and Span went from signed to unsigned, as
        # upstream's notes say; TT_RunIns is exported for debuggers only.
        breaks={
            "2.14.3": {
                *(
                    "TT_RunIns",
                    "struct FT_Outline_",
                    "struct FT_Span_",
                    "struct FT_COLR_Paint_",
                    "union FT_COLR_Paint_.u",
                ),
                *("struct FT_ColorLine_", "struct FT_ColorStop_", "struct FT_ColorStopIterator_"),
                *("struct FT_PaintLinearGradient_", "struct FT_PaintRadialGradient_", "struct FT_PaintSweepGradient_"),
            }
        },
    ),
}

HEAD = """format = 1
name = "{name}"
kind = "library"
summary = "{name}"
license = "MIT"
license_files = ["{license}"]

"""
EPOCH = """
[abi]
epoch = 1
"""


@pytest.fixture(scope="module")
def catalog(tmp_path_factory: pytest.TempPathFactory) -> Path:
    made = tmp_path_factory.mktemp("strangers") / "catalog"
    shutil.copytree(small_farm.ROOT / "toolchains", made / "toolchains")
    shutil.copytree(small_farm.ROOT / "recipes/zlib", made / "recipes/zlib")
    for name, stranger in STRANGERS.items():
        (made / "recipes" / name).mkdir()
        (made / "recipes" / name / "recipe.toml").write_text(
            HEAD.format(name=name, license=stranger.license)
            + releases(stranger.releases)
            + stranger.rest.replace("{exports}", exported(stranger))
            + EPOCH
        )
    return made


def exported(stranger: Stranger) -> str:
    """The names that any release declares."""
    if stranger.declared is None:
        return ""
    header, pattern = stranger.declared
    names = {
        name
        for file, sha256 in stranger.releases.values()
        for name in re.findall(pattern, member(file, sha256, header))
    }
    return ", ".join(f'"{optional(name)}"' for name in sorted(names))


def upgrades() -> list[tuple[str, str, str]]:
    """Library, older release, newer release."""
    return [(name, *pair) for name, it in STRANGERS.items() for pair in itertools.pairwise(it.releases)]


@pytest.mark.parametrize(("name", "older", "newer"), upgrades())
def test_upgrades_under_one_soname(catalog: Path, name: str, older: str, newer: str) -> None:
    done = small_farm.farm(catalog, "abi", "diff", f"{name}@{older}", f"{name}@{newer}", "--json")
    assert done.returncode == 0, done.stderr
    found = json.loads(done.stdout)
    assert found["untyped"] == []
    stranger = STRANGERS[name]
    broken = {c["subject"] for c in found["changes"] if c["verdict"] == "breaking"}
    assert broken == stranger.breaks.get(newer, set())
    assert found["verdict"] == ("breaking" if broken else "compatible")
    if stranger.listed:
        new = {c["subject"] for c in found["changes"] if (c["kind"], c["text"]) == ("symbol", "is new")}
        known = listed(stranger.listed)
        expected = {symbol for symbol, since in known.items() if Version(older) < since <= Version(newer)}
        assert new == expected
