"""Channels: whole at every moment, whoever is killed; generations never change; pages say what is published."""

from __future__ import annotations

import errno
import json
import os
import signal
import subprocess
import sys
import textwrap
import time
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
from overlay_factory import unsigned
from wheel_factory import make_wheel

from farm.errors import BinaryFormatError, FarmError, IndexFormatError, StoreError
from farm.index import overlays, pool
from farm.index import pages as page_files
from farm.index.contents import Contents, IndexFile, ProjectStatus
from farm.index.generations import Index
from farm.wheel import record

GMP62 = "native_gmp-10!6.2.1-py3-none-manylinux_2_17_x86_64.whl"
GMP63 = "native_gmp-10!6.3.0-py3-none-manylinux_2_17_x86_64.whl"
MPFR = "native_mpfr-6!4.2.2-py3-none-manylinux_2_17_x86_64.whl"
NOW = datetime(2026, 11, 21, 9, 30, tzinfo=UTC)


@pytest.fixture
def index(tmp_path: Path) -> Index:
    return Index(tmp_path / "index")


@pytest.fixture
def wheels(tmp_path: Path) -> dict[str, IndexFile]:
    folder = tmp_path / "dist"
    return {
        name: IndexFile(path=make_wheel(folder, name, Requires_Python=">=3.11,<4")) for name in (GMP62, GMP63, MPFR)
    }


def page(index: Index, where: str) -> str:
    return (index.root / where / "index.html").read_text()


def pages(index: Index, where: str) -> dict[str, bytes]:
    folder = index.root / where
    return {str(p.relative_to(folder)): p.read_bytes() for p in folder.rglob("*") if p.is_file()}


def test_publish_makes_a_generation_and_keeps_the_old_one(index: Index, wheels: dict[str, IndexFile]) -> None:
    first = index.publish("staging", [wheels[GMP62]], comment="first", now=NOW)
    before = pages(index, "staging")
    second = index.publish("staging", [wheels[GMP63], wheels[MPFR]], now=NOW)
    assert (first.number, second.number, second.parent) == (1, 2, 1)
    assert (index.root / "staging").readlink() == Path("staging@000002")
    assert second.added == (GMP63, MPFR)
    assert [f.filename for f in index.files_in(second)] == [GMP62, GMP63, MPFR]
    assert pages(index, "staging@000001") == before
    assert GMP62.replace("!", "%21") in page(index, "staging/simple/native-gmp")
    assert index.generations("staging") == (first, second)
    assert index.channels() == ("staging",)


def test_what_only_looks_like_a_generation_is_none(index: Index, wheels: dict[str, IndexFile]) -> None:
    first = index.publish("staging", [wheels[GMP62]], now=NOW)
    for number in ("9" * 200, "7", "٣" * 6):
        (index.root / f"staging@{number}").mkdir()
    assert index.generations("staging") == (first,)
    assert index.publish("staging", [wheels[GMP63]], now=NOW).number == 2


def test_publishing_what_is_there_makes_no_generation(index: Index, wheels: dict[str, IndexFile]) -> None:
    first = index.publish("staging", wheels.values(), now=NOW)
    again = index.publish("staging", [wheels[GMP63]], now=NOW)
    assert again == first
    assert len(list(index.root.glob("staging@*"))) == 1


def test_every_link_leads_to_the_file_from_channel_and_generation(index: Index, wheels: dict[str, IndexFile]) -> None:
    index.publish("staging", wheels.values(), now=NOW)
    for base in ("staging", "staging@000001"):
        for project in ("native-gmp", "native-mpfr"):
            listing = json.loads((index.root / base / "simple" / project / "index.json").read_bytes())
            for file in listing["files"]:
                from urllib.parse import unquote

                target = Path(os.path.normpath(index.root / base / "simple" / project / unquote(file["url"])))
                assert target.read_bytes() == wheels[file["filename"]].path.read_bytes()
                assert target.with_name(target.name + ".metadata").exists()


