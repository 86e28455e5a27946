"""Real pip and uv install from the index: from file:// and http, from the channel and from a generation."""

from __future__ import annotations

import http.client
import json
import os
import socket
import sys
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest
from wheel_factory import make_wheel

from farm.cli import run as farm
from farm.index.contents import IndexFile
from farm.index.generations import Index
from farm.index.serve import IndexServer, negotiate
from farm.index.simple import HTML_TYPE, JSON_TYPE
from farm.process import Completed, run

TAG = "py3-none-any"
GMP5, GMP62, GMP63, GMP11 = (
    f"native_gmp-{version}-{TAG}.whl" for version in ("9!5.0.0", "10!6.2.1", "10!6.3.0.post1", "11!7.0")
)
USER = f"some_user-1.0-{TAG}.whl"


@pytest.fixture(scope="module")
def index(tmp_path_factory: pytest.TempPathFactory) -> Index:
    root = tmp_path_factory.mktemp("farm")
    made = Index(root / "index")
    wheels = [make_wheel(root / "dist", name, text=f"wheel = {name!r}\n") for name in (GMP5, GMP62, GMP63)]
    wheels.append(make_wheel(root / "dist", USER, requires=("native-gmp>=10!6.2.0,<11!0",)))
    made.publish("staging", [IndexFile(path=wheel) for wheel in wheels])
    made.publish("staging", [IndexFile(path=make_wheel(root / "dist", GMP11, text=f"wheel = {GMP11!r}\n"))])
    return made


@pytest.fixture(scope="module")
def server(index: Index) -> Iterator[IndexServer]:
    with IndexServer(index.root, ("127.0.0.1", 0)) as made:
        thread = threading.Thread(target=made.serve_forever, kwargs={"poll_interval": 0.05})
        thread.start()
        yield made
        made.shutdown()
        thread.join()


def has_ipv6() -> bool:
    try:
        with socket.create_server(("::1", 0), family=socket.AF_INET6):
            return True
    except OSError:
        return False


def installer(tool: str, tmp_path: Path) -> list[str]:
    venv = tmp_path / "venv"
    run(
        [sys.executable, "-m", "uv", "venv", "-q", "--no-config", "--python", sys.executable, venv], env=quiet(tmp_path)
    )
    python = str(venv / "bin" / "python")
    if tool == "uv":
        return [sys.executable, "-m", "uv", "pip", "install", "--no-config", "--python", python, "--default-index"]
    return [sys.executable, "-m", "pip", "--python", python, "--isolated", "install", "--no-cache-dir", "--index-url"]


def quiet(tmp_path: Path) -> dict[str, str]:
    """Neither this machine's configuration nor its caches."""
    return {
        "PATH": os.environ["PATH"],
        "HOME": str(tmp_path),
        "PIP_CONFIG_FILE": os.devnull,
        "UV_CACHE_DIR": str(tmp_path / "uv-cache"),
        "NO_COLOR": "1",
    }


def install(tool: str, tmp_path: Path, url: str, *what: str, check: bool = True) -> Completed:
    return run([*installer(tool, tmp_path), url, *what], env=quiet(tmp_path), check=check)


def installed(tmp_path: Path) -> str:
    code = "import native_gmp; print(native_gmp.wheel)"
    return run([tmp_path / "venv" / "bin" / "python", "-c", code], env={}).output.strip()


@pytest.mark.parametrize("base", ["staging", "staging@000002"])
@pytest.mark.parametrize("scheme", ["file", "http"])
@pytest.mark.parametrize("tool", ["pip", "uv"])
def test_dependent_gets_the_native_wheel_of_its_abi_epoch(
    tool: str, scheme: str, base: str, tmp_path: Path, index: Index, server: IndexServer
) -> None:
    root = f"file://{index.root}" if scheme == "file" else server.url
    install(tool, tmp_path, f"{root}/{base}/simple", "some-user")
    assert installed(tmp_path) == GMP63


@pytest.mark.parametrize("tool", ["pip", "uv"])
@pytest.mark.parametrize(
    ("requirement", "expected"),
    [
        ("native-gmp", GMP11),
        ("native-gmp>=6.2", GMP11),
        ("native-gmp>=10!6.3.0,<11!0", GMP63),
        ("native_gmp==10!6.2.*", GMP62),
        ("Native.GMP<10!6.2", GMP5),
        ("native-gmp~=10!6.2.1", GMP62),
    ],
)
def test_specifiers_with_version_epochs(
    tool: str, requirement: str, expected: str, tmp_path: Path, index: Index
) -> None:
    install(tool, tmp_path, f"file://{index.root}/staging/simple/", requirement)
    assert installed(tmp_path) == expected


