"""`farm abi` on two releases of a small library, really built."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import pytest
import small_farm

pytestmark = pytest.mark.skipif(shutil.which("abidw") is None, reason="needs abidw: apt-get install abigail-tools")

NEWER = {
    "tiny.h": "int tiny_add(int, int);\nconst char *tiny_version(void);\nint tiny_more(void);\nint more_tiny(void);\n",
    "tiny.c": '#include "tiny.h"\nint tiny_add(int a, int b) { return a + b; }\nint tiny_more(void) { return 1; }\n'
    "int more_tiny(void) { return 2; }\n"
    'const char *tiny_version(void) { return "1.1"; }\n',
}
BROKEN = {
    "tiny.h": "long tiny_add(int, int);\n",
    "tiny.c": '#include "tiny.h"\nlong tiny_add(int a, int b) { return a + b; }\n',
}


@pytest.fixture(scope="module")
def catalog(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Three releases of `tiny`: 1.1 adds a function, 1.2 takes one away and changes another."""
    made = small_farm.make(tmp_path_factory.mktemp("abi") / "catalog")
    small_farm.add_release(made, "1.1", NEWER)
    small_farm.add_release(made, "1.2", BROKEN)
    with (made / "recipes/tiny/recipe.toml").open("a") as recipe:
        recipe.write('\n[[when]]\nrelease = "==1.1"\nexports.tiny = ["more_*"]\n')
    return made


def abi(catalog: Path, *words: str) -> str:
    done = small_farm.farm(catalog, "abi", *words)
    assert done.returncode == 0, done.stderr
    return done.stdout


def test_a_compatible_release(catalog: Path) -> None:
    out = abi(catalog, "diff", "tiny@1.0", "tiny@1.1")
    assert out.splitlines()[0] == "tiny 1.0 -> 1.1 (elf64): compatible"
    assert "  tiny_more: is new" in out.splitlines()
    assert "  more_tiny: is new" in out.splitlines()


def test_a_breaking_release(catalog: Path) -> None:
    found = json.loads(abi(catalog, "diff", "tiny@1.1", "tiny@1.2", "--json"))
    assert found["verdict"] == "breaking"
    said = {(c["subject"], c["verdict"]): c["text"] for c in found["changes"]}
    assert said["tiny_version", "breaking"] == said["tiny_more", "breaking"] == "is gone"
    assert said["tiny_add", "breaking"].startswith("returned `int`, returns `long int`")


def test_the_same_release(catalog: Path) -> None:
    assert abi(catalog, "diff", "tiny@1.0", "tiny@1.0").splitlines() == ["tiny 1.0 -> 1.0 (elf64): identical"]


def test_show_and_symbols(catalog: Path) -> None:
    assert abi(catalog, "show", "tiny@1.0").splitlines()[:4] == [
        "abi 1",
        "recipe tiny",
        "release 1.0",
        "epoch 1",
    ]
    (row,) = json.loads(abi(catalog, "symbols", "tiny@1.0", "*_add", "--json"))
    assert (row["symbol"], row["type"]) == ("tiny_add", "int (int, int)")


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (("show", "pytiny"), "pytiny is no library, so it has no ABI"),
        (("show", "tiny@9"), "tiny has no release '9'"),
        (("show", "nothing"), "there is no recipe 'nothing'"),
        (("show", "tiny", "--platform", "win32"), "there is no platform 'win32'"),
        (("symbols", "tiny@1.0", "x*"), "exports nothing that matches 'x*'"),
        (("diff", "tiny@1.0", "pytiny@0.5"), "pytiny is no library"),
        (("accept",), "RECIPE[@VERSION]"),
    ],
)
def test_what_cannot_be_answered(catalog: Path, words: tuple[str, ...], said: str) -> None:
    done = small_farm.farm(catalog, "abi", *words)
    assert done.returncode == 2, done.stdout + done.stderr
    assert said in done.stderr
