"""Where a recipe is built: platforms, for dependents each with its Pythons, and what these bring into keys. Pure."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

from farm.model.plan import KeyInput
from farm.model.toolchain import Toolchain
from farm.plan import compose, keys
from farm.plan.canonical import group_digest


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Lanes:
    """Platforms x Pythons of a step's recipe, a *lane* each; recipes that have the same share one value.

    `tails` end the ids of steps. `toolchains` are group digests as they are hashed, `toolchain_inputs` what is in them;
    `own_inputs` are what the Python adds, `own` the same as it is hashed (empty for libraries). `places` gives the lane
    of a platform; of dependents the first.
    """

    platforms: tuple[str, ...]
    pythons: tuple[str | None, ...]
    tails: tuple[str, ...]
    toolchains: tuple[bytes, ...]
    toolchain_inputs: tuple[tuple[KeyInput, ...], ...]
    own: tuple[bytes, ...]
    own_inputs: tuple[tuple[KeyInput, ...], ...]
    places: Mapping[str, int]

    def __len__(self) -> int:
        return len(self.tails)


class LaneMaker:
    """Makes the lanes of recipes; equal ones once."""

    def __init__(self, toolchains: Mapping[str, Toolchain], sdk: Mapping[str, str], without: Iterable[str]) -> None:
        self._toolchains = toolchains
        self._sdk = sdk
        self._without = frozenset(without)
        self._groups: dict[tuple[str, bool], tuple[str, tuple[KeyInput, ...]]] = {}
        self._made: dict[tuple[tuple[str, ...], tuple[str | None, ...]], Lanes] = {}

    def lanes(self, platforms: Sequence[str], pythons: Sequence[str | None]) -> Lanes:
        """The lanes of a recipe. A library has the one Python None. Pythons that a platform lacks are left out."""
        asked = (tuple(platforms), tuple(pythons))
        lanes = self._made.get(asked)
        if lanes is None:
            lanes = self._made[asked] = self._make(
                [(platform, py) for platform in platforms for py in pythons if f"{py}/{platform}" not in self._without]
            )
        return lanes

    def _make(self, pairs: Sequence[tuple[str, str | None]]) -> Lanes:
        groups = [self._toolchain(platform, python is not None) for platform, python in pairs]
        inputs = [keys.python_inputs(py, self._sdk_of(platform, py)) if py else () for platform, py in pairs]
        places: dict[str, int] = {}
        for place, (platform, _) in enumerate(pairs):
            places.setdefault(platform, place)
        return Lanes(
            platforms=tuple(platform for platform, _ in pairs),
            pythons=tuple(python for _, python in pairs),
            tails=tuple(f"/{platform}/{python}" if python else f"/{platform}" for platform, python in pairs),
            toolchains=tuple(compose.head(digest) for digest, _ in groups),
            toolchain_inputs=tuple(group for _, group in groups),
            own=tuple(compose.own_text(items).encode() for items in inputs) if any(inputs) else (),
            own_inputs=tuple(inputs),
            places=places,
        )

    def _toolchain(self, platform: str, dependent: bool) -> tuple[str, tuple[KeyInput, ...]]:
        if (platform, dependent) not in self._groups:
            inputs = keys.toolchain_inputs(self._toolchains[platform], dependent=dependent)
            self._groups[platform, dependent] = (group_digest(inputs), inputs)
        return self._groups[platform, dependent]

    def _sdk_of(self, platform: str, python: str) -> str:
        return self._sdk.get(f"{python}/{platform}") or self._sdk.get(python, "")
