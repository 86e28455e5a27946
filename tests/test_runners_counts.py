"""Counts read from what test programs print."""

from __future__ import annotations

import pytest

from farm.runners import TestCounts
from farm.runners.counts import difference, parse

PYTEST = """\
..F.s                                                                    [100%]
=========================== short test summary info ============================
FAILED test/test_a.py::test_b[x-1] - assert 1 == 2
ERROR test/test_c.py
{line}
"""


@pytest.mark.parametrize(
    ("line", "expected"),
    [
        ("1 failed, 3 passed, 1 skipped, 1 error in 0.12s", (3, 1, 1, 1)),
        ("=== 1 failed, 3 passed, 1 skipped, 2 xfailed, 4 warnings, 1 error in 61.07s (0:01:01) ===", (3, 1, 1, 3)),
    ],
)
def test_pytest(line: str, expected: tuple[int, ...]) -> None:
    counts = parse(PYTEST.format(line=line))
    assert counts is not None
    assert (counts.passed, counts.failed, counts.errors, counts.skipped) == expected
    assert counts.bad == ("test/test_a.py::test_b[x-1]", "test/test_c.py")


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("Ran 12 tests in 0.1s\n\nOK\n", (12, 0, 0, 0)),
        ("Ran 1 test in 0.1s\n\nOK (skipped=1)\n", (0, 0, 0, 1)),
        ("Ran 9 tests in 0.1s\n\nFAILED (failures=2, errors=1, expected failures=1)\n", (5, 2, 1, 1)),
    ],
)
def test_unittest(text: str, expected: tuple[int, ...]) -> None:
    counts = parse(text)
    assert counts is not None
    assert (counts.passed, counts.failed, counts.errors, counts.skipped) == expected


@pytest.mark.parametrize("text", ["", "all fine\n", "3 passed the exam in 1999\n", "Ran 3 tests in 1s\n"])
def test_other_output_has_no_counts(text: str) -> None:
    assert parse(text) is None


def test_runs_are_compared_by_test() -> None:
    ours = TestCounts(passed=3, failed=1, bad=("a",))
    assert difference(ours, ours) == ""
    said = difference(ours, TestCounts(passed=3, failed=1, bad=("b",)))
    assert said == "only here not passing: a; only there not passing: b"
    assert "3 passed here, 4 there" in difference(ours, TestCounts(passed=4))


def test_a_test_has_one_name_on_all_systems() -> None:
    """Who compares runs on Windows and elsewhere would else see other tests fail."""
    windows = parse("FAILED tests\\test_a.py::test_b[C:\\x] - assert False\n1 failed in 0.10s\n")
    assert windows is not None
    assert windows.bad == ("tests/test_a.py::test_b[C:\\x]",)
