"""Upstreams on this machine: a Debian archive that real apt reads, an index that real pip reads, pages."""

from __future__ import annotations

import contextlib
import hashlib
import io
import os
import socket
import tarfile
import threading
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest
from catalog_builder import catalog

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


@contextmanager
def serve_raw(parts: Iterable[bytes]) -> Iterator[str]:
    """A server that says these bytes to who asks first, as long as somebody listens; gives its address."""
    with socket.create_server(("127.0.0.1", 0)) as server:

        def say() -> None:
            with contextlib.suppress(OSError), server.accept()[0] as client:
                client.recv(1 << 16)
                for part in parts:
                    client.sendall(part)

        threading.Thread(target=say, daemon=True).start()
        yield f"http://127.0.0.1:{server.getsockname()[1]}/"


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
        _age(place / "Release", place / "main/source/Sources")


def _age(*files: Path) -> None:
    """Let files that are written anew be a minute younger than they were: HTTP and apt know whole seconds only."""
    for file in files:
        seen = file.with_name(f".{file.name}.age")
        moment = float(seen.read_text()) + 60 if seen.exists() else 1.7e9
        seen.write_text(str(moment))
        os.utime(file, (moment, moment))


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
    locations.forget_projects()


def index_page(root: Path, project: str, files: Mapping[str, bytes], *, yanked: tuple[str, ...] = ()) -> None:
    """The page of a project (PEP 503), and its files."""
    place = root / project
    place.mkdir(parents=True, exist_ok=True)
    for name, data in files.items():
        (place / name).write_bytes(data)
    links = [f'<a href="{name}"{" data-yanked=bad" if name in yanked else ""}>{name}</a>' for name in files]
    (place / "index.html").write_text("<!DOCTYPE html>" + "\n".join(links))


RECIPE = """# A library of a test.
format = 1
name = "gmp"
kind = "library"
summary = "multiplies"   # and divides
license = "MIT"
license_files = ["COPYING"]

# The first one.
[[release]]
version = "1.0"
revision = 2
patches = ["0001-a.patch",  # why a
  "0002-b.patch"]

# One tarball.
[[release.source]]
into = "."
[[release.source.location]]
url = "https://upstream.invalid/gmp/1.0/gmp-1.0.tar.gz"
sha256 = "{sha}"
[[release.source.location]]
# Debian's has no doc/.
url = "debian:gmp_1.0+dfsg.orig.tar.gz"
sha256 = "{sha}"

[[release.source]]
into = "extra"
[[release.source.location]]
url = "file:extra.tar.gz"
sha256 = "{extra}"

# What it needs: [[release]] is no header here.
[build]
system = "script"
script = '''
[[release]]
make
'''

[[when]]
platform = ["*aarch64"]
patches = ["0003-c.patch"]

[products]
[[products.library]]
name = "gmp"
archive = "lib/libgmp.a"
exports = ["gmp_*"]

[abi]
epoch = 1

[watch]
kind = "debian"
at = "gmp"
"""


def small_tar(files: Mapping[str, str], top: str) -> bytes:
    """A gzipped tar file with these texts below one directory."""
    stream = io.BytesIO()
    with tarfile.open(fileobj=stream, mode="w:gz") as out:
        for name, text in files.items():
            info = tarfile.TarInfo(f"{top}/{name}")
            info.size = len(text.encode())
            out.addfile(info, io.BytesIO(text.encode()))
    return stream.getvalue()


def _patch(name: str, before: str, after: str) -> str:
    return f"--- a/{name}\n+++ b/{name}\n@@ -1 +1 @@\n-{before}\n+{after}\n"


def watched_catalog(root: Path, archive: Path) -> Path:
    """A catalog with the recipe above, and a Debian archive that has one release more, packed again twice. Upstream's
    own site is not there."""
    extra = small_tar({"more": "x"}, "extra")
    place = catalog(root, platforms=("manylinux_2_17_x86_64", "manylinux_2_17_aarch64"))
    folder = place / "recipes/gmp"
    (folder / "patches").mkdir(parents=True)
    (folder / "patches/0001-a.patch").write_text(_patch("a", "one", "two"))
    (folder / "patches/0002-b.patch").write_text(_patch("b", "one", "two"))
    (folder / "patches/0003-c.patch").write_text(_patch("a", "two", "three"))
    (folder / "extra.tar.gz").write_bytes(extra)
    (folder / "recipe.toml").write_text(RECIPE.format(sha="ab" * 32, extra=hashlib.sha256(extra).hexdigest()))
    new = small_tar({"a": "one\n", "b": "two\n", "COPYING": "MIT"}, "gmp-1.1")
    debian_archive(
        archive,
        {"gmp_1.0+dfsg.orig.tar.gz": b"old", "gmp_1.1+dfsg2.orig.tar.gz": new, "gmp_1.1+dfsg10.orig.tar.gz": new},
        unstable=("unstable", "testing", "stable", "oldstable"),
    )
    return place
