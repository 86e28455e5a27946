"""Rebound wheels that stand in for builds, in stores, channels and the ledger."""

from __future__ import annotations

from pathlib import Path

import pytest
from cascade_farm import wheel
from plans import PLATFORM, digest, make_plan

from farm.errors import StoreError
from farm.index.contents import IndexFile
from farm.index.generations import Index
from farm.model.artifact import Artifact
from farm.model.outcome import Outcome
from farm.store import pins
from farm.store.artifacts import Store
from farm.store.ledger import Ledger
from farm.store.remote import layout
from farm.store.remote.directory import DirectoryRemote
from farm.store.shared import Shared
from farm.store.standing import judged, rebound_among, stand_in
from farm.store.sweep import sweep_store
from farm.workers.local import run_plan

KEY, OTHER = digest("key"), digest("other")


def stored(store: Store, tmp_path: Path, key: str, content: str) -> Artifact:
    path = tmp_path / f"d-1.0-{content}-py3-none-any.whl"
    path.write_bytes(content.encode())
    return store.put(key, path)


def test_a_stand_in_is_found_by_the_key_that_nobody_built(tmp_path: Path) -> None:
    store = Store(tmp_path / "store")
    moved = stored(store, tmp_path, digest("rebind"), "0moved")
    store.let_stand_in(KEY, moved)
    found = store.get(KEY)
    assert found is not None
    assert (found.key, found.filename, found.sha256) == (stand_in(KEY), moved.filename, moved.sha256)
    assert store.known([KEY, OTHER]) == store.get_all([KEY, OTHER, KEY]) == {KEY: found}
    strict = Store(tmp_path / "store", stand_ins=False)
    assert strict.get(KEY) is None
    assert strict.known([KEY]) == strict.get_all([KEY]) == {}
    assert store.get(stand_in(OTHER)) is None, "another key, another decision"


def test_only_what_is_stored_gets_another_name(tmp_path: Path) -> None:
    store = Store(tmp_path / "store")
    moved = stored(store, tmp_path, digest("rebind"), "0moved")
    store.path(moved).unlink()
    with pytest.raises(StoreError, match="its content is missing"):
        store.let_stand_in(KEY, moved)
    assert store.get(KEY) is None
    with pytest.raises(StoreError, match="is not a build key"):
        store.name("../key", moved)


def test_a_build_comes_first_and_the_first_stand_in_stays(tmp_path: Path) -> None:
    store = Store(tmp_path / "store")
    first, second = (stored(store, tmp_path, digest(name), name) for name in ("1", "2"))
    store.let_stand_in(KEY, first)
    store.let_stand_in(KEY, second)
    assert [each.filename for each in store.stood_in([KEY, OTHER])] == [first.filename]
    built = stored(store, tmp_path, KEY, "3")
    assert store.get(KEY) == built
    assert store.known([KEY]) == {KEY: built}
    store.let_stand_in(OTHER, first)
    store.let_stand_in(KEY, first)
    assert store.get(KEY) == built


def test_machines_share_what_stands_in(tmp_path: Path) -> None:
    common = tmp_path / "common"
    common.mkdir()
    mine, other = (Store(tmp_path / name, shared=Shared(DirectoryRemote(common))) for name in ("mine", "other"))
    mine.let_stand_in(KEY, stored(mine, tmp_path, digest("rebind"), "0moved"))
    assert other.known([KEY]).keys() == {KEY}
    found = other.get(KEY)
    assert found is not None
    assert other.verify(found)
    with other.pinned([KEY]):
        (pin,) = DirectoryRemote(common).entries(layout.PINS)
        assert layout.record(stand_in(KEY)) in (DirectoryRemote(common).read(pin.name) or b"").decode().split()


def test_what_keeps_a_key_keeps_its_stand_in(tmp_path: Path) -> None:
    store = Store(tmp_path / "store")
    store.let_stand_in(KEY, stored(store, tmp_path, digest("rebind"), "0moved"))
    with store.pinned([KEY]):
        assert stand_in(KEY) in pins.pinned_keys(store)
        sweep_store(store, keep_keys=(), keep_sha256=(), keep_days=0, dry_run=False)
        assert store.get(KEY) is not None
    sweep_store(store, keep_keys=(), keep_sha256=(), keep_days=0, dry_run=False)
    assert store.get(KEY) is None


def test_a_damaged_stand_in_counts_as_not_built(tmp_path: Path) -> None:
    store = Store(tmp_path / "store")
    store.let_stand_in(KEY, stored(store, tmp_path, digest("rebind"), "0moved"))
    found = store.get(KEY)
    assert found is not None
    store.path(found).chmod(0o644)
    store.path(found).write_bytes(b"x" * found.size)
    assert not store.verify(found)
    assert store.get(KEY) is None


def test_a_run_takes_it_and_the_ledger_hears_of_no_build(tmp_path: Path) -> None:
    plan = make_plan({"gmp": [], "gmpy2": ["gmp"]})
    store = Store(tmp_path / "store")
    gmp, gmpy2 = plan.steps
    stored(store, tmp_path, gmp.key, "gmp")
    store.let_stand_in(gmpy2.key, stored(store, tmp_path, digest("rebind"), "0moved"))
    with store.pinned([gmp.key]):  # as if a farm had been killed: the run looks at the ledger
        ledger = Ledger.open(tmp_path / "ledger.sqlite")
        result = run_plan(plan, lambda *_: pytest.fail("nothing is to be built"), store=store, ledger=ledger, jobs=1)
    assert result.ok
    assert rebound_among(plan.steps, result.artifacts) == [gmpy2.id]
    assert ledger.built(gmp.key) is not None
    assert ledger.built(gmpy2.key) is None
    ledger.record_verdict(judged(gmpy2, result.artifacts[gmpy2.id], ledger), "smoke", Outcome.FAILED, reason="no")
    assert ledger.verdicts([gmpy2.key]) == {}, "a build is judged by what it does itself"
    known = ledger.step(stand_in(gmpy2.key))
    assert known is not None
    assert known.id == gmpy2.id, "messages can name it"
    assert ledger.last_built(gmpy2.slot) is None
    ledger.close()


def test_a_channel_offers_the_build_instead_of_what_stood_in(tmp_path: Path) -> None:
    index = Index(tmp_path / "index")
    old = wheel(tmp_path, "gmpy2", "2.2", tag=f"0r01.abcdef01-py3-none-{PLATFORM}", content="moved")
    new = wheel(tmp_path, "gmpy2", "2.2", tag=f"py3-none-{PLATFORM}", content="built")
    index.publish("staging", [IndexFile(path=old)])
    index.publish("staging", [IndexFile(path=new)], dropped={old.name, "not-there-1.0-py3-none-any.whl"})
    served = index.current("staging")
    assert served is not None
    assert [file.filename for file in index.files_in(served)] == [new.name]
