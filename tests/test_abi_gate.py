"""The ABI gate: a release that breaks what its recipe pins is not stored, unless the epoch is raised."""

from __future__ import annotations

import json
import os
import shutil
import zipfile
from dataclasses import replace
from pathlib import Path

import pytest
import small_farm
from test_abi_compare import abi as an_abi
from test_abi_compare import without

from farm.abi import baseline
from farm.abi.introduced import introduced
from farm.errors import CatalogError
from farm.gates.abi import judge
from farm.model.abi import Abi, AbiSymbol
from farm.model.finding import Severity
from farm.store.files import temporary_name
from farm.store.ledger import Ledger

needs_abidw = pytest.mark.skipif(shutil.which("abidw") is None, reason="needs abidw: apt-get install abigail-tools")

MORE = {"tiny.h": small_farm.TINY["tiny.h"] + "int tiny_more(void);\n"}
MORE["tiny.c"] = small_farm.TINY["tiny.c"] + "int tiny_more(void) { return 1; }\n"
OTHER_TYPE = {name: text.replace("int tiny_add(int", "long tiny_add(int") for name, text in small_farm.TINY.items()}
GONE = {"tiny.h": "int tiny_add(int, int);\n", "tiny.c": "int tiny_add(int a, int b) { return a + b; }\n"}


class Tiny:
    """A catalog of one library whose release 1.0 is pinned."""

    def __init__(self, catalog: Path) -> None:
        self.catalog, self.folder, self.said = catalog, catalog / "recipes/tiny", ""

    def __call__(self, *words: str) -> int:
        done = small_farm.farm(self.catalog, *words)
        self.said = done.stdout + done.stderr
        return done.returncode

    def output(self, *words: str) -> str:
        done = small_farm.farm(self.catalog, *words)
        assert done.returncode == 0, done.stderr
        return done.stdout

    def release(self, files: dict[str, str]) -> None:
        """Upstream makes a release 1.1."""
        small_farm.add_release(self.catalog, "1.1", files)

    def edit(self, old: str, new: str) -> None:
        recipe = self.folder / "recipe.toml"
        text = recipe.read_text()
        assert old in text
        recipe.write_text(text.replace(old, new, 1))


@pytest.fixture(scope="module")
def pinned(tmp_path_factory: pytest.TempPathFactory) -> Path:
    made = Tiny(small_farm.make(tmp_path_factory.mktemp("gate") / "catalog"))
    shutil.rmtree(made.catalog / "recipes/pytiny")
    assert made("abi", "accept", "tiny") == 0, made.said
    return made.catalog


@pytest.fixture
def tiny(tmp_path: Path, pinned: Path) -> Tiny:
    return Tiny(Path(shutil.copytree(pinned, tmp_path / "catalog")))


@needs_abidw
def test_what_is_pinned_is_a_text_in_the_recipe(tiny: Tiny) -> None:
    (file,) = (tiny.folder / "abi").rglob("*.abi")
    assert file == tiny.folder / "abi/1.0/manylinux_2_17_x86_64.abi"
    assert "function tiny_add : int (int, int)" in file.read_text().splitlines()
    assert tiny("build", "tiny", "--no-publish") == 0, tiny.said
    assert tiny("abi", "check") == 0, tiny.said
    assert "tiny 1.0 against 1.0 on manylinux_2_17_x86_64: kept" in tiny.said


@needs_abidw
def test_a_compatible_release_passes(tiny: Tiny) -> None:
    tiny.release(MORE)
    assert tiny("build", "tiny", "--no-publish") == 0, tiny.said
    assert tiny("abi", "accept", "tiny") == 0, tiny.said
    assert sorted(path.name for path in (tiny.folder / "abi").iterdir()) == ["1.0", "1.1"]


