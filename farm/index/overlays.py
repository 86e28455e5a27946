"""Metadata overlays of channels: add, end, list.

Each operation is one new generation (or none) and one flip, as everything in `farm.index.generations`. A cascade fences
a dependent in three steps, the first of which is pure::

    overlay = overlay_file.fence(project="gmpy2", dependency="native-mpfr", below="7!0", versions=">=2.3", ...)
    signed = overlay_sign.signed(overlay, key, trusted)
    overlays.add(index, "staging", [signed], replace=True)
"""

from __future__ import annotations

from collections.abc import Collection, Iterable
from dataclasses import dataclass
from dataclasses import replace as changed
from datetime import UTC, datetime, timedelta

from farm.errors import OverlayError
from farm.index import overlay_apply
from farm.index.contents import Contents, Correction, SignedOverlay, rfc3339
from farm.index.generation import Generation
from farm.index.generations import Index
from farm.index.overlay import Overlay

_CLOCKS_DIFFER = timedelta(hours=1)


@dataclass(frozen=True, slots=True, kw_only=True)
class Standing:
    """An overlay of a channel and what it did: `state` is ``active``, ``idle`` (it corrects no file), ``expired`` (and
    applied until the next change of the channel, or `expire`) or ``ended`` (taken off before it expired)."""

    signed: SignedOverlay
    overlay: Overlay
    state: str
    corrections: tuple[Correction, ...]


def add(
    index: Index,
    channel: str,
    overlays: Iterable[SignedOverlay],
    *,
    replace: bool = False,
    comment: str = "",
    now: datetime | None = None,
) -> Generation:
    """Let a channel hold overlays, apply them, and return the generation that is served then.

    What is held already changes nothing; another one of the same name is refused unless `replace`. Each must change a
    published file now. Raises OverlayError, BinaryFormatError, StoreError (disk).
    """
    moment = now or datetime.now(UTC)
    new = tuple(overlays)
    for signed in new:
        _check_time(overlay_apply.read(signed), moment)

    def hold(old: Contents) -> Contents:
        held = dict(old.overlays)
        for signed in new:
            there = held.get(signed.name)
            if there is not None and not there.ended:
                if there.sha256 == signed.sha256:
                    continue
                if not replace:
                    raise OverlayError(
                        f"channel {channel!r} holds another overlay of this name",
                        where=f"overlay {signed.name}",
                        fix=f"name it otherwise, or add it with --replace "
                        f"(`farm index overlay show {signed.name} --channel {channel}`)",
                    )
            overlay_apply.affected(index.root, old, overlay_apply.read(signed))
            held[signed.name] = signed
        return changed(old, overlays=held)

    reasons = "; ".join(f"{signed.name}: {overlay_apply.read(signed).reason}" for signed in new)
    return index.change(channel, hold, comment=comment or f"overlay {reasons}", now=moment)


def end(
    index: Index, channel: str, names: Collection[str], *, comment: str = "", now: datetime | None = None
) -> Generation:
    """Take overlays off before they expire: the originals are offered again. Raises OverlayError for one that the
    channel does not hold; one that has ended already changes nothing."""
    moment = now or datetime.now(UTC)

    def mark(old: Contents) -> Contents:
        for name in names:
            _held(old, channel, name)
        ended = {
            name: changed(held, ended=held.ended or rfc3339(moment))
            for name, held in old.overlays.items()
            if name in names
        }
        return changed(old, overlays={**old.overlays, **ended})

    return index.change(channel, mark, comment=comment or f"overlay {', '.join(sorted(names))} ended", now=moment)


def expire(index: Index, channel: str, *, now: datetime | None = None) -> Generation | None:
    """Take off what has expired. The generation that is served then, None if the channel has none."""
    if index.current(channel) is None:
        return None
    return index.change(channel, lambda old: old, comment="expired overlays taken off", now=now)


def standing(contents: Contents, *, now: datetime | None = None) -> tuple[Standing, ...]:
    """The overlays of a generation, by name."""
    moment = now or datetime.now(UTC)
    found = []
    for name in sorted(contents.overlays):
        held = contents.overlays[name]
        overlay = overlay_apply.read(held)
        mine = tuple(sorted((c for c in contents.corrections.values() if name in c.overlays), key=_original))
        if held.ended:
            state = "ended"
        elif overlay.expires <= moment:
            state = "expired"
        else:
            state = "active" if mine else "idle"
        found.append(Standing(signed=held, overlay=overlay, state=state, corrections=mine))
    return tuple(found)


def _original(correction: Correction) -> str:
    return correction.original.filename


def _held(contents: Contents, channel: str, name: str) -> SignedOverlay:
    try:
        return contents.overlays[name]
    except KeyError:
        known = ", ".join(sorted(contents.overlays)) or "none"
        raise OverlayError(
            f"channel {channel!r} holds no such overlay; it holds {known}",
            where=f"overlay {name}",
            fix=f"farm index overlay list --channel {channel}",
        ) from None


def _check_time(overlay: Overlay, moment: datetime) -> None:
    where = f"overlay {overlay.name}"
    if overlay.expires <= moment:
        raise OverlayError(
            f"`expires`: it has expired on {overlay.expires:%Y-%m-%d}",
            where=where,
            fix="if it is still needed, give it a later date and sign it again",
        )
    if overlay.created > moment + _CLOCKS_DIFFER:
        raise OverlayError(
            f"`created`: {overlay.created.isoformat()} is in the future", where=where, fix="mend the date or the clock"
        )
