"""What the farm does with bad input, through the command line: a typed error, its exit code, nothing half-written."""

from __future__ import annotations

import hashlib
import io
import os
import subprocess
import tarfile
import zipfile
from collections.abc import Callable
from pathlib import Path

import pytest
import small_farm
from small_farm import farm

from farm import cli
from farm.wheel.record import RecordEntry

RECIPE = "recipes/tiny/recipe.toml"


def run(catalog: Path, *args: str, home: Path | None = None) -> int:
    """The command line in this process: fast, for what fails before anything runs."""
    return cli.run(["--catalog", str(catalog), "--home", str(home or catalog / ".farm"), *args])


def edit(catalog: Path, old: str, new: str, recipe: str = "tiny") -> None:
    path = catalog / f"recipes/{recipe}/recipe.toml"
    text = path.read_text()
    assert old in text
    path.write_text(text.replace(old, new, 1))


def nothing_kept(catalog: Path, home: Path | None = None) -> bool:
    """No wheel, no half-copied file, no generation."""
    state = home or catalog / ".farm"
    return not [*state.glob("store/blobs/*/*/*"), *state.glob("store/tmp/*"), *state.glob("index/*@*")]


def refused(done: subprocess.CompletedProcess[str], code: int, *words: str) -> None:
    said = done.stdout + done.stderr
    assert done.returncode == code, said
    assert "Traceback" not in said
    for word in words:
        assert word in said, said


