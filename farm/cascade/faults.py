"""Which faults may pass by themselves, and how long a cascade waits before it tries again."""

from __future__ import annotations

import random

from farm.errors import may_pass

__all__ = ["MAX_ATTEMPTS", "may_pass", "pause"]

MAX_ATTEMPTS = 8
_FIRST_PAUSE = 30.0  # seconds
_LONGEST_PAUSE = 3600.0


def pause(attempts: int, *, rng: random.Random | None = None) -> float:
    """Seconds to wait after the `attempts`-th fault: doubled each time, up to an hour, and spread by a quarter either
    way so that many tasks that met one fault do not all come back at once."""
    spread = (rng or random).uniform(0.75, 1.25)
    return float(min(_FIRST_PAUSE * 2 ** (attempts - 1), _LONGEST_PAUSE) * spread)
