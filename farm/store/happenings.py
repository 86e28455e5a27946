"""The ledger's memory of what somebody may want to be told, and of who was told.

A happening is written in the transaction that it happens in, so that no kill parts the two. Which targets hear of it is
decided later, by whoever holds the configuration (`farm.notify`). A delivery is claimed, by compare-and-set, before it
is sent: two processes never send the same one at once, and one that was killed while it sent is tried again after a
pause, under the same id.
"""

from __future__ import annotations

import uuid
from collections.abc import Callable, Collection, Mapping
from datetime import datetime, timedelta
from typing import Any

from sqlalchemy import Connection, Row, Select, delete, func, insert, select, update

from farm.model.cascade import CascadeState
from farm.model.happening import Delivery, DeliveryState, Happening, Kind
from farm.store.database import Database, now
from farm.store.observed_tables import deliveries, happenings, listeners
from farm.store.tables import is_past, now_ms

KEPT_DAYS = 90.0
_KEPT = 2000  # characters of a reason or an error
_PAGE = 500
_TOLD = {
    CascadeState.STAGED: Kind.STAGED,
    CascadeState.PROMOTED: Kind.PROMOTED,
    CascadeState.ABANDONED: Kind.ABANDONED,
}
_FAR_MS = 6 * 3_600_000  # the longest pause between two tries is five hours
_WAITING = deliveries.c.state == DeliveryState.WAITING


def about_cascade(id_: int) -> str:
    """What happenings to a cascade are about."""
    return f"cascade {id_}"


def note(
    connection: Connection,
    kind: Kind,
    about: str,
    *,
    cascade: int | None = None,
    key: str = "",
    text: str = "",
    details: Mapping[str, Any] | None = None,
    again: bool = False,
) -> None:
    """Write a happening down in the transaction that it belongs to. What the last one `about` the same said already is
    not said once more, unless `again`."""
    row = {"kind": kind, "cascade": cascade, "key": key, "text": text[:_KEPT], "details": dict(details or {})}
    last = select(happenings.c.kind, happenings.c.text).where(happenings.c.about == about)
    before = connection.execute(last.order_by(happenings.c.id.desc()).limit(1)).first()
    if again or before is None or tuple(before) != (kind, row["text"]):
        values = row | {"uid": uuid.uuid4().hex, "about": about, "at": now(), "routed": False}
        connection.execute(insert(happenings).values(values))


def kind_of_move(before: str | None, state: CascadeState) -> Kind | None:
    """What is to be told of a cascade that went from one state to another, if anything. That it is blocked is told
    again when it is so for another reason."""
    if state is CascadeState.BLOCKED:
        return Kind.WAITING
    if state is CascadeState.STAGED and before == CascadeState.PROMOTED:
        return Kind.ROLLED_BACK
    return _TOLD.get(state) if state != before else None


def first_line(text: str) -> str:
    """The first line that says something."""
    return next((line.strip() for line in text.splitlines() if line.strip()), "")


