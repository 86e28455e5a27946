"""Reading pass and fail counts from what pytest and unittest print, so that two runs can be compared."""

from __future__ import annotations

import re

from farm.runners.values import TestCounts

_COUNT = re.compile(r"(\d+) (passed|failed|errors?|skipped|xfailed|xpassed|deselected|warnings?|rerun)\b")
_PYTEST_END = re.compile(r"^[=\s]*((?:\d+ [a-z]+,? ?)+) in [0-9.]+s?\b.*$", re.MULTILINE)
_PYTEST_BAD = re.compile(r"^(?:FAILED|ERROR) (\S+?)(?: - .*)?$", re.MULTILINE)
_UNITTEST_RAN = re.compile(r"^Ran (\d+) tests? in ", re.MULTILINE)
_UNITTEST_END = re.compile(r"^(?:OK|FAILED)(?: \(([^)]*)\))?$", re.MULTILINE)
_UNITTEST_BAD = re.compile(r"^(?:FAIL|ERROR): (\S+)(?: \(([^)]*)\))?$", re.MULTILINE)


def parse(output: str) -> TestCounts | None:
    """The counts of the last summary in the output, None if there is none."""
    return _pytest(output) or _unittest(output)


def _pytest(output: str) -> TestCounts | None:
    ends = _PYTEST_END.findall(output)
    found = {kind.removesuffix("s"): int(count) for count, kind in _COUNT.findall(ends[-1])} if ends else {}
    if not found:
        return None
    return TestCounts(
        passed=found.get("passed", 0) + found.get("xpassed", 0),
        failed=found.get("failed", 0),
        errors=found.get("error", 0),
        skipped=found.get("skipped", 0) + found.get("xfailed", 0),
        bad=tuple(sorted(set(map(_test, _PYTEST_BAD.findall(output))))),
    )


def _test(shown: str) -> str:
    """A test by the same name on every system: Windows has other slashes in the path of its file."""
    file, colons, rest = shown.partition("::")
    return file.replace("\\", "/") + colons + rest


def _unittest(output: str) -> TestCounts | None:
    ran, ends = _UNITTEST_RAN.findall(output), _UNITTEST_END.findall(output)
    if not ran or not ends:
        return None
    details = dict(re.findall(r"(\w[\w ]*)=(\d+)", ends[-1]))
    failed, errors = int(details.get("failures", 0)), int(details.get("errors", 0))
    skipped = int(details.get("skipped", 0)) + int(details.get("expected failures", 0))
    bad = {f"{place}.{name}" if place else name for name, place in _UNITTEST_BAD.findall(output)}
    passed = max(0, int(ran[-1]) - failed - errors - skipped)
    return TestCounts(passed=passed, failed=failed, errors=errors, skipped=skipped, bad=tuple(sorted(bad)))


def difference(ours: TestCounts, theirs: TestCounts) -> str:
    """In a sentence, in what two runs of one suite differ; empty if every test ended the same way."""
    worse, better = sorted(set(ours.bad) - set(theirs.bad)), sorted(set(theirs.bad) - set(ours.bad))
    parts = []
    if worse:
        parts.append(f"only here not passing: {', '.join(worse[:10])}")
    if better:
        parts.append(f"only there not passing: {', '.join(better[:10])}")
    for kind in ("passed", "failed", "errors", "skipped"):
        here, there = getattr(ours, kind), getattr(theirs, kind)
        if here != there:
            parts.append(f"{here} {kind} here, {there} there")
    return "; ".join(parts)
