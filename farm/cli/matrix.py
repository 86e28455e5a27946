"""The matrix recipe x platform: one word for each pair, and sentences for the pairs that are not as they should be."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from farm.cli import output

TESTS = ("smoke", "upstream")  # the verdicts that come from running something
IMPOSSIBLE = "impossible"
WORDS = {
    "tested": "built, and its tests passed",
    "built": "built, tests never tried",
    "not run": "built, tests cannot run here",
    "tests!": "built, but a test failed",
    "failed": "the last try to build it failed",
    "running": "somebody builds it now",
    "cut off": "the last try was cancelled or its process was killed",
    "never": "not built with today's inputs",
    IMPOSSIBLE: "cannot be built for this platform",
}
"""Each word of the matrix and what it means, best first."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Matrix:
    """`cells` maps (recipe with version and Python, platform) to a word of `WORDS`; `reasons` are sentences, each about
    as many steps as share it."""

    names: tuple[str, ...]
    platforms: tuple[str, ...]
    cells: Mapping[tuple[str, str], str]
    reasons: tuple[str, ...]

    def table(self) -> tuple[tuple[str, ...], list[tuple[str, ...]]]:
        """Headers and rows; the longer side goes down, so that the table stays narrow."""
        if len(self.platforms) <= len(self.names):
            rows = [(n, *(self._cell(n, p) for p in self.platforms)) for n in self.names]
            return ("recipe", *self.platforms), rows
        rows = [(p, *(self._cell(n, p) for n in self.names)) for p in self.platforms]
        return ("platform", *self.names), rows

    def _cell(self, name: str, platform: str) -> str:
        return self.cells.get((name, platform), "")


def matrix(steps: Sequence[Mapping[str, Any]], impossible: Sequence[Mapping[str, str]]) -> Matrix:
    """From the rows of `farm status --json` to the matrix."""
    names = dict.fromkeys(name_of(row) for row in steps)
    cells = {(name_of(row), row["platform"]): word(row) for row in steps}
    without = {row["recipe"] for row in impossible} - {row["recipe"] for row in steps}
    for row in impossible:
        of_recipe = [n for n in names if n.split()[0] == row["recipe"]] or [row["recipe"]]
        cells.update({(name, row["platform"]): IMPOSSIBLE for name in of_recipe})
    platforms = sorted({row["platform"] for row in (*steps, *impossible)})
    return Matrix(
        names=(*names, *sorted(without)),
        platforms=tuple(platforms),
        cells=cells,
        reasons=_together([*(r for row in steps for r in _reasons(row)), *(_impossible(row) for row in impossible)]),
    )


def print_text(found: Matrix) -> None:
    """For a terminal."""
    headers, rows = found.table()
    output.print_table(headers, rows)
    if found.reasons:
        print("\n" + "\n".join(found.reasons))


def print_markdown(found: Matrix) -> None:
    """For a page of documentation."""
    headers, rows = found.table()
    for cells in (headers, ["---"] * len(headers), *rows):
        print(f"| {' | '.join(cells)} |")
    used = set(found.cells.values())
    print("\n" + "\n".join(f"- **{name}**: {meaning}" for name, meaning in WORDS.items() if name in used))
    if found.reasons:
        print("\n" + "\n".join(f"- {reason}" for reason in found.reasons))


def name_of(row: Mapping[str, Any]) -> str:
    return f"{row['recipe']} {row['version']}" + (f" {row['python']}" if row["python"] else "")


def word(row: Mapping[str, Any]) -> str:
    """One word of `WORDS`. An audit alone is no test: without it nothing is stored."""
    if row["state"] != "built":
        return str(row["state"])
    if any(verdict["outcome"] == "failed" for verdict in row["verdicts"].values()):
        return "tests!"
    outcomes = {row["verdicts"][kind]["outcome"] for kind in TESTS if kind in row["verdicts"]}
    if "passed" in outcomes:
        return "tested"
    return "not run" if outcomes else "built"


def _reasons(row: Mapping[str, Any]) -> list[tuple[str, str]]:
    """(what, why) of everything that is not as it should be."""
    found = []
    if row["state"] == "running" and row["phase"]:
        found.append((row["step"], f"running: {row['phase']}"))
    if row["error"]:
        where = f" in {row['phase']}" if row["phase"] else ""
        found.append((row["step"], f"{row['state']}{where}: {row['error'].partition(chr(10))[0]}"))
    for kind, verdict in row["verdicts"].items():
        if verdict["outcome"] != "passed":
            reason = f": {verdict['reason']}" if verdict["reason"] else ""
            found.append((row["step"], f"{kind} {verdict['outcome']}{reason}"))
    return found


def _impossible(row: Mapping[str, str]) -> tuple[str, str]:
    return f"{row['recipe']} for {row['platform']}", f"impossible: {row['reason']}"


def _together(pairs: Sequence[tuple[str, str]]) -> tuple[str, ...]:
    """One sentence for all that have the same reason."""
    by_reason: dict[str, list[str]] = {}
    for what, why in pairs:
        by_reason.setdefault(why, []).append(what)
    return tuple(f"{', '.join(whats)}: {why}" for why, whats in by_reason.items())