@needs_abidw
@pytest.mark.parametrize(
    ("files", "said"),
    [
        (GONE, "breaks the ABI of 1.0: tiny_version is gone"),
        (OTHER_TYPE, "breaks the ABI of 1.0: tiny_add returned `int`, returns `long int`"),
    ],
)
def test_a_breaking_release_is_refused_until_the_epoch_is_raised(tiny: Tiny, files: dict[str, str], said: str) -> None:
    tiny.release(files)
    assert tiny("build", "tiny", "--no-publish") == 7, tiny.said
    assert said in tiny.said
    assert "write `abi_epoch = 2` into the [[release]] 1.1 of recipes/tiny/recipe.toml" in tiny.said
    assert tiny("abi", "check", "tiny", "--json") == 7
    assert tiny("abi", "accept", "tiny") == 7, "what breaks cannot be pinned under the same epoch"
    assert said in tiny.said
    assert not (tiny.folder / "abi/1.1").exists()
    tiny.edit('version = "1.1"', 'version = "1.1"\nabi_epoch = 2')
    assert tiny("build", "tiny", "--no-publish") == 0, tiny.said
    assert tiny("abi", "accept", "tiny") == 0, tiny.said
    assert "\nepoch 2\n" in (tiny.folder / f"abi/1.1/{small_farm.PLATFORM}.abi").read_text()
    assert tiny("abi", "check", "tiny@1.0", "tiny") == 0, "each is held to its own epoch"
    (wheel,) = (tiny.catalog / ".farm/store/blobs").rglob("native_tiny-2!1.1-*.whl")
    with zipfile.ZipFile(wheel) as archive:
        assert any(name.endswith("/libtiny-nf02.so") for name in archive.namelist())


@needs_abidw
def test_a_release_may_take_away_what_the_recipe_calls_internal(tiny: Tiny) -> None:
    before = small_farm.farm(tiny.catalog, "plan", "--all", "--json").stdout
    tiny.edit("epoch = 1", 'epoch = 1\ninternal = ["tiny_v*"]')
    assert small_farm.farm(tiny.catalog, "plan", "--all", "--json").stdout == before, "it makes nothing"
    tiny.release(GONE)
    assert tiny("abi", "check", "tiny") == 0, tiny.said
    assert "tiny 1.1 against 1.0 on manylinux_2_17_x86_64: kept" in tiny.said
    assert tiny("build", "tiny", "--no-publish") == 0, tiny.said
    assert tiny("abi", "accept", "tiny") == 0, tiny.said


@needs_abidw
def test_an_epoch_that_is_raised_without_a_break_is_a_warning(tiny: Tiny) -> None:
    tiny.release(MORE)
    tiny.edit("epoch = 1", "epoch = 2")
    assert tiny("abi", "check", "tiny", "--json") == 0, tiny.said
    (row,) = json.loads(tiny.said[tiny.said.index("[\n") :])
    (finding,) = row["findings"]
    assert finding["severity"] == "warning"
    assert "was raised from 1 to 2, but 1.1 does not break the ABI of 1.0" in finding["fact"]


def epoch(
    number: int, release: str = "1.0", *, headers: dict[str, dict[str, str]] | None = None, **changes: object
) -> Abi:
    return replace(an_abi(headers=headers, **changes), epoch=number, release=release)


def test_the_same_release_with_more_symbols_is_a_warning() -> None:
    (finding,) = judge(epoch(1, symbols=without("close")), epoch(1))
    assert finding.severity is Severity.WARNING
    assert finding.fact == "not as pinned for 1.0: close is new"
    assert judge(epoch(1), epoch(1)) == ()


def test_a_constant_with_another_value_is_a_warning() -> None:
    old, new = ({"t.h": {"T_FLAG": value, "T_VERSION": value}} for value in ("1", "2"))
    (finding,) = judge(epoch(1, headers=old), epoch(1, release="2.0", headers=new))
    assert finding.severity is Severity.WARNING
    assert finding.fact == "not as in 1.0: t.h T_FLAG was 1, is 2"
    assert "`abi_epoch = 2` in the [[release]] 2.0 of recipes/t/recipe.toml" in finding.fix
    assert judge(epoch(1, headers=old), epoch(2, release="2.0", headers=new, symbols=())) == (), "programs move anyway"


def test_an_epoch_never_goes_down() -> None:
    for lower in (epoch(1, release="2.0"), epoch(1, release="2.0", symbols=without("close"))):
        (finding,) = judge(epoch(2), lower)
        assert finding.severity is Severity.ERROR
        assert "the ABI epoch is 1, below 2, which 1.0 is pinned under" in finding.fact


