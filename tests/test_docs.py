"""The documentation and the advice in errors: what they say that can be looked up is true."""

from __future__ import annotations

import re

import documents
import pytest
from documents import ROOT, Said

from farm import catalog


def _faults(said: list[Said]) -> list[str]:
    return [f"{one.where}: farm {' '.join(one.words)}: {why}" for one in said if (why := documents.fault(one))]


def test_every_documented_command_is_one() -> None:
    said = list(documents.commands())
    assert len(said) > 200, "the pages are read"
    assert not _faults(said)


def test_every_example_of_help_is_one() -> None:
    said = list(documents.examples())
    assert len(said) > 100
    assert not _faults(said)


def test_every_command_that_an_error_advises_is_one() -> None:
    said = list(documents.advice())
    assert len(said) > 100
    assert not _faults(said)


def test_every_release_whose_abi_is_compared_is_in_its_recipe() -> None:
    """A release that was retired still counts: one that was removed would make the first thing people try an error."""
    recipes = catalog.load_from(ROOT).recipes
    compared = [one for one in (*documents.commands(), *documents.examples()) if one.words[:2] == ("abi", "diff")]
    named = {(one.where, word) for one in compared for word in one.words[2:] if "@" in word and word[0].islower()}
    assert named
    for where, word in named:
        name, _, version = word.partition("@")
        assert version in {release.version for release in recipes[name].recipe.history}, f"{where}: {word}"


@pytest.mark.parametrize(
    ("line", "words"),
    [
        ("$ farm plan gmpy2            # what farm build does", [["plan", "gmpy2"]]),
        ("cd x && farm watch --due --json > watch.json", [["watch", "--due", "--json"]]),
        ("farm build  --follow    shown live", [["build", "--follow"]]),
        ('less "$(farm logs gmp --path)"', [["logs", "gmp", "--path"]]),
        ('before = "pip install x && farm fetch gmp --prefix {p}"', [["fetch", "gmp", "--prefix", "{p}"]]),
        ("farm gc 2>> log; farm doctor", [["gc"], ["doctor"]]),
        ("a farm of workers", [["of", "workers"]]),
        ("the farm's own", []),
    ],
)
def test_commands_are_found_in_lines(line: str, words: list[list[str]]) -> None:
    assert list(documents.commands_in(line)) == words


@pytest.mark.parametrize(
    "command", ["biuld gmp", "build --brooker x", "cascade begin", "rebind x.whl", "gc --keep-days x"]
)
def test_what_is_no_command_is_found(command: str) -> None:
    assert documents.fault(Said(where="here", words=tuple(command.split())))


def test_every_link_leads_to_a_file() -> None:
    found = list(documents.links())
    assert len(found) > 50
    assert not [f"{where}: {place.relative_to(ROOT)}" for where, place in found if not place.exists()]


def test_every_file_that_is_named_is_there() -> None:
    assert not [f"{where}: {place.relative_to(ROOT)}" for where, place in documents.files() if not place.is_file()]


def test_every_variable_is_read_somewhere() -> None:
    places = [
        place for folder in ("farm", "scripts", "tests") for place in (ROOT / folder).rglob("*") if place.is_file()
    ]
    source = "".join(place.read_text("utf-8", "replace") for place in (*places, ROOT / "compose.yaml"))
    assert not [f"{where}: {name}" for where, name in documents.variables() if not re.search(rf"\b{name}\b", source)]


def test_every_make_target_is_one() -> None:
    makefile = (ROOT / "Makefile").read_text()
    assert not [f"{where}: make {n}" for where, n in documents.targets() if not re.search(rf"^{n}:", makefile, re.M)]
