"""Explain why a step is (or was) built: which of its inputs changed since the build before, down to the first cause."""

from __future__ import annotations

import argparse
import itertools
import re
from dataclasses import asdict
from typing import TYPE_CHECKING, Any

from farm.cli import history, output

if TYPE_CHECKING:
    from collections.abc import Sequence

    from farm.model.artifact import Artifact
    from farm.model.plan import Plan, Step
    from farm.plan.because import Because
    from farm.settings import Settings
    from farm.store.artifacts import Store
    from farm.store.ledger import Ledger
    from farm.store.records import Attempt, BuiltStep, ReboundBy

EPILOG = """examples:
  farm why gmpy2                                       all steps of a recipe
  farm why gmp/manylinux_2_17_x86_64                   one slot
  farm why gmpy2@2.3.2/manylinux_2_17_x86_64/cp311     one step, as `farm plan` names it
"""
_PYTHON = re.compile(r"/(cp\d+)$")


def configure(parser: argparse.ArgumentParser) -> None:
    """Add the verb's options."""
    parser.add_argument("step", metavar="STEP", help="a step's id, its slot (the id without @VERSION), or its recipe")
    parser.add_argument("--json", action="store_true", help="print one JSON document")


def run(args: argparse.Namespace, settings: Settings) -> int:
    """Print the reasons. Raises UsageError if there is no such step."""
    from farm.store.artifacts import open_store

    python = _PYTHON.findall(args.step)
    plan = history.make_plan(settings, pythons=python)
    steps = history.find_steps(plan, args.step)
    store = open_store(settings)
    with history.ledger_if_any(settings) as ledger:
        answers = [_answer(step, plan, store, ledger) for step in steps]
    if args.json:
        output.print_json(answers)
    else:
        print(_page([_text(answer) for answer in answers]))
    return 0


def _page(texts: Sequence[str]) -> str:
    """Answers one below the other; those of several lines stand apart."""
    page = ""
    for before, text in itertools.pairwise(["", *texts]):
        gap = "\n" if "\n" in before + text and before else ""
        page += f"{gap}{text}\n"
    return page.rstrip("\n")


def _answer(step: Step, plan: Plan, store: Store, ledger: Ledger | None) -> dict[str, Any]:
    """What is known of one step; `state` is ``up to date``, ``never built``, ``changed`` or ``wheel gone``."""
    stored = store.known([step.key]).get(step.key)
    now = ledger.built(step.key) if ledger else None
    before = _before(step, ledger) if ledger else None
    last = ledger.last_attempt(step.key) if ledger else None
    reason = _because(step, before, plan, ledger) if ledger and before else None
    if stored:
        state = "up to date"
    elif now is not None:
        state = "wheel gone"
    else:
        state = "changed" if before is not None else "never built"
    return {
        "step": step.id,
        "key": step.key,
        "state": state,
        "built": history.when(now.built) if now else None,
        "before": {"step": before.step.id, "built": history.when(before.built)} if before else None,
        "rebound": _rebound(step, stored, store, ledger),
        "because": asdict(reason) if reason else None,
        "last_attempt": _attempt(last) if last else None,
        "findings": [output.finding_row(f) for f in history.findings_of(ledger, last)] if ledger else [],
    }


def _rebound(step: Step, stored: Artifact | None, store: Store, ledger: Ledger | None) -> dict[str, Any] | None:
    """What was rebound to stand in for a build, from what, by which cascade and why it could; None for a build."""
    if stored is None or stored.key == step.key:
        return None
    from farm.repair.provenance import rebindings_of

    by = rebound_by(stored, ledger.rebound_by(step.key), store) if ledger else None
    wheel = store.path(stored)
    last = rebindings_of(wheel)[-1:] if wheel.exists() else ()  # else it is in the shared store alone
    return {
        "recipe": step.recipe,
        "wheel": stored.filename,
        "from": last[0].wheel.filename if last else None,
        "moved": dict(last[0].moved) if last else {},
        "cascade": by.cascade if by else None,
        "why": by.why if by else "",
    }