def test_many_breaks_are_not_all_listed() -> None:
    nothing = epoch(1, release="2.0", symbols=())
    many = epoch(1, symbols=tuple(s for n in range(30) for s in _copies(n)))
    findings = judge(many, nothing)
    assert len(findings) == 21
    assert "and 10 more changes break the ABI of 1.0" in findings[-1].fact


def _copies(number: int) -> tuple[object, ...]:
    return (replace(an_abi().libraries["t"].symbols[0], name=f"f{number}"),)


def test_which_pinned_abi_counts(tmp_path: Path) -> None:
    recipe = tmp_path / "t"
    for release, platform, abi_class in (
        ("1.9", "manylinux_2_17_x86_64", "elf64"),
        ("1.10", "manylinux_2_17_x86_64", "elf64"),
        ("1.10", "win_amd64", "pe64"),
    ):
        pinned = replace(an_abi(), release=release, platform=platform, abi_class=abi_class)
        place = baseline.path_of(recipe, pinned)
        place.parent.mkdir(parents=True, exist_ok=True)
        place.write_bytes(baseline.content(pinned))
    accepted = baseline.load(recipe)
    assert list(accepted.releases) == ["1.9", "1.10"]

    def found(release: str, platform: str, abi_class: str) -> tuple[str, str] | None:
        asked = replace(an_abi(), release=release, platform=platform, abi_class=abi_class)
        abi = accepted.held_to(asked)
        return (abi.release, abi.platform) if abi else None

    assert found("1.11", "manylinux_2_17_x86_64", "elf64") == ("1.10", "manylinux_2_17_x86_64")
    assert found("1.9.5", "manylinux_2_17_aarch64", "elf64") == ("1.9", "manylinux_2_17_x86_64")
    assert found("1.10", "win_amd64", "pe64") == ("1.10", "win_amd64")
    assert found("1.10", "win32", "pe32") is None
    assert found("1.8", "manylinux_2_17_x86_64", "elf64") is None
    own = replace(an_abi(), release="1.9", platform="manylinux_2_17_aarch64")
    baseline.path_of(recipe, own).write_bytes(baseline.content(own))
    accepted = baseline.load(recipe)
    assert found("1.11", "manylinux_2_17_aarch64", "elf64") == ("1.9", "manylinux_2_17_aarch64"), "its own comes first"


def test_a_platform_without_a_pin_is_held_to_the_one_that_it_is_most_like() -> None:
    def on(platform: str, *gone: str) -> Abi:
        symbols = tuple(symbol for symbol in an_abi().libraries["t"].symbols if symbol.name not in gone)
        return replace(an_abi(symbols=symbols), platform=platform)

    pins = [on("arm"), on("intel", "open"), on("power", "open", "names")]
    accepted = baseline.Accepted(releases={"1.0": {abi.platform: abi for abi in pins}})

    def held_to(*gone: str) -> str:
        found = accepted.held_to(on("musl on intel", *gone))
        return found.platform if found else ""

    assert (held_to(), held_to("open"), held_to("open", "names")) == ("arm", "intel", "power")
    assert held_to("names") == "power", "arm's is broken by that, and so is intel's"


@pytest.fixture
def refused(tiny: Tiny) -> Tiny:
    """A release that takes a symbol away was built, and refused for what it exports."""
    shutil.rmtree(tiny.folder / "abi")
    assert tiny("build", "tiny", "--no-publish") == 0, tiny.said
    assert tiny("abi", "accept", "tiny", "--exports") == 0, tiny.said
    tiny.release(GONE)
    assert tiny("build", "tiny", "--no-publish") == 7, tiny.said
    return tiny


@needs_abidw
def test_what_the_gate_refused_is_judged_again_without_building(refused: Tiny) -> None:
    """What upstream took away turns out to be internal: the wheel that is there is stored."""
    refused.edit("epoch = 1\n", 'epoch = 1\ninternal = ["tiny_version"]\n')
    assert refused("build", "tiny", "--no-publish") == 0, refused.said
    assert "tiny@1.1/manylinux_2_17_x86_64: kept from the last try" in refused.said
    assert "tiny@1.1/manylinux_2_17_x86_64: make" not in refused.said


