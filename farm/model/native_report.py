"""What a native runner says of a step: which wheel it is about, who built it there, what its tests came to."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field, StringConstraints

from farm.model.base import Frozen
from farm.model.outcome import Outcome
from farm.model.recipe_text import Sha256

Line = Annotated[str, StringConstraints(min_length=1, max_length=300, pattern=r"^[^\x00-\x1f\x7f]+$")]


class NativeVerdict(Frozen):
    """What one suite came to on the native runner."""

    suite: Literal["smoke", "upstream"] = Field(description="the recipe's smoke test, or upstream's own suite")
    outcome: Outcome = Field(description="`passed`, `failed` or `not run`")
    reason: str = Field(default="", max_length=20_000, description="why it failed or was not run")
    counts: dict[str, Annotated[int, Field(ge=0)]] = Field(
        default={}, max_length=20, description="how many tests ended how: `passed`, `failed`, `skipped`, ..."
    )


class NativeReport(Frozen):
    """The report of one step from one native runner, as a JSON file.

    With `built` the wheel was built there and comes with the report; without it the runner tested the wheel that the
    store has. Either way `sha256` is that of the very file that was tested.
    """

    format: Literal[1]
    step: Line = Field(description="the step's id, as `farm plan` names it")
    key: Sha256 = Field(description="the step's build key: what the runner was asked to build or test")
    wheel: Line = Field(description="the wheel's file name")
    sha256: Sha256 = Field(description="the wheel's sha256")
    runner: Line = Field(description="who did it: service, machine, run")
    built: bool = Field(description="whether the wheel was built there")
    verdicts: tuple[NativeVerdict, ...] = Field(default=(), description="what its tests came to")