@pytest.mark.parametrize("tool", ["pip", "uv"])
def test_an_old_generation_stays_installable_and_does_not_move(tool: str, tmp_path: Path, index: Index) -> None:
    install(tool, tmp_path, f"file://{index.root}/staging@000001/simple", "native-gmp")
    assert installed(tmp_path) == GMP63


@pytest.mark.parametrize("tool", ["pip", "uv"])
def test_hash_mode(tool: str, tmp_path: Path, index: Index, server: IndexServer) -> None:
    current = index.current("staging")
    assert current is not None
    sha256 = {file.filename: file.sha256 for file in index.files_in(current)}
    requirements = tmp_path / "requirements.txt"
    requirements.write_text(f"native-gmp==10!6.3.0.post1 --hash=sha256:{sha256[GMP63]}\n")
    install(tool, tmp_path, f"{server.url}/staging/simple", "--require-hashes", "-r", str(requirements))
    assert installed(tmp_path) == GMP63


def test_pip_download_and_a_file_that_was_changed_on_the_way(tmp_path: Path, index: Index) -> None:
    import shutil

    copy = tmp_path / "copy"
    shutil.copytree(index.root, copy, symlinks=True)
    out = str(tmp_path / "out")
    pip = [sys.executable, "-m", "pip", "--isolated", "download", "-q", "--no-cache-dir", "-d", out]
    url = f"file://{copy}/staging/simple"
    run([*pip, "--index-url", url, "some-user"], env=quiet(tmp_path))
    assert sorted(p.name for p in (tmp_path / "out").iterdir()) == [GMP63, USER]
    (place,) = copy.glob(f"files/*/*/{GMP63}")
    place.chmod(0o644)
    place.write_bytes(place.read_bytes()[:-1] + b"x")
    shutil.rmtree(tmp_path / "out")
    done = run([*pip, "--index-url", url, "native-gmp<11!0"], env=quiet(tmp_path), check=False)
    assert done.returncode != 0
    assert "HASHES" in done.output


@pytest.mark.parametrize("tool", ["pip", "uv"])
def test_resolving_fetches_metadata_files_instead_of_wheels(
    tool: str, tmp_path: Path, index: Index, server: IndexServer, caplog: pytest.LogCaptureFixture
) -> None:
    """PEP 658: nothing but METADATA travels for a dry run."""
    caplog.set_level("DEBUG", logger="farm.index.serve")
    install(tool, tmp_path, f"{server.url}/staging/simple", "--dry-run", "some-user")
    asked = [r.getMessage() for r in caplog.records if "/files/" in r.getMessage()]
    assert asked
    assert all(".whl.metadata" in line for line in asked)


def get(server: IndexServer, path: str, method: str = "GET", **headers: str) -> http.client.HTTPResponse:
    connection = http.client.HTTPConnection(*server.server_address[:2], timeout=10)  # type: ignore[arg-type]
    connection.request(method, path, headers={k.replace("_", "-"): v for k, v in headers.items()})
    return connection.getresponse()


def test_content_negotiation(server: IndexServer) -> None:
    path = "/staging/simple/native-gmp/"
    pip = f"{JSON_TYPE}, {HTML_TYPE}; q=0.1, text/html; q=0.01"
    answer = get(server, path, Accept=pip)
    assert answer.headers["Content-Type"] == JSON_TYPE
    assert answer.headers["Vary"] == "Accept"
    assert json.loads(answer.read())["name"] == "native-gmp"
    assert get(server, path).headers["Content-Type"].startswith("text/html")
    assert get(server, path, Accept="text/html").read().startswith(b"<!DOCTYPE html>")
    assert get(server, path, Accept="image/png").status == 406
    assert get(server, path + "index.json").headers["Content-Type"] == JSON_TYPE
    assert json.loads(get(server, "/staging/simple/", Accept=JSON_TYPE).read())["projects"][0]["name"] == "native-gmp"
    assert negotiate(f"text/html;q=0.5, {JSON_TYPE};q=0.4") == "html"
    assert negotiate(f"{JSON_TYPE};q=0") is None
    assert negotiate("") == "html"


def test_caching(index: Index, server: IndexServer) -> None:
    current = index.current("staging")
    assert current is not None
    file = index.files_in(current)[0]
    wheel = get(server, "/" + file.location.replace("!", "%21"))
    assert "immutable" in wheel.headers["Cache-Control"]
    assert int(wheel.headers["Content-Length"]) == file.size == len(wheel.read())
    assert "immutable" in get(server, "/staging@000001/simple/native-gmp/").headers["Cache-Control"]
    page = get(server, "/staging/simple/native-gmp/")
    assert "must-revalidate" in page.headers["Cache-Control"]
    again = get(server, "/staging/simple/native-gmp/", If_None_Match=page.headers["ETag"])
    assert (again.status, again.read()) == (304, b"")
    head = get(server, "/staging/simple/native-gmp/", method="HEAD")
    assert (head.status, head.read()) == (200, b"")


