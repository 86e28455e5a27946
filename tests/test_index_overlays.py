"""Metadata overlays of a channel: corrected wheels and the METADATA beside them agree, originals come back, whoever
is killed leaves the channel whole."""

from __future__ import annotations

import contextlib
import json
import os
import signal
import subprocess
import sys
import tempfile
import textwrap
from datetime import timedelta
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from overlay_factory import CREATED, LATER, NOW, unsigned
from wheel_factory import make_wheel

from farm.errors import IndexFormatError, OverlayError
from farm.index import overlay_file, overlays
from farm.index.contents import Contents, IndexFile, PublishedFile
from farm.index.generation import Generation
from farm.index.generations import Index
from farm.wheel import metadata, names, record
from farm.wheel.archive import WheelArchive
from farm.wheel.metadata import Headers

USER1, USER2 = (f"some_user-{version}-py3-none-any.whl" for version in ("1.0", "2.0"))
GMP = "native_gmp-10!6.3.0-py3-none-manylinux_2_17_x86_64.whl"
REQUIRES = ("native-gmp>=10!6.2.0,<11!0", "native-mpfr[fast]>=6!4.2 ; python_version >= '3'")
TIGHT = 'native-mpfr[fast]>=6!4.2,<7!0; python_version >= "3"'


@pytest.fixture
def index(tmp_path: Path) -> Index:
    """A channel with two releases of a user and a native wheel, as generation 1."""
    made = Index(tmp_path / "index")
    made.publish("staging", [wheel(tmp_path, name) for name in (USER1, USER2, GMP)], now=NOW)
    return made


def wheel(folder: Path, name: str, text: str = "x = 1\n") -> IndexFile:
    requires = REQUIRES if name.startswith("some_user") else ()
    return IndexFile(path=make_wheel(folder / "dist", name, requires=requires, text=text))


def served(index: Index, channel: str = "staging") -> Contents:
    current = index.current(channel)
    assert current is not None
    return index.contents(current)


def corrected(index: Index, original: str = USER1) -> PublishedFile:
    (found,) = (c.corrected for c in served(index).corrections.values() if c.original.filename == original)
    return found


def headers(index: Index, file: PublishedFile) -> Headers:
    """METADATA of a wheel, after a look that what is served beside it is the same."""
    place = index.root / file.location
    record.verify(place)
    with WheelArchive.open(place) as archive:
        content = archive.read(archive.dist_info_file("METADATA"))
        said = metadata.parse_headers(archive.read(archive.dist_info_file("WHEEL")), "WHEEL")
        metadata.check_wheel_file(said, archive.name, file.filename)
    assert place.with_name(place.name + ".metadata").read_bytes() == content
    return metadata.parse_metadata(content, names.parse(file.filename), file.filename)


def tree(index: Index, name: str) -> dict[str, bytes]:
    folder = index.root / name
    return {str(p.relative_to(folder)): p.read_bytes() for p in folder.rglob("*") if p.is_file()}


def test_the_corrected_wheel_and_its_served_metadata_agree_and_all_else_keeps_its_bytes(index: Index) -> None:
    before = tree(index, "staging@000001")
    generation = overlays.add(index, "staging", [unsigned()], now=NOW)
    new = corrected(index)
    assert generation.number == 2
    assert generation.added == (new.filename,)
    assert headers(index, new).all("Requires-Dist") == (REQUIRES[0], TIGHT)
    old = served(index).files[USER1]
    with WheelArchive.open(index.root / old.location) as a, WheelArchive.open(index.root / new.location) as b:
        assert list(a.members) == list(b.members)
        different = {name for name in a.members if b"".join(a.raw(name)) != b"".join(b.raw(name))}
        assert different == {a.dist_info_file(name) for name in ("METADATA", "WHEEL", "RECORD")}
    assert names.parse(USER1).version == names.parse(new.filename).version
    assert old.yanked == "metadata corrected by mpfr-5: MPFR 5 changes mpfr_t"
    assert new.yanked is None
    assert [c.original.filename for c in served(index).corrections.values()] == [USER1], "2.0 is not selected"
    assert tree(index, "staging@000001") == before, "generations never change"


