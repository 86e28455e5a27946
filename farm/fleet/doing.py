"""What a worker can do: the door between who takes jobs and who knows what they mean."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Protocol

from farm.fleet.order import Order
from farm.model.events import Listener
from farm.workers.step import StepCancel


@dataclass(frozen=True, slots=True, kw_only=True)
class Done:
    """What an order came to. `ok` if what it asks for is there; `error` is the fault, if there was one; `said` is what
    whoever asked is told, a JSON object."""

    ok: bool
    said: Mapping[str, Any] = field(default_factory=dict)
    error: BaseException | None = None


class Doer(Protocol):
    """Carries out orders of one kind, under the lease of the order's key."""

    def __call__(self, order: Order, cancel: StepCancel, tell: Listener, /) -> Done:
        """Do it. Raises a FarmError if that cannot even begin; what goes wrong with the thing at hand is a `Done`."""
        ...


def failure(error: BaseException, message: str = "") -> dict[str, Any]:
    """A fault as a JSON object: the words, and the kind of the error, which decides an exit code."""
    return {"state": "failed", "message": message or str(error), "kind": getattr(error, "kind", "error")}