class HappeningRecords(Database):
    """Happenings and their deliveries."""

    def route(self, targets: Collection[str], wants: Callable[[str, Kind], bool]) -> int:
        """Make deliveries of what happened since this was last called, for the targets that want it. A target that is
        new hears of what happens from now on. Returns how many were made."""
        with self.writing() as connection:
            columns = select(listeners.c.name, listeners.c.since)
            known: dict[str, datetime] = {name: since for name, since in connection.execute(columns)}  # noqa: C416
            new = {name: now() for name in targets if name not in known}
            self.insert_new(connection, listeners, [{"name": name, "since": at} for name, at in new.items()])
            known |= new
            fresh = select(happenings).where(happenings.c.routed.is_(False)).order_by(happenings.c.id).limit(_PAGE)
            made = 0
            while rows := connection.execute(fresh).all():
                found = [
                    {"happening": row.id, "target": name, "state": DeliveryState.WAITING}
                    for row in rows
                    for name in targets
                    if row.at >= known[name] and wants(name, Kind(row.kind))
                ]
                self.insert_new(connection, deliveries, found)
                done = happenings.c.id.in_([row.id for row in rows])
                connection.execute(update(happenings).where(done).values(routed=True))
                made += len(found)
        return made

    def due_deliveries(self, limit: int, *, but: Collection[str] = ()) -> tuple[Delivery, ...]:
        """What is to be sent now, in the order in which it happened, to all targets `but` some."""
        time_to = is_past(deliveries.c.not_before, _FAR_MS)
        due = _delivery().where(_WAITING, time_to, deliveries.c.target.not_in(tuple(but)))
        with self.reading() as connection:
            rows = connection.execute(due.order_by(deliveries.c.not_before, happenings.c.id).limit(limit)).all()
        return tuple(sorted(map(_of, rows), key=lambda one: one.happening.id))

    def claim_delivery(self, delivery: Delivery, body: Mapping[str, Any], pause: float) -> bool:
        """Before it is sent: count the try and keep what is sent. Nobody else tries within `pause` seconds. False if
        another process was first."""
        values = {"attempts": delivery.attempts + 1, "not_before": now_ms() + int(pause * 1000), "body": dict(body)}
        mine = _is(delivery) & _WAITING & (deliveries.c.attempts == delivery.attempts)
        with self.writing() as connection:
            return connection.execute(update(deliveries).where(mine).values(values)).rowcount == 1

    def end_delivery(self, delivery: Delivery, *, error: str = "", is_last: bool = False) -> None:
        """After a claimed try: it was sent, or it failed, for good if it `is_last`. A failure does not
        count if another process claimed it meanwhile, because this one stood still for longer than the pause."""
        values: dict[str, Any] = {"error": error[:_KEPT]}
        if not error:
            values |= {"state": DeliveryState.SENT, "sent": now()}
        elif is_last:
            values["state"] = DeliveryState.GIVEN_UP
        mine = _is(delivery) & _WAITING
        if error:
            mine &= deliveries.c.attempts <= delivery.attempts + 1
        with self.writing() as connection:
            connection.execute(update(deliveries).where(mine).values(values))

    def delivery_list(self, *states: DeliveryState, limit: int) -> tuple[Delivery, ...]:
        """The newest deliveries (in some states), the newest first."""
        query = _delivery().order_by(deliveries.c.happening.desc(), deliveries.c.target).limit(limit)
        query = query.where(deliveries.c.state.in_(states)) if states else query
        with self.reading() as connection:
            return tuple(map(_of, connection.execute(query)))

    def retry_deliveries(self, target: str = "") -> int:
        """Begin anew with what was given up, and try at once what waits (of one target). Returns how many."""
        again: Any = deliveries.c.state.in_((DeliveryState.GIVEN_UP, DeliveryState.WAITING))
        again = again & (deliveries.c.target == target) if target else again
        values = {"state": DeliveryState.WAITING, "attempts": 0, "not_before": 0}
        with self.writing() as connection:
            return connection.execute(update(deliveries).where(again).values(values)).rowcount

    def delivery_counts(self) -> dict[DeliveryState, int]:
        """How many wait and were given up; those that were sent are not counted."""
        states = (DeliveryState.WAITING, DeliveryState.GIVEN_UP)
        query = select(deliveries.c.state, func.count()).where(deliveries.c.state.in_(states))
        with self.reading() as connection:
            found = {DeliveryState(s): int(n) for s, n in connection.execute(query.group_by(deliveries.c.state))}
        return {state: found.get(state, 0) for state in states}

    def forget_happenings(self, days: float = KEPT_DAYS) -> int:
        """Remove what is older, whether anybody was ever to be told or not, but what is still to be sent. Returns how
        many."""
        waits = select(deliveries.c.happening).where(_WAITING, deliveries.c.happening == happenings.c.id).exists()
        old = (happenings.c.at < now() - timedelta(days=days)) & ~waits
        with self.writing() as connection:
            return connection.execute(delete(happenings).where(old)).rowcount


def _delivery() -> Select[Any]:
    left = ((deliveries.c.not_before - now_ms()) / 1000.0).label("next_try")
    columns = [c for c in deliveries.columns if c.name not in ("happening", "not_before")]
    joined = select(happenings, *columns, left).join(deliveries, deliveries.c.happening == happenings.c.id)
    return joined  # noqa: RET504 - the type of a select that columns are splatted into


def _is(delivery: Delivery) -> Any:
    return (deliveries.c.happening == delivery.happening.id) & (deliveries.c.target == delivery.target)


def _of(row: Row[Any]) -> Delivery:
    happening = Happening(
        id=row.id,
        uid=row.uid,
        kind=Kind(row.kind),
        cascade=row.cascade,
        key=row.key,
        text=row.text,
        details=row.details,
        at=row.at,
    )
    return Delivery(
        happening=happening,
        target=row.target,
        state=DeliveryState(row.state),
        attempts=row.attempts,
        next_try=float(row.next_try),
        error=row.error,
        body=row.body,
        sent=row.sent,
    )