def test_pages_offer_both_and_name_the_metadata(index: Index) -> None:
    overlays.add(index, "staging", [unsigned(requires_python=">=3.12,<4")], now=NOW)
    listing = json.loads((index.root / "staging/simple/some-user/index.json").read_bytes())
    new, old, _ = listing["files"]
    assert (old["filename"], old["yanked"]) == (USER1, "metadata corrected by mpfr-5: MPFR 5 changes mpfr_t")
    assert new["yanked"] is False
    assert new["core-metadata"]["sha256"] == corrected(index).metadata_sha256
    assert old["requires-python"] == new["requires-python"] == ">=3.12,<4", "also who pins is held to it"
    assert headers(index, corrected(index)).all("Requires-Python") == (">=3.12,<4",)
    assert headers(index, served(index).files[USER1]).all("Requires-Python") == ()


def test_the_same_overlay_gives_the_same_file_everywhere_and_twice_is_once(index: Index, tmp_path: Path) -> None:
    first = overlays.add(index, "staging", [unsigned()], now=NOW)
    assert overlays.add(index, "staging", [unsigned()], now=NOW + timedelta(days=1)) == first
    other = Index(tmp_path / "other")
    other.publish("staging", [wheel(tmp_path / "b", USER1)], now=NOW + timedelta(days=2))
    overlays.add(other, "staging", [unsigned()], now=NOW + timedelta(days=2))
    assert (corrected(other).filename, corrected(other).sha256) == (corrected(index).filename, corrected(index).sha256)


def test_what_is_taken_off_brings_the_originals_back(index: Index) -> None:
    before = served(index).files
    overlays.add(index, "staging", [unsigned()], now=NOW)
    again = corrected(index)
    third = overlays.end(index, "staging", ["mpfr-5"], now=NOW)
    assert (third.number, third.removed) == (3, (again.filename,))
    assert served(index).files == before
    assert overlays.end(index, "staging", ["mpfr-5"], now=NOW) == third
    overlays.add(index, "staging", [unsigned()], now=NOW)
    assert corrected(index).sha256 == again.sha256
    with pytest.raises(OverlayError, match="holds no such overlay; it holds mpfr-5"):
        overlays.end(index, "staging", ["mpfr"], now=NOW)


def test_an_overlay_ends_when_it_expires(index: Index, tmp_path: Path) -> None:
    before = served(index).files
    second = overlays.add(index, "staging", [unsigned()], now=NOW)
    assert overlays.expire(index, "staging", now=LATER - timedelta(seconds=1)) == second
    assert [o.state for o in overlays.standing(served(index), now=LATER)] == ["expired"]
    expired = overlays.expire(index, "staging", now=LATER)
    assert expired is not None
    assert (expired.number, served(index).files, served(index).overlays) == (3, before, {})
    overlays.add(index, "staging", [unsigned()], now=NOW)
    index.publish("staging", [wheel(tmp_path, "other-1-py3-none-any.whl")], now=LATER)
    assert not served(index).corrections, "any change of the channel looks at the date"
    assert overlays.expire(index, "empty") is None


