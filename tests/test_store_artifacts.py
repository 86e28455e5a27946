"""The store keeps what it was given, whole, whatever happens."""

from __future__ import annotations

import hashlib
import logging
import os
import random
import resource
import signal
import stat
import subprocess
import sys
import threading
import time
from pathlib import Path

import pytest
from disks import small_disk
from plans import digest

from farm.errors import StoreError
from farm.store.artifacts import Store
from farm.store.pointers import Conflict
from farm.store.sweep import sweep_store

KEY = digest("key")


def wheel(tmp_path: Path, content: bytes, name: str = "native_gmp-10!6.3.0-py3-none-any.whl") -> Path:
    path = tmp_path / name
    path.write_bytes(content)
    return path


def test_put_and_get(tmp_path: Path) -> None:
    store = Store(tmp_path / "store")
    assert store.get(KEY) is None
    artifact = store.put(KEY, wheel(tmp_path, b"content"))
    assert store.get(KEY) == artifact
    assert list(store.keys()) == [KEY]
    assert artifact.sha256 == hashlib.sha256(b"content").hexdigest()
    path = store.path(artifact)
    assert path == tmp_path / "store" / "blobs" / artifact.sha256[:2] / artifact.sha256 / artifact.filename
    assert stat.S_IMODE(path.stat().st_mode) == 0o444
    with store.open(artifact) as stream:
        assert stream.read() == b"content"
    assert store.put(KEY, wheel(tmp_path, b"content")) == artifact
    assert not list((tmp_path / "store" / "tmp").iterdir())


def test_one_key_never_means_two_things(tmp_path: Path) -> None:
    """A build that is not reproducible keeps its first wheel, and somebody is told."""
    told: list[Conflict] = []
    store = Store(tmp_path / "store", on_conflict=told.append)
    first = store.put(KEY, wheel(tmp_path, b"first"))
    assert store.put(KEY, wheel(tmp_path, b"second")) == first
    assert [c.other_sha256 for c in told] == [hashlib.sha256(b"second").hexdigest()]
    assert store.open(first).read() == b"first"


@pytest.mark.parametrize("damage", ["changed", "cut", "gone"])
def test_damaged_content_counts_as_not_built(tmp_path: Path, damage: str, caplog: pytest.LogCaptureFixture) -> None:
    store = Store(tmp_path / "store")
    artifact = store.put(KEY, wheel(tmp_path, b"content"))
    path = store.path(artifact)
    path.chmod(0o644)
    if damage == "gone":
        path.unlink()
    else:
        path.write_bytes(b"CONTENT" if damage == "changed" else b"cont")
    with caplog.at_level(logging.WARNING):
        assert not store.verify(artifact)
    assert "counts as not built" in caplog.text
    assert store.get(KEY) is None
    with pytest.raises(StoreError, match="damaged or missing"):
        store.open(artifact)
    assert store.put(KEY, wheel(tmp_path, b"content")) == artifact
    assert store.verify(artifact)


@pytest.mark.parametrize(
    "pointer",
    [
        b"",
        b"{",
        b"[]",
        b"\xff",
        b'{"key": "k", "filename": "../../../etc/passwd", "sha256": "x", "size": 1}',
        f'{{"key": "{KEY}", "filename": "../x", "sha256": "{KEY}", "size": 1}}'.encode(),
        f'{{"key": "{KEY}", "filename": 5, "sha256": "{KEY}", "size": 1}}'.encode(),
        f'{{"key": "{KEY}", "filename": "x.whl", "sha256": ["x"], "size": 1}}'.encode(),
        f'{{"key": "{KEY}", "filename": "x.whl", "sha256": "{KEY}", "size": 1e999}}'.encode(),
    ],
)
def test_damaged_or_hostile_pointers_are_not_believed(tmp_path: Path, pointer: bytes) -> None:
    store = Store(tmp_path / "store")
    store.put(KEY, wheel(tmp_path, b"content"))
    path = store.pointer_path(KEY)
    path.chmod(0o644)
    path.write_bytes(pointer)
    assert store.get(KEY) is None
    store.put(KEY, wheel(tmp_path, b"content"))
    assert store.get(KEY) is not None


def test_a_key_that_is_no_key_is_refused(tmp_path: Path) -> None:
    with pytest.raises(StoreError, match="not a build key"):
        Store(tmp_path / "store").put("../../x", wheel(tmp_path, b""))


def test_a_missing_wheel_is_said_with_its_path(tmp_path: Path) -> None:
    with pytest.raises(StoreError, match="nothere"):
        Store(tmp_path / "store").put(KEY, tmp_path / "nothere.whl")


def test_a_full_disk_leaves_nothing_half_written(tmp_path: Path) -> None:
    with small_disk(tmp_path / "disk", "1m") as disk:
        store = Store(disk / "store")
        kept = store.put(KEY, wheel(tmp_path, b"small"))
        with pytest.raises(StoreError, match="no space left") as caught:
            store.put(digest("big"), wheel(tmp_path, os.urandom(3_000_000)))
        assert "farm gc" in caught.value.fix
        assert list(store.keys()) == [KEY]
        assert not list((disk / "store" / "tmp").iterdir())
        assert store.verify(kept)
        store.put(digest("other"), wheel(tmp_path, b"fits again"))


