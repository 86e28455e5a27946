"""What upstream released: real apt and pip against an archive and an index on this machine, pages from a web server."""

from __future__ import annotations

import itertools
import json
import time
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from catalog_builder import catalog, dependent, library
from upstreams import debian_archive, index_page, serve, serve_raw, use_archive, use_index

from farm import cli, process
from farm.catalog import load_from
from farm.errors import ProcessError, StoreError
from farm.fetch import locations, page
from farm.fetch.download import CannotReachError
from farm.model.recipe_upkeep import Watch
from farm.watch import look, memory, versions
from farm.watch.debian import tarballs
from farm.watch.each import ask_each
from farm.watch.page import Page, offers
from farm.watch.pypi import Pypi, _yanked_on
from farm.watch.values import Asking, Sighting, Silence, State

MEMORY = (
    '{"format": 1, "recipes": {"a": {"checked": "2024-01-01", "state": "up to date", "newer": [], "upstream": "", '
    '"why": ""}}}'
)
NOW = datetime(2024, 5, 15, 12, 0, tzinfo=UTC)


@pytest.mark.parametrize(
    ("text", "version"),
    [
        ("6.3.0+dfsg", "6.3.0"),
        ("6.2.1+dfsg1", "6.2.1"),
        ("0.3.34+ds", "0.3.34"),
        ("1.3.dfsg", "1.3"),
        ("1.3.dfsg+really1.3.2", "1.3.2"),
        ("2.0+really1.9", "1.9"),
        ("4.0.0~rc1", "4.0.0rc1"),
        ("4.0.0~rc1+dfsg", "4.0.0rc1"),
        ("4.0~beta2", "4.0b2"),
        ("2.14.3~dfsg", "2.14.3"),
        ("1.2+repack1", "1.2"),
        ("1.2+ds+~1.0", "1.2"),
        ("2.19.1", "2.19.1"),
        ("1.2+git20230101", None),
        ("1.2~git20230101.abc", None),
        ("1.2+20230101", None),
        ("1.1.1w", None),
        ("20240504", "20240504"),
        ("9e", None),
        ("not a version", None),
    ],
)
def test_versions_of_upstream_in_debians(text: str, version: str | None) -> None:
    found = versions.of_debian(text)
    assert (str(found) if found else None) == version


@pytest.mark.parametrize(
    ("text", "version"),
    [
        ("6.3.0", "6.3.0"),
        ("v3.6.0", "3.6.0"),
        ("2_13_3", "2.13.3"),
        ("74-2", "74.2"),
        ("2.0-rc1", "2.0rc1"),
        ("2024.01", "2024.1"),
        ("1!2.0", None),
        ("1.0+local", None),
        ("latest", None),
    ],
)
def test_versions_in_names(text: str, version: str | None) -> None:
    found = versions.of_name(text)
    assert (str(found) if found else None) == version


def test_a_page_names_archives_in_addresses_and_in_text() -> None:
    text = """<a href="foo-1.2.tar.gz">foo-1.2.tar.gz</a> <a href="foo-1.10.tar.gz"> foo-1.9.tar.gz foo%2D1.11.tar.gz
    foo-1.12rc1.tar.gz foo-latest.tar.gz bar-9.0.tar.gz foo-1.2.tar.gz.sig &#102;oo-1.3.tar.gz"""
    found = offers(text, r"foo-([\w.]+?)\.tar\.gz")
    assert [offer.text for offer in found] == ["1.2", "1.3", "1.9", "1.10", "1.11", "1.12rc1"]
    named = offers("VER-2-13-3.tar.xz", r"(VER)-(?P<version>[\d-]+)\.tar")
    assert [str(offer.version) for offer in named] == ["2.13.3"]


