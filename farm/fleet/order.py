"""What a worker is asked to do, as the signed bytes of a job."""

from __future__ import annotations

import json
from typing import Literal

from pydantic import Field, ValidationError

from farm.errors import FleetError
from farm.model.base import Frozen

Right = Literal["build", "pr"]
_SHA256 = r"^[0-9a-f]{64}$"


class Order(Frozen):
    """One thing to do.

    `kind`: ``build`` a step of a plan, or do a ``task`` of a cascade. `step` is the step's id, `key` the build key (of
    a task: the task's), `catalog` the sha256 of the bundle that it is planned from (farm.fleet.bundle). `rights` is
    what the signer must be trusted with: ``build`` for what is published, ``pr`` for what a pull request proposes.
    `cascade` and `position` name the task.
    """

    kind: Literal["build", "task"]
    step: str = Field(max_length=300)
    key: str = Field(pattern=_SHA256)
    catalog: str = Field(pattern=_SHA256)
    rights: Right
    cascade: int = 0
    position: int = 0

    def text(self) -> str:
        """Canonical JSON: what is signed."""
        return json.dumps(self.model_dump(), sort_keys=True, separators=(",", ":"))

    @classmethod
    def read(cls, text: str) -> Order:
        """The reverse of `text`. Raises FleetError."""
        try:
            return cls.model_validate_json(text)
        except ValidationError as error:
            first = error.errors()[0]
            where = ".".join(str(part) for part in first["loc"])
            raise FleetError(
                f"is no order: {where}: {first['msg']}", where="job", fix="use farms of one version"
            ) from error
