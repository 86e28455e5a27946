"""`farm index repair`: a damaged generation, the only one of its channel, is the same again, or an error says why."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from overlay_factory import NOW, unsigned
from wheel_factory import make_wheel

from farm.cli import run
from farm.errors import IndexFormatError
from farm.index import overlays
from farm.index.contents import IndexFile, ProjectStatus
from farm.index.generations import Index
from farm.store.artifacts import Store

GMP = "native_gmp-10!6.3.0-py3-none-manylinux_2_17_x86_64.whl"
USER = "some_user-1.0-py3-none-any.whl"


class Farm:
    """A home whose store and index have two wheels, one of them yanked."""

    def __init__(self, root: Path) -> None:
        self.home = root / "home"
        self.home.mkdir()
        (self.home / ".farm").write_text('{"format": 1}')
        self.index = Index(self.home / "index")
        store = Store(self.home / "store")
        kept = store.put("ab" * 32, make_wheel(root / "dist", GMP, Requires_Python=">=3.11"))
        user = make_wheel(root / "dist", USER, requires=("native-mpfr>=6!4.2",))
        files = [IndexFile(path=store.path(kept)), IndexFile(path=user)]
        self.index.publish("staging", files, now=NOW)
        self.index.yank("staging", [GMP], "too old", now=NOW)
        self.index.prune("staging", keep=1)

    def listing(self, number: int) -> Path:
        return self.home / "index" / f"staging@{number:06d}" / "files.json"

    def pooled(self, filename: str) -> Path:
        return next((self.home / "index" / "files").glob(f"*/*/{filename}"))

    def __call__(self, *words: str) -> int:
        return run(["--home", str(self.home), "--catalog", str(self.home), "index", "repair", *words])


@pytest.fixture
def farm(tmp_path: Path) -> Farm:
    return Farm(tmp_path)


def test_the_only_generation_without_its_files_json(farm: Farm, capsys: pytest.CaptureFixture[str]) -> None:
    """Nothing that a channel does works then, and there is no other generation to go to."""
    whole = farm.listing(2).read_bytes()
    farm.listing(2).write_bytes(whole[:100])
    with pytest.raises(IndexFormatError, match="farm index repair"):
        farm.index.live()
    assert farm("--dry-run") == 0
    assert farm.listing(2).read_bytes() == whole[:100]
    assert farm() == 0
    assert farm.listing(2).read_bytes() == whole
    farm.listing(2).unlink()
    assert farm("--json") == 0
    assert farm.listing(2).read_bytes() == whole
    capsys.readouterr()
    assert farm() == 0
    assert capsys.readouterr().out == "staging@000002 is whole: 2 wheels, every hash is right\n"


def test_a_wheel_comes_from_the_store_again(farm: Farm, capsys: pytest.CaptureFixture[str]) -> None:
    place = farm.pooled(GMP)
    whole = place.read_bytes()
    place.unlink()
    place.write_bytes(whole[:-1] + b"x")
    place.with_name(GMP + ".metadata").unlink()
    assert farm("--json") == 0
    assert json.loads(capsys.readouterr().out)["mended"] == [GMP]
    assert place.read_bytes() == whole
    assert b"Requires-Python: >=3.11" in place.with_name(GMP + ".metadata").read_bytes()


def test_a_wheel_that_is_nowhere_is_named_and_nothing_is_written(
    farm: Farm, capsys: pytest.CaptureFixture[str]
) -> None:
    farm.pooled(USER).unlink()
    farm.listing(2).unlink()
    assert farm() == 11
    assert USER in capsys.readouterr().err
    assert not farm.listing(2).exists()


def test_what_no_page_says_comes_from_another_generation(farm: Farm) -> None:
    """Quarantined projects offer no files, and overlays are signed documents: neither is on a page."""
    overlays.add(farm.index, "staging", [unsigned()], now=NOW)
    farm.index.set_status("staging", "some-user", ProjectStatus(status="quarantined", reason="a bug"), now=NOW)
    whole = farm.listing(4).read_bytes()
    farm.listing(4).write_bytes(b"{")
    assert farm() == 0
    assert farm.listing(4).read_bytes() == whole
    farm.index.prune("staging", keep=1)
    farm.listing(4).write_bytes(b"{")
    assert farm() == 11, "there is no other generation that knows them"
    assert farm.listing(4).read_bytes() == b"{"


def test_a_lying_page_makes_no_files_json(farm: Farm) -> None:
    page = farm.home / "index" / "staging@000002" / "simple" / "some-user" / "index.json"
    text = page.read_text()
    farm.listing(2).unlink()
    for damaged in (text[:50], text.replace('"size":', '"size":1'), "{}"):
        page.unlink(missing_ok=True)
        page.write_text(damaged)
        assert farm() == 11
        assert not farm.listing(2).exists()


def test_files_json_that_counts_otherwise_than_its_generation_is_made_again(farm: Farm) -> None:
    """It can be read, each row by itself is right, and no hash tells: a row is gone, or a size is another."""
    whole = farm.listing(2).read_bytes()
    for damage in ("files", "size"):
        raw = json.loads(whole)
        if damage == "files":
            del raw["files"][0]
        else:
            raw["files"][0]["size"] += 1
        farm.listing(2).unlink()
        farm.listing(2).write_text(json.dumps(raw))
        assert farm() == 0
        assert farm.listing(2).read_bytes() == whole