def test_pages_are_read_from_the_web_and_one_that_is_not_there_says_so(tmp_path: Path) -> None:
    (tmp_path / "releases.html").write_text("foo-1.2.tar.gz")
    with serve(tmp_path) as url:
        there, gone, other = (
            Watch(kind="page", at=f"{url}/{name}", pattern=pattern)
            for name, pattern in (
                ("releases.html", r"foo-([\d.]+)\.tar"),
                ("gone.html", r"foo-([\d.]+)\.tar"),
                ("releases.html", r"bar-([\d.]+)\.tar"),
            )
        )
        answers = Page().ask([there, gone, other], Asking(cache=tmp_path))
    dead = Watch(kind="page", at=url, pattern="(x)")
    answers = {**answers, **Page().ask([dead], Asking(cache=tmp_path))}
    assert [offer.text for offer in answers[there]] == ["1.2"]  # type: ignore[union-attr]
    assert answers[gone] == Silence(why="HTTP 404 File not found")
    assert answers[other] == Silence(
        why=f"{url}/releases.html has nothing that matches 'bar-([\\\\d.]+)\\\\.tar'", reached=True
    )
    assert "refused" in answers[dead].why  # type: ignore[union-attr]


def test_a_page_without_end_is_no_page(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "big").write_bytes(bytes(200_000))
    monkeypatch.setattr(page, "MOST", 100_000)
    with serve(tmp_path) as url, pytest.raises(CannotReachError, match="is larger than 100000 bytes"):
        page.read(f"{url}/big")
    with pytest.raises(CannotReachError):
        page.read("https://[no")


def test_a_page_that_comes_in_drops_is_no_page(monkeypatch: pytest.MonkeyPatch) -> None:
    """A server that never ends what it announced: each drop comes soon, the page does not."""
    monkeypatch.setattr(page, "_PATIENCE_SECONDS", 0.05)
    drops = itertools.chain(
        [b"HTTP/1.1 200 OK\r\nContent-Length: 99999\r\n\r\n"], map(_slowly, itertools.repeat(b"x", 99_999))
    )
    with serve_raw(drops) as url, pytest.raises(CannotReachError, match="takes longer than"):
        page.read(url)


def _slowly(drop: bytes) -> bytes:
    time.sleep(0.01)
    return drop


def test_half_a_page_is_no_page() -> None:
    with (
        serve_raw([b"HTTP/1.1 200 OK\r\nContent-Length: 1000\r\n\r\n", b"foo-1.2.tar.gz"]) as url,
        pytest.raises(CannotReachError, match="was cut short: 986 bytes are missing"),
    ):
        page.read(url)


