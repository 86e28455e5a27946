"""`farm reproduce`: a second build elsewhere comes to the same bytes, or somebody is told where it does not."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
import small_farm

from farm.cli import matrix
from farm.errors import BinaryFormatError
from farm.wheel.compare import differences

# The library's text is another one in each build.
CHANGING = (
    small_farm.TINY["Makefile"]
    .replace(
        "libtiny.a: tiny.o\n",
        "SEED := $(shell od -An -N8 -tx8 /dev/urandom | tr -d ' ')\n"
        "libtiny.a:\n\tsed 's/1\\.0/1.0-$(SEED)/' tiny.c >seeded.c && $(CC) $(CFLAGS) -c seeded.c -o tiny.o\n",
    )
    .replace("$<", "tiny.o")
)


def test_a_second_build_is_compared_and_written_down(tmp_path: Path) -> None:
    catalog = small_farm.make(tmp_path / "catalog")
    asked = small_farm.farm(catalog, "reproduce", "tiny")
    assert asked.returncode == 0, asked.stderr
    assert "farm build tiny" in asked.stdout  # nothing is stored yet: said, not built
    built = small_farm.farm(catalog, "build", "tiny", "--no-publish")
    assert built.returncode == 0, built.stderr
    again = small_farm.farm(catalog, "reproduce", "tiny", "--json")
    (row,) = json.loads(again.stdout)["steps"]
    assert (again.returncode, row["outcome"], row["differences"]) == (0, "passed", [])
    steps = json.loads(small_farm.farm(catalog, "status", "tiny", "--json").stdout)["steps"]
    assert steps[0]["verdicts"]["reproducible"] == {"outcome": "passed", "reason": ""}
    assert "| tiny 1.0 | identical |" in matrix.reproducible(steps)
    assert [path.name for path in (catalog / ".farm/work").iterdir() if "reproduce" in path.name] == []


def test_what_differs_is_named(tmp_path: Path) -> None:
    catalog = small_farm.make(tmp_path / "catalog", files={"Makefile": CHANGING})
    built = small_farm.farm(catalog, "build", "tiny", "--no-publish")
    assert built.returncode == 0, built.stdout
    again = small_farm.farm(catalog, "reproduce", "tiny")
    assert again.returncode == 7, again.stdout + again.stderr
    assert "libtiny-nf01.so: " in again.stdout
    assert "(.rodata)" in again.stdout
    steps = json.loads(small_farm.farm(catalog, "status", "tiny", "--json").stdout)["steps"]
    assert steps[0]["verdicts"]["reproducible"]["outcome"] == "failed"
    assert "differs" in matrix.reproducible(steps)
    assert matrix.word(steps[0]) == "built"  # a wheel that works is not called one whose tests failed


def test_only_wheels_are_compared(tmp_path: Path) -> None:
    one, other = tmp_path / "a-1.0-py3-none-any.whl", tmp_path / "b-1.0-py3-none-any.whl"
    one.write_bytes(b"no wheel")
    other.write_bytes(b"none either")
    with pytest.raises(BinaryFormatError, match=r"a-1\.0-py3-none-any\.whl"):
        differences(one, other)
