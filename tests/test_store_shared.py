"""Machines that share a store: what one publishes the others find, whole, whatever is killed or damaged and when."""

from __future__ import annotations

import argparse
import functools
import hashlib
import logging
import os
import shutil
import signal
import subprocess
import sys
import threading
from collections.abc import Callable, Mapping
from pathlib import Path

import pytest
from plans import digest, make_plan

from farm.cli import logs
from farm.errors import BuildError, StoreError, UnavailableError, UsageError
from farm.model.artifact import Artifact
from farm.model.plan import Step
from farm.settings import load
from farm.store.artifacts import Store, open_store
from farm.store.ledger import Ledger
from farm.store.logs import bring_log, keep_log
from farm.store.owner import this_process
from farm.store.pointers import Conflict
from farm.store.remote import layout
from farm.store.remote.address import connect
from farm.store.remote.directory import DirectoryRemote
from farm.store.remote.patient import Patient
from farm.store.shared import Shared
from farm.workers.local import run_plan

KEY = digest("key")
NAME = "native_gmp-10!6.3.0-py3-none-any.whl"


@pytest.fixture
def common(tmp_path: Path) -> Path:
    place = tmp_path / "common"
    place.mkdir()
    return place


@pytest.fixture
def machine(tmp_path: Path, common: Path) -> Callable[..., Store]:
    """A store of a machine, by name, before the shared directory."""

    def made(name: str, **options: object) -> Store:
        return Store(tmp_path / name, shared=Shared(DirectoryRemote(common)), **options)  # type: ignore[arg-type]

    return made


def wheel(tmp_path: Path, content: bytes, name: str = NAME) -> Path:
    path = tmp_path / "dist" / name
    path.parent.mkdir(exist_ok=True)
    path.write_bytes(content)
    return path


def test_what_one_machine_built_the_other_has(tmp_path: Path, machine: Callable[..., Store], common: Path) -> None:
    mine, other = machine("mine"), machine("other")
    assert other.get(KEY) is None
    artifact = mine.put(KEY, wheel(tmp_path, b"content"))
    assert other.known([KEY, digest("none")]) == {KEY: artifact}
    assert not other.path(artifact).exists(), "to know of a wheel brings no content"
    assert other.get(KEY) == artifact
    assert other.open(artifact).read() == b"content"
    assert other.get_all([KEY, digest("none")]) == {KEY: artifact}
    assert not list((common / "tmp").iterdir())
    assert not list((tmp_path / "other" / "tmp").iterdir())


def test_the_first_publication_is_what_a_key_means_for_all(tmp_path: Path, machine: Callable[..., Store]) -> None:
    told: list[Conflict] = []
    mine, other = machine("mine"), machine("other", on_conflict=told.append)
    first = mine.put(KEY, wheel(tmp_path, b"first"))
    assert other.put(KEY, wheel(tmp_path, b"second")) == first
    assert [conflict.kept for conflict in told] == [first]
    assert other.get(KEY) == first
    assert other.open(first).read() == b"first"


