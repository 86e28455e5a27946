"""Damaged copies of files, for readers that must survive them. Not a test module."""

from __future__ import annotations

import random
from collections.abc import Iterator


def flipped(data: bytes, *, copies: int, seed: int) -> Iterator[bytes]:
    """Copies with one to three wrong places each, where the file holds more than zeros; the same for one seed."""
    chance = random.Random(seed)
    filled = [at for at in range(0, len(data), 4) if any(data[at : at + 4])]
    for _ in range(copies):
        wrong = bytearray(data)
        for _ in range(chance.randint(1, 3)):
            at = chance.choice(filled) + chance.randrange(4)
            value = chance.choice([b"\xff" * 4, b"\0" * 4, chance.randbytes(1), chance.randbytes(4)])
            wrong[at : at + len(value)] = value[: len(data) - at]
        yield bytes(wrong)
