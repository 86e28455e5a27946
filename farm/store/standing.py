"""Stand-ins: what is stored for a build key that nobody built, because a wheel could be rebound instead.

A build key means one wheel for ever, the one that was built. A wheel that was rebound, tested and staged stands in for
the build that it spares; it is stored under a key that is made from the build key. So it counts for exactly the inputs
that the decision to rebind was made for: whatever changes them, changes the build key. A build of the key comes first
in any case. No wheel is built against a dependent, so nobody else's key depends on which of the two there is
(docs/decisions/016).
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Mapping
from dataclasses import replace
from typing import TYPE_CHECKING

from farm.model.artifact import Artifact
from farm.model.plan import Step

if TYPE_CHECKING:
    from farm.store.ledger import Ledger

_RULES = 1  # raised when what was rebound by the rules so far must be built after all


def stand_in(key: str) -> str:
    """The key that a build key's stand-in is stored under."""
    return hashlib.sha256(f"stands in\n{_RULES}\n{key}".encode()).hexdigest()


def with_stand_ins(keys: Iterable[str]) -> list[str]:
    """Build keys and what may stand in for them, each once."""
    wanted = list(dict.fromkeys(keys))
    return [*wanted, *map(stand_in, wanted)]


def rebound_among(steps: Iterable[Step], found: Mapping[str, Artifact]) -> list[str]:
    """The ids of steps whose artifact (by step id) stands in for a build."""
    return [step.id for step in steps if step.id in found and found[step.id].key != step.key]


def judged(step: Step, artifact: Artifact, ledger: Ledger) -> str:
    """The key under which verdicts about a step's wheel are kept: what a rebound wheel did says nothing of one that
    is built."""
    if artifact.key != step.key:
        ledger.record_plan([replace(step, key=artifact.key)])  # so that messages can name the step
    return artifact.key