def test_of_many_machines_that_publish_at_once_one_is_first(tmp_path: Path, machine: Callable[..., Store]) -> None:
    stores = [machine(f"m{n}", on_conflict=lambda _conflict: None) for n in range(8)]
    barrier = threading.Barrier(8)
    kept = []

    def publish(number: int) -> None:
        path = tmp_path / f"w{number}" / NAME
        path.parent.mkdir()
        path.write_bytes(b"build %d" % number)
        barrier.wait()
        kept.append(stores[number].put(KEY, path).sha256)

    threads = [threading.Thread(target=publish, args=(n,)) for n in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(kept) == 8
    assert len(set(kept)) == 1
    assert {store.get(KEY).sha256 for store in stores} == set(kept)  # type: ignore[union-attr]


def test_what_was_built_before_there_was_a_shared_store_is_published_when_it_is_used(
    tmp_path: Path, machine: Callable[..., Store]
) -> None:
    artifact = Store(tmp_path / "mine").put(KEY, wheel(tmp_path, b"content"))
    assert machine("other").get(KEY) is None
    assert machine("mine").get(KEY) == artifact
    assert machine("other").get(KEY) == artifact


@pytest.mark.parametrize("damage", ["changed", "cut", "gone"])
def test_damage_in_the_shared_store_is_never_handed_out_and_the_next_build_mends_it(
    tmp_path: Path, machine: Callable[..., Store], common: Path, damage: str, caplog: pytest.LogCaptureFixture
) -> None:
    artifact = machine("mine").put(KEY, wheel(tmp_path, b"content"))
    blob = common / layout.blob(artifact.sha256, artifact.filename)
    if damage == "gone":
        blob.unlink()
    else:
        blob.chmod(0o644)
        blob.write_bytes(b"CONTENT" if damage == "changed" else b"cont")
    other = machine("other")
    with caplog.at_level(logging.WARNING):
        assert other.get(KEY) is None
    assert "counts as not built" in caplog.text
    assert "is missing" in caplog.text if damage == "gone" else "is damaged" in caplog.text
    assert not list((tmp_path / "other").glob("blobs/??/*/*"))
    assert other.put(KEY, wheel(tmp_path, b"content")) == artifact
    assert machine("third").get(KEY) == artifact


@pytest.mark.parametrize("content", [b"", b"{", b"[]", b'{"key": 1}', b'{"format": 1}'])
def test_a_damaged_record_counts_as_not_built(
    tmp_path: Path, machine: Callable[..., Store], common: Path, content: bytes, caplog: pytest.LogCaptureFixture
) -> None:
    machine("mine").put(KEY, wheel(tmp_path, b"content"))
    (common / layout.record(KEY)).write_bytes(content)
    other = machine("other")
    with caplog.at_level(logging.WARNING):
        assert other.get(KEY) is None
    assert "the record" in caplog.text
    artifact = other.put(KEY, wheel(tmp_path, b"other"))
    assert machine("third").get(KEY) == artifact


KILLED = """
import os, signal, sys
from pathlib import Path
from farm.store import files
from farm.store.artifacts import Store
from farm.store.remote.directory import DirectoryRemote
from farm.store.shared import Shared

left = int(sys.argv[4])

def counted(call):
    def wrapped(*args, **kwargs):
        global left
        left -= 1
        if left < 0:
            os.kill(os.getpid(), signal.SIGKILL)
        return call(*args, **kwargs)
    return wrapped

for name in ("open", "fsync", "link", "replace", "rename", "unlink", "mkdir"):
    setattr(os, name, counted(getattr(os, name)))
store = Store(Path(sys.argv[1]), shared=Shared(DirectoryRemote(Path(sys.argv[2]))))
artifact = store.put(sys.argv[5], Path(sys.argv[3])) if sys.argv[3] else store.get(sys.argv[5])
assert artifact is not None
print("done")
"""


@pytest.mark.parametrize("step", [9, pytest.param(1, marks=pytest.mark.slow)])
@pytest.mark.parametrize("act", ["put", "get"])
def test_kill_9_at_any_moment_leaves_nothing_wrong(
    tmp_path: Path, machine: Callable[..., Store], common: Path, act: str, step: int
) -> None:
    """Killed before any call that changes a disk: others see the whole wheel or none, and the next try works."""
    source = wheel(tmp_path, b"content" * 1000)
    expected = hashlib.sha256(b"content" * 1000).hexdigest()
    done = False
    for moment in range(0, 100, step):
        key = digest(f"{act}{moment}")
        if act == "get":
            machine("maker").put(key, source)
        arguments = [str(tmp_path / "victim"), str(common), str(source) if act == "put" else "", str(moment), key]
        ended = subprocess.run([sys.executable, "-c", KILLED, *arguments], capture_output=True, text=True, check=False)
        done = "done" in ended.stdout
        assert done or ended.returncode == -signal.SIGKILL, ended.stderr
        seen = machine(f"reader{moment}").get(key)
        assert (seen is not None) or (act == "put" and not done)
        victim = machine("victim")
        artifact = victim.get(key) or victim.put(key, source)
        assert artifact.sha256 == expected
        assert victim.verify(artifact)
        assert machine(f"late{moment}").get(key) == artifact
        if done:
            break
    assert done, "the last round was not killed"


class Flaky:
    """A remote whose calls fail a number of times."""

    def __init__(self, inner: DirectoryRemote, failures: int) -> None:
        self._inner, self.failures = inner, failures

    def __getattr__(self, name: str) -> object:
        value = getattr(self._inner, name)
        if not callable(value):
            return value

        def call(*args: object) -> object:
            if self.failures > 0:
                self.failures -= 1
                raise UnavailableError("it restarts", where="there")
            return value(*args)

        return call


def test_what_passes_is_tried_again_with_growing_pauses(tmp_path: Path, common: Path) -> None:
    waited: list[float] = []
    flaky = Flaky(DirectoryRemote(common), 3)
    store = Store(tmp_path / "mine", shared=Shared(Patient(flaky, sleep=waited.append)))  # type: ignore[arg-type]
    artifact = store.put(KEY, wheel(tmp_path, b"content"))
    assert len(waited) == 3
    assert waited[2] > waited[0]
    flaky.failures = 1000
    with pytest.raises(UnavailableError, match="it restarts"):
        store.get(digest("other"))
    assert store.get(KEY) == artifact, "what is here needs no server"


def test_published_here_but_not_there_is_published_later(tmp_path: Path, common: Path) -> None:
    flaky = Flaky(DirectoryRemote(common), 0)
    store = Store(tmp_path / "mine", shared=Shared(Patient(flaky, pauses=())))  # type: ignore[arg-type]
    flaky.failures = 1
    with pytest.raises(UnavailableError):
        store.put(KEY, wheel(tmp_path, b"content"))
    assert not (common / layout.record(KEY)).exists()
    artifact = store.get(KEY)
    assert artifact is not None
    assert (common / layout.record(KEY)).exists()


def test_a_directory_that_is_not_mounted_is_no_empty_store(tmp_path: Path) -> None:
    store = Store(tmp_path / "mine", shared=Shared(DirectoryRemote(tmp_path / "gone")))
    with pytest.raises(StoreError, match="does not exist") as raised:
        store.get(KEY)
    assert "mount it" in raised.value.fix
    assert not (tmp_path / "gone").exists()


def test_a_place_that_does_not_keep_the_first_is_refused(tmp_path: Path, common: Path) -> None:
    """As services do that ignore If-None-Match."""

    class Forgetful(DirectoryRemote):
        def create(self, name: str, data: bytes) -> bool:
            self.write(name, data)
            return True

    store = Store(tmp_path / "mine", shared=Shared(Forgetful(common)))
    with pytest.raises(StoreError, match="ignores `If-None-Match"):
        store.put(KEY, wheel(tmp_path, b"content"))
    assert not (common / layout.record(KEY)).exists()


@pytest.mark.parametrize("content", [b"", b"{}", b"[" * 100_000, b'{"format": 99}'])
def test_a_store_of_another_format_is_not_written_to(tmp_path: Path, common: Path, content: bytes) -> None:
    (common / layout.MARKER).write_bytes(content)
    store = Store(tmp_path / "mine", shared=Shared(DirectoryRemote(common)))
    with pytest.raises(StoreError, match=r"format|damaged"):
        store.put(KEY, wheel(tmp_path, b"content"))
    assert [path.name for path in common.iterdir() if path.is_file()] == [layout.MARKER]


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("store", "absolute"),
        ("ftp://host/store", "ftp://"),
        ("s3://", "no address"),
        ("https://user:hunter2@host/store", "credentials"),
        ("s3://AKIA:hunter2@bucket/prefix", "credentials"),
        ("https://host/store#hunter2", "no address"),
        ("http://[host/store", "no URL"),
    ],
)
def test_an_address_that_means_nothing_is_refused_without_repeating_secrets(text: str, said: str) -> None:
    with pytest.raises(UsageError, match=said) as raised:
        connect(text)
    assert "hunter2" not in str(raised.value)


