"""Upstreams on this machine: a Debian archive that real apt reads, an index that real pip reads, pages."""

from __future__ import annotations

import hashlib
import threading
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest

from farm.fetch import apt, locations


class _Quiet(SimpleHTTPRequestHandler):
    def log_message(self, *_args: object) -> None:
        pass


@contextmanager
def serve(folder: Path) -> Iterator[str]:
    """A web server for a directory; gives its address."""
    folder.mkdir(parents=True, exist_ok=True)
    with ThreadingHTTPServer(("127.0.0.1", 0), partial(_Quiet, directory=str(folder))) as httpd:
        threading.Thread(target=httpd.serve_forever, daemon=True).start()
        yield f"http://127.0.0.1:{httpd.server_port}"
        httpd.shutdown()


def debian_archive(root: Path, files: Mapping[str, bytes], *, unstable: tuple[str, ...] = ("unstable",)) -> None:
    """Source packages with these original tarballs (``gmp_6.3.0+dfsg.orig.tar.xz``), one stanza each, in the suites."""
    stanzas = []
    for name, data in files.items():
        pool = locations.pool_path(name)
        (root / pool).parent.mkdir(parents=True, exist_ok=True)
        (root / pool).write_bytes(data)
        source, version = name.partition("_")[0], name.partition("_")[2].partition(".orig")[0]
        stanzas.append(
            f"Package: {source}\nBinary: {source}\nVersion: 1:{version}-1\nFormat: 3.0 (quilt)\nArchitecture: any\n"
            f"Directory: {Path(pool).parent}\n"
            f"Files:\n {hashlib.md5(data).hexdigest()} {len(data)} {name}\n"
            f"Checksums-Sha256:\n {hashlib.sha256(data).hexdigest()} {len(data)} {name}\n"
        )
    index = "\n".join(stanzas).encode()
    for suite in unstable:
        place = root / "dists" / suite
        (place / "main/source").mkdir(parents=True, exist_ok=True)
        (place / "main/source/Sources").write_bytes(index)
        (place / "Release").write_text(
            f"Origin: test\nSuite: {suite}\nCodename: {suite}\nComponents: main\nArchitectures: amd64\n"
            "Date: Sat, 01 Jan 2022 00:00:00 UTC\nValid-Until: Sat, 01 Jan 2099 00:00:00 UTC\n"
            f"SHA256:\n {hashlib.sha256(index).hexdigest()} {len(index)} main/source/Sources\n"
        )


def use_archive(where: Path, url: str, monkeypatch: pytest.MonkeyPatch, *, trusted: bool = True) -> None:
    """Let apt's configuration of this machine be one archive; nobody signed it."""
    where.mkdir(parents=True, exist_ok=True)
    (where / "sources.list").write_text(f"deb {url} stable main\n")
    monkeypatch.setattr(locations, "APT", where)
    if trusted:
        monkeypatch.setattr(apt, "TRUST", "trusted=yes")


def use_index(where: Path, url: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Let pip's configuration be one index."""
    where.mkdir(parents=True, exist_ok=True)
    (where / "pip.conf").write_text(f"[global]\nindex-url = {url}\n")
    monkeypatch.setenv("PIP_CONFIG_FILE", str(where / "pip.conf"))
    for name in ("PIP_INDEX_URL", "PIP_EXTRA_INDEX_URL", "PIP_FIND_LINKS", "PIP_NO_INDEX"):
        monkeypatch.delenv(name, raising=False)
    locations.pypi_project.cache_clear()


def index_page(root: Path, project: str, files: Mapping[str, bytes], *, yanked: tuple[str, ...] = ()) -> None:
    """The page of a project (PEP 503), and its files."""
    place = root / project
    place.mkdir(parents=True, exist_ok=True)
    for name, data in files.items():
        (place / name).write_bytes(data)
    links = [f'<a href="{name}"{" data-yanked=bad" if name in yanked else ""}>{name}</a>' for name in files]
    (place / "index.html").write_text("<!DOCTYPE html>" + "\n".join(links))
