"""A new release in a recipe: its text, its sources, its patches; nothing half-written."""

from __future__ import annotations

import hashlib
import json
import threading
import tomllib
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from catalog_builder import catalog
from upstreams import RECIPE, index_page, serve, small_tar, use_archive, use_index, watched_catalog

from farm import cli
from farm.errors import UsageError
from farm.store.files import write_atomic
from farm.watch import bump
from farm.watch.recipefile import with_release
from farm.watch.successor import respell

SHA = "ab" * 32
NEW = {"version": "1.1", "source": [{"location": [{"url": "debian:x_1.1.orig.tar.xz", "sha256": SHA}]}]}


def release(version: str) -> dict[str, Any]:
    return {**NEW, "version": version}


def comments(text: str) -> list[str]:
    return [line for line in text.splitlines() if "#" in line]


def test_every_other_byte_of_the_file_stays_as_it_is() -> None:
    before = RECIPE.format(sha=SHA, extra=SHA)
    after = with_release(before, release("1.1"), file="x")
    added = (
        '\n[[release]]\nversion = "1.1"\n\n[[release.source]]\n[[release.source.location]]\n'
        f'url = "debian:x_1.1.orig.tar.xz"\nsha256 = "{SHA}"\n'
    )
    at = before.index("\n# What it needs")
    assert after == before[:at] + added + before[at:]
    older = with_release(after, release("0.9"), file="x")
    assert older.index('version = "0.9"') < older.index("# The first one.") < older.index('version = "1.0"')
    between = with_release(older, release("1.0.5"), file="x")
    assert [item["version"] for item in tomllib.loads(between)["release"]] == ["0.9", "1.0", "1.0.5", "1.1"]
    assert comments(between) == comments(before)


def test_the_style_of_the_file_is_kept() -> None:
    inline = '[[release]]\r\nversion = "1.0"\r\n[[release.source]]\r\nlocation = [{ url = "u", sha256 = "s" }]'
    after = with_release(inline, release("1.1"), file="x")
    assert after.count("\r\n") == after.count("\n")
    assert f'location = [\r\n  {{ url = "debian:x_1.1.orig.tar.xz", sha256 = "{SHA}" }},\r\n]' in after
    long = {**NEW, "patches": [f"{n:04}-a-patch-with-a-long-name.patch" for n in range(6)]}
    text = with_release(RECIPE.format(sha=SHA, extra=SHA), long, file="x")
    assert max(map(len, text.splitlines())) <= 120
    assert '\n  "0003-a-patch-with-a-long-name.patch",\n' in text


@pytest.mark.parametrize(
    "text",
    [
        'release = [{ version = "1.0", source = [] }]\n',
        '[build]\nsystem = "make"\n',
        '[[release]]\nversion = "not one"\n',
    ],
)
def test_a_file_without_tables_of_releases_is_left_alone(text: str) -> None:
    with pytest.raises(UsageError, match=r"has no \[\[release\]\] tables"):
        with_release(text, release("2.0"), file="recipes/x/recipe.toml")


@pytest.mark.parametrize(
    ("url", "old", "new", "after"),
    [
        ("https://a/gmp-6.2.1.tar.xz", "6.2.1", "6.3.0", "https://a/gmp-6.3.0.tar.xz"),
        ("https://a/v3.5.0/b-3.5.0.tar.gz", "3.5.0", "3.6.0", "https://a/v3.6.0/b-3.6.0.tar.gz"),
        ("https://a/2.13/f-2.13.3.tar", "2.13.3", "2.14.0", "https://a/2.14/f-2.14.0.tar"),
        ("https://a/VER-2-13-3.tar.gz", "2.13.3", "2.14.0", "https://a/VER-2-14-0.tar.gz"),
        ("https://a/R_2_6_4/expat-2.6.4.tar.xz", "2.6.4", "2.7.0", "https://a/R_2_7_0/expat-2.7.0.tar.xz"),
        ("https://a/gmp-6.2.tar.xz", "6.2", "6.3.0", "https://a/gmp-6.3.0.tar.xz"),
        ("https://a/gmp-6.2.1.tar.xz", "6.2", "6.3", "https://a/gmp-6.2.1.tar.xz"),
        ("https://a/gmp-16.2.tar.xz", "6.2", "6.3", "https://a/gmp-16.2.tar.xz"),
        ("https://a/latest.tar.xz", "6.2", "6.3", "https://a/latest.tar.xz"),
    ],
)
def test_addresses_of_the_next_release(url: str, old: str, new: str, after: str) -> None:
    assert respell(url, old, new) == after