def test_the_environment_names_the_store(tmp_path: Path, common: Path) -> None:
    environ = {"FARM_STORE": str(common), "FARM_HOME": str(tmp_path / "home")}
    store = open_store(load(environ=environ))
    artifact = store.put(KEY, wheel(tmp_path, b"content"))
    assert (common / layout.blob(artifact.sha256, NAME)).read_bytes() == b"content"
    alone = open_store(load(environ={"FARM_HOME": environ["FARM_HOME"]}))
    assert alone.shared is None
    assert alone.get(KEY) == artifact


def test_a_full_shared_disk_says_so_and_keeps_nothing_half(
    tmp_path: Path, machine: Callable[..., Store], common: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    store = machine("mine")
    store.put(digest("first"), wheel(tmp_path, b"first"))
    real = os.fsync

    def full(handle: int) -> None:
        if str(common) in str(Path(f"/proc/self/fd/{handle}").readlink()):
            raise OSError(28, "No space left on device")
        real(handle)

    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(StoreError, match="no space left"):
        store.put(KEY, wheel(tmp_path, b"content"))
    monkeypatch.undo()
    assert not list((common / "tmp").iterdir())
    assert machine("other").get(KEY) is None
    assert store.get(KEY) is not None
    assert machine("other").get(KEY) is not None


def test_what_another_machine_built_is_not_built_again(tmp_path: Path, machine: Callable[..., Store]) -> None:
    """Each has its own ledger and store; only the wheels are shared."""
    plan = make_plan({"a": [], "b": ["a"], "c": ["b"]})
    built: list[str] = []

    def builder(store: Store) -> Callable[..., Artifact]:
        def build(step: Step, deps: Mapping[str, Artifact], _cancel: object, _report: object) -> Artifact:
            assert all(store.verify(artifact) for artifact in deps.values())
            built.append(step.recipe)
            return store.put(step.key, wheel(tmp_path, step.key.encode(), f"{step.recipe}-1-py3-none-any.whl"))

        return build

    for name in ("mine", "other"):
        store = machine(name)
        ledger = f"sqlite:///{tmp_path}/{name}.sqlite"
        result = run_plan(
            plan, builder(store), store=store, ledger=functools.partial(Ledger.open, ledger), jobs=2, logs=tmp_path
        )
        assert result.ok
        assert all(store.path(artifact).is_file() for artifact in result.artifacts.values())
    assert built == ["a", "b", "c"]


def test_the_log_of_a_try_is_found_on_another_machine(tmp_path: Path, machine: Callable[..., Store]) -> None:
    log = tmp_path / "logs" / f"{KEY}.log"
    log.parent.mkdir()
    log.write_text("checking for gcc... no\n")
    keep_log(machine("mine"), KEY, 7, log)
    log.write_text("the next try\n")
    host = this_process().host
    found = bring_log(machine("other"), KEY, 7, host, tmp_path / "other-logs")
    assert found is not None
    assert found.read_text() == "checking for gcc... no\n"
    assert [path.name for path in found.parent.iterdir()] == [found.name]
    assert bring_log(machine("other"), KEY, 8, host, tmp_path / "other-logs") is None
    assert bring_log(machine("other"), KEY, 7, "elsewhere", tmp_path / "other-logs") is None
    assert not list((tmp_path / "mine" / "tmp").iterdir())


def test_no_build_fails_for_its_log(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    log = tmp_path / "x.log"
    log.write_text("text")
    with caplog.at_level(logging.WARNING):
        keep_log(Store(tmp_path / "mine", shared=Shared(DirectoryRemote(tmp_path / "gone"))), KEY, 1, log)
    assert "is not in the shared store" in caplog.text


def test_a_run_leaves_its_logs_in_the_shared_store(
    tmp_path: Path, machine: Callable[..., Store], capsys: pytest.CaptureFixture[str], common: Path
) -> None:
    """Built by one machine, looked at on another with the same ledger, where no such file is."""
    plan = make_plan({"a": []})
    ledger = f"sqlite:///{tmp_path}/ledger.sqlite"

    def build(step: Step, _deps: object, _cancel: object, _report: object) -> Artifact:
        (tmp_path / "logs").mkdir(exist_ok=True)
        (tmp_path / "logs" / f"{step.key}.log").write_text(f"output of {step.id}\n")
        raise BuildError("it does not compile")

    run_plan(plan, build, store=machine("mine"), ledger=lambda: Ledger.open(ledger), jobs=1, logs=tmp_path / "logs")
    with Ledger.open(ledger) as opened:
        attempt = opened.attempts_of(plan.steps[0].key)[0]
    shutil.rmtree(tmp_path / "logs")
    environ = {"FARM_STORE": str(common), "FARM_HOME": str(tmp_path / "home"), "FARM_LEDGER": ledger}
    assert logs.run(argparse.Namespace(step=plan.steps[0].id, tail=None, path=False), load(environ=environ)) == 0
    said = capsys.readouterr()
    assert said.out == f"output of {plan.steps[0].id}\n"
    assert "failed" in said.err
    assert attempt.error.startswith("it does not compile")