def test_factory_is_sound(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert run(small_farm.make(tmp_path / "catalog"), "plan") == 0
    assert "2 to build" in capsys.readouterr().out


def _pipe(catalog: Path) -> None:
    (catalog / RECIPE).unlink()
    os.mkfifo(catalog / RECIPE)


CATALOGS: dict[str, tuple[Callable[[Path], object], str]] = {
    "malformed": (lambda c: (c / RECIPE).write_text("name = [\n"), "invalid value"),
    "not text": (lambda c: (c / RECIPE).write_bytes(b'name = "\xff"\n'), "is not UTF-8 text"),
    "nested": (lambda c: (c / RECIPE).write_text("a = " + "[" * 20_000), "nested too deeply"),
    "unknown key": (lambda c: edit(c, "[build]", "[build]\nsytem = 1"), "did you mean 'system'?"),
    "pipe": (_pipe, "is not a regular file"),
    "nul": (lambda c: edit(c, 'system = "make"', 'system = "make"\nmake = ["a\\u0000b"]'), "make #1: holds a NUL"),
    "variable": (lambda c: edit(c, "[build]", '[build]\nenv = { "A=B" = "x" }'), "environment variable"),
    "version": (lambda c: edit(c, 'version = "1.0"', f'version = "1.{"0" * 5000}"'), "64 characters"),
    "requirement": (lambda c: edit(c, '["tiny"]', '["tinny"]', "pytiny"), "no recipe provides 'tinny'"),
    "cycle": (lambda c: edit(c, "[build]", '[requires]\nhost = ["tiny"]\n[build]'), "tiny -> tiny"),
    "no smoke test": (lambda c: (c / "recipes/tiny/smoke.c").unlink(), "there is no file 'smoke.c'"),
    "patch outside": (lambda c: edit(c, "0001-nothing.patch", "../../../x.patch"), "stays inside its directory"),
    "source outside": (lambda c: edit(c, "file:tiny", "file:../../x/tiny"), "leaves the recipe's directory"),
}  # fmt: skip


@pytest.mark.parametrize("name", CATALOGS)
@pytest.mark.parametrize("verb", [["plan"], ["build"], ["recipe", "lint"]], ids=lambda words: words[0])
def test_bad_catalogs(name: str, verb: list[str], tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    catalog = small_farm.make(tmp_path / "catalog")
    spoil, words = CATALOGS[name]
    spoil(catalog)
    assert run(catalog, *verb) == 3
    out, err = capsys.readouterr()
    assert words in out + err
    assert "recipes/" in out + err
    assert nothing_kept(catalog)


def _archive(catalog: Path, *members: tarfile.TarInfo) -> None:
    """Replace the release by one with these members, under its true hash."""
    path = catalog / "recipes/tiny/tiny-1.0.tar.gz"
    old = hashlib.sha256(path.read_bytes()).hexdigest()
    with tarfile.open(path, "w:gz") as archive:
        for member in members:
            archive.addfile(member, io.BytesIO(b"x" * member.size))
    edit(catalog, old, hashlib.sha256(path.read_bytes()).hexdigest())


def _member(name: str, kind: bytes = tarfile.REGTYPE, link: str = "", size: int = 0) -> tarfile.TarInfo:
    info = tarfile.TarInfo(name)
    info.type, info.linkname, info.size = kind, link, size
    return info


def _wrong_hash(catalog: Path) -> None:
    path = catalog / "recipes/tiny/tiny-1.0.tar.gz"
    edit(catalog, hashlib.sha256(path.read_bytes()).hexdigest(), "0" * 64)


def _cut(catalog: Path) -> None:
    path = catalog / "recipes/tiny/tiny-1.0.tar.gz"
    old = hashlib.sha256(path.read_bytes()).hexdigest()
    path.write_bytes(path.read_bytes()[:-60])
    edit(catalog, old, hashlib.sha256(path.read_bytes()).hexdigest())


SOURCES: dict[str, tuple[Callable[[Path], object], str]] = {
    "wrong hash": (_wrong_hash, "wrong hash"),
    "cut short": (_cut, "damaged archive"),
    "dots": (lambda c: _archive(c, _member("tiny/../../../escaped", size=1)), "leaves the directory"),
    "absolute": (lambda c: _archive(c, _member("/tmp/escaped", size=1)), "leaves the directory"),
    "device": (lambda c: _archive(c, _member("tiny/null", tarfile.CHRTYPE)), "tiny/null"),
    "link": (lambda c: _archive(c, _member("tiny/etc", tarfile.SYMTYPE, "/etc")), "outside the tree"),
    "patch": (lambda c: (c / "recipes/tiny/patches/0001-nothing.patch").write_text(
        small_farm.TINY_PATCH.replace("-do what you like", "-do nothing")), "0001-nothing.patch"),
}  # fmt: skip


@pytest.mark.parametrize("name", SOURCES)
def test_bad_sources(name: str, tmp_path: Path) -> None:
    catalog = small_farm.make(tmp_path / "catalog")
    spoil, words = SOURCES[name]
    spoil(catalog)
    refused(farm(catalog, "build"), 5, words, f"farm shell tiny@1.0/{small_farm.PLATFORM}")
    assert nothing_kept(catalog)
    assert not list(tmp_path.rglob("escaped"))


@pytest.fixture(scope="module")
def built(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A built catalog at a place that needs quoting everywhere, as users have it."""
    catalog = small_farm.make(tmp_path_factory.mktemp("farm") / "Ça va 100%41 #1?")
    refused(farm(catalog, "build"), 0, "2 built")
    return catalog


def test_places_with_spaces_and_other_letters(built: Path) -> None:
    assert sorted(path.name for path in built.iterdir()) == [".farm", "recipes", "toolchains"]
    assert (built / ".farm/ledger.sqlite").stat().st_size
    refused(farm(built, "test"), 0, "passed")


def _wheel(built: Path, into: Path) -> Path:
    (wheel,) = (built / ".farm/store/blobs").rglob("pytiny*.whl")
    copy = into / wheel.name
    copy.write_bytes(wheel.read_bytes())
    return copy


def _changed(wheel: Path, change: Callable[[str, bytes], bytes]) -> None:
    with zipfile.ZipFile(wheel) as old:
        members = [(info, change(info.filename, old.read(info))) for info in old.infolist()]
    with zipfile.ZipFile(wheel, "w") as new:
        for info, data in members:
            new.writestr(info.filename, data)


def _metadata(old: bytes, new: bytes) -> Callable[[Path], object]:
    """METADATA with a change, and a RECORD that knows of it."""

    def change(wheel: Path) -> None:
        with zipfile.ZipFile(wheel) as archive:
            (name,) = (n for n in archive.namelist() if n.endswith("/METADATA"))
            before = archive.read(name)
        assert old in before
        after = before.replace(old, new, 1)
        lines = [RecordEntry.of(name, content) for content in (before, after)]
        rows = [f"{line.path},{line.digest},{line.size}".encode() for line in lines]
        swap = {name: (old, new), name.replace("METADATA", "RECORD"): (rows[0], rows[1])}
        _changed(wheel, lambda member, data: data.replace(*swap[member], 1) if member in swap else data)

    return change


WHEELS: dict[str, Callable[[Path], object]] = {
    "endless version": _metadata(b"Version: 0.5", b"Version: 0." + b"5" * 5000),
    "endless bound on Python": _metadata(b"\nVersion: 0.5", b"\nVersion: 0.5\nRequires-Python: >=" + b"3" * 5000),
    "no zip": lambda wheel: wheel.write_bytes(b"not a zip archive" * 100),
    "cut short": lambda wheel: wheel.write_bytes(wheel.read_bytes()[:-30]),
    "lying record": lambda wheel: _changed(
        wheel, lambda name, data: data.replace(b"sha256=", b"sha256=A") if name.endswith("RECORD") else data
    ),
    "binary cut short": lambda wheel: _changed(
        wheel, lambda name, data: data[: len(data) // 2] if name.endswith(".so") else data
    ),
}


@pytest.mark.parametrize("name", WHEELS)
def test_bad_wheels(name: str, built: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    wheel = _wheel(built, tmp_path)
    WHEELS[name](wheel)
    assert run(built, "audit", str(wheel)) in (7, 8)
    assert run(built, "repair", str(wheel), "-w", str(tmp_path / "out")) == 8
    assert run(built, "index", "build", str(wheel), home=tmp_path / "home") == 8
    assert wheel.name in capsys.readouterr().err
    assert not list(tmp_path.glob("out/*"))
    assert nothing_kept(built, tmp_path / "home")


def test_damage_in_the_store_is_built_and_published_again(tmp_path: Path) -> None:
    catalog = small_farm.make(tmp_path / "catalog")
    refused(farm(catalog, "build", "tiny"), 0)
    (blob,) = (catalog / ".farm/store/blobs").rglob("*.whl")
    blob.chmod(0o644)
    blob.write_bytes(blob.read_bytes().replace(b"PK\x01\x02", b"PK\x01\xff"))
    blob.chmod(0o444)
    edit(catalog, 'smoke = "smoke.c"', 'smoke = "smoke.c" ')  # so that the answer of before is not given again
    refused(farm(catalog, "build", "tiny"), 0, "counts as not built", "1 built")
    for place in ("store/blobs", "index/files"):
        (wheel,) = (catalog / ".farm" / place).rglob("*.whl")
        assert hashlib.sha256(wheel.read_bytes()).hexdigest() == wheel.parent.name


@pytest.mark.parametrize(
    "verb",
    [["build"], ["gc"], ["index", "build"], ["logs", "tiny"], ["shell", "tiny"], ["test"]],
    ids=lambda words: words[0],
)
def test_home_that_is_a_file(verb: list[str], tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    catalog = small_farm.make(tmp_path / "catalog")
    home = tmp_path / "home"
    home.write_text("mine")
    code = run(catalog, *verb, home=home)
    assert code == (0 if verb == ["gc"] else 9), capsys.readouterr().err
    assert home.read_text() == "mine"


@pytest.mark.parametrize(
    "words", [["--home", "a\nb", "plan"], ["logs", "\udcff"], ["fetch", "x", "--prefix", "\udcff"]]
)
def test_names_that_nothing_can_hold(
    words: list[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    assert cli.run(words) == 2
    assert "fix:" in capsys.readouterr().err
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize("verb", ["gc", "build"])
def test_directories_of_somebody_else_are_left_alone(
    verb: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    catalog = small_farm.make(tmp_path / "catalog")
    for name in ("work/thesis/text", "logs/mine.log", "store/blobs/aa/b/mine", "notes"):
        place = tmp_path / "mine" / name
        place.parent.mkdir(parents=True, exist_ok=True)
        place.write_text("mine")
        for path in (place, place.parent):
            os.utime(path, (1_000_000_000, 1_000_000_000))
    before = sorted(tmp_path.glob("mine/**/*"))
    assert run(catalog, verb, home=tmp_path / "mine") == 9
    assert "not a farm's home" in capsys.readouterr().err
    assert sorted(tmp_path.glob("mine/**/*")) == before


@pytest.mark.parametrize("words", [["plan"], ["status", "--json"]], ids=lambda words: words[0])
def test_output_that_is_closed(words: list[str], tmp_path: Path) -> None:
    catalog = small_farm.make(tmp_path / "catalog")
    closed = ["sh", "-c", 'exec "$@" >&-', "sh", *small_farm.command(catalog, *words)]
    refused(subprocess.run(closed, capture_output=True, text=True, check=False), 0)


def test_a_directory_is_no_wheel(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert run(tmp_path, "repair", str(tmp_path), "-w", str(tmp_path / "out")) == 2
    assert f"there is no file {tmp_path}" in capsys.readouterr().err