@needs_abidw
def test_what_differs_by_nature_can_be_pinned_as_it_was_built(tiny: Tiny) -> None:
    """The only pin is another platform's, which exports more."""
    (file,) = (tiny.folder / "abi").rglob("*.abi")
    other = file.with_name("manylinux_2_17_aarch64.abi")
    text = file.read_text().replace("manylinux_2_17_x86_64", "manylinux_2_17_aarch64")
    other.write_text(text.replace("symbol tiny_add func", "symbol tiny_add func\nsymbol tiny_neon func"))
    file.unlink()
    assert tiny("build", "tiny", "--no-publish") == 7, tiny.said
    assert "tiny_neon is gone" in tiny.said
    assert tiny("abi", "accept", "tiny", "--exports") == 0, tiny.said
    assert tiny("build", "tiny", "--no-publish") == 0, tiny.said
    assert "kept from the last try" in tiny.said


@needs_abidw
def test_what_may_have_changed_since_is_built_again(refused: Tiny) -> None:
    assert refused("shell", "tiny@1.1", "-c", "true") == 0, refused.said
    assert refused("build", "tiny", "--no-publish") == 7, refused.said
    assert "kept from the last try" not in refused.said, "a person may have changed what is there"
    refused.edit("[build]\n", '[build]\ncflags = ["-DNEW"]\n')
    assert refused("build", "tiny", "--no-publish") == 7, refused.said
    assert "kept from the last try" not in refused.said, "it has other inputs"


@needs_abidw
def test_a_damaged_pinned_abi_is_a_fault_of_the_recipe(tiny: Tiny) -> None:
    (file,) = (tiny.folder / "abi").rglob("*.abi")
    file.write_text(file.read_text().replace("symbol tiny_add func", "symbol"))
    for words in (("recipe", "lint"), ("build", "tiny", "--no-publish")):
        assert tiny(*words) == 3, tiny.said
        assert f"recipes/tiny/{file.relative_to(tiny.folder)}:" in tiny.said


@pytest.mark.parametrize("kind", ["file", "link", "fifo", "directory", "outside", "too high"])
def test_what_is_no_plain_file_at_its_place_is_refused(tmp_path: Path, kind: str) -> None:
    folder = tmp_path / "t/abi"
    folder.parent.mkdir()
    place = folder / "1.0/p.abi"
    if kind == "file":
        folder.write_text("")
    elif kind == "outside":
        (tmp_path / "other/1.0").mkdir(parents=True)
        (tmp_path / "other/1.0/p.abi").write_bytes(baseline.content(an_abi()))
        folder.symlink_to(tmp_path / "other")
    else:
        place.parent.mkdir(parents=True)
    if kind == "link":
        place.symlink_to(tmp_path / "elsewhere")
    if kind == "fifo":
        os.mkfifo(place)
    if kind == "too high":
        (folder / "p.abi").write_bytes(baseline.content(an_abi()))
    if kind == "directory":
        (place / "more").mkdir(parents=True)
    with pytest.raises(CatalogError, match=r"recipes/t/abi"):
        baseline.load(tmp_path / "t")


@pytest.mark.parametrize("damage", [b"x" * 100_000, b"abi " + b"1" * 100_000])
def test_a_damaged_pin_is_not_told_whole(tmp_path: Path, damage: bytes) -> None:
    place = tmp_path / "t/abi/1.0/p.abi"
    place.parent.mkdir(parents=True)
    place.write_bytes(damage if damage.startswith(b"abi") else baseline.content(an_abi()) + damage)
    with pytest.raises(CatalogError) as caught:
        baseline.load(tmp_path / "t")
    assert len(str(caught.value)) < 400


def test_what_a_kill_left_of_writing_a_pin_is_no_pin(tmp_path: Path) -> None:
    place = tmp_path / "t/abi/1.0/p.abi"
    place.parent.mkdir(parents=True)
    place.write_bytes(baseline.content(an_abi()))
    place.with_name(temporary_name(f".{place.name}")).write_bytes(place.read_bytes()[:20])
    assert list(baseline.load(tmp_path / "t").releases) == ["1.0"]


