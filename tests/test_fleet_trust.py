"""Whom a worker trusts: for how long, for what, and how that is taken away while it runs."""

from __future__ import annotations

import threading
import time
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from plans import digest
from test_fleet_orders import ORDER, STEP, Silent, ledger, refusal

from farm.errors import FleetError, UsageError
from farm.fleet import signing, trust
from farm.fleet.doing import Done
from farm.fleet.order import Order
from farm.fleet.slot import Slot
from farm.model.job import JobEnd, JobState, NewJob
from farm.process import Cancel
from farm.store.ledger import Ledger

__all__ = ["ledger"]  # a fixture


@pytest.mark.parametrize("option", ["until=soon", "until=2027-13-01", "recipes=", "recipes=a,,b", "unless=2027-01-01"])
def test_an_option_that_is_not_understood_is_a_fault(tmp_path: Path, option: str) -> None:
    made = signing.make_key(tmp_path / "key.pem")
    (tmp_path / "trusted").write_text(f"build {made.public} {option} me\n")
    with pytest.raises(FleetError, match="line 1: is no trusted key"):
        trust.read(tmp_path / "trusted")


def test_a_key_counts_for_some_recipes_and_for_some_time(ledger: Ledger, tmp_path: Path) -> None:
    keys = {name: signing.make_key(tmp_path / f"{name}.pem") for name in ("old", "narrow", "good")}
    today = ledger.clock().date()
    lines = [
        trust.line_of(keys["old"], ["build"], "the old machine", until=str(today - timedelta(days=1))),
        trust.line_of(keys["narrow"], ["build"], "zlib's machine", recipes=["zlib", "py*"]),
        trust.line_of(keys["good"], ["build"], "us", until=str(today), recipes=[f"{STEP.recipe[:2]}*"]),
    ]
    for line in lines:
        trust.trust(tmp_path / "trusted", line)
        trust.trust(tmp_path / "trusted", line)
    assert len((tmp_path / "trusted").read_text().splitlines()) == 3
    assert f"of the old machine, which was good until {today - timedelta(days=1)}" in refusal(
        ledger, tmp_path, ORDER, keys["old"]
    )
    said = refusal(ledger, tmp_path, ORDER, keys["narrow"])
    assert f"asks for {STEP.recipe}, which the key of zlib's machine may not: it may zlib,py*" in said
    signed = trust.Signed(signer=keys["good"].name, text=ORDER.text(), signature=keys["good"].sign(ORDER.text()))
    trust.check(trust.read(tmp_path / "trusted"), signed, ORDER, ledger.clock)


def test_what_was_asked_for_last_counts(tmp_path: Path) -> None:
    key, other = (signing.make_key(tmp_path / name) for name in ("key.pem", "other.pem"))
    lines = [trust.line_of(key, rights, "me") for rights in (("build", "pr"), ("pr",), ("build", "pr"))]
    for line in (*lines, trust.line_of(other, ("pr",), "them"), lines[-1]):
        trust.trust(tmp_path / "trusted", line)
    assert trust.read(tmp_path / "trusted")[key.name].rights == {"build", "pr"}
    assert len((tmp_path / "trusted").read_text().splitlines()) == 4


@pytest.mark.parametrize("options", [{"until": "soon"}, {"recipes": ["a b"]}, {"recipes": [""]}])
def test_a_line_that_would_be_none_is_not_made(tmp_path: Path, options: dict[str, Any]) -> None:
    made = signing.make_key(tmp_path / "key.pem")
    with pytest.raises(UsageError, match="no line of a list"):
        trust.line_of(made, ["build"], "x=y" if "a b" in str(options) else "me", **options)


class Doing:
    """A doer that says that it has done it."""

    def __init__(self) -> None:
        self.done: list[str] = []

    def __call__(self, order: Order, cancel: object, tell: object) -> Done:
        self.done.append(order.key)
        return Done(ok=True)


def test_a_key_that_is_taken_off_the_list_counts_no_more_at_once(ledger: Ledger, tmp_path: Path) -> None:
    """The worker is not restarted. A list that is damaged or gone trusts nobody, and nothing is lost meanwhile."""
    ours, theirs = (signing.make_key(tmp_path / f"{name}.pem") for name in ("ours", "theirs"))
    path, both = tmp_path / "trusted", [trust.line_of(key, ["build"], "us") for key in (ours, theirs)]
    doing = Doing()
    heard: list[JobEnd] = []

    def put(text: str) -> None:
        (tmp_path / "new").write_text(text)
        (tmp_path / "new").replace(path)

    def submit(name: str, by: signing.Signer) -> str:
        order = ORDER.model_copy(update={"key": digest(name)})
        job = NewJob(
            run="r", what=name, queue="build", key=order.key, payload=order.text(), signer=by.name,
            signature=by.sign(order.text()),
        )  # fmt: skip
        ledger.submit_jobs([job])
        return order.key

    def ends() -> dict[str, JobState]:
        deadline = time.monotonic() + 30
        found: dict[str, JobState] = {}
        while not found and time.monotonic() < deadline:
            heard[:] = ledger.ended_jobs("r", heard)
            found = {end.what: end.state for end in heard}
            time.sleep(0.02)
        return found

    put("\n".join(both))
    slot = Slot(
        ledger=ledger,
        queues=["build"],
        doers={"build": doing},
        trusted=trust.TrustFile(path),
        right="build",
        screen=Silent(),
    )
    stop, wake = Cancel(), threading.Event()
    serving = threading.Thread(target=slot.serve, args=(stop, threading.Event(), wake))
    serving.start()
    try:
        submit("first", theirs)
        wake.set()
        assert ends() == {"first": JobState.DONE}
        put(f"{both[0]}\n")
        submit("second", theirs)
        wake.set()
        assert ends() == {"second": JobState.FAILED}
        path.write_text("half a li")
        third = submit("third", ours)
        wake.set()
        time.sleep(0.5)
        assert third not in doing.done
        put("\n".join(both))
        wake.set()
        assert ends() == {"third": JobState.DONE}
        submit("fourth", theirs)
        wake.set()
        assert ends() == {"fourth": JobState.DONE}
    finally:
        stop.set()
        wake.set()
        serving.join()
