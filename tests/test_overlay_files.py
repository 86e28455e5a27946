"""Overlay files are untrusted: only Requires-Dist and Requires-Python can change, and only who is trusted may sign."""

from __future__ import annotations

import json
import os
from datetime import UTC, datetime
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from overlay_factory import CREATED, LATER, Keys, make_keys, overlay
from packaging.requirements import Requirement
from wheel_factory import make_wheel

from farm.cli import run as farm
from farm.errors import OverlayError
from farm.index import overlay_edit, overlay_file, overlay_sign
from farm.index.generations import Index
from farm.wheel.metadata import parse_headers

FILE = """\
format = 1
name = "mpfr-5"
project = "some-user"
versions = ">=1.0,<2"
reason = "MPFR 5 changes mpfr_t"
author = "Jo"
created = 2020-01-01T09:30:00Z
expires = 2090-02-01
[requires]
tighten = ["native-mpfr<7!0"]
"""


def test_a_file_is_read_and_written_back() -> None:
    found = overlay_file.parse(FILE.encode(), "x.toml")
    assert found == overlay()
    assert (found.created, found.expires) == (CREATED, LATER)
    assert overlay_file.parse(overlay_file.dump(found), "x") == found


@settings(deadline=None, max_examples=50)
@given(
    reason=st.text(st.characters(blacklist_categories=("C", "Z")), min_size=1, max_size=40),
    edits=st.lists(st.sampled_from(["tighten", "replace", "add"]), min_size=1, max_size=6),
    expires=st.datetimes(datetime(2021, 1, 1), datetime(2090, 1, 1), timezones=st.just(UTC)),
)
def test_any_overlay_survives_being_written(reason: str, edits: list[str], expires: datetime) -> None:
    requires: dict[str, tuple[str, ...]] = {}
    for number, kind in enumerate(edits):
        requires[kind] = (*requires.get(kind, ()), f"project-{number}<{number}!2")
    made = overlay(reason=reason, expires=expires, requires=requires)
    assert overlay_file.parse(overlay_file.dump(made), "x") == made


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        ("[requires]", 'version = "9"\n[requires]', "x.toml: version: is not a known key; did you mean 'versions'?"),
        ("[requires]", 'summary = "evil"\n[requires]', "x.toml: summary: is not a known key"),
        ("[requires]", '[headers]\nName = "evil"\n[requires]', "x.toml: headers: is not a known key"),
        ('name = "mpfr-5"', 'name = "../../evil"', "x.toml: name: '../../evil' is not allowed"),
        ('name = "mpfr-5"', 'name = ".hidden"', "x.toml: name: '.hidden' is not allowed"),
        ('"some-user"', '"Some_User"', "x.toml: project: 'Some_User' is not a normalised project name"),
        ("versions = ", "#", "give one of the two"),
        ('versions = ">=1.0,<2"', 'files = ["../some_user-1.0-py3-none-any.whl"]', r"\[files\] #1|files #1"),
        ('versions = ">=1.0,<2"', 'files = ["other-1.0-py3-none-any.whl"]', "names a wheel of other"),
        (">=1.0,<2", "newest", "versions: 'newest' is not a version specifier"),
        (">=1.0,<2", "", "versions: string should have at least 1 character"),
        ("native-mpfr<7!0", "native-mpfr", "tighten #1: 'native-mpfr' is to be a project and a bound"),
        ("native-mpfr<7!0", "native-mpfr<7!0; python_version<'3'", "marker and extras stay"),
        ("native-mpfr<7!0", "native mpfr<7", "is not a requirement"),
        ("native-mpfr<7!0", "native-mpfr<7\\nName: evil", "is not one printable line"),
        ("tighten", "replace = ['native-mpfr @ https://evil.example/x.whl']\n#", "names a URL"),
        ("tighten", "remove = ['native-mpfr']\ntighten", "native-mpfr is named twice"),
        ("tighten", "add = ['native-mpfr>3']\ntighten", "native-mpfr is added and changed"),
        ("tighten", "#", "changes nothing"),
        ("tighten", f"remove = {[f'p{n}' for n in range(201)]}\ntighten", "remove: tuple should have at most 200"),
        ("MPFR 5", "MPFR\\n5", "reason: must be one printable line"),
        ("MPFR 5", "M" * 1001, "reason: .*at most 1000|reason: .*is not allowed"),
        ('reason = "MPFR 5 changes mpfr_t"\n', "", "x.toml: reason: is missing"),
        ("expires = 2090-02-01", "", "x.toml: expires: is missing"),
        ("expires = 2090-02-01", "expires = 2019-01-01", "`expires` is not after `created`"),
        ("expires = 2090-02-01", 'expires = "2090-02-01"', "expires: is not a TOML date or time"),
        ("expires = 2090-02-01", "expires = 2090-02-01T00:00:00", "expires: has no time zone"),
        ("expires = 2090-02-01", "expires = 9999-12-31T23:59:59-23:59", "not in this millennium"),
        ("format = 1", "format = 2", "x.toml: format: 2 is not allowed"),
        ("format = 1", "format = 1\nformat = 1", "is not TOML"),
        ("format = 1", "x = " + "[" * 9000, "is not TOML"),
        ("format = 1", "# \udcff", "is not UTF-8"),
        ("format = 1", "#" * 70_000, "is larger than 65536 bytes"),
    ],
)
def test_everything_else_is_refused_by_file_and_field(old: str, new: str, message: str) -> None:
    assert old in FILE
    with pytest.raises(OverlayError, match=message):
        overlay_file.parse(FILE.replace(old, new, 1).encode("utf-8", "surrogateescape"), "x.toml")