def test_json_says_what_the_peps_ask(index: Index, wheels: dict[str, IndexFile]) -> None:
    index.publish("staging", wheels.values(), now=NOW)
    index.yank("staging", [GMP62], "CVE-2021-43618", now=NOW)
    index.set_status("staging", "native-gmp", ProjectStatus(status="deprecated", reason="use <mpn>"), now=NOW)
    listing = json.loads((index.root / "staging/simple/native-gmp/index.json").read_bytes())
    assert listing["meta"] == {"api-version": "1.4"}
    assert listing["project-status"] == {"status": "deprecated", "reason": "use <mpn>"}
    assert listing["versions"] == ["10!6.2.1", "10!6.3.0"]
    old, new = listing["files"]
    assert old["yanked"] == "CVE-2021-43618"
    assert new["yanked"] is False
    assert new["size"] == wheels[GMP63].path.stat().st_size
    assert new["upload-time"] == "2026-11-21T09:30:00.000000Z"
    assert new["requires-python"] == ">=3.11,<4"
    metadata = index.root / f"files/{new['hashes']['sha256'][:2]}/{new['hashes']['sha256']}/{GMP63}.metadata"
    import hashlib

    assert new["core-metadata"] == {"sha256": hashlib.sha256(metadata.read_bytes()).hexdigest()}
    text = page(index, "staging/simple/native-gmp")
    assert 'data-requires-python="&gt;=3.11,&lt;4"' in text
    assert 'data-yanked="CVE-2021-43618"' in text
    assert f'data-core-metadata="sha256={new["core-metadata"]["sha256"]}"' in text
    assert f"#sha256={new['hashes']['sha256']}" in text
    assert '<meta name="pypi:project-status" content="deprecated">' in text
    assert "use &lt;mpn&gt;" in text
    root = json.loads((index.root / "staging/simple/index.json").read_bytes())
    assert root["projects"] == [{"name": "native-gmp"}, {"name": "native-mpfr"}]


def test_quarantined_projects_offer_nothing(index: Index, wheels: dict[str, IndexFile]) -> None:
    index.publish("staging", wheels.values())
    index.set_status("staging", "native-gmp", ProjectStatus(status="quarantined"))
    assert "href" not in page(index, "staging/simple/native-gmp")
    assert json.loads((index.root / "staging/simple/native-gmp/index.json").read_bytes())["files"] == []
    index.set_status("staging", "native-gmp", ProjectStatus())
    assert "href" in page(index, "staging/simple/native-gmp")


def test_unchanged_projects_share_their_pages(index: Index, wheels: dict[str, IndexFile]) -> None:
    index.publish("staging", [wheels[GMP62], wheels[MPFR]])
    index.publish("staging", [wheels[GMP63]])
    for name, same in (("native-mpfr", True), ("native-gmp", False)):
        old, new = (index.root / f"staging@00000{n}/simple/{name}/index.html" for n in (1, 2))
        assert old.samefile(new) is same


def test_same_name_with_other_content_is_refused_unless_replaced(
    tmp_path: Path, index: Index, wheels: dict[str, IndexFile]
) -> None:
    first = index.publish("staging", wheels.values())
    other = IndexFile(path=make_wheel(tmp_path / "other", GMP63, text="y = 2\n"))
    with pytest.raises(IndexFormatError, match="other content"):
        index.publish("staging", [other])
    assert index.current("staging") == first
    second = index.publish("staging", [other], replace=True)
    assert second.added == (GMP63,)
    (now,) = (f for f in index.files_in(second) if f.filename == GMP63)
    (old,) = (f for f in index.files_in(first) if f.filename == GMP63)
    assert now.sha256 != old.sha256
    assert (index.root / old.location).exists(), "the old generation stays installable"
    higher = GMP63.replace("-py3", "-1-py3")
    index.publish("staging", [IndexFile(path=make_wheel(tmp_path / "other", higher))])


def test_bad_wheels_publish_nothing_at_all(tmp_path: Path, index: Index, wheels: dict[str, IndexFile]) -> None:
    from test_wheel_hostile import rezip

    first = index.publish("staging", [wheels[GMP62]])
    lying = IndexFile(path=rezip(wheels[GMP63].path, tmp_path / "h", add={"native_gmp/evil.py": b""}))
    for bad, error in (
        (lying, BinaryFormatError),
        (IndexFile(path=tmp_path / GMP63), IndexFormatError),
        (IndexFile(path=wheels[GMP63].path, sha256="0" * 64), IndexFormatError),
    ):
        with pytest.raises(error):
            index.publish("staging", [wheels[MPFR], bad])
        assert index.current("staging") == first
    for name in ("../evil", "files", "simple", "a@b", "", "A", "."):
        with pytest.raises(IndexFormatError):
            index.publish(name, [wheels[MPFR]])


