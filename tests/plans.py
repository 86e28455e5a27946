"""Small plans for tests of the store, the ledger and the workers."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence

from farm.model.plan import KeyInput, Plan, Step

PLATFORM = "manylinux_2_17_x86_64"


def digest(text: str) -> str:
    return hashlib.sha256(text.encode()).hexdigest()


def make_step(
    name: str,
    requires: Sequence[Step] = (),
    *,
    version: str = "1.0",
    salt: str = "",
    inputs: Mapping[str, str] | None = None,
) -> Step:
    """A step whose key follows from its inputs and its requirements' keys, as the real ones do."""
    given = [KeyInput(label=k, digest=digest(v), shown=v) for k, v in (inputs or {"build.args": "--fast"}).items()]
    given += [KeyInput(label=f"requires {r.recipe}", digest=r.key, shown=f"{r.recipe} {r.version}") for r in requires]
    key = digest(name + version + salt + "".join(i.label + i.digest for i in given))
    return Step(
        id=f"{name}@{version}/{PLATFORM}",
        slot=f"{name}/{PLATFORM}",
        recipe=name,
        version=version,
        platform=PLATFORM,
        kind="library",
        python=None,
        requires=tuple(r.id for r in requires),
        key=key,
        inputs=tuple(given),
    )


def make_plan(edges: Mapping[str, Sequence[str]], *, salt: str = "") -> Plan:
    """A plan from ``{name: names it requires}``, given in an order in which each comes after all it requires."""
    steps: dict[str, Step] = {}
    for name, requires in edges.items():
        steps[name] = make_step(name, [steps[r] for r in requires], salt=salt)
    return Plan(steps=tuple(steps.values()))
