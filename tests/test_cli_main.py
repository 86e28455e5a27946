"""The command line as a whole: errors become exit codes in one place, and start-up stays light."""

from __future__ import annotations

import argparse
import json
import os
import re
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from farm import cli, errors
from farm.process import run

ROOT = Path(__file__).parent.parent


def _error_classes() -> list[type[errors.FarmError]]:
    return [c for c in vars(errors).values() if isinstance(c, type) and issubclass(c, errors.FarmError)]


def test_exit_codes_are_documented() -> None:
    table = (ROOT / "docs/exit-codes.md").read_text()
    for error in _error_classes():
        assert re.search(rf"^\| {error.exit_code} \| {error.kind} \|", table, re.M), error


def test_kinds_of_error_have_distinct_exit_codes() -> None:
    by_code: dict[int, set[str]] = {}
    for error in _error_classes():
        by_code.setdefault(error.exit_code, set()).add(error.kind)
    assert all(len(kinds) == 1 for kinds in by_code.values()), by_code


def test_what_another_machine_met_ends_in_the_same_exit_code() -> None:
    for error in _error_classes():
        here = errors.restored(error.kind, "there")
        assert (here.exit_code, here.kind, here.what) == (error.exit_code, error.kind, "there"), error
    assert errors.restored("of a later farm", "there").exit_code == 1


def test_an_error_says_what_where_and_fix(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(_argv: list[str]) -> int:
        raise errors.SourceError("wrong hash", where="gmp.tar.xz", fix="check the recipe")

    monkeypatch.setattr(cli, "_dispatch", fail)
    assert cli.run(["build"]) == 5
    text = capsys.readouterr().err
    assert "gmp.tar.xz: wrong hash" in text
    assert "fix: check the recipe" in text


def _below(parser: argparse.ArgumentParser) -> Iterator[argparse.ArgumentParser]:
    """A parser's actions and theirs."""
    for action in parser._actions:
        if isinstance(action, argparse._SubParsersAction):
            for sub in action.choices.values():
                yield sub
                yield from _below(sub)


@pytest.mark.parametrize("verb", sorted(cli.VERBS))
def test_every_verb_and_every_action_has_help_with_examples_that_call_it(verb: str) -> None:
    found = [parser for parser in _below(cli._parser(only=verb)) if parser.prog.split()[1] == verb]
    assert found
    for parser in found:
        text = parser.format_help()
        assert re.search(rf"^  {parser.prog}( |$)", text.partition("examples:")[2], re.M), text
        assert parser.description, parser.prog


@pytest.mark.parametrize("words", ["cascade show", "build --jobs", "status --interval", "logs x --tail"])
@pytest.mark.parametrize("number", ["9" * 20, "9" * 5000, "nan", "inf", "1e400", "\N{ARABIC-INDIC DIGIT THREE}x", ""])
def test_numbers_that_no_database_and_no_clock_can_hold(
    words: str, number: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(SystemExit) as ended:
        cli.run(["--home", str(tmp_path / "home"), *words.split(), number])
    assert ended.value.code == 2
    assert "number" in capsys.readouterr().err
    assert not list(tmp_path.iterdir())


def test_an_option_value_is_not_taken_for_the_verb(tmp_path: Path) -> None:
    done = run([sys.executable, "-m", "farm.cli", "--home", tmp_path, "plan", "--help"])
    assert "--platform" in done.output


def test_a_directory_named_as_a_verb_is_not_taken_for_it(tmp_path: Path) -> None:
    done = run([sys.executable, "-m", "farm.cli", "--home", "build", "status", "--help"], cwd=tmp_path)
    assert "--watch" in done.output


@pytest.mark.parametrize("encoding", ["ascii", "latin-1", "utf-8"])
def test_any_text_can_be_printed_whatever_the_encoding_of_the_terminal(encoding: str) -> None:
    code = (
        "import json\nfrom farm import cli\nfrom farm.cli.output import print_json\n"
        "cli._open_standard_streams()\nprint_json({'who': 'Zo\u00eb \u2713'})\nprint('built by Zo\u00eb \u2713')"
    )
    done = run([sys.executable, "-c", code], env={**os.environ, "PYTHONIOENCODING": encoding})
    document, _, line = done.output.partition("}\n")
    assert json.loads(document + "}") == {"who": "Zo\u00eb \u2713"}
    assert line.startswith("built by Zo")


def test_help_imports_nothing_heavy() -> None:
    code = (
        "import sys\nfrom farm.cli import run\ntry:\n run(['--help'])\nexcept SystemExit:\n pass\n"
        "print('LOADED', *sorted(sys.modules))"
    )
    loaded = run([sys.executable, "-c", code]).output.rsplit("LOADED", 1)[1].split()
    heavy = {"pydantic", "sqlalchemy", "alembic", "rich", "auditwheel", "celery", "networkx", "iced_x86"}
    assert heavy.isdisjoint(loaded)


@pytest.mark.parametrize(
    "words",
    [["status"], ["plan"], ["plan", "--bump", "gmp=6.3.0"], ["build"], ["reproduce"], ["toolchain", "python"]],
    ids=" ".join,
)
def test_a_python_that_nobody_has_is_said(words: list[str], tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert cli.run(["--catalog", str(ROOT), "--home", str(tmp_path), *words, "--python", "9.9"]) == 2
    said = capsys.readouterr()
    assert said.out == ""
    assert re.search(r"--python.*no file in toolchains/pythons/ describes", said.err)
    assert "cp311, cp313, cp314" in said.err
