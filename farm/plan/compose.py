"""From the inputs of a step to its build key, the identity of its output; for one step or for many at once."""

from __future__ import annotations

import hashlib
from binascii import hexlify
from collections.abc import Iterable, Sequence
from itertools import repeat

from farm.model.plan import KeyInput
from farm.plan.canonical import group_digest, sha256
from farm.plan.keys import PYTHON, REQUIRES, TOOLCHAIN

KEY_BYTES = 32  # of a key as it is kept; people and stores see it in hex
_DIGEST = type(hashlib.sha256()).digest


def compose(recipe: str, toolchain: str, own: Sequence[KeyInput]) -> str:
    """A build key from the group digests of its recipe and toolchain and the step's own inputs."""
    return sha256(f"{recipe}\n{toolchain}\n{own_text(own)}")


def own_text(own: Iterable[KeyInput]) -> str:
    """What `compose` hashes of a step's own inputs."""
    return "".join([f"{i.label}\0{i.digest}\n" for i in own])


def head(digest: str) -> bytes:
    """What `compose` hashes of a group digest."""
    return f"{digest}\n".encode()


def required_lines(recipe: str, keys: bytes) -> list[bytes]:
    """What `compose` hashes of a recipe that is required, by lane; `keys` as `compose_all` gives them."""
    head = f"{REQUIRES}{recipe}\0".encode()
    lines = hexlify(keys, "\n", KEY_BYTES).replace(b"\n", b"\n" + head)
    return b"".join((head, lines, b"\n")).splitlines(keepends=True)


def compose_all(
    recipes: Sequence[bytes], toolchains: Sequence[bytes], required: Iterable[Sequence[bytes]], own: Sequence[bytes]
) -> bytes:
    """`compose` for all lanes of a recipe at once: each argument holds what is hashed, by lane. The keys come one after
    the other, `KEY_BYTES` each.

    `recipes` is a single head if all lanes have the same; `required` has `required_lines` of what all are built
    against; `own` is `own_text` of what they have beyond that, or nothing if none has.
    """
    heads = repeat(recipes[0]) if len(recipes) == 1 else recipes
    columns = (heads, toolchains, *required, own) if own else (heads, toolchains, *required)
    # No line of Python is run per key.
    return b"".join(map(_DIGEST, map(hashlib.sha256, map(b"".join, zip(*columns, strict=False)))))


def hex_of(keys: bytes, lane: int) -> str:
    """One of the keys that `compose_all` gave, in hex."""
    return keys[lane * KEY_BYTES : (lane + 1) * KEY_BYTES].hex()


def key_of(inputs: Sequence[KeyInput]) -> str:
    """The build key of a step's inputs, in the step's order: what the planner computes from shared parts."""
    groups: dict[str, list[KeyInput]] = {"recipe": [], "toolchain": [], "own": []}
    for item in inputs:
        groups[_group(item.label)].append(item)
    return compose(group_digest(groups["recipe"]), group_digest(groups["toolchain"]), groups["own"])


def _group(label: str) -> str:
    if label.startswith(TOOLCHAIN):
        return "toolchain"
    if label.startswith((REQUIRES, f"{PYTHON} ")) or label == PYTHON:
        return "own"
    return "recipe"