def test_tightening_keeps_extras_and_markers_and_every_entry() -> None:
    lines = (
        "native-mpfr >=6!4.2 ; sys_platform == 'linux'",
        "Native_MPFR[a,b]",
        "native-mpfr (<7!0)",
        "native-mpfr-extra",
    )
    found = overlay_edit.requirements(lines, overlay().requires, "x")
    assert found == (
        'native-mpfr>=6!4.2,<7!0; sys_platform == "linux"',
        "Native_MPFR[a,b]<7!0",
        "native-mpfr (<7!0)",
        "native-mpfr-extra",
    )
    with pytest.raises(OverlayError, match="names a URL: it has no bounds"):
        overlay_edit.requirements(["native-mpfr @ file:///x.whl"], overlay().requires, "x")
    with pytest.raises(OverlayError, match="no requirement that bounds can be added to"):
        overlay_edit.requirements(["native-mpfr >>1"], overlay().requires, "x")


_folded = st.lists(st.text(st.characters(min_codepoint=32, max_codepoint=0x2FF), max_size=20), min_size=1, max_size=3)
_other = st.tuples(st.sampled_from(["Summary", "License", "X-Odd", "Provides-Extra", "description"]), _folded)
_entry = st.tuples(
    st.just("Requires-Dist"), st.sampled_from(["native-mpfr>=6", "numpy (>1)", "a; extra == 'b'"]).map(lambda t: [t])
)


@settings(deadline=None)
@given(
    fields=st.lists(_other | _entry, max_size=8),
    body=st.none() | st.text(max_size=60).map(lambda text: text.replace("\r", "")),
    encoding=st.sampled_from(["utf-8", "latin-1"]),
)
def test_editing_keeps_what_it_does_not_understand(
    fields: list[tuple[str, list[str]]], body: str | None, encoding: str
) -> None:
    """Folded headers, descriptions with anything in them, files that are not UTF-8."""
    head = "".join(f"{key}: " + "\n        |".join(lines) + "\n" for key, lines in fields)
    content = (head + ("" if body is None else f"\n{body}")).encode(encoding, "replace")
    old = parse_headers(content, "x")
    new = overlay_edit.edited(old, [overlay(requires_python=">=3.12", requires={"tighten": ("native-mpfr<7",)})], "x")
    ours = ("requires-dist", "requires-python")
    assert [f for f in new.fields if f[0].lower() not in ours] == [f for f in old.fields if f[0].lower() not in ours]
    assert new.body == old.body
    assert new.all("Requires-Python") == (">=3.12",)
    for before, after in zip(old.all("Requires-Dist"), new.all("Requires-Dist"), strict=True):
        tight = {"<7"} if before.startswith("native-mpfr") else set()
        assert {str(s) for s in Requirement(after).specifier} == {str(s) for s in Requirement(before).specifier} | tight
        assert Requirement(after).marker == Requirement(before).marker
    assert (
        overlay_edit.edited(new, [overlay(requires_python=">=3.12", requires={"tighten": ("native-mpfr<7",)})], "x")
        == new
    )
    assert parse_headers(new.format(), "x") == parse_headers(parse_headers(new.format(), "x").format(), "x")


