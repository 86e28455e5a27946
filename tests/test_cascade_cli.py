"""`farm cascade` as a maintainer uses it."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest
import small_farm
from cascades import chain
from small_farm import PLATFORM, TAG, TINY, add_release, farm

from farm.cascade import affected
from farm.cli import run
from farm.errors import UsageError
from farm.model.outcome import Outcome
from farm.store.ledger import Ledger


@pytest.fixture
def catalog(tmp_path: Path) -> Path:
    return small_farm.make(tmp_path / "catalog")


@pytest.fixture(scope="module")
def begun(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A farm with a cascade that nothing was done for; what is refused leaves it so."""
    catalog = small_farm.make(tmp_path_factory.mktemp("begun") / "catalog")
    assert call(catalog, "list") == 0
    with Ledger.open(catalog / ".farm/ledger.sqlite") as ledger:
        ledger.create_cascade(chain("gmp", "mpfr"))
    return catalog


def call(catalog: Path, *arguments: str) -> int:
    return run(["--catalog", str(catalog), "--home", str(catalog / ".farm"), "cascade", *arguments])


def test_an_empty_farm(catalog: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert call(catalog, "list") == 0
    assert "no unfinished cascades" in capsys.readouterr().out
    assert call(catalog, "list", "--json") == 0
    assert json.loads(capsys.readouterr().out) == []
    assert call(catalog, "advance") == 0
    assert call(catalog, "run-due") == 0, "no recipe says when"


@pytest.mark.parametrize(
    ("arguments", "told"),
    [
        (["start", "--bump", "tiny"], "'tiny'"),
        (["start", "--bump", "nothing=1"], "there is no recipe 'nothing'"),
        (["start", "--toolchain", "win_arm64"], "there is no toolchain 'win_arm64'"),
        (["start", "--cve", "CVE-1"], "which component has it?"),
        (["start", "--cve", "CVE-1", "--purl", "gmp"], "'gmp' is not a package URL"),
        (["start", "--cve", "CVE-1", "--purl", "pkg:generic/gmp"], "no wheel of channel 'staging' holds"),
        (["start", "--all", "--purl", "pkg:generic/gmp"], "belongs to a weakness"),
        (["start", "--bump", "tiny=1.0", "pytiny"], "a release or a weakness concerns all that runs with it"),
        (["start", "--all", "--channel", "No Channel"], "is not a channel name"),
        (["start", "--all", "--before", "/nowhere"], "/nowhere has no recipes"),
        (["start", "--all", "--platform", "win_64"], "there is no platform 'win_64'"),
        (["run-due", "--platform", "win_64"], "there is no platform 'win_64'"),
        (["run-due", "--python", "9.9"], "this machine has no working python9.9"),
        (["start", "--all", "nothing"], "there is no recipe 'nothing'"),
        (["show", "7"], "there is no cascade 7"),
        (["promote", "7"], "there is no cascade 7"),
        (["rollback", "7"], "there is no cascade 7"),
        (["abandon", "7"], "there is no cascade 7"),
        (["fence", "1", "gmp"], "add --until DATE --reason TEXT"),
        (["fence", "1", "gmp", "--until", "soon", "--reason", "x"], "'soon' is no date"),
        (["fence", "1", "gmp", "--until", "2001-01-01", "--reason", "x"], "2001-01-01 is over"),
        (["fence", "1", "gmp", "--until", "9999-12-31T23:59:59-14:00", "--reason", "x"], "is no date"),
        (["fence", "1", "zlib", "--until", "2999-01-01", "--reason", "x"], "cascade 1 does nothing with zlib"),
        (["fence", "1", "gmp", "--until", "2999-01-01", "--reason", "x"], "mpfr cannot go on without gmp"),
        (["promote", "1"], "is planned, not staged"),
        (["rollback", "1"], "is planned, not promoted"),
        (["advance", "--jobs", "0"], "0 jobs cannot work"),
    ],
)
def test_what_makes_no_sense_is_said(
    begun: Path, capsys: pytest.CaptureFixture[str], arguments: list[str], told: str
) -> None:
    code = call(begun, *arguments)
    errors = capsys.readouterr().err
    assert code in (2, 11)
    assert told in errors
    assert "fix: " in errors


@pytest.mark.parametrize(
    ("arguments", "told"),
    [
        (["start", "--toolchain", ""], "--toolchain: is empty"),
        (["start", "--cve", "", "--all"], "--cve: is empty"),
        (["start", "--all", ""], "RECIPE: is empty"),
        (["start", "--all", "--before", ""], "--before: is empty"),
        (["start", "--all", "--reason", "a\x1b[2J"], "--reason: holds '\\x1b'"),
        (["start", "--all", "--channel", "cascade-1"], "'cascade-1' is a name that cascades stage in"),
        (["run-due", "--channel", "cascade-1"], "'cascade-1' is a name that cascades stage in"),
        (["advance", "--broker", ""], "--broker: is empty"),
        (["fence", "1", ""], "RECIPE: is empty"),
    ],
)
def test_words_that_say_nothing_or_name_what_is_not_for_people(
    begun: Path, capsys: pytest.CaptureFixture[str], arguments: list[str], told: str
) -> None:
    with pytest.raises(SystemExit) as ended:
        call(begun, *arguments)
    assert ended.value.code == 2
    assert told in capsys.readouterr().err


def test_show_and_fence_and_abandon(catalog: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert call(catalog, "list") == 0
    with Ledger.open(catalog / ".farm/ledger.sqlite") as ledger:
        ledger.create_cascade(chain("gmp", "mpfr"))
    capsys.readouterr()
    assert call(catalog, "fence", "1", "mpfr", "--until", "2999-12-31", "--reason", "upstream is dead") == 0
    told = capsys.readouterr().out
    assert "cascade 1: a change (bump) is planned, for staging" in told
    assert "fenced: mpfr until 2999-12-31: upstream is dead" in told
    assert "2 to do, 2 fenced" in told
    assert call(catalog, "show", "1", "--all", "--json") == 0
    document = json.loads(capsys.readouterr().out)
    assert document["tasks"]["build"] == {"fenced": 1, "ready": 1}
    assert [task["state"] for task in document["shown"]] == ["ready", "fenced", "waiting", "fenced"]
    assert call(catalog, "fence", "1", "mpfr", "--lift") == 0
    assert "fenced" not in capsys.readouterr().out
    assert call(catalog, "abandon", "1", "--reason", "not needed") == 0
    assert call(catalog, "list", "--all") == 0
    assert "abandoned" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("wanted", "found", "same"),
    [
        ("pkg:generic/gmp", "pkg:generic/gmp@6.2.1", True),
        ("pkg:generic/gmp@6.2.1", "pkg:generic/gmp@6.2.1?os=linux", True),
        ("pkg:generic/gmp@6.2.1", "pkg:generic/gmp@6.3.0", False),
        ("pkg:generic/gmp", "pkg:generic/gmpy@1", False),
        ("pkg:github/libjpeg-turbo/libjpeg-turbo", "pkg:GitHub/libjpeg-turbo/libjpeg-turbo@3.1", True),
        ("pkg:pypi/native-gmp@10!6.2.1", "pkg:pypi/native-gmp@10%216.2.1", True),
    ],
)
def test_package_urls(wanted: str, found: str, same: bool) -> None:
    assert affected.parse(wanted).matches(affected.parse(found)) is same


@pytest.mark.parametrize("text", ["", "gmp", "pkg:", "pkg:generic", "pkg:generic/", "@1", "pkg:generic/@1"])
def test_what_is_no_package_url(text: str) -> None:
    with pytest.raises(UsageError, match="is not a package URL"):
        affected.parse(text)


@pytest.mark.slow
def test_a_release_from_start_to_rollback(catalog: Path) -> None:
    """Really built: a compatible release re-tests its dependent, users get it by one flip and lose it by another."""
    assert farm(catalog, "build").returncode == 0
    more = {
        "tiny.c": TINY["tiny.c"].replace("1.0", "1.1") + "int tiny_sub(int a, int b) { return a - b; }\n",
        "tiny.h": TINY["tiny.h"] + "int tiny_sub(int, int);\n",
    }
    add_release(catalog, "1.1", more)
    assert farm(catalog, "cascade", "start", "--bump", "tiny=1.1", "--suite", "upstream").returncode == 0
    (catalog / "recipes").rename(catalog / "moved")  # the frozen catalog is all it takes
    done = farm(catalog, "cascade", "advance", "--json")
    assert done.returncode == 0, done.stderr
    (document,) = json.loads(done.stdout)
    assert document["state"] == "staged"
    assert document["verdicts"] == {"tiny@1.0 -> tiny@1.1": "not known"}, "nothing is pinned"
    assert document["tasks"]["build"] == {"done": 1}
    assert document["tasks"]["test"] == {"done": 2}
    assert document["checks"]["imported"] == [f"pytiny-0.5-{TAG}-{TAG}-{PLATFORM}.whl"]
    assert version(catalog) == "1.0", "nothing is served yet"
    with Ledger.open(catalog / ".farm/ledger.sqlite") as ledger:
        (tested,) = (one for one in ledger.tasks_of(1) if one.step.startswith("pytiny@"))
        found = {one.kind: one for one in ledger.verdicts([tested.source])[tested.source]}
    assert {kind: found[kind].details["with"] for kind in ("smoke", "upstream")} == {
        "smoke": {"tiny": "1.1"},
        "upstream": {"tiny": "1.1"},
    }
    assert found["upstream"].outcome is Outcome.PASSED
    assert farm(catalog, "cascade", "promote", "1").returncode == 0
    assert version(catalog) == "1.1"
    assert farm(catalog, "cascade", "rollback", "1").returncode == 0
    assert version(catalog) == "1.0"
    (catalog / "moved").rename(catalog / "recipes")
    weak = farm(catalog, "cascade", "start", "--cve", "CVE-1", "--purl", "pkg:generic/tiny@1.0", "--json")
    assert weak.returncode == 0, weak.stderr
    assert json.loads(weak.stdout)["kind"] == "security"
    assert json.loads(weak.stdout)["priority"] == 100


@pytest.mark.slow
def test_a_changed_toolchain_builds_and_tests_what_is_for_its_platform(catalog: Path) -> None:
    assert farm(catalog, "build").returncode == 0
    toolchain = catalog / f"toolchains/{PLATFORM}.toml"
    text = toolchain.read_text()
    assert '"-O2"' in text
    toolchain.write_text(text.replace('"-O2"', '"-O3"'))
    started = farm(catalog, "cascade", "start", "--toolchain", PLATFORM, "tiny")
    assert started.returncode == 0, started.stderr
    assert f"toolchain of {PLATFORM} of tiny (toolchain.flags.c: added -O3, removed -O2) (toolchain)" in started.stdout
    done = farm(catalog, "cascade", "advance", "--json")
    assert done.returncode == 0, done.stderr
    (document,) = json.loads(done.stdout)
    assert (document["kind"], document["state"]) == ("toolchain", "staged")
    assert document["tasks"] == {"build": {"done": 2}, "rebind": {}, "test": {"done": 2}}
    assert farm(catalog, "cascade", "promote", "1").returncode == 0
    assert "nothing to do" in farm(catalog, "plan").stdout


@pytest.mark.slow
def test_an_abi_break_moves_who_it_does_not_reach(catalog: Path) -> None:
    """Really built: tiny 2.0 lacks a symbol that pytiny never imports, so pytiny is rebound, tested and offered."""
    assert farm(catalog, "build").returncode == 0
    assert farm(catalog, "abi", "accept", "tiny@1.0").returncode == 0
    source = '#include "tiny.h"\nint tiny_add(int a, int b) { return a + b; }\n'
    add_release(catalog, "2.0", {"tiny.c": source, "tiny.h": "int tiny_add(int, int);\n"})
    recipe = catalog / "recipes/tiny/recipe.toml"
    recipe.write_text(recipe.read_text().replace('version = "2.0"\n', 'version = "2.0"\nabi_epoch = 2\n'))
    (catalog / "recipes/tiny/smoke.c").write_text("#include <tiny.h>\nint main(void) { return tiny_add(2, 3) != 5; }\n")
    assert farm(catalog, "abi", "accept", "tiny@2.0").returncode == 0
    assert farm(catalog, "cascade", "start", "--bump", "tiny=2.0").returncode == 0
    done = farm(catalog, "cascade", "advance", "--json")
    assert done.returncode == 0, done.stderr
    (document,) = json.loads(done.stdout)
    assert document["verdicts"] == {"tiny@1.0 -> tiny@2.0": "breaking"}
    assert document["tasks"] == {"build": {"done": 1}, "rebind": {"done": 1}, "test": {"done": 2}}
    assert len(document["checks"]["imported"]) == 1
    assert farm(catalog, "cascade", "promote", "1").returncode == 0
    python = small_farm.install(catalog / "env", catalog / ".farm/index/staging/simple", "pytiny")
    code = "import native_tiny, pytiny; print(native_tiny.__version__, pytiny.add(2, 3))"
    said = subprocess.run([python, "-c", code], capture_output=True, text=True, check=True).stdout
    assert said == "2!2.0 5\n"


def version(catalog: Path) -> str:
    """The release of tiny that pip takes from the channel."""
    index = (catalog / ".farm/index/staging/simple").as_uri()
    command = [sys.executable, "-m", "pip", "install", "--isolated", "--dry-run", "--no-input", "--index-url", index]
    said = subprocess.run([*command, "native-tiny"], capture_output=True, text=True, check=True).stdout
    return said.split("native-tiny-1!")[1].split()[0]
