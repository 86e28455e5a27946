"""What changed between two sets of key inputs, in words. Pure."""

from __future__ import annotations

import shlex
from collections.abc import Sequence

from farm.model.plan import KeyInput
from farm.plan.keys import REQUIRES

_WORDS = 6  # a sentence shows at most so many added or removed words


def explain(old: Sequence[KeyInput], new: Sequence[KeyInput]) -> list[str]:
    """The changes that turned one key into another, most telling first; empty if the inputs are equal.

    Requirements come last: what changed in the step itself is usually what its author wants to know.
    """
    before, after = {item.label: item for item in old}, {item.label: item for item in new}
    changes = [
        _change(label, before.get(label), after.get(label))
        for label in dict.fromkeys((*after, *before))
        if _digest(before.get(label)) != _digest(after.get(label))
    ]
    if not changes and [i.label for i in old] != [i.label for i in new]:
        changes = [_order([i.label for i in old], [i.label for i in new])]
    return sorted(changes, key=lambda text: text.startswith(REQUIRES))


def requirement_in(change: str) -> str:
    """The recipe of which a line of `explain` says that it was built anew or replaced; empty if it is about none."""
    return change.removeprefix(REQUIRES).partition(":")[0] if change.startswith(REQUIRES) else ""


def _digest(item: KeyInput | None) -> str:
    return item.digest if item else ""


def _change(label: str, old: KeyInput | None, new: KeyInput | None) -> str:
    if label.startswith(REQUIRES) and old and new:
        return _requirement(label, old, new)
    if old is None and new is not None:
        return f"{label} was added{_value(new)}"
    if old is not None and new is None:
        return f"{label} was removed{_value(old)}"
    assert old is not None
    assert new is not None
    if not (old.shown and new.shown):
        return f"{label} changed"
    return _words(label, old.shown, new.shown)


def _value(item: KeyInput) -> str:
    return f": {item.shown}" if item.shown else ""


def _requirement(label: str, old: KeyInput, new: KeyInput) -> str:
    name = label.removeprefix(REQUIRES)
    if old.shown != new.shown:
        return f"{label}: built against {new.shown}, was {old.shown}"
    return f"{label}: {name} {new.shown} itself is built anew"


def _words(label: str, old: str, new: str) -> str:
    """Lists by the words that came and went, single values as old and new."""
    before, after = _split(old), _split(new)
    if len(before) <= 1 and len(after) <= 1:
        return f"{label} changed from {old} to {new}"
    added = [word for word in after if word not in before]
    removed = [word for word in before if word not in after]
    if not added and not removed:
        return f"{label}: order or repetition changed"
    parts = [f"{verb} {_some(words)}" for verb, words in (("added", added), ("removed", removed)) if words]
    return f"{label}: {', '.join(parts)}"


def _split(text: str) -> list[str]:
    try:
        return shlex.split(text)
    except ValueError:
        return text.split()


def _some(words: list[str]) -> str:
    shown = " ".join(words[:_WORDS])
    return f"{shown} and {len(words) - _WORDS} more" if len(words) > _WORDS else shown


def _order(old: list[str], new: list[str]) -> str:
    moved = [label for label, other in zip(new, old, strict=False) if label != other]
    return f"order changed: {', '.join(moved[:_WORDS])}"