@pytest.fixture(scope="module")
def keys(tmp_path_factory: pytest.TempPathFactory) -> Keys:
    return make_keys(tmp_path_factory.mktemp("keys"))


@pytest.fixture
def file(tmp_path: Path, keys: Keys) -> Path:
    """An overlay that jo signed."""
    place = tmp_path / "mpfr-5.toml"
    place.write_text(FILE)
    place.with_name("mpfr-5.toml.sig").write_bytes(overlay_sign.sign(FILE.encode(), keys.jo))
    return place


def test_a_signature_names_its_signer(file: Path, keys: Keys) -> None:
    signed = overlay_sign.read(file, keys.trusted)
    (jo,) = overlay_sign.trusted_keys(keys.trusted)
    assert signed.signer == f"jo@example.org {jo.fingerprint}"
    assert (signed.name, signed.document) == ("mpfr-5", FILE)
    assert overlay_sign.signer_of(keys.jo, keys.trusted) == "jo@example.org"
    assert overlay_sign.signer_of(keys.eve, keys.trusted) == ""
    assert overlay_sign.signer_of(Path(), keys.trusted) == "", "`--key ''` or `--key .`: no name to put .pub behind"


def test_what_was_changed_after_it_was_signed_is_refused(file: Path, keys: Keys) -> None:
    file.write_text(FILE.replace("7!0", "8!0"))
    with pytest.raises(OverlayError, match=r"mpfr-5\.toml: its signature is not of this content"):
        overlay_sign.read(file, keys.trusted)


