"""Real pip and uv resolve with corrected bounds, from served METADATA and from the wheel itself; who holds a lock
keeps what was locked."""

from __future__ import annotations

import hashlib
import re
import shutil
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest
from overlay_factory import unsigned
from test_index_install import install, quiet
from wheel_factory import make_wheel

from farm.index import overlays
from farm.index.contents import IndexFile
from farm.index.generations import Index
from farm.index.serve import IndexServer
from farm.process import run

GMP10, GMP11 = (f"native_gmp-{version}-py3-none-any.whl" for version in ("10!6.3.0", "11!7.0"))
USER, MODERN = "some_user-1.0-py3-none-any.whl", "modern-1.0-py3-none-any.whl"


@pytest.fixture(scope="module")
def index(tmp_path_factory: pytest.TempPathFactory) -> Index:
    """A user whose bound was too wide, and a wheel whose Requires-Python was: corrected in generation 2."""
    root = tmp_path_factory.mktemp("farm")
    made = Index(root / "index")
    wheels = [make_wheel(root, name, text=f"wheel = {name!r}\n") for name in (GMP10, GMP11, MODERN)]
    wheels.append(make_wheel(root, USER, requires=("native-gmp>=10!6.2.0",), text=f"wheel = {USER!r}\n"))
    made.publish("staging", [IndexFile(path=wheel) for wheel in wheels])
    bound = unsigned("gmp-7", requires={"tighten": ("native-gmp<11!0",)})
    python = unsigned("python", project="modern", requires_python=">=3.99")
    overlays.add(made, "staging", [bound, python])
    return made


@pytest.fixture(scope="module")
def plain(index: Index, tmp_path_factory: pytest.TempPathFactory) -> str:
    """The same index with pages that do not say that METADATA is to be had."""
    root = tmp_path_factory.mktemp("plain") / "index"
    shutil.copytree(index.root, root, symlinks=True)
    for page in root.glob("staging@*/simple/*/index.html"):
        text = re.sub(r' data-core-metadata="[^"]*"', "", page.read_text())
        page.unlink()
        page.write_text(text)
    for metadata in root.glob("files/*/*/*.metadata"):
        metadata.unlink()
    return f"file://{root}/staging/simple"


@pytest.fixture(scope="module")
def server(index: Index) -> Iterator[IndexServer]:
    with IndexServer(index.root, ("127.0.0.1", 0)) as made:
        thread = threading.Thread(target=made.serve_forever, kwargs={"poll_interval": 0.05})
        thread.start()
        yield made
        made.shutdown()
        thread.join()


def installed(tmp_path: Path) -> tuple[str, str]:
    """The native wheel, and the build tag of its user (empty: the original)."""
    python = tmp_path / "venv/bin/python"
    code = (
        "import native_gmp, re, importlib.metadata as m; print(native_gmp.wheel);"
        "print(*re.findall('Build: (.*)', m.distribution('some-user').read_text('WHEEL')))"
    )
    native, _, build = run([python, "-c", code], env=quiet(tmp_path)).output.strip().partition("\n")
    return native, build


@pytest.mark.parametrize(
    ("tool", "requirement"), [("pip", "some-user==1.0"), ("uv", "some-user==1.0"), ("uv", "some-user")]
)
def test_the_corrected_bound_is_found_in_the_wheel(
    tool: str, requirement: str, tmp_path: Path, index: Index, plain: str
) -> None:
    install(tool, tmp_path, plain, requirement)
    native, build = installed(tmp_path)
    assert native == GMP10
    assert build.startswith("0.")
    (place,) = tmp_path.glob("venv/lib/*/site-packages/some_user-1.0.dist-info/METADATA")
    offered = {f.metadata_sha256: f.filename for f in index.files_in(index.generation("staging", 2))}
    assert f"-{build}-" in offered[hashlib.sha256(place.read_bytes()).hexdigest()], "what is served beside the wheel"


@pytest.mark.parametrize("tool", ["pip", "uv"])
def test_the_corrected_bound_is_found_in_the_served_metadata(
    tool: str, tmp_path: Path, server: IndexServer, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level("DEBUG", logger="farm.index.serve")
    done = install(tool, tmp_path, f"{server.url}/staging/simple", "--dry-run", "some-user", "native-gmp")
    assert "10!6.3.0" in done.output
    assert "11!7.0" not in done.output
    asked = [r.getMessage() for r in caplog.records if "/files/" in r.getMessage()]
    assert any("some_user-1.0-0." in line for line in asked)
    assert all(".whl.metadata" in line for line in asked), "no wheel was looked into"


def test_the_generation_before_still_has_the_wide_bound(tmp_path: Path, index: Index) -> None:
    install("uv", tmp_path, f"file://{index.root}/staging@000001/simple", "some-user")
    assert installed(tmp_path) == (GMP11, "")


@pytest.mark.parametrize("tool", ["pip", "uv"])
def test_a_lock_made_before_still_installs_what_was_locked(tool: str, tmp_path: Path, index: Index) -> None:
    first = {f.filename: f.sha256 for f in index.files_in(index.generation("staging", 1))}
    lock = tmp_path / "lock.txt"
    pins = (("some-user==1.0", USER), ("native-gmp==11!7.0", GMP11))
    lock.write_text("".join(f"{pin} --hash=sha256:{first[name]}\n" for pin, name in pins))
    done = install(tool, tmp_path, f"file://{index.root}/staging/simple", "--require-hashes", "-r", str(lock))
    assert installed(tmp_path) == (GMP11, "")
    assert "metadata corrected by gmp-7" in done.output, "they are told why"


@pytest.mark.parametrize("tool", ["pip", "uv"])
def test_a_corrected_python_keeps_out_who_pins_too(tool: str, tmp_path: Path, index: Index) -> None:
    done = install(tool, tmp_path, f"file://{index.root}/staging/simple", "modern==1.0", check=False)
    assert done.returncode != 0
    assert ">=3.99" in done.output
