"""The matrix recipe x platform: one word for each pair, and sentences for the pairs that are not as they should be."""

from __future__ import annotations

import textwrap
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from farm.cli import output
from farm.cli.history import REPRODUCIBLE

TESTS = ("smoke", "upstream")  # the verdicts that come from running something
IMPOSSIBLE = "impossible"
_LONGEST = 240  # characters of a reason
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
    names = {name_of(row): row for row in steps}
    cells = {(name_of(row), row["platform"]): word(row) for row in steps}
    reasons = [reason for row in steps for reason in _reasons(row)]
    for row in impossible:
        same = [name for name, named in names.items() if _means(row, named)] or [
            f"{row['recipe']} {row['python']}".rstrip()
        ]
        names |= {name: row for name in same if name not in names}
        cells.update({(name, row["platform"]): IMPOSSIBLE for name in same})
        reasons += [_Reason(name=n, platform=row["platform"], why=f"impossible: {row['reason']}") for n in same]
    platforms = sorted({row["platform"] for row in (*steps, *impossible)})
    return Matrix(names=tuple(names), platforms=tuple(platforms), cells=cells, reasons=_together(reasons))


def _means(impossible: Mapping[str, str], row: Mapping[str, Any]) -> bool:
    """Whether what is impossible, with any Python or with the one it says, is about a row of the table."""
    return impossible["recipe"] == row["recipe"] and impossible["python"] in ("", row["python"] or "")


def print_text(found: Matrix) -> None:
    """For a terminal."""
    headers, rows = found.table()
    output.print_wide_table(headers, rows)
    if found.reasons:
        print()
    for reason in found.reasons:
        print(textwrap.fill(reason, output.width(), subsequent_indent="  ", break_on_hyphens=False))


def print_markdown(found: Matrix) -> None:
    """For a page of documentation."""
    headers, rows = found.table()
    for cells in (headers, ["---"] * len(headers), *rows):
        print(f"| {' | '.join(cells)} |")
    used = set(found.cells.values())
    print("\n" + "\n".join(f"- **{name}**: {meaning}" for name, meaning in WORDS.items() if name in used))
    if found.reasons:
        print("\n" + "\n".join(f"- {reason}" for reason in found.reasons))


def reproducible(steps: Sequence[Mapping[str, Any]]) -> str:
    """For a page of documentation, from the rows of `farm status --json`: which wheels a second build came to byte for
    byte, and what differs in the others. Empty if none was built twice."""
    tried = [row for row in steps if REPRODUCIBLE in row["verdicts"]]
    cells = {(name_of(row), row["platform"]): _REPRODUCED[row["verdicts"][REPRODUCIBLE]["outcome"]] for row in tried}
    platforms = sorted({row["platform"] for row in tried})
    names = dict.fromkeys(name_of(row) for row in tried)
    rows = [("recipe", *platforms), ("---",) * (len(platforms) + 1)] if tried else []
    rows += [(name, *(cells.get((name, platform), "") for platform in platforms)) for name in names]
    whys = [(row, row["verdicts"][REPRODUCIBLE]["reason"]) for row in tried]
    lines = [f"| {' | '.join(row)} |" for row in rows]
    lines += [f"- {name_of(row)} for {row['platform']}: {_short(why)}" for row, why in whys if why]
    return "".join(f"{line}\n" for line in lines)


_REPRODUCED = {"passed": "identical", "failed": "differs"}


def name_of(row: Mapping[str, Any]) -> str:
    return f"{row['recipe']} {row['version']}" + (f" {row['python']}" if row["python"] else "")


def word(row: Mapping[str, Any]) -> str:
    """One word of `WORDS`. An audit alone is no test: without it nothing is stored."""
    if row["state"] != "built":
        return str(row["state"])
    judged = {kind: verdict for kind, verdict in row["verdicts"].items() if kind != REPRODUCIBLE}
    if any(verdict["outcome"] == "failed" for verdict in judged.values()):
        return "tests!"
    outcomes = {row["verdicts"][kind]["outcome"] for kind in TESTS if kind in row["verdicts"]}
    if "passed" in outcomes:
        return "tested"
    return "not run" if outcomes else "built"


@dataclass(frozen=True, slots=True, kw_only=True)
class _Reason:
    """Why a cell (`name`, `platform`) is not as it should be."""

    name: str
    platform: str
    why: str


def _reasons(row: Mapping[str, Any]) -> list[_Reason]:
    """Everything that is not as it should be. What the audit refused is said by its verdict alone."""
    whys = []
    if row["state"] == "running" and row["phase"]:
        whys.append(f"running: {row['phase']}")
    if row.get("rebound"):  # rows that older farms printed do not say it
        whys.append("built (rebound): a cascade moved the wheel of an earlier build")
    judged = {kind: verdict for kind, verdict in row["verdicts"].items() if verdict["outcome"] != "passed"}
    if row["error"] and row["phase"] not in judged:
        where = f" in {row['phase']}" if row["phase"] else ""
        whys.append(f"{row['state']}{where}: {_short(row['error'].removeprefix(row['step'] + ': '))}")
    for kind, verdict in judged.items():
        reason = f": {_short(verdict['reason'])}" if verdict["reason"] else ""
        whys.append(f"{kind} {verdict['outcome']}{reason}")
    return [_Reason(name=name_of(row), platform=row["platform"], why=why) for why in whys]


def _short(text: str) -> str:
    """The first line, and not all of a long command; `farm why` and `farm logs` have the rest."""
    return textwrap.shorten(text.partition("\n")[0], _LONGEST, placeholder=" ...")


def _together(reasons: Sequence[_Reason]) -> tuple[str, ...]:
    """One sentence for all that have the same reason: first the recipes, then the platforms that they share."""
    found: dict[str, dict[str, list[str]]] = {}
    for reason in reasons:
        found.setdefault(reason.why, {}).setdefault(reason.name, []).append(reason.platform)
    return tuple(f"{'; '.join(_cells(by_name))}: {why}" for why, by_name in found.items())


def _cells(by_name: Mapping[str, Sequence[str]]) -> list[str]:
    names: dict[tuple[str, ...], list[str]] = {}
    for name, platforms in by_name.items():
        names.setdefault(tuple(sorted(platforms)), []).append(name)
    return [f"{', '.join(same)} for {', '.join(platforms)}" for platforms, same in names.items()]