def rebound_by(stored: Artifact, cascades: Sequence[ReboundBy], store: Store) -> ReboundBy | None:
    """The cascade whose wheel it is; where that is not known any more, the first that let one stand in."""
    theirs = store.known(each.key for each in cascades)
    made = (each for each in cascades if each.key in theirs and theirs[each.key].sha256 == stored.sha256)
    return next(made, next(iter(cascades), None))


def _before(step: Step, ledger: Ledger) -> BuiltStep | None:
    """The build to compare with: of the same release if there is one, else of the slot."""
    return ledger.last_built(step.id, but=step.key) or ledger.last_built(step.slot, but=step.key)


def _because(step: Step, before: BuiltStep, plan: Plan, ledger: Ledger) -> Because:
    from farm.plan.because import because

    planned = {other.key: other.inputs for other in plan.steps}
    return because(
        step.recipe,
        before.inputs,
        step.inputs,
        old_of=ledger.inputs_of,
        new_of=lambda key: planned.get(key) or ledger.inputs_of(key),
    )


def _attempt(attempt: Attempt) -> dict[str, Any]:
    return {
        "state": attempt.state.value,
        "started": history.when(attempt.started),
        "phase": attempt.phase,
        "error": attempt.error,
        "seconds": round(attempt.seconds, 3),
    }


def _text(answer: dict[str, Any]) -> str:
    lines = [f"{answer['step']}: {_headline(answer)}"]
    attempt = answer["last_attempt"]
    if attempt and attempt["state"] in ("failed", "cancelled"):
        first_line = attempt["error"].partition("\n")[0]
        where = f" in {attempt['phase']}" if attempt["phase"] else ""
        lines.append(f"  the last try ({attempt['started']}) {attempt['state']}{where}: {first_line}")
        lines.append(f"  its log: farm logs {answer['step']}")
    for found in answer["findings"]:
        lines.append(f"  {found['severity']}: {found['file']}: {found['fact']} [{found['check']}]")
        lines.append(f"    fix: {found['fix']}")
    if answer["rebound"]:
        lines += _moved(answer["rebound"])
    if answer["because"]:
        lines += _reasons(answer["because"], "  ")
    return "\n".join(lines)


def _moved(rebound: dict[str, Any]) -> list[str]:
    """What a wheel is that stands in for a build."""
    origin = f" is {rebound['from']} with other references" if rebound["from"] else " is in the shared store"
    lines = [f"  {rebound['wheel']}{origin}", *(f"    {old} -> {new}" for old, new in rebound["moved"].items())]
    if rebound["cascade"] is not None:
        lines.append(f"  by cascade {rebound['cascade']}: {rebound['why']}")
    return [*lines, f"  to build it all the same: farm build {rebound['recipe']} --no-rebound"]


def _headline(answer: dict[str, Any]) -> str:
    before = answer["before"]
    compared = f"; compared with {before['step']} of {before['built']}" if before else ""
    match answer["state"]:
        case "up to date":
            built = f", built {answer['built']}" if answer["built"] else ""
            built = ", rebound, not built" if answer["rebound"] else built
            return f"up to date{built}{compared}{':' if before else ''}"
        case "wheel gone":
            return f"built {answer['built']}, but its wheel is no longer in the store, so it is built again"
        case "changed":
            return f"must be built{compared}:"
        case _:
            return "never built here"


def _reasons(because: dict[str, Any], indent: str) -> list[str]:
    """The changes of a step, each requirement's own changes below it."""
    from farm.plan.explain import requirement_in

    below = {requirement["name"]: requirement for requirement in because["requirements"]}
    lines = []
    for change in because["changes"] or ("nothing that is recorded changed",):
        lines.append(f"{indent}- {change}")
        name = requirement_in(change)
        if name in below:
            lines[-1] += ", because"
            lines += _reasons(below[name], indent + "    ")
    return lines