@pytest.mark.parametrize(
    "line", ["native gmp", "native-gmp>=6!", "a ; python_version ~ '3'", "native-gmp>=1,\n <2 or 3"]
)
def test_requirements_that_installers_cannot_read_are_refused(
    tmp_path: Path, index: Index, wheels: dict[str, IndexFile], line: str
) -> None:
    bad = make_wheel(tmp_path / "bad", "some_user-1.0-py3-none-any.whl", requires=("native-gmp>=6!4.2", line))
    with pytest.raises(BinaryFormatError, match="is not a requirement") as caught:
        index.publish("staging", [wheels[MPFR], IndexFile(path=bad)])
    said = str(caught.value)
    assert str(bad) in said
    assert "METADATA line 5, Requires-Dist" in said or "\n" in line
    assert not (index.root / "files").exists(), "nothing is written, of the other wheel neither"


def test_what_was_published_with_such_a_line_can_be_corrected(
    tmp_path: Path, index: Index, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As farms did before they looked: their channels go on."""
    bad = make_wheel(tmp_path / "bad", "some_user-1.0-py3-none-any.whl", requires=("native gmp", "native-mpfr>=6!4"))
    with monkeypatch.context() as before:
        before.setattr("farm.index.pool.accept", pool.inspect)
        index.publish("staging", [IndexFile(path=bad)], now=NOW)
    overlays.add(index, "staging", [unsigned()], now=NOW)
    assert len(index.files_in(index.generation("staging", 2))) == 2


def test_store_blobs_are_linked_and_other_files_copied(index: Index, wheels: dict[str, IndexFile]) -> None:
    wheels[GMP63].path.chmod(0o444)
    generation = index.publish("staging", wheels.values())
    places = {f.filename: index.root / f.location for f in index.files_in(generation)}
    assert places[GMP63].samefile(wheels[GMP63].path)
    assert not places[MPFR].samefile(wheels[MPFR].path)
    wheels[MPFR].path.write_bytes(b"rebuilt in place")
    record.verify(places[MPFR])


def test_rollback_promote_remove_prune(index: Index, wheels: dict[str, IndexFile]) -> None:
    one = index.publish("staging", [wheels[GMP62]])
    two = index.publish("staging", [wheels[GMP63]])
    three = index.remove("staging", [GMP62], comment="broken")
    assert three.removed == (GMP62,)
    stable = index.promote(two, "stable")
    assert [f.filename for f in index.files_in(stable)] == [GMP62, GMP63]
    assert index.promote(two, "stable") == stable

    assert index.rollback("staging", 1) == one
    assert index.current("staging") == one
    with pytest.raises(IndexFormatError, match="no generation 9"):
        index.rollback("staging", 9)
    four = index.publish("staging", [wheels[MPFR]])
    assert (four.number, four.parent, four.files) == (4, 1, 2)

    index.rollback("staging", 3)
    live = index.live()
    assert index.prune("staging", keep=1) == (one, two)
    assert index.generations("staging") == (three, four)
    assert index.live() == live, "stable still holds what staging lost"
    for file in index.files_in(stable):
        assert (index.root / file.location).exists()


def test_prune_removes_files_nobody_offers(index: Index, wheels: dict[str, IndexFile]) -> None:
    index.publish("staging", wheels.values())
    index.remove("staging", [MPFR])
    assert len(list(index.root.glob("files/*/*/*.whl"))) == 3
    index.prune("staging", keep=1)
    assert sorted(p.name for p in index.root.glob("files/*/*/*.whl")) == [GMP62, GMP63]


def test_the_verb_prune_removes_and_says_so(
    index: Index, wheels: dict[str, IndexFile], capsys: pytest.CaptureFixture[str]
) -> None:
    from farm.cli import run

    index.publish("staging", wheels.values())
    index.remove("staging", [MPFR])
    home = ["--home", str(index.root.parent)]
    assert index.root.name == "index"
    assert run([*home, "index", "prune", "--keep", "0"]) == 2
    assert "--keep" in capsys.readouterr().err
    assert run([*home, "index", "prune", "--keep", "1"]) == 0
    assert capsys.readouterr().out == "removed 1 generation of staging: staging@000001\n"
    assert [g.number for g in index.generations("staging")] == [2]


def test_pages_of_another_format_are_not_reused(
    index: Index, wheels: dict[str, IndexFile], monkeypatch: pytest.MonkeyPatch
) -> None:
    index.publish("staging", [wheels[GMP62]])
    monkeypatch.setattr("farm.index.generations.PAGES_VERSION", 2)
    index.publish("staging", [wheels[MPFR]])
    old, new = (index.root / f"staging@00000{n}/simple/native-gmp/index.html" for n in (1, 2))
    assert not old.samefile(new)
    rebuilt = index.rebuild("staging")
    assert rebuilt.number == 3


def test_damaged_state_is_an_error_that_names_the_file(index: Index, wheels: dict[str, IndexFile]) -> None:
    one = index.publish("staging", [wheels[GMP62]])
    for content in (
        b"",
        b"[]",
        b"[" * 100_000,
        b"{}",
        b'{"format": 9, "files": [], "statuses": {}}',
        b'{"format": 1, "files": [{}]}',
    ):
        (index.path(one) / "files.json").unlink()
        (index.path(one) / "files.json").write_bytes(content)
        with pytest.raises(IndexFormatError, match=r"files\.json"):
            index.files_in(one)
    (index.path(one) / "generation.json").write_bytes(b"{")
    with pytest.raises(IndexFormatError, match=r"generation\.json"):
        index.current("staging")
    (index.root / "staging").unlink()
    (index.root / "staging").symlink_to("/etc")
    with pytest.raises(IndexFormatError, match="not to a generation"):
        index.current("staging")


def test_a_full_disk_leaves_nothing_half_written(
    index: Index, wheels: dict[str, IndexFile], monkeypatch: pytest.MonkeyPatch
) -> None:
    one = index.publish("staging", [wheels[GMP62]])
    before = sorted(index.root.rglob("*"))

    def full(*_: object, **__: object) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(page_files._Written, "sync", full)
    with pytest.raises(StoreError, match="no space left"):
        index.rebuild("staging")
    assert sorted(index.root.rglob("*")) == before
    assert index.current("staging") == one


def test_contents_round_trip(index: Index, wheels: dict[str, IndexFile]) -> None:
    contents = index.contents(index.publish("staging", wheels.values()))
    assert Contents.load(contents.dump(), "x") == contents


PUBLISHER = textwrap.dedent("""
    import sys
    from pathlib import Path
    from farm.index.contents import IndexFile
    from farm.index.generations import Index
    index = Index(Path(sys.argv[1]))
    print("go", flush=True)
    for wheel in sys.argv[2:]:
        index.publish("staging", [IndexFile(path=Path(wheel))])
""")


def test_kill_9_at_any_moment_leaves_the_channel_whole(tmp_path: Path, index: Index) -> None:
    names = [f"thing{n}-1.{n}-py3-none-any.whl" for n in range(30)]
    wheels = [make_wheel(tmp_path / "dist", name) for name in names]
    index.publish("staging", [IndexFile(path=wheels[0])])
    done = rounds = 0
    while done < len(wheels) and rounds < 40:
        command = [sys.executable, "-c", PUBLISHER, str(index.root), *map(str, wheels)]
        child = subprocess.Popen(command, stdout=subprocess.PIPE)
        assert child.stdout is not None
        child.stdout.readline()
        time.sleep(0.004 + 0.0071 * rounds)
        child.send_signal(signal.SIGKILL)
        child.wait()
        child.stdout.close()
        current = index.current("staging")
        assert current is not None
        files = index.files_in(current)
        assert len(files) >= done, "nothing that was served is lost"
        done = len(files)
        for file in files:
            text = page(index, f"staging/simple/{file.project}")
            assert file.sha256 in text
            assert (index.root / file.location).stat().st_size == file.size
        rounds += 1
    assert rounds > 3, "it was killed in the middle of something"
    index.publish("staging", [IndexFile(path=wheel) for wheel in wheels])
    assert not [p.name for p in index.root.iterdir() if p.name.startswith(".") and p.name != ".lock"]
    current = index.current("staging")
    assert current is not None
    assert current.files == len(wheels)
    for file in index.files_in(current):
        record.verify(index.root / file.location)


def test_two_publishers_at_once_lose_nothing(tmp_path: Path, index: Index) -> None:
    wheels = [make_wheel(tmp_path / "dist", f"thing{n}-1.0-py3-none-any.whl") for n in range(12)]
    children = [
        subprocess.Popen(
            [sys.executable, "-c", PUBLISHER, str(index.root), *map(str, wheels[i::3])], stdout=subprocess.DEVNULL
        )
        for i in range(3)
    ]
    assert [child.wait() for child in children] == [0, 0, 0]
    current = index.current("staging")
    assert current is not None
    assert (current.number, current.files) == (12, 12)


def test_full_disk_is_said_and_keeps_the_channel(
    index: Index, wheels: dict[str, IndexFile], monkeypatch: pytest.MonkeyPatch
) -> None:
    import errno

    first = index.publish("staging", [wheels[GMP62]])

    def full(*args: object, **kwargs: object) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr("farm.index.pages._Written.write", full)
    with pytest.raises(FarmError, match="no space left"):
        index.publish("staging", [wheels[MPFR]])
    monkeypatch.undo()
    assert index.current("staging") == first
    assert index.publish("staging", [wheels[MPFR]]).files == 2


DAMAGED_ROWS: dict[str, list[object]] = {
    "size": [-1, "12", 1.5, True, None],
    "sha256": ["../../..", "ab", 5, None],
    "metadata_sha256": ["", 5],
    "filename": ["../../x.whl", "x.txt", "a\x1b.whl", 5],
    "project": ["../../evil", "Native_GMP", "", 5],
    "version": ["one", "9" * 5000, 1],
    "requires_python": [3],
    "uploaded": [5],
    "yanked": [["x"], True],
}
DAMAGED_FACTS: dict[str, list[object]] = {
    "number": ["1", 7, -1, 1.5],
    "channel": ["../x", "stable", 5],
    "size": ["big", -1],
    "created": [5],
    "comment": [None],
    "added": ["abc", [1]],
    "overlays": [[{"name": 1, "sha256": 2, "signer": 3, "files": 4}]],
}


@pytest.mark.parametrize(("field", "value"), [(f, v) for f, values in DAMAGED_ROWS.items() for v in values])
def test_a_damaged_row_of_a_file_is_never_rendered(
    field: str, value: object, index: Index, wheels: dict[str, IndexFile]
) -> None:
    """The next generation would hand it on to users: a link out of the index, a size that no file has."""
    one = index.publish("staging", [wheels[GMP62]])
    _rewrite(index.path(one) / "files.json", lambda raw: raw["files"][0].update({field: value}))
    for change in (lambda: index.promote(one, "stable"), lambda: index.rebuild("staging"), index.live):
        with pytest.raises(IndexFormatError, match=rf"files\.json: is damaged: {field}"):
            change()
    assert index.numbers("staging") == [1]
    assert not index.numbers("stable")


@pytest.mark.parametrize(("field", "value"), [(f, v) for f, values in DAMAGED_FACTS.items() for v in values])
def test_a_damaged_fact_of_a_generation_is_told(
    field: str, value: object, index: Index, wheels: dict[str, IndexFile]
) -> None:
    one = index.publish("staging", [wheels[GMP62]])
    _rewrite(index.path(one) / "generation.json", lambda raw: raw.update({field: value}))
    for look in (lambda: index.generations("staging"), lambda: index.rollback("staging", 1)):
        with pytest.raises(IndexFormatError, match=r"generation\.json: (is damaged|says it is of)"):
            look()


def _rewrite(place: Path, edit: Callable[[dict[str, Any]], object]) -> None:
    raw = json.loads(place.read_bytes())
    edit(raw)
    place.unlink()
    place.write_text(json.dumps(raw))