@needs_abidw
def test_a_pinned_release_is_not_pinned_anew_with_a_break(tiny: Tiny) -> None:
    (file,) = (tiny.folder / "abi").rglob("*.abi")
    old = file.read_text().replace("int (int, int)", "int (int, long int)")
    file.write_text(old)
    assert tiny("abi", "accept", "tiny") == 7, tiny.said
    assert file.read_text() == old
    file.unlink()
    assert tiny("abi", "accept", "tiny") == 0, tiny.said


@needs_abidw
def test_exports_are_pinned_from_the_stored_wheel_where_no_pin_says_them(tiny: Tiny) -> None:
    (typed,) = (tiny.folder / "abi").rglob("*.abi")
    exports = ("abi", "accept", "tiny", "--exports", "--platform", "*")
    assert tiny(*exports) == 2, tiny.said
    assert "the store has no wheel of tiny" in tiny.said
    assert tiny("build", "tiny", "--no-publish") == 0, tiny.said
    before = typed.read_text()
    assert tiny(*exports) == 0, tiny.said
    assert f"exports what is pinned for {small_farm.PLATFORM}" in tiny.said
    assert typed.read_text() == before
    other = typed.with_name("manylinux_2_17_aarch64.abi")
    other.write_text(before.replace(f"platform {small_farm.PLATFORM}\n", "platform manylinux_2_17_aarch64\n"))
    typed.unlink()
    assert tiny(*exports) == 0, tiny.said
    assert "exports what is pinned for manylinux_2_17_aarch64" in tiny.said
    assert not typed.exists()
    other.write_text(other.read_text().replace("symbol tiny_version func\n", ""))
    assert tiny(*exports, "--json") == 0, tiny.said
    lines = typed.read_text().splitlines()
    assert {"library tiny", "symbol tiny_add func", "symbol tiny_version func"} <= set(lines)
    assert "header tiny.h" in lines
    assert not any(line.startswith("function") for line in lines)
    typed.write_text(before.replace("symbol tiny_version func\n", ""))
    assert tiny(*exports) == 7, tiny.said
    assert "is pinned with types, which its exports alone would take away" in tiny.said


def test_a_pinned_abi_at_the_wrong_place_is_refused(tmp_path: Path) -> None:
    place = tmp_path / "t/abi/2.0/win32.abi"
    place.parent.mkdir(parents=True)
    place.write_bytes(baseline.content(an_abi()))
    with pytest.raises(CatalogError, match=r"recipes/t/abi/2\.0/win32\.abi: says it is of t 1\.0 for p"):
        baseline.load(tmp_path / "t")


@needs_abidw
def test_a_native_wheel_says_which_release_brought_which_symbol(tiny: Tiny) -> None:
    assert tiny("build", "tiny", "--no-publish") == 0, tiny.said
    tiny.release(MORE)
    assert tiny("plan", "tiny@1.0") == 0
    assert "nothing to do" in tiny.said, "what is pinned is no input of the release itself"
    assert tiny("build", "tiny", "--no-publish") == 0, tiny.said
    (wheel,) = (tiny.catalog / ".farm/store/blobs").rglob("native_tiny-*1.1-*.whl")
    with zipfile.ZipFile(wheel) as archive:
        (name,) = (member for member in archive.namelist() if member.endswith("/native.json"))
        manifest = json.loads(archive.read(name))
    assert (manifest["baseline"], manifest["introduced"]) == ("1.0", {"1.1": ["tiny_more"]})
    assert tiny("plan", "tiny@1.1") == 0
    assert "nothing to do" in tiny.said
    (file,) = (tiny.folder / "abi").rglob("*.abi")
    file.write_text(file.read_text().replace("symbol tiny_version func\n", ""))
    assert tiny("plan", "tiny@1.1") == 0
    assert "nothing to do" not in tiny.said, "what older releases had decides what 1.1 brought"