def test_a_file_size_limit_is_a_full_disk_too(tmp_path: Path) -> None:
    script = f"""
import resource, sys
from pathlib import Path
from farm.store.artifacts import Store
from farm.errors import StoreError
resource.setrlimit(resource.RLIMIT_FSIZE, (1000, 1000))
try:
    Store(Path({str(tmp_path / "store")!r})).put({KEY!r}, Path({str(wheel(tmp_path, b"x" * 5000))!r}))
except StoreError as error:
    sys.exit("no space left" in str(error) and 42)
"""
    assert resource.getrlimit(resource.RLIMIT_FSIZE)[1] == resource.RLIM_INFINITY
    assert subprocess.run([sys.executable, "-c", script], check=False).returncode == 42
    assert not list((tmp_path / "store" / "tmp").iterdir())
    assert Store(tmp_path / "store").get(KEY) is None


_PUTTER = """
import sys
from pathlib import Path
from farm.store.artifacts import Store
root, seed = Path(sys.argv[1]), sys.argv[2]
store = Store(root / "store")
import hashlib
print("ready", flush=True)
for number in range(100000):
    key = hashlib.sha256(f"{seed}-{number}".encode()).hexdigest()
    path = root / f"w{seed}-1-py3-none-any.whl"
    path.write_bytes(key.encode() * 5000)
    store.put(key, path)
    print(key, flush=True)
"""


@pytest.mark.parametrize("seed", range(6))
def test_kill_in_the_middle_of_put_loses_nothing_that_was_promised(tmp_path: Path, seed: int) -> None:
    chance = random.Random(seed)
    child = subprocess.Popen(
        [sys.executable, "-c", _PUTTER, str(tmp_path), str(seed)], stdout=subprocess.PIPE, text=True
    )
    assert child.stdout is not None
    child.stdout.readline()
    time.sleep(chance.uniform(0.01, 0.25))
    child.send_signal(signal.SIGKILL)
    promised = [line.strip() for line in child.stdout if len(line) == 65]
    child.wait()
    child.stdout.close()
    store = Store(tmp_path / "store")
    for key in promised:
        assert store.get(key) is not None, "put had returned"
    for key in list(store.keys()):
        artifact = store.get(key)
        assert artifact is not None, "whoever sees a pointer sees a whole wheel"
        assert store.verify(artifact)
    sweep_store(store, keep_keys=set(store.keys()), keep_sha256=(), keep_days=0, dry_run=False)
    assert not list((tmp_path / "store" / "tmp").glob("*"))  # not even made if it was killed at once


def test_many_threads_putting_the_same_key_agree(tmp_path: Path) -> None:
    told: list[Conflict] = []
    store = Store(tmp_path / "store", on_conflict=told.append)
    found = []

    def put(number: int) -> None:
        path = wheel(tmp_path, f"content {number}".encode(), f"a{number}-1-py3-none-any.whl")
        found.append(store.put(KEY, path))

    threads = [threading.Thread(target=put, args=(n,)) for n in range(12)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(set(found)) == 1
    assert len(told) == 11
    assert store.get(KEY) == found[0]


def test_sweep_keeps_what_is_named_pinned_or_young(tmp_path: Path) -> None:
    store = Store(tmp_path / "store")
    keys = {name: digest(name) for name in ("named", "pinned", "served", "old", "twin of served")}
    for name, key in keys.items():
        content = b"served" if "served" in name else name.encode()
        store.put(key, wheel(tmp_path, content, "a-1-py3-none-any.whl"))
    served = hashlib.sha256(b"served").hexdigest()
    young = sweep_store(store, keep_keys=(), keep_sha256=(), keep_days=1, dry_run=False)
    assert young == []
    with store.pinned([keys["pinned"]]):
        planned = sweep_store(store, keep_keys={keys["named"]}, keep_sha256={served}, keep_days=0, dry_run=True)
        assert len(set(store.keys())) == 5
        done = sweep_store(store, keep_keys={keys["named"]}, keep_sha256={served}, keep_days=0, dry_run=False)
    assert done == planned
    assert [(r.kind, r.size) for r in done] == [("artifact", 3)]
    assert set(store.keys()) == set(keys.values()) - {keys["old"]}
    assert not (tmp_path / "store" / "blobs" / digest("old")[:2]).exists()
    assert not list((tmp_path / "store" / "pins").iterdir())


def test_pins_of_killed_farms_do_not_count(tmp_path: Path) -> None:
    store = Store(tmp_path / "store")
    store.put(KEY, wheel(tmp_path, b"old"))
    script = f"""
import os, signal
from pathlib import Path
from farm.store.artifacts import Store
with Store(Path({str(tmp_path / "store")!r})).pinned([{KEY!r}]):
    os.kill(os.getpid(), signal.SIGKILL)
"""
    subprocess.run([sys.executable, "-c", script], check=False)
    assert len(list((tmp_path / "store" / "pins").iterdir())) == 1
    sweep_store(store, keep_keys=(), keep_sha256=(), keep_days=0, dry_run=False)
    assert list(store.keys()) == []
