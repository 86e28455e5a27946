"""What was seen of upstreams the last time: ``watch.json`` in FARM_HOME.

Only a memory: without it everything is looked at once more. It is replaced whole, so whoever is killed leaves the old
one or the new one; two that look at once each keep what the other saw.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any

from packaging.version import Version

from farm.errors import StoreError
from farm.model import json_text
from farm.model.recipe import Recipe
from farm.store.files import disk_errors, file_lock, write_atomic
from farm.watch.look import state_of
from farm.watch.values import Sighting, State

FILE = "watch.json"
_FORMAT = 1


@dataclass(frozen=True, slots=True, kw_only=True)
class Seen:
    """The last look at one upstream, at `checked`, and what came of it; `upstream` and `newer` (oldest first) are what
    it had when it last told."""

    checked: datetime
    state: State
    upstream: str
    newer: tuple[str, ...] = ()
    why: str = ""


def load(home: Path) -> dict[str, Seen]:
    """The last look at each recipe's upstream. Raises StoreError for a file that is none of the farm's."""
    path = home / FILE
    try:
        data = json_text.loads(path.read_bytes())
        if data["format"] != _FORMAT:
            raise StoreError(
                f"is of format {data['format']}, this farm reads {_FORMAT}",
                where=str(path),
                fix="use the farm that wrote it, or remove it: everything is looked at once more",
            )
        return {str(name): _seen(row) for name, row in data["recipes"].items()}
    except FileNotFoundError:
        return {}
    except OSError as error:
        raise StoreError(f"cannot be read: {error.strerror}", where=str(path), fix="check its permissions") from error
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        raise StoreError(
            f"is damaged: {error}", where=str(path), fix="remove it: everything is looked at once more"
        ) from error


def _seen(row: Mapping[str, Any]) -> Seen:
    checked = datetime.fromisoformat(row["checked"])
    if checked.tzinfo is None:
        raise ValueError(f"{row['checked']!r} names no time zone")
    newer = tuple(str(Version(text)) for text in row["newer"])
    upstream = str(Version(row["upstream"])) if row["upstream"] else ""
    return Seen(checked=checked, state=State(row["state"]), upstream=upstream, newer=newer, why=str(row["why"]))


def remember(home: Path, sightings: Iterable[Sighting]) -> dict[str, Seen]:
    """Keep what was seen, and return all that is known now. An upstream that did not answer keeps its last version.

    Raises StoreError.
    """
    with disk_errors(home), file_lock(home / f"{FILE}.lock"):
        known = load(home)
        for seen in sightings:
            if seen.checked is None:
                continue
            old = known.get(seen.recipe)
            upstream = seen.upstream or (old.upstream if old else "")
            newer = seen.newer if seen.upstream or old is None else old.newer
            known[seen.recipe] = Seen(
                checked=seen.checked, upstream=upstream, newer=newer, state=seen.state, why=seen.why
            )
        rows = {
            name: {
                "checked": seen.checked.isoformat(),
                "state": seen.state,
                "upstream": seen.upstream,
                "newer": list(seen.newer),
                "why": seen.why,
            }
            for name, seen in sorted(known.items())
        }
        text = json.dumps({"format": _FORMAT, "recipes": rows}, indent=1, ensure_ascii=False) + "\n"
        write_atomic(home / FILE, text.encode())
    return known


def recall(recipe: Recipe, known: Mapping[str, Seen]) -> Sighting:
    """What is known of a recipe's upstream without asking; compared with what the recipe has by now."""
    here = recipe.current.version
    seen = known.get(recipe.name)
    if recipe.watch is None or seen is None:
        state = State.UNWATCHED if recipe.watch is None else State.UNKNOWN
        return Sighting(recipe=recipe.name, here=here, upstream="", state=state, checked=None)
    return Sighting(
        recipe=recipe.name,
        here=here,
        upstream=seen.upstream,
        newer=tuple(text for text in seen.newer if Version(text) > Version(here)),
        state=seen.state if seen.why or not seen.upstream else state_of(here, seen.upstream),
        checked=seen.checked,
        why=seen.why,
    )