def test_new_wheels_are_corrected_when_they_are_published(
    index: Index, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    overlays.add(index, "staging", [unsigned()], now=NOW)
    name = "some_user-1.1-py3-none-any.whl"
    third = index.publish("staging", [wheel(tmp_path, name)])
    assert headers(index, corrected(index, name)).all("Requires-Dist")[1] == TIGHT
    assert third.overlays[0].files == 2
    assert index.publish("staging", [wheel(tmp_path, name), wheel(tmp_path, USER1)], replace=True) == third
    own = IndexFile(path=index.root / corrected(index, name).location)
    assert index.publish("staging", [own]) == third, "what an overlay made can be published, and changes nothing"
    rebuilt = index.publish("staging", [wheel(tmp_path / "b", name, text="x = 2\n")], replace=True)
    assert rebuilt.number == 4
    with WheelArchive.open(index.root / corrected(index, name).location) as archive:
        assert archive.read("some_user/__init__.py") == b"x = 2\n"
    assert "no file" not in caplog.text
    index.remove("staging", [corrected(index).filename, name])
    assert sorted(served(index).files) == [GMP, USER2]
    assert "overlay mpfr-5 matches no file of the channel any more" in caplog.text
    assert [o.state for o in overlays.standing(served(index), now=NOW)] == ["idle"]


def test_a_later_rebuild_wins_over_a_corrected_wheel(index: Index, tmp_path: Path) -> None:
    overlays.add(index, "staging", [unsigned(files=(USER1,))], now=NOW)
    rebuilt = USER1.replace("-py3", "-1-py3")
    index.publish("staging", [wheel(tmp_path, rebuilt)])
    from packaging.utils import parse_wheel_filename

    tags = {name: parse_wheel_filename(name)[2] for name in (USER1, corrected(index).filename, rebuilt)}
    assert sorted(tags, key=lambda name: tags[name]) == [USER1, corrected(index).filename, rebuilt]


def test_overlays_add_up_in_any_order(index: Index, tmp_path: Path) -> None:
    two = [
        unsigned("b", requires={"remove": ("native-gmp",)}),
        unsigned("a", requires={"tighten": ("native-mpfr<6!5",)}),
    ]
    overlays.add(index, "staging", [*two, unsigned()], now=NOW)
    new = corrected(index)
    assert headers(index, new).all("Requires-Dist") == ('native-mpfr[fast]>=6!4.2,<6!5,<7!0; python_version >= "3"',)
    other = Index(tmp_path / "other")
    other.publish("staging", [wheel(tmp_path / "b", USER1)])
    for one in (unsigned(), *reversed(two)):
        overlays.add(other, "staging", [one], now=NOW)
    assert corrected(other).sha256 == new.sha256
    assert served(index).corrections[new.filename].overlays == ("a", "b", "mpfr-5")


@pytest.mark.parametrize(
    ("second", "message"),
    [
        (
            {"requires": {"remove": ("native-mpfr",)}},
            "the overlays mpfr-5 and other both change Requires-Dist: native-mpfr",
        ),
        ({"project": "some-usr"}, "overlay other: the channel has no project 'some-usr'"),
        ({"versions": "==3"}, "overlay other: no file of some-user is ==3; there are some_user-1.0-py3-none-any.whl"),
        ({"files": ("some_user-3-py3-none-any.whl",)}, "no file of some-user is some_user-3-py3"),
        ({"requires": {"tighten": ("numpy<3",)}}, "changes nothing in some_user-1.0-py3"),
        ({"requires": {"add": (REQUIRES[0],)}}, "changes nothing in some_user-1.0-py3"),
        ({"expires": NOW}, "`expires`: it has expired on 2026-11-21"),
        ({"created": NOW + timedelta(days=1)}, "`created`: .* is in the future"),
        ({"name": "mpfr-5", "reason": "another"}, "holds another overlay of this name"),
    ],
)
def test_overlays_that_cannot_be_applied_change_nothing(index: Index, second: dict[str, object], message: str) -> None:
    first = overlays.add(index, "staging", [unsigned()], now=NOW)
    with pytest.raises(OverlayError, match=message):
        overlays.add(index, "staging", [unsigned(**{"name": "other", **second})], now=NOW)  # type: ignore[arg-type]
    assert index.current("staging") == first


def test_two_overlays_replacing_the_same_fence(index: Index) -> None:
    """What a cascade does: fence a dependent, and fence it again elsewhere."""
    common = {"project": "some-user", "dependency": "native-mpfr", "versions": "<2", "author": "farm"}
    times = {"created": CREATED, "expires": LATER}
    for below in ("7!0", "6!5"):
        fence = overlay_file.fence(below=below, reason=f"fails with {below}", **common, **times)  # type: ignore[arg-type]
        assert fence.name == "fence-some-user-native-mpfr"
        overlays.add(index, "staging", [unsigned(**dict(fence))], replace=True, now=NOW)
    assert headers(index, corrected(index)).all("Requires-Dist")[1].startswith("native-mpfr[fast]>=6!4.2,<6!5;")


def test_replace_add_and_remove(index: Index) -> None:
    requires = {
        "replace": ("native-gmp>=10!6.3",),
        "add": ("tomli; python_version < '3.11'",),
        "remove": ("native-mpfr",),
    }
    overlays.add(index, "staging", [unsigned(requires=requires)], now=NOW)
    found = headers(index, corrected(index)).all("Requires-Dist")
    assert found == ("native-gmp>=10!6.3", "tomli; python_version < '3.11'")


def test_generations_say_what_made_them(index: Index, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    from farm.cli import run

    second = overlays.add(index, "staging", [unsigned()], now=NOW)
    (use,) = second.overlays
    assert (use.name, use.files, use.signer) == ("mpfr-5", 1, "jo SHA256:none")
    assert use.sha256 == unsigned().sha256
    place = index.path(second) / "generation.json"
    assert Generation.load(place.read_bytes(), "x") == second
    assert "overlays" not in json.loads((index.root / "staging@000001/generation.json").read_bytes())
    assert json.loads((index.root / "staging@000001/files.json").read_bytes())["format"] == 1
    assert json.loads((index.path(second) / "files.json").read_bytes())["format"] == 2, "older farms refuse to lose it"
    contents = served(index)
    assert Contents.load(contents.dump(), "x") == contents
    assert run(["--home", str(tmp_path), "index", "generations"]) == 0
    assert "mpfr-5" in capsys.readouterr().out
    assert run(["--home", str(tmp_path), "index", "generations", "--json"]) == 0
    assert json.loads(capsys.readouterr().out)[1]["overlays"][0]["name"] == "mpfr-5"


def test_promotion_takes_overlays_along_and_loses_none_by_accident(index: Index) -> None:
    one = index.current("staging")
    assert one is not None
    two = overlays.add(index, "staging", [unsigned()], now=NOW)
    index.promote(two, "stable", now=NOW)
    assert served(index, "stable") == served(index)
    with pytest.raises(OverlayError, match=r"channel 'stable': its metadata overlays mpfr-5 .* would be lost"):
        index.promote(one, "stable", now=NOW)
    assert index.promote(one, "stable", now=LATER).files == 3, "an expired one is no loss"
    index.rollback("stable", 1)
    assert served(index, "stable").corrections
    three = overlays.end(index, "staging", ["mpfr-5"], now=NOW)
    assert index.promote(three, "stable", now=NOW).overlays == (), "it was taken off on purpose"
    index.rollback("stable", 1)
    assert not served(index, "stable").overlays.keys() ^ {"mpfr-5"}
    assert index.promote(one, "stable", now=NOW, drop_overlays=True).overlays == ()


def test_corrected_files_are_yanked_and_pruned_by_either_name(index: Index) -> None:
    overlays.add(index, "staging", [unsigned()], now=NOW)
    name = corrected(index).filename
    index.yank("staging", [name], "broken", now=NOW)
    assert {served(index).files[n].yanked for n in (name, USER1)} == {"broken"}
    index.yank("staging", [USER1], None, now=NOW)
    assert corrected(index).yanked is None
    index.prune("staging", keep=1)
    overlays.end(index, "staging", ["mpfr-5"], now=NOW)
    record.verify(index.root / served(index).files[USER1].location)
    index.prune("staging", keep=1)
    assert not list(index.root.glob(f"files/*/*/{name}"))
    with pytest.raises(IndexFormatError, match="no file"):
        index.remove("staging", [name])


def test_damaged_files_are_not_corrected(index: Index) -> None:
    place = index.root / f"{served(index).files[USER1].location}.metadata"
    place.write_bytes(b"Metadata-Version: 2.1\n")
    with pytest.raises(IndexFormatError, match=r"\.metadata: is missing or damaged"):
        overlays.add(index, "staging", [unsigned()], now=NOW)
    current = index.current("staging")
    assert current is not None
    assert current.number == 1


ADDER = textwrap.dedent("""
    import os, signal, sys
    from pathlib import Path
    sys.path.insert(0, sys.argv[2])
    from overlay_factory import NOW, unsigned
    from farm.index import overlays, pages, pool
    from farm.index.generations import Index

    def die(*_args, **_kwargs):
        os.kill(os.getpid(), signal.SIGKILL)

    if sys.argv[3] == "repacked":
        pool.add = die
    elif sys.argv[3] == "pooled":
        pages.write = die
    elif sys.argv[3] == "written":
        Index._flip = die
    overlays.add(Index(Path(sys.argv[1])), "staging", [unsigned()], now=NOW)
""")


@pytest.mark.parametrize("when", ["repacked", "pooled", "written"])
def test_kill_9_leaves_the_old_generation_and_the_same_command_goes_on(index: Index, when: str) -> None:
    before = tree(index, "staging")
    command = [sys.executable, "-c", ADDER, str(index.root), str(Path(__file__).parent)]
    assert subprocess.run([*command, when], check=False).returncode == -signal.SIGKILL
    assert tree(index, "staging") == before
    subprocess.run([*command, "never"], check=True, env={**os.environ, "PYTHONWARNINGS": "error"})
    assert headers(index, corrected(index)).all("Requires-Dist")[1] == TIGHT
    assert not [p.name for p in index.root.iterdir() if p.name.startswith(".") and p.name != ".lock"]


OVERLAYS = (
    unsigned("a", versions=">=1"),
    unsigned("b", versions="==2.0", requires={"remove": ("native-gmp",)}),
    unsigned("c", project="native-gmp", versions=">=10!0", requires={"add": ("numpy",)}),
)


@pytest.fixture(scope="module")
def dist(tmp_path_factory: pytest.TempPathFactory) -> list[IndexFile]:
    folder = tmp_path_factory.mktemp("dist")
    return [wheel(folder, name) for name in (USER1, USER2, GMP)]


@settings(deadline=None, max_examples=10, suppress_health_check=[HealthCheck.too_slow])
@given(
    steps=st.lists(st.tuples(st.sampled_from(["publish", "hide", "yank", "add", "end"]), st.integers(0, 2)), max_size=8)
)
def test_whatever_happens_what_was_published_is_known(steps: list[tuple[str, int]], dist: list[IndexFile]) -> None:
    """Overlays come and go between other changes: without them the channel is what it would be had there been none,
    and with them it is what one would get who started today."""
    with tempfile.TemporaryDirectory() as folder:
        index, plain = Index(Path(folder) / "index"), Index(Path(folder) / "plain")
        for made in (index, plain):
            made.publish("staging", dist, now=NOW)
        for step, n in steps:
            name = dist[n].path.name
            if step == "add":
                with contextlib.suppress(OverlayError):  # it selects what is hidden
                    overlays.add(index, "staging", [OVERLAYS[n]], now=NOW)
            elif step == "end":
                with contextlib.suppress(OverlayError):  # it is not held
                    overlays.end(index, "staging", [OVERLAYS[n].name], now=NOW)
            else:
                for made in (index, plain):
                    _step(made, step, name, dist[n])
        held = served(index)
        assert held.as_published().files == served(plain).files
        assert {c.corrected.filename for c in held.corrections.values()} == held.files.keys() - served(
            plain
        ).files.keys()
        active = [o for o in held.overlays.values() if not o.ended]
        if held.corrections:
            usable = [o for o in active if any(o.name in c.overlays for c in held.corrections.values())]
            overlays.add(plain, "staging", usable, now=NOW)
            assert served(plain).files == held.files
        overlays.end(index, "staging", [o.name for o in active], now=NOW)
        assert not served(index).corrections
        assert not [p.name for p in index.root.iterdir() if p.name.startswith(".") and p.name != ".lock"]


def _step(index: Index, step: str, name: str, file: IndexFile) -> None:
    there = name in served(index).files
    if step == "publish":
        index.publish("staging", [file], now=NOW)
    elif step == "hide" and there:
        index.remove("staging", [name], now=NOW)
    elif step == "yank" and there:
        index.yank("staging", [name], "broken", now=NOW)
