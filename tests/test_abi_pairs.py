"""Verdicts on real upgrades of real libraries, as their upstreams and distributions know them."""

from __future__ import annotations

import json
import re
import shutil
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

import pytest
import small_farm
from debian_releases import optional, releases

pytestmark = pytest.mark.slow
HERE = small_farm.ROOT

# Older releases build otherwise than the recipe's newest.
ZLIB_BUILD = '''[build]
system = "script"
in_tree = true
script = """
CC=cc AR=ar RANLIB=ranlib CFLAGS="-O2 -fPIC" ./configure --static --prefix=$PREFIX
make -j$JOBS libz.a
make install
"""

'''


@dataclass(frozen=True)
class Library:
    """A recipe of this project with older releases before its own: version -> (file of Debian's pool, sha256).

    `edits` are replacements, as regular expressions, in the recipe.
    """

    releases: dict[str, tuple[str, str]]
    edits: dict[str, str] = field(default_factory=dict)


LIBRARIES = {
    "zlib": Library(
        {
            "1.2.13": (
                "zlib_1.2.13.dfsg.orig.tar.bz2",
                "71feb7947e3c00ef125f83b79a4e529bde31171e5babe48b391f06758d1ab0a1",
            ),
            "1.3.1": (
                "zlib_1.3.dfsg+really1.3.1.orig.tar.gz",
                "60dd315c07f616887caa029408308a018ace66e3d142726a97db164b3b8f69fb",
            ),
        },
        {r"(?ms)^\[build\].*?(?=^\[products\])": ZLIB_BUILD, r'patches = \["0001[^\]]*\]': "patches = []"},
    ),
}

RETIRED = ("gmp", "libjpeg-turbo")  # the older release is in the recipe itself


@pytest.fixture(scope="module")
def catalog(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The project's recipes with older releases. No symbol of those that are added must be there in all of them."""
    made = tmp_path_factory.mktemp("pairs") / "catalog"
    shutil.copytree(HERE / "toolchains", made / "toolchains")
    for name, library in LIBRARIES.items():
        shutil.copytree(HERE / "recipes" / name, made / "recipes" / name)
        shutil.rmtree(made / "recipes" / name / "abi", ignore_errors=True)
        file = made / "recipes" / name / "recipe.toml"
        text = file.read_text()
        for pattern, new in library.edits.items():
            text, count = re.subn(pattern, _verbatim(new), text)
            assert count, pattern
        text = text.replace("[[release]]", f"{releases(library.releases)}[[release]]", 1)
        file.write_text(re.sub(r"(?s)exports = \[.*?\n\]|exports = \[[^\n]*\]", _optional, text))
    for name in RETIRED:
        shutil.copytree(HERE / "recipes" / name, made / "recipes" / name)
    return made


def _verbatim(new: str) -> Callable[[re.Match[str]], str]:
    """What is put in a match's place as it stands: no ``\\1`` in it is a group."""
    return lambda _match: new


def _optional(exports: re.Match[str]) -> str:
    """No name must be there in every release."""
    names = re.findall(r'"([^"]+)"', exports[0])
    globs = [name if set("*[?") & set(name) else optional(name) for name in names]
    return f"exports = {json.dumps(globs)}"


@pytest.mark.parametrize(
    ("older", "newer", "verdict", "new_symbols"),
    [
        ("zlib@1.2.13", "zlib@1.3.1", "compatible", set()),
        (
            "zlib@1.3.1",
            "zlib@1.3.2",
            "compatible",
            {
                *("compress_z", "compress2_z", "compressBound_z", "deflateBound_z"),
                *("deflateUsed", "uncompress_z", "uncompress2_z"),
            },
        ),
        (
            "gmp@6.2.1",
            "gmp@6.3.0",
            "compatible",
            {"__gmp_overflow_in_mpz", "__gmpn_mulmod_bknp1", "__gmpn_sqrmod_bknp1", "__gmpz_prevprime"},
        ),
        ("libjpeg-turbo@2.1.5", "libjpeg-turbo@3.1.3", "compatible", {"jpeg_enable_lossless", "jpeg12_read_scanlines"}),
        ("libjpeg-turbo@3.1.3", "libjpeg-turbo@2.1.5", "breaking", set()),
    ],
)
def test_real_upgrades(catalog: Path, older: str, newer: str, verdict: str, new_symbols: set[str]) -> None:
    done = small_farm.farm(catalog, "abi", "diff", older, newer, "--json")
    assert done.returncode == 0, done.stderr
    found = json.loads(done.stdout)
    assert found["verdict"] == verdict, [c for c in found["changes"] if c["verdict"] == "breaking"]
    assert found["untyped"] == []
    new = {c["subject"] for c in found["changes"] if (c["kind"], c["text"]) == ("symbol", "is new")}
    assert new >= new_symbols
    if older.startswith(("zlib", "gmp")):
        assert new == new_symbols
