"""Plans: what would be built, in which order, and the identity of every result."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from farm.model.recipe import Kind


@dataclass(frozen=True, slots=True, kw_only=True)
class KeyInput:
    """One thing a build key depends on.

    `label` names it for people and for `farm why` (``build.args``, ``patch 0001-x.patch``, ``requires gmp``);
    `digest` is its sha256 in hex; `shown` is a short value for messages, empty where a digest says more.
    """

    label: str
    digest: str
    shown: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Step:
    """One recipe x release x platform (x Python).

    `id` is ``name@version/platform`` or ``name@version/platform/cp311``; `slot` is the id without the version: two
    steps of one slot are the same thing over time. `requires` are the ids of steps whose wheels are unpacked for the
    build, in order, each before those that need it. `key` is the build key, a sha256 in hex over `inputs`.
    """

    id: str
    slot: str
    recipe: str
    version: str
    platform: str
    kind: Kind
    python: str | None
    requires: tuple[str, ...]
    key: str
    inputs: tuple[KeyInput, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Impossible:
    """A recipe x platform that cannot be built, with the reason the recipe (or its requirement) gives; with `python`,
    for this one only."""

    recipe: str
    platform: str
    reason: str
    python: str | None = None


class Steps(Sequence[Step]):
    """Steps that need not all be there as values: a large plan makes each when it is asked for."""

    @abstractmethod
    def by_id(self) -> Mapping[str, Step]:
        """The steps by their ids."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Plan:
    """Steps in an order in which each comes after all it requires.

    `steps` of the planner makes each step anew when it is asked for: who needs many of them often keeps them.
    """

    steps: Sequence[Step]
    impossible: tuple[Impossible, ...] = ()

    def by_id(self) -> Mapping[str, Step]:
        """The steps by their ids."""
        return self.steps.by_id() if isinstance(self.steps, Steps) else {step.id: step for step in self.steps}
