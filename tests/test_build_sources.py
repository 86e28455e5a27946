"""Fetching and patching sources, against a real HTTP server on this machine."""

from __future__ import annotations

import base64
import hashlib
import socket
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import ClassVar

import pytest
from build_factory import tarball

from farm.build.sources import apply_patch, fetch, prepare
from farm.errors import SourceError, UnreachableError
from farm.fetch import download, locations
from farm.fetch.download import Hosts
from farm.model.recipe_source import Location, Release, Source

BODY = bytes(range(256)) * 4000
SHA = hashlib.sha256(BODY).hexdigest()
OTHER = "0" * 64


class Handler(BaseHTTPRequestHandler):
    """/whole, /cut (first request breaks off), /stubborn (always breaks off), /norange, /gone."""

    requests: ClassVar[list[tuple[str, str]]] = []

    def do_GET(self) -> None:
        wanted = self.headers.get("Range", "")
        self.requests.append((self.path, wanted))
        if self.path == "/gone":
            self.send_error(404)
            return
        start = int(wanted.removeprefix("bytes=").rstrip("-")) if wanted and self.path != "/norange" else 0
        if start >= len(BODY):
            self.send_error(416)
            return
        body = BODY[start:]
        self.send_response(206 if start else 200)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        first = sum(path == self.path for path, _ in self.requests) == 1
        if self.path == "/stubborn" or (self.path in ("/cut", "/norange") and first):
            body = body[: len(body) // 3]
        self.wfile.write(body)

    def log_message(self, *_args: object) -> None:
        pass


@pytest.fixture
def server() -> Iterator[str]:
    Handler.requests = []
    httpd = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    threading.Thread(target=httpd.serve_forever, daemon=True).start()
    yield f"http://127.0.0.1:{httpd.server_port}"
    httpd.shutdown()
    httpd.server_close()


def source(*locations: tuple[str, str]) -> Source:
    return Source(location=tuple(Location(url=url, sha256=sha) for url, sha in locations))


def test_a_file_is_fetched_once_and_kept_by_its_hash(tmp_path: Path, server: str) -> None:
    seen: list[int] = []
    path = fetch(
        source((f"{server}/whole", SHA)), tmp_path, tmp_path, progress=lambda _n, have, _all: seen.append(have)
    )
    assert path == tmp_path / SHA / "whole"
    assert seen[-1] == len(BODY)
    fetch(source((f"{server}/whole", SHA)), tmp_path, tmp_path)
    assert len(Handler.requests) == 1


def test_a_download_that_breaks_off_goes_on_where_it_stopped(tmp_path: Path, server: str) -> None:
    path = fetch(source((f"{server}/cut", SHA)), tmp_path, tmp_path)
    assert path.read_bytes() == BODY
    assert Handler.requests[1] == ("/cut", f"bytes={len(BODY) // 3}-")


def test_a_killed_farms_part_is_resumed(tmp_path: Path, server: str) -> None:
    (tmp_path / SHA).mkdir()
    (tmp_path / SHA / ".whole.part").write_bytes(BODY[:1000])
    assert fetch(source((f"{server}/whole", SHA)), tmp_path, tmp_path).read_bytes() == BODY
    assert Handler.requests == [("/whole", "bytes=1000-")]


def test_a_part_that_is_longer_than_the_file_is_thrown_away(tmp_path: Path, server: str) -> None:
    (tmp_path / SHA).mkdir()
    (tmp_path / SHA / ".whole.part").write_bytes(BODY + b"more")
    assert fetch(source((f"{server}/whole", SHA)), tmp_path, tmp_path).read_bytes() == BODY


def test_a_server_without_ranges_begins_again(tmp_path: Path, server: str) -> None:
    assert fetch(source((f"{server}/norange", SHA)), tmp_path, tmp_path).read_bytes() == BODY


def test_a_truncated_download_is_no_file(tmp_path: Path, server: str) -> None:
    (tmp_path / "c").mkdir()
    always = source((f"{server}/stubborn", SHA))
    with pytest.raises(UnreachableError, match="cut short"):  # each attempt brings a third of what is left: never all
        fetch(always, tmp_path, tmp_path / "c", hosts=Hosts())
    assert download.cached(tmp_path / "c", SHA) is None


def test_a_wrong_hash_names_both_hashes_file_and_location(tmp_path: Path, server: str) -> None:
    with pytest.raises(SourceError) as caught:
        fetch(source((f"{server}/whole", OTHER), (f"{server}/cut", SHA)), tmp_path, tmp_path)
    for part in (OTHER, SHA, "whole", server):
        assert part in str(caught.value)
    assert not caught.value.retryable
    assert len(Handler.requests) == 1, "a lying mirror is no reason to go on in silence"
    assert download.cached(tmp_path, OTHER) is None


def closed_port() -> int:
    with socket.socket() as s:
        s.bind(("127.0.0.1", 0))
        return int(s.getsockname()[1])


def test_the_next_location_is_tried(tmp_path: Path, server: str) -> None:
    dead = f"http://127.0.0.1:{closed_port()}/x.tar.gz"
    assert fetch(source((dead, OTHER), (f"{server}/gone", OTHER), (f"{server}/whole", SHA)), tmp_path, tmp_path)


@pytest.fixture
def own_index(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """pip configured, as a user would, with nothing but an index in a directory."""
    page = tmp_path / "index" / "demo"
    page.mkdir(parents=True)
    (page / "demo-1.0.tar.gz").write_bytes(BODY)
    (page / "index.html").write_text('<a href="demo-1.0.tar.gz">demo-1.0.tar.gz</a>')
    (tmp_path / "pip.conf").write_text(f"[global]\nindex-url = {(tmp_path / 'index').as_uri()}\n")
    monkeypatch.setenv("PIP_CONFIG_FILE", str(tmp_path / "pip.conf"))
    for name in ("PIP_INDEX_URL", "PIP_EXTRA_INDEX_URL", "PIP_FIND_LINKS", "PIP_NO_INDEX"):
        monkeypatch.delenv(name, raising=False)
    return tmp_path / "index"


def test_an_sdist_comes_from_pips_own_index(tmp_path: Path, own_index: Path) -> None:
    locations.forget_projects()
    path = fetch(source(("pypi:demo-1.0.tar.gz", SHA)), tmp_path, tmp_path / "c")
    assert path == tmp_path / "c" / SHA / "demo-1.0.tar.gz"


def test_an_sdist_is_found_on_a_page_that_is_longer_than_the_output_that_is_kept(
    tmp_path: Path, own_index: Path
) -> None:
    page = own_index / "demo" / "index.html"
    later = "".join(f'<a href="demo-2.0.{n}.tar.gz">demo-2.0.{n}.tar.gz</a>\n' for n in range(4000))
    page.write_text(page.read_text() + later)
    locations.forget_projects()
    assert fetch(source(("pypi:demo-1.0.tar.gz", SHA)), tmp_path, tmp_path / "c").name == "demo-1.0.tar.gz"


class PrivateIndex(BaseHTTPRequestHandler):
    """One project page, for who knows the password."""

    page = b""

    def do_GET(self) -> None:
        known = self.headers.get("Authorization") == "Basic " + base64.b64encode(b"me:secret").decode()
        self.send_response(200 if known else 401)
        if not known:
            self.send_header("WWW-Authenticate", 'Basic realm="index"')
        self.send_header("Content-Type", "text/html")
        self.end_headers()
        self.wfile.write(self.page if known else b"")

    def log_message(self, *_args: object) -> None:
        pass


@pytest.mark.parametrize("base", ["", "http://me:secret@files.invalid/"])  # the second is masked by pip
def test_an_index_with_a_password_says_why_and_what_else(
    tmp_path: Path, own_index: Path, monkeypatch: pytest.MonkeyPatch, base: str
) -> None:
    monkeypatch.setattr(PrivateIndex, "page", f'<a href="{base}demo-1.0.tar.gz">demo-1.0.tar.gz</a>'.encode())
    locations.forget_projects()
    with ThreadingHTTPServer(("127.0.0.1", 0), PrivateIndex) as httpd:
        threading.Thread(target=httpd.serve_forever, daemon=True).start()
        monkeypatch.setenv("PIP_INDEX_URL", f"http://me:secret@127.0.0.1:{httpd.server_port}/simple")
        with pytest.raises(UnreachableError) as caught:
            fetch(source(("pypi:demo-1.0.tar.gz", SHA)), tmp_path, tmp_path / "c")
        httpd.shutdown()
    text = str(caught.value)
    assert "wants a password" in text
    assert f"{tmp_path}/c/{SHA}/" in text, "where to put the file by hand"
    assert "secret" not in text


def test_when_none_answers_every_location_and_reason_is_listed(tmp_path: Path, server: str, own_index: Path) -> None:
    dead = f"http://127.0.0.1:{closed_port()}/x.tar.gz"
    hosts = Hosts()
    with pytest.raises(UnreachableError) as caught:
        fetch(
            source((dead, SHA), (f"{server}/gone", SHA), ("pypi:other-1.0.tar.gz", SHA)),
            tmp_path,
            tmp_path,
            hosts=hosts,
        )
    text = str(caught.value)
    assert f"{dead}: " in text
    assert "refused" in text
    assert f"{server}/gone: HTTP 404" in text
    assert "pypi:other-1.0.tar.gz: pip knows no" in text
    assert caught.value.retryable
    with pytest.raises(UnreachableError, match="asked before"):
        fetch(source((dead, SHA)), tmp_path, tmp_path, hosts=hosts)


def test_two_farms_fetch_one_file_at_once(tmp_path: Path, server: str) -> None:
    threads = [
        threading.Thread(target=fetch, args=(source((f"{server}/whole", SHA)), tmp_path, tmp_path)) for _ in range(4)
    ]
    for t in threads:
        t.start()
    for t in threads:
        t.join()
    assert len(Handler.requests) == 1
    assert (tmp_path / SHA / "whole").read_bytes() == BODY


def test_a_file_beside_the_recipe_and_no_further(tmp_path: Path) -> None:
    recipe = tmp_path / "recipe"
    recipe.mkdir()
    sha = tarball(recipe / "a.tar.gz", {"x": "y"})
    assert fetch(source(("file:a.tar.gz", sha)), recipe, tmp_path / "c").exists()
    with pytest.raises(SourceError, match="leaves the recipe's directory"):
        fetch(source(("file:../other", sha[::-1])), recipe, tmp_path / "c")
    with pytest.raises(SourceError, match="is no location"):
        fetch(source(("ftp://x/y", sha[::-1])), recipe, tmp_path / "c")


def test_a_debian_source_comes_from_the_machines_own_mirror(
    tmp_path: Path, server: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "sources.list.d").mkdir()
    (tmp_path / "sources.list").write_text(
        f"# deb http://old/debian x main\ndeb [arch=amd64] {server}/debian stable main\n"
    )
    (tmp_path / "sources.list.d/a.sources").write_text(
        "Types: deb\nURIs: http://one/debian-security\n http://two/debian\nSuites: x\nComponents: main\n\n"
        "Types: deb\nURIs: http://off/debian\nComponents: main\nEnabled: no\n\n"
        "Types: deb\nURIs: http://vendor/apt\nComponents: nodistro\n"
    )
    monkeypatch.setattr(locations, "APT", tmp_path)
    assert locations.addresses("debian:gmp_6.3.0+dfsg.orig.tar.xz", tmp_path) == (
        f"{server}/debian/pool/main/g/gmp/gmp_6.3.0+dfsg.orig.tar.xz",
        "http://two/debian/pool/main/g/gmp/gmp_6.3.0+dfsg.orig.tar.xz",
        "http://one/debian-security/pool/main/g/gmp/gmp_6.3.0+dfsg.orig.tar.xz",
    )
    monkeypatch.setattr(locations, "APT", tmp_path / "none")
    with pytest.raises(UnreachableError, match="no Debian mirror is configured"):
        fetch(source(("debian:gmp_1.orig.tar.xz", OTHER)), tmp_path, tmp_path / "c")


@pytest.mark.parametrize(
    ("file", "path"),
    [
        ("zlib_1.3.dfsg+really1.3.1.orig.tar.xz", "pool/main/z/zlib/zlib_1.3.dfsg+really1.3.1.orig.tar.xz"),
        ("libpng1.6_1.6.48.orig.tar.gz", "pool/main/libp/libpng1.6/libpng1.6_1.6.48.orig.tar.gz"),
        ("tiff/tiff_4.7.0.orig.tar.xz", "pool/main/t/tiff/tiff_4.7.0.orig.tar.xz"),
    ],
)
def test_places_in_a_debian_pool(file: str, path: str) -> None:
    assert locations.pool_path(file) == path


def test_a_debian_file_cannot_leave_the_pool() -> None:
    for bad in ("../x_1.tar", "a/../b_1.tar", "_1.tar", "g mp_1"):
        with pytest.raises(SourceError):
            locations.pool_path(bad)


def test_pips_answer_is_understood() -> None:
    output = (
        "  Found link https://x.example/gmpy2-2.3.2.tar.gz#sha256=ab (from https://x.example/) , version: 2.3.2\n"
        "  Skipping link: No binaries permitted for gmpy2: https://x.example/g.whl#sha256=1 (from y)\n"
        "  Found link file:///opt/wheels/a-1.tar.gz, version: 1\n"
    )
    assert locations.links(output) == [
        "https://x.example/gmpy2-2.3.2.tar.gz",
        "https://x.example/g.whl",
        "file:///opt/wheels/a-1.tar.gz",
    ]


PATCH = "--- a/a.c\n+++ b/a.c\n@@ -1 +1 @@\n-old\n+new\n"


def release(tmp_path: Path, text: str) -> Release:
    sha = tarball(tmp_path / "a.tar.gz", {"a.c": text, "sub/b.c": "b"})
    return Release(version="1.0", source=(source(("file:a.tar.gz", sha)),))


def test_patches_apply_and_no_file_looks_newer_than_another(tmp_path: Path) -> None:
    (tmp_path / "patches").mkdir()
    (tmp_path / "patches/0001.patch").write_text(PATCH)
    done = prepare(
        release(tmp_path, "old\n"), ["0001.patch"], tmp_path, tmp_path / "c", tmp_path / "k", tmp_path / "tree"
    )
    assert (done.tree / "a.c").read_text() == "new\n"
    assert {p.stat().st_mtime for p in done.tree.rglob("*")} == {1_600_000_000.0}
    assert done.epoch_seconds == 1_600_000_000


def test_a_second_build_copies_what_the_first_one_unpacked(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """And what a build writes into its copy, or patches there, is in no other build's."""
    (tmp_path / "patches").mkdir()
    (tmp_path / "patches/0001.patch").write_text(PATCH)
    made = release(tmp_path, "old\n")
    downloads, kept = tmp_path / "c", tmp_path / "k"
    first = prepare(made, ["0001.patch"], tmp_path, downloads, kept, tmp_path / "one")
    (first.tree / "sub/b.c").write_text("changed by the build")
    monkeypatch.delattr("farm.fetch.archives.unpack")
    second = prepare(made, (), tmp_path, downloads, kept, tmp_path / "two")
    assert (second.tree / "a.c").read_text() == "old\n"
    assert (second.tree / "sub/b.c").read_text() == "b"
    assert second.epoch_seconds == first.epoch_seconds


def test_other_archives_are_another_tree_and_a_damaged_one_leaves_none(tmp_path: Path) -> None:
    downloads, kept = tmp_path / "c", tmp_path / "k"
    one = prepare(release(tmp_path, "one"), (), tmp_path, downloads, kept, tmp_path / "one")
    two = prepare(release(tmp_path, "two"), (), tmp_path, downloads, kept, tmp_path / "two")
    assert (one.tree / "a.c").read_text() + (two.tree / "a.c").read_text() == "onetwo"
    (tmp_path / "b.tar.gz").write_bytes(b"no archive")
    location = Location(url="file:b.tar.gz", sha256=hashlib.sha256(b"no archive").hexdigest())
    damaged = Release(version="3", source=(Source(location=(location,)),))
    with pytest.raises(SourceError):
        prepare(damaged, (), tmp_path, downloads, kept, tmp_path / "three")
    assert len([place for place in kept.iterdir() if place.is_dir()]) == 2


def test_a_patch_that_does_not_apply_names_itself_and_the_hunk_and_changes_nothing(tmp_path: Path) -> None:
    (tmp_path / "patches").mkdir()
    (tmp_path / "patches/0001-x.patch").write_text(PATCH)
    with pytest.raises(SourceError) as caught:
        prepare(
            release(tmp_path, "else\n"), ["0001-x.patch"], tmp_path, tmp_path / "c", tmp_path / "k", tmp_path / "tree"
        )
    assert "0001-x.patch" in str(caught.value)
    assert "Hunk #1 FAILED at 1" in str(caught.value)
    assert (tmp_path / "tree/a.c").read_text() == "else\n"
    assert not list((tmp_path / "tree").glob("*.rej"))


def test_a_patch_that_leaves_the_tree_is_refused(tmp_path: Path) -> None:
    tree = tmp_path / "tree"
    tree.mkdir()
    (tmp_path / "evil.patch").write_text("--- a/../../evil\n+++ b/../../evil\n@@ -0,0 +1 @@\n+x\n")
    with pytest.raises(SourceError):
        apply_patch(tree, tmp_path / "evil.patch")
    assert not (tmp_path / "evil").exists()
    assert not (tmp_path.parent / "evil").exists()


def test_a_patch_that_is_not_there(tmp_path: Path) -> None:
    with pytest.raises(SourceError, match="does not exist"):
        apply_patch(tmp_path, tmp_path / "none.patch")


def test_a_file_beside_the_recipe_is_a_source_that_is_not_unpacked(tmp_path: Path) -> None:
    """Its name is the location's, and when it was copied does not become the time of the release."""
    text = b"echo configured\n"
    (tmp_path / "recipe/tools").mkdir(parents=True)
    (tmp_path / "recipe/tools/prepare.sh").write_bytes(text)
    location = Location(url="file:tools/prepare.sh", sha256=hashlib.sha256(text).hexdigest())
    release = Release(version="1", source=(Source(location=(location,), into="extra", unpack=False),))
    done = prepare(release, (), tmp_path / "recipe", tmp_path / "downloads", tmp_path / "k", tmp_path / "tree")
    assert (tmp_path / "tree/extra/prepare.sh").read_bytes() == text
    assert done.epoch_seconds == 315_532_800


def test_a_patch_that_the_release_has_already_is_not_taken_back(tmp_path: Path) -> None:
    tree = tmp_path / "tree"
    tree.mkdir()
    (tree / "a").write_text("fixed\n")
    (tmp_path / "fix.patch").write_text("--- a/a\n+++ b/a\n@@ -1 +1 @@\n-broken\n+fixed\n")
    with pytest.raises(SourceError, match="does not apply"):
        apply_patch(tree, tmp_path / "fix.patch")
    assert (tree / "a").read_text() == "fixed\n"