def test_redirects_to_the_normal_form(server: IndexServer) -> None:
    assert get(server, "/staging/simple/native-gmp").headers["Location"] == "/staging/simple/native-gmp/"
    assert get(server, "/staging/simple/Native_GMP/").headers["Location"] == "/staging/simple/native-gmp/"
    assert get(server, "/staging/simple").headers["Location"] == "/staging/simple/"


@pytest.mark.parametrize(
    "path",
    [
        "/../../etc/passwd",
        "/staging/simple/../../../etc/passwd",
        "/staging/simple/%2e%2e/index.html",
        "/files/..%2f..%2f..%2fetc/passwd",
        "/staging/generation.json/../../.lock",
        "/.lock",
        "//evil.example/staging",
        "/staging/simple/x%00/index.html",
        "/staging/simple/none/",
        "/none/simple/",
        "/staging@999/simple/",
        "/files/aa/" + "a" * 64 + "/x-1-py3-none-any.whl",
    ],
)
def test_nothing_else_is_served(server: IndexServer, path: str) -> None:
    assert get(server, path).status == 404


def test_a_reader_that_leaves_is_no_error(
    server: IndexServer, caplog: pytest.LogCaptureFixture, capsys: pytest.CaptureFixture[str]
) -> None:
    for error in (ConnectionResetError("left"), TimeoutError("slow")):
        try:
            raise error
        except OSError:
            server.handle_error(None, ("127.0.0.1", 1))
    assert (caplog.records, capsys.readouterr().err) == ([], "")
    try:
        raise ValueError("a bug")
    except ValueError:
        server.handle_error(None, ("127.0.0.1", 1))
    assert "a bug" in caplog.text


@pytest.mark.skipif(not has_ipv6(), reason="this machine has no IPv6")
def test_an_address_of_ipv6_is_served(index: Index) -> None:
    with IndexServer(index.root, ("::1", 0)) as server:
        assert server.url.startswith("http://[::1]:")


def test_command_line(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    home = ["--home", str(tmp_path / "home")]
    one, two = (str(make_wheel(tmp_path, name)) for name in (GMP62, GMP63))
    assert farm([*home, "index", "generations"]) == 0
    assert "no generations yet" in capsys.readouterr().out
    assert farm([*home, "index", "build", one]) == 0
    assert "staging@000001, 1 file of 1 project" in capsys.readouterr().out
    assert farm([*home, "index", "build", "--channel", "staging", "--comment", "second", "--json", one, two]) == 0
    shown = json.loads(capsys.readouterr().out)
    assert (shown["number"], shown["comment"], shown["added"]) == (2, "second", [GMP63])
    assert shown["url"] == f"file://{tmp_path}/home/index/staging@000002/simple"
    assert farm([*home, "index", "promote", "stable"]) == 0
    assert "promoted staging@000002: stable@000001, 2 files of 1 project" in capsys.readouterr().out
    assert farm([*home, "index", "promote", "stable", "1"]) == 0
    assert "promoted staging@000001: stable@000002, 1 file of" in capsys.readouterr().out
    assert farm([*home, "index", "promote", "--channel", "none", "stable"]) == 11
    assert farm([*home, "index", "rollback", "1"]) == 0
    capsys.readouterr()
    assert farm([*home, "index", "generations"]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert lines[2].split()[:2] == ["*", "1"]
    assert farm([*home, "index", "generations", "--json"]) == 0
    assert [g["served"] for g in json.loads(capsys.readouterr().out)] == [True, False]
    assert farm([*home, "index", "rollback", "7"]) == 11
    assert farm([*home, "index", "build", str(tmp_path / "nothing.whl")]) == 11
    assert farm([*home, "index", "build"]) == 0, "renders anew"


def test_serve_command(tmp_path: Path) -> None:
    import subprocess
    import urllib.request

    home = ["--home", str(tmp_path / "home")]
    assert farm([*home, "index", "build", str(make_wheel(tmp_path, GMP62))]) == 0
    command = [sys.executable, "-m", "farm.cli", *home, "index", "serve", "--port", "0"]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as child:
        assert child.stdout is not None
        url = child.stdout.readline().strip()
        assert b"native-gmp" in urllib.request.urlopen(url, timeout=10).read()
        child.send_signal(2)
        try:
            assert child.wait(10) == 130
        finally:
            child.kill()