def test_signatures_that_do_not_count(file: Path, keys: Keys, tmp_path: Path) -> None:
    from farm.process import run

    place = file.with_name("mpfr-5.toml.sig")
    good = place.read_bytes()
    for bad, message in (
        (overlay_sign.sign(FILE.encode(), keys.eve), "not of a key that is trusted now"),
        (b"junk\n", "not of a key that is trusted now"),
        (good[: len(good) // 2], "not of a key that is trusted now"),
        (b"\xff" + good, "its signature is damaged"),
        (b"x" * 20_000, r"mpfr-5\.toml\.sig: is larger than"),
    ):
        place.write_bytes(bad)
        with pytest.raises(OverlayError, match=message):
            overlay_sign.read(file, keys.trusted)
    place.unlink()
    run(["ssh-keygen", "-Y", "sign", "-q", "-n", "git", "-f", keys.jo, file])
    with pytest.raises(OverlayError, match="namespace does not match"):
        overlay_sign.read(file, keys.trusted)
    place.unlink()
    with pytest.raises(OverlayError, match=r"mpfr-5\.toml\.sig: is missing: it holds the signature"):
        overlay_sign.read(file, keys.trusted)
    os.mkfifo(place)
    with pytest.raises(OverlayError, match=r"mpfr-5\.toml\.sig: is not a regular file"):
        overlay_sign.read(file, keys.trusted)


def test_trust_can_be_limited_and_taken_back(file: Path, keys: Keys, tmp_path: Path) -> None:
    jo = " ".join((keys.jo.with_name("jo.pub")).read_text().split()[:2])
    trusted = tmp_path / "trusted"
    trusted.write_text(f'a@x,jo@x namespaces="git,{overlay_sign.NAMESPACE}" {jo}\n')
    assert overlay_sign.read(file, trusted).signer.startswith("a@x SHA256:")
    for line in (f'jo@x namespaces="git" {jo}', f'jo@x valid-before="20200101" {jo}', "# nobody"):
        trusted.write_text(line + "\n")
        with pytest.raises(OverlayError):
            overlay_sign.read(file, trusted)
    for content, message in (
        ("jo ssh-ed25519\n", "line 1 is no trusted key"),
        ("\n\nx y z\n", "line 3 is no trusted key"),
    ):
        trusted.write_text(content)
        with pytest.raises(OverlayError, match=message):
            overlay_sign.trusted_keys(trusted)
    trusted.unlink()
    with pytest.raises(OverlayError, match=r"trusted: is missing: it holds the keys .*\n  fix: echo"):
        overlay_sign.read(file, trusted)


def test_keys_that_cannot_sign(keys: Keys, tmp_path: Path) -> None:
    from farm.process import run

    with pytest.raises(OverlayError, match=r"none: there is no such key"):
        overlay_sign.sign(b"x", tmp_path / "none")
    locked = tmp_path / "locked"
    run(["ssh-keygen", "-q", "-t", "ed25519", "-N", "secret", "-f", locked])
    with pytest.raises(OverlayError, match="locked: ssh-keygen cannot sign with it") as caught:
        overlay_sign.sign(b"x", locked)
    assert "PRIVATE KEY-----" not in str(caught.value)


def test_command_line(tmp_path: Path, keys: Keys, capsys: pytest.CaptureFixture[str], file: Path) -> None:
    catalog = tmp_path / "catalog"
    (catalog / "recipes").mkdir(parents=True)
    (catalog / "toolchains").mkdir()
    (catalog / "trusted-keys").write_bytes(keys.trusted.read_bytes())
    base = ["--catalog", str(catalog), "--home", str(tmp_path / "home"), "index"]

    def run(*words: object, code: int = 0) -> str:
        assert farm([*base, *map(str, words)]) == code
        found = capsys.readouterr()
        return found.err if code else found.out

    name = "some_user-1.0-py3-none-any.whl"
    run("build", make_wheel(tmp_path, name, requires=("native-mpfr>=6!4.2",)))
    assert "holds no metadata overlays" in run("overlay", "list")
    made = ("overlay", "add", "--project", "some-user", "--version", "1.0", "--tighten", "native-mpfr<7!0", "--key")
    why = ("--reason", "MPFR 5 breaks it", "--expires", "90d")
    assert "--author: is missing" in run(*made, keys.eve, *why, code=2)
    assert "not of a key that is trusted" in run(*made, keys.eve, *why, "--author", "eve", code=11)
    assert "--reason: is missing" in run(*made, keys.jo, code=2)
    assert "'soon' is no date" in run(*made, keys.jo, "--reason", "x", "--expires", "soon", code=2)
    added = json.loads(run(*made, keys.jo, *why, "--json"))
    (row,) = added["overlays"]
    assert (added["generation"], added["changed"], row["state"]) == ("staging@000002", True, "active")
    assert (row["name"], row["author"], row["versions"]) == ("some-user-native-mpfr", "jo@example.org", "==1.0")
    assert row["corrections"] == [{"original": name, "corrected": added["added"][0]}]
    assert "both change" not in run("overlay", "add", file, "--replace"), "bounds add up"
    assert [o["name"] for o in json.loads(run("overlay", "list", "--json"))] == ["mpfr-5", "some-user-native-mpfr"]
    shown = run("overlay", "show", "mpfr-5", "--export", tmp_path / "out")
    assert shown.startswith(FILE)
    assert (tmp_path / "out/mpfr-5.toml").read_text() == FILE
    assert "2 signatures checked" in run("overlay", "verify")
    assert "1 signature checked" in run("overlay", "verify", tmp_path / "out/mpfr-5.toml")
    assert "1 trusted key in" in run("overlay", "keys")
    assert json.loads(run("overlay", "keys", "--json"))[0]["principals"] == "jo@example.org"
    assert "published: staging@000004" in run("overlay", "remove", "mpfr-5")
    assert "go together" in run("overlay", "expire", "--now", code=2)
    assert "nothing changed" in run("overlay", "expire")
    assert "published: staging@000005" in run("overlay", "expire", "--now", "some-user-native-mpfr")
    assert "  ended  " in run("overlay", "list")
    assert "holds no such overlay" in run("overlay", "show", "x", code=11)
    assert "takes overlay files, or --project" in run("overlay", "add", code=2)
    index = Index(tmp_path / "home/index")
    current = index.current("staging")
    assert current is not None
    assert [f.filename for f in index.files_in(current)] == [name]
    signature = file.with_name(f"{file.name}.sig")
    signature.unlink()
    assert "is missing: it holds the signature" in run("overlay", "add", file, code=11)
    assert run("overlay", "sign", file, "--key", keys.jo) == f"{signature}\n"
    (catalog / "trusted-keys").write_text("# nobody any more\n")
    assert "not of a key that is trusted" in run("overlay", "verify", code=11)