@pytest.fixture
def watched(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """A catalog with one recipe that has a newer release in the Debian archive of this machine's configuration."""
    monkeypatch.setenv("FARM_CACHE", str(tmp_path / "cache"))
    with serve(tmp_path / "archive") as url:
        use_archive(tmp_path / "apt", url, monkeypatch)
        yield watched_catalog(tmp_path / "c", tmp_path / "archive")


def farm(root: Path, *words: object) -> int:
    return cli.run(["--catalog", str(root), "--home", str(root / ".farm"), *map(str, words)])


def test_a_bump_adds_a_release_with_hashes_and_says_which_patches_fit(
    watched: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = watched / "recipes/gmp/recipe.toml"
    before = tomllib.loads(path.read_text())
    assert farm(watched, "recipe", "bump", "gmp", "--json") == 0, capsys.readouterr()
    said = json.loads(capsys.readouterr().out)
    new = tomllib.loads(path.read_text())["release"]
    assert new[:-1] == before["release"]
    file = tmp_path / "archive/pool/main/g/gmp/gmp_1.1+dfsg10.orig.tar.gz"
    sha = hashlib.sha256(file.read_bytes()).hexdigest()
    assert new[-1] == {
        "version": "1.1",
        "patches": ["0001-a.patch", "0002-b.patch"],
        "source": [
            {"into": ".", "location": [{"url": "debian:gmp_1.1+dfsg10.orig.tar.gz", "sha256": sha}]},
            before["release"][0]["source"][1],
        ],
    }
    assert (said["version"], said["before"], said["state"]) == ("1.1", "1.0", "added")
    assert [item["kept"] for item in said["sources"]] == [False, True]
    (left_out,) = said["sources"][0]["left_out"]
    assert left_out.startswith("https://upstream.invalid/gmp/1.1/gmp-1.1.tar.gz: ")
    assert {item["name"]: item["fit"] for item in said["patches"]} == {
        "0001-a.patch": "applies",
        "0002-b.patch": "is in the release already",
        "0003-c.patch": "applies",
    }
    text = path.read_text()
    assert farm(watched, "recipe", "bump", "gmp") == 0
    assert capsys.readouterr().out == "gmp 1.1 is there: nothing to add\n"
    assert farm(watched, "recipe", "bump", "gmp=1.0") == 0
    assert path.read_text() == text
    assert farm(watched, "recipe", "lint", "gmp") == 0


@pytest.mark.parametrize(
    ("words", "code", "said"),
    [
        (["gmp=2.0"], 5, "no location of 2.0 can be had"),
        (["gmp=new"], 2, "'new' is not a PEP 440 version"),
        (["gmp="], 2, "names no version"),
        (["gpm"], 2, "there is no recipe 'gpm'"),
    ],
)
def test_what_cannot_be_had_changes_nothing(
    watched: Path, capsys: pytest.CaptureFixture[str], words: list[str], code: int, said: str
) -> None:
    path = watched / "recipes/gmp/recipe.toml"
    before = path.read_bytes()
    assert farm(watched, "recipe", "bump", *words) == code
    assert said in capsys.readouterr().err
    assert path.read_bytes() == before
    assert sorted(item.name for item in path.parent.iterdir()) == ["extra.tar.gz", "patches", "recipe.toml"]


def test_an_archive_that_is_not_what_the_signed_index_says_is_refused(
    watched: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    file = tmp_path / "archive/pool/main/g/gmp/gmp_1.1+dfsg10.orig.tar.gz"
    file.write_bytes(file.read_bytes()[:-1] + b"x")
    before = (watched / "recipes/gmp/recipe.toml").read_bytes()
    assert farm(watched, "recipe", "bump", "gmp") == 5
    assert "has the wrong hash" in capsys.readouterr().err
    assert (watched / "recipes/gmp/recipe.toml").read_bytes() == before


def test_a_recipe_that_somebody_changes_meanwhile_is_not_overwritten(tmp_path: Path) -> None:
    path = tmp_path / "recipe.toml"
    path.write_text("theirs")
    value = bump.Bump(
        recipe="a", before="1", version="2", path=path, old_text="ours", text="new", sources=(), patches=()
    )
    with pytest.raises(UsageError, match="was changed while the release was looked at"):
        bump.write(value)
    assert path.read_text() == "theirs"


def test_of_two_bumps_at_once_none_is_lost(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The second is between its look and its writing while the first writes."""
    path = tmp_path / "recipe.toml"
    path.write_text("ours")
    first, second = (
        bump.Bump(recipe="a", before="1", version=v, path=path, old_text="ours", text=v, sources=(), patches=())
        for v in ("2", "3")
    )
    faults: list[str] = []
    threads: list[threading.Thread] = []

    def other() -> None:
        try:
            bump.write(second)
        except UsageError as error:
            faults.append(error.what)

    def write(*words: Any, **named: Any) -> None:
        if not threads:
            threads.append(threading.Thread(target=other))
            threads[0].start()
            threads[0].join(timeout=0.5)  # it ends at once if nothing holds it
        write_atomic(*words, **named)

    monkeypatch.setattr("farm.watch.bump.write_atomic", write)
    bump.write(first)
    threads[0].join()
    assert path.read_text() == "2"
    assert faults == ["was changed while the release was looked at"]
    assert [file.name for file in tmp_path.iterdir()] == ["recipe.toml"]


def test_an_sdist_of_the_next_release_is_found_under_any_spelling(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("FARM_CACHE", str(tmp_path / "cache"))
    sdist = small_tar({"pyproject.toml": "", "COPYING": "MIT"}, "my_demo-2.0")
    files = {"My-Demo-1.0.zip": b"x", "my_demo-2.0.tar.gz": sdist, "my_demo-2.0-py3-none-any.whl": b"x"}
    index_page(tmp_path / "simple", "my-demo", files)
    use_index(tmp_path / "pip", (tmp_path / "simple").as_uri(), monkeypatch)
    data = {
        "format": 1,
        "name": "demo",
        "kind": "dependent",
        "summary": "x",
        "license": "MIT",
        "license_files": ["COPYING"],
        "release": [{"version": "1.0", "source": [{"location": [{"url": "pypi:My-Demo-1.0.zip", "sha256": SHA}]}]}],
        "build": {"system": "pep517"},
        "watch": {"kind": "pypi", "at": "My_Demo"},
    }
    root = catalog(tmp_path / "c", data)
    assert farm(root, "recipe", "bump", "demo") == 0, capsys.readouterr()
    new = tomllib.loads((root / "recipes/demo/recipe.toml").read_text())["release"][-1]
    assert new["version"] == "2.0"
    (location,) = new["source"][0]["location"]
    assert location == {"url": "pypi:my_demo-2.0.tar.gz", "sha256": hashlib.sha256(sdist).hexdigest()}