@pytest.fixture
def archive(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """A Debian archive that apt's configuration names."""
    root = tmp_path / "archive"
    files = {
        "gmp_6.3.0+dfsg.orig.tar.xz": b"new",
        "zlib_1.3.dfsg+really1.3.2.orig.tar.gz": b"z",
        "icu_74.2.orig.tar.gz": b"i",
        "icu_74.2.orig-data.tar.gz": b"d",
        "rc_2.0~rc1.orig.tar.gz": b"r",
        "libpng1.6_1.6.48.orig.tar.gz": b"p",
    }
    debian_archive(root, files)
    with serve(root) as url:
        use_archive(tmp_path / "apt", url, monkeypatch)
        yield root


def test_a_debian_source_package_is_looked_up_in_the_signed_index_of_unstable(tmp_path: Path, archive: Path) -> None:
    found = tarballs(["gmp", "libpng1.6", "icu", "nosuch"], Asking(cache=tmp_path / "cache"))
    assert sorted(found) == ["gmp", "icu", "libpng1.6"]
    (gmp,) = found["gmp"]
    assert (gmp.location, gmp.version, gmp.size) == ("debian:gmp_6.3.0+dfsg.orig.tar.xz", "6.3.0+dfsg", 3)
    assert [item.part for item in found["icu"]] == ["", "-data"]
    debian_archive(archive, {"gmp_6.4.0+dfsg.orig.tar.xz": b"newer"})
    again = tarballs(["gmp"], Asking(cache=tmp_path / "cache"))
    assert [item.version for item in again["gmp"]] == ["6.4.0+dfsg"]


def test_an_archive_that_nobody_signed_is_not_believed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    debian_archive(tmp_path / "archive", {"gmp_9.orig.tar.xz": b"evil"})
    with serve(tmp_path / "archive") as url:
        use_archive(tmp_path / "apt", url, monkeypatch, trusted=False)
        watch = Watch(kind="debian", at="gmp")
        answer = look.ask([watch], Asking(cache=tmp_path / "cache"))[watch]
    assert isinstance(answer, Silence)
    assert "not signed" in answer.why


def test_a_project_has_the_releases_with_an_sdist_that_is_not_yanked(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    files = dict.fromkeys(
        [
            "de_mo-1.0.tar.gz",
            "demo-1.1.tar.gz",
            "demo-1.2.tar.gz",
            "demo-1.3-py3-none-any.whl",
            "demo-2.0rc1.tar.gz",
            "demo-0.9.zip",
            "demo-other-7.0.tar.gz",
        ],
        b"x",
    )
    index_page(tmp_path / "simple", "demo", files, yanked=("demo-1.2.tar.gz",))
    with serve(tmp_path) as url:
        use_index(tmp_path / "pip", f"{url}/simple/", monkeypatch)
        demo = Watch(kind="pypi", at="Demo")
        answers = Pypi().ask([demo], Asking(cache=tmp_path))
    assert [offer.text for offer in answers[demo]] == ["0.9", "1.1", "2.0rc1"]  # type: ignore[union-attr]


def test_yanked_files_are_marked_in_both_forms_of_a_page() -> None:
    assert _yanked_on('<a href="/a/x%2B1.tar.gz#sha256=0" data-yanked>x</a><a href="y.tar.gz">y</a>') == {"x+1.tar.gz"}
    files = [{"filename": "x", "yanked": "broken"}, {"filename": "y", "yanked": False}, {"filename": "z"}]
    assert _yanked_on(json.dumps({"files": files})) == {"x"}
    assert _yanked_on('{"files": 3}') == set()


def test_one_upstream_that_does_not_answer_keeps_nobody_from_the_others(
    tmp_path: Path, archive: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    use_index(tmp_path / "pip", "http://127.0.0.1:9/simple", monkeypatch)
    monkeypatch.setenv("PIP_RETRIES", "0")
    recipes = load_from(
        catalog(
            tmp_path / "c",
            library("gmp", "6.2.1", watch={"kind": "debian", "at": "gmp"}),
            library("zlib", "1.3.2", watch={"kind": "debian", "at": "zlib"}),
            library("png", "2.0", watch={"kind": "debian", "at": "libpng1.6"}),
            library("rc", "1.0", watch={"kind": "debian", "at": "rc"}),
            library("rcs", "1.0", watch={"kind": "debian", "at": "rc", "prereleases": True}),
            library("none", watch={"kind": "debian", "at": "nosuch"}),
            dependent("demo", watch={"kind": "pypi", "at": "demo"}),
            library("alone"),
        )
    ).recipes
    rows = look.look((it.recipe for it in recipes.values()), Asking(cache=tmp_path / "cache"), NOW)
    seen = {row.recipe: (row.upstream, row.newer, row.state) for row in rows}
    assert seen == {
        "alone": ("", (), State.UNWATCHED),
        "demo": ("", (), State.SILENT),
        "gmp": ("6.3.0", ("6.3.0",), State.NEWER),
        "none": ("", (), State.NOTHING),
        "png": ("1.6.48", (), State.BEHIND),
        "rc": ("", (), State.NOTHING),
        "rcs": ("2.0rc1", ("2.0rc1",), State.NEWER),
        "zlib": ("1.3.2", (), State.CURRENT),
    }
    why = {row.recipe: row.why for row in rows}
    assert why["rc"] == "there are only prereleases: 2.0rc1"
    assert why["demo"].startswith("pip knows no demo in its configured indexes")
    assert why["none"] == "Debian's unstable has no release of a source package 'nosuch'"


def farm(root: Path, *words: object) -> int:
    return cli.run(["--catalog", str(root), "--home", str(root / ".farm"), *map(str, words)])


def documents(capsys: pytest.CaptureFixture[str]) -> dict[str, dict[str, Any]]:
    return {row["recipe"]: row for row in json.loads(capsys.readouterr().out)}


def test_the_verb_remembers_and_asks_again_when_it_is_time(
    tmp_path: Path, archive: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("FARM_CACHE", str(tmp_path / "cache"))
    later = datetime.now(UTC) + timedelta(hours=12)
    daily = f"{later.minute} {later.hour} * * *"
    root = catalog(
        tmp_path / "c",
        library("gmp", "6.2.1", watch={"kind": "debian", "at": "gmp", "schedule": daily}),
        library("zlib", "1.3.2", watch={"kind": "debian", "at": "zlib", "schedule": "* * * * *"}),
        library("icu", "74", watch={"kind": "debian", "at": "icu"}),
    )
    assert farm(root, "watch", "gmp", "zlib") == 0
    said = capsys.readouterr().out
    assert "gmp     6.2.1  6.3.0     newer upstream" in said
    assert "next: farm recipe bump gmp --branch" in said
    path = root / ".farm" / memory.FILE
    data = json.loads(path.read_bytes())
    for row in data["recipes"].values():
        row["checked"] = (datetime.now(UTC) - timedelta(seconds=90)).isoformat()
    path.write_text(json.dumps(data))
    debian_archive(archive, {"gmp_7.0.orig.tar.xz": b"", "zlib_1.4.orig.tar.xz": b"", "icu_75.1.orig.tar.gz": b""})
    assert farm(root, "watch", "--due", "--json") == 0
    rows = documents(capsys)
    assert rows["zlib"]["upstream"] == "1.4", "its time comes every minute"
    assert rows["gmp"]["upstream"] == "6.3.0", "asked again in half a day"
    assert rows["icu"]["upstream"] == "75.1", "never asked before"
    assert rows["gmp"]["checked"] == data["recipes"]["gmp"]["checked"]
    monkeypatch.setattr(locations, "APT", tmp_path / "none")
    assert farm(root, "watch") == 0
    out = capsys.readouterr().out
    assert "gmp, icu, zlib: cannot be reached: no Debian mirror is configured" in out
    assert memory.load(root / ".farm")["gmp"].upstream == "6.3.0", "what it had when it last told"


def test_what_is_remembered_is_compared_with_what_the_recipe_has_by_now(tmp_path: Path) -> None:
    known = memory.remember(
        tmp_path,
        [
            Sighting(
                recipe="a", here="1.0", upstream="2.0", newer=("1.5", "2.0"), state=State.NEWER, checked=NOW, why=""
            )
        ],
    )
    recipe = load_from(catalog(tmp_path / "c", library("a", "1.5", watch={"kind": "pypi", "at": "a"}))).recipes["a"]
    assert memory.recall(recipe.recipe, known).newer == ("2.0",)
    assert memory.load(tmp_path) == known


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("{", "is damaged"),
        ("[]", "is damaged"),
        ("[" * 100_000, "is damaged"),
        ('{"format": 2, "recipes": {}}', "is of format 2, this farm reads 1"),
        ('{"format": 1, "recipes": {"a": {}}}', "is damaged"),
        (MEMORY, "names no time zone"),
    ],
)
def test_a_damaged_memory_is_said_and_never_overwritten(tmp_path: Path, text: str, said: str) -> None:
    (tmp_path / memory.FILE).write_text(text)
    with pytest.raises(StoreError, match=said):
        memory.load(tmp_path)
    with pytest.raises(StoreError, match=said):
        memory.remember(tmp_path, [])
    assert (tmp_path / memory.FILE).read_text() == text


def test_unknown_recipes_are_refused(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    root = catalog(tmp_path / "c", library("gmp"))
    assert farm(root, "watch", "gpm") == 2
    assert "there is no recipe 'gpm'" in capsys.readouterr().err
    assert farm(root, "watch") == 0
    assert "no recipe has a [watch] table" in capsys.readouterr().out


@pytest.mark.slow
def test_the_recipes_of_this_farm_can_be_watched(tmp_path: Path) -> None:
    """Through this machine's own configuration of apt and pip; the mirror may no longer be fed."""
    recipes = load_from(Path(__file__).parent.parent).recipes
    watched = [it.recipe for it in recipes.values() if it.recipe.watch is not None]
    rows = look.look(watched, Asking(cache=tmp_path, accept_expired=True), NOW)
    assert {row.state for row in rows} <= {State.CURRENT, State.NEWER, State.BEHIND}, [row.why for row in rows]


def test_ctrl_c_ends_the_programs_that_run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    asking = Asking(cache=tmp_path)

    def ask(watch: Watch, _asking: Asking) -> Silence:
        if watch.at == "first":
            raise KeyboardInterrupt
        with pytest.raises(ProcessError, match="cancelled"):
            process.run(["sleep", "600"], cancel=asking.cancel)
        return Silence(why="cancelled")

    with pytest.raises(KeyboardInterrupt):
        ask_each([Watch(kind="pypi", at=name) for name in ("first", "second")], ask, asking)
    assert asking.cancel.is_set