def test_which_release_introduced_a_symbol(tmp_path: Path) -> None:
    def pinned(release: str, *gone: str, number: int = 1) -> Abi:
        symbols = tuple(symbol for symbol in an_abi().libraries["t"].symbols if symbol.name not in gone)
        return epoch(number, release=release, symbols=symbols)

    accepted = baseline.Accepted(
        releases={
            "1.0": {"p": pinned("1.0", "open", "names", number=9)},
            "1.1": {"p": pinned("1.1", "open", "names")},
            "1.2": {"p": pinned("1.2", "open")},
        }
    )
    newest = pinned("1.3")

    def found(*older: str, abi_class: str = "elf64") -> tuple[str, dict[str, set[str]]]:
        platform = "p" if abi_class == "elf64" else "q"
        known = introduced(accepted, older, replace(newest, platform=platform, abi_class=abi_class))
        return known.baseline, {release: set(symbols) for release, symbols in known.symbols.items()}

    assert found("1.1", "1.2") == ("1.1", {"1.2": {"names"}, "1.3": {"open"}})
    assert found("1.0", "1.1") == ("1.1", {"1.3": {"names", "open"}}), "another epoch tells nothing"
    assert found() == found("1.2", abi_class="pe64") == ("1.3", {}), "nobody knows what older releases had"
    assert found("0.9", "1.2") == ("1.2", {"1.3": {"open"}}), "what 1.2 has may not have been in 0.9"


def test_what_only_some_processors_had_may_be_new_on_another() -> None:
    def pinned(release: str, platform: str, *gone: str) -> Abi:
        symbols = tuple(symbol for symbol in an_abi().libraries["t"].symbols if symbol.name not in gone)
        return replace(epoch(1, release=release, symbols=symbols), platform=platform)

    accepted = baseline.Accepted(
        releases={"1.0": {"intel": pinned("1.0", "intel"), "arm": pinned("1.0", "arm", "open")}}
    )
    assert introduced(accepted, ("1.0",), pinned("1.1", "power")).symbols == {"1.1": {"open"}}
    assert introduced(accepted, ("1.0",), pinned("1.1", "intel")).symbols == {}


def test_another_version_of_a_symbol_is_introduced_like_a_new_one() -> None:
    """A program that is linked to 1.1 asks for `open@T_2`, which 1.0 does not have."""

    def pinned(release: str, *versions: str) -> Abi:
        return epoch(1, release=release, symbols=tuple(AbiSymbol(name="open", version=v) for v in versions))

    accepted = baseline.Accepted(releases={"1.0": {"p": pinned("1.0", "T_1")}})
    assert introduced(accepted, ("1.0",), pinned("1.1", "T_1", "T_2")).symbols == {"1.1": {"open"}}
    assert introduced(accepted, ("1.0",), pinned("1.1", "T_1")).symbols == {}


@pytest.fixture
def unpinned(tmp_path: Path) -> Tiny:
    made = Tiny(small_farm.make(tmp_path / "catalog"))
    shutil.rmtree(made.catalog / "recipes/pytiny")
    return made


def test_without_a_pin_a_release_is_held_to_the_stored_wheel_of_the_one_before(unpinned: Tiny) -> None:
    assert unpinned("build", "tiny") == 0, unpinned.said
    unpinned.release(GONE)
    assert unpinned("build", "tiny") == 7
    assert "breaks the ABI of 1.0: tiny_version is gone" in unpinned.said
    unpinned.edit('version = "1.1"\n', 'version = "1.1"\nabi_epoch = 2\n')
    assert unpinned("build", "tiny") == 0, unpinned.said


def test_without_a_pin_and_a_wheel_nothing_is_known_and_that_is_said(unpinned: Tiny) -> None:
    unpinned.release(GONE)
    assert unpinned("build", "tiny") == 0, unpinned.said
    (key,) = [step["key"] for step in json.loads(unpinned.output("plan", "tiny", "--all", "--json"))["steps"]]
    with Ledger.open(unpinned.catalog / ".farm/ledger.sqlite") as ledger:
        facts = [finding.fact for finding in ledger.findings_of(key)]
    assert any("nothing says whether 1.1 keeps the ABI of 1.0" in fact for fact in facts), facts
