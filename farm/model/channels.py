"""Names of channels that a cascade hides its wheels in before users are offered them."""

from __future__ import annotations

import re

_HIDDEN = re.compile(r"cascade-[0-9]+")


def hidden(cascade: int) -> str:
    """The name of a cascade's hidden channel: ``cascade-7``."""
    return f"cascade-{cascade}"


def is_hidden(channel: str) -> bool:
    """Whether a channel's name is one of these, whether there is such a cascade or not."""
    return _HIDDEN.fullmatch(channel) is not None
