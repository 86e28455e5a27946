"""What the documentation says that can be looked up: commands, links, files, variables. Not a test module."""

from __future__ import annotations

import argparse
import contextlib
import functools
import io
import re
import shlex
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from farm import cli
from farm.cli import log_options

ROOT = Path(__file__).parent.parent
PAGES = (ROOT / "README.md", *sorted((ROOT / "docs").rglob("*.md")))
_FENCE = "```"
_CODE = re.compile(r"`([^`\n]+)`")
_COMMAND = re.compile(r"(?:^|[\s;&|(\"])farm (?=[a-z-])")
_PROSE = re.compile(r"\s{2,}(?=[^-\s])")  # what stands beside a command, in a column of its own
_ONLY_NAMED = ("arguments are required", "is required", "expected one argument")


@dataclass(frozen=True, slots=True, kw_only=True)
class Said:
    """Something that a page says. `whole`: a command to be copied; else it may only name a verb."""

    where: str
    words: tuple[str, ...]
    whole: bool = True


def _lines(page: Path) -> Iterator[tuple[str, bool, str]]:
    """Place, whether it is inside a fence, and text; a line that ends in a backslash goes on with the next."""
    fenced, held, at = False, "", 0
    for number, line in enumerate(page.read_text("utf-8").splitlines(), 1):
        if line.lstrip().startswith(_FENCE):
            fenced = not fenced
            continue
        held, at = (held + line, at) if held else (line, number)
        if fenced and held.endswith("\\"):
            held = held[:-1]
            continue
        yield f"{page.relative_to(ROOT)}:{at}", fenced, held
        held = ""


def commands_in(text: str) -> Iterator[list[str]]:
    """The command lines of the farm in a line of a shell, each as its words, without what it is piped or led to."""
    plain = re.split(r"\s#\s", text, maxsplit=1)[0]
    for found in _COMMAND.finditer(plain):
        yield _words(_PROSE.split(plain[found.end() :], maxsplit=1)[0])


def _words(rest: str) -> list[str]:
    reader = shlex.shlex(rest, posix=True, punctuation_chars=True)
    reader.whitespace_split = True
    words: list[str] = []
    try:
        for word in reader:
            if re.fullmatch(r"[();<>|&]+", word):
                return words[:-1] if word.startswith(">") and words[-1:] == ["2"] else words
            words.append(word)
    except ValueError:  # the quotation began before the command: in TOML, in YAML
        return _words(rest[: max(rest.rfind('"'), rest.rfind("'"))])
    return words


def commands() -> Iterator[Said]:
    """Every command line of README and docs."""
    for page in PAGES:
        for where, fenced, line in _lines(page):
            if fenced:
                yield from (Said(where=where, words=tuple(words)) for words in commands_in(line))
            else:
                for code in _CODE.findall(line):
                    if re.match(r"(?:FARM_\w+=\S+ )*farm [a-z]", code):
                        yield from (Said(where=where, words=tuple(words), whole=False) for words in commands_in(code))


def examples() -> Iterator[Said]:
    """The examples that `farm VERB --help` shows."""
    from importlib import import_module

    from farm.cli import overlay_options

    epilogs = {verb: str(getattr(import_module(f"farm.cli.{verb}"), "EPILOG", "")) for verb in cli.VERBS}
    for name, text in (epilogs | {"index overlay": overlay_options.EPILOG}).items():
        for line in text.replace("\\\n", " ").splitlines():
            yield from (Said(where=f"farm {name} --help", words=tuple(words)) for words in commands_in(line))


def fault(said: Said) -> str:
    """Why the command line is none; empty if the real parser takes it. Of one that is only named, or cut short by dots,
    it takes what is there."""
    words = [word for word in said.words if word != "..."]
    is_whole = said.whole and len(words) == len(said.words)
    numbers = [re.sub(r"^[A-Z][A-Z_]*$|^\{\w+\}$", "7", word) for word in words]  # where CASCADE or N stands for one
    why = ""
    for tried in (words, numbers):
        told = _parsed(tried)
        if not told or (not is_whole and any(text in told for text in _ONLY_NAMED)):
            return ""
        why = why or told
    return why


@functools.cache
def _parser(verb: str) -> argparse.ArgumentParser:
    return cli._parser(only=verb)


def _parsed(words: list[str]) -> str:
    _, words = log_options.taken(words, {})
    verb = next((word for word in words if word in cli.VERBS), None)
    if verb is None:
        return f"there is no verb {words[0]!r}" if not words[0].startswith("-") else ""
    told = io.StringIO()
    try:
        with contextlib.redirect_stderr(told), contextlib.redirect_stdout(told):
            _parser(verb).parse_args(words)
    except SystemExit as ended:
        return told.getvalue().strip().rpartition("error: ")[2] if ended.code else ""
    return ""


def advice() -> Iterator[Said]:
    """The commands that errors, hints and docstrings of the farm name in backticks."""
    for file in sorted((ROOT / "farm").rglob("*.py")):
        for number, line in enumerate(file.read_text("utf-8").splitlines(), 1):
            for code in _CODE.findall(line):
                if re.match(r"farm [a-z]", code):
                    where = f"{file.relative_to(ROOT)}:{number}"
                    plain = re.sub(r"\{[^{}]*\}", "7", code)  # what an f-string puts there
                    yield from (Said(where=where, words=tuple(words), whole=False) for words in commands_in(plain))


def links() -> Iterator[tuple[str, Path]]:
    """Every link of a page to a file of the repository: where it stands, and what it leads to."""
    for page in PAGES:
        for where, fenced, line in _lines(page):
            for target in () if fenced else re.findall(r"\]\(([^)#\s]+)(?:#[^)]*)?\)", line):
                if "://" not in target:
                    yield where, page.parent / target


_ROOMS = "farm|docs|scripts|tests|recipes|toolchains|benchmarks"
_FILE = re.compile(rf"(?:{_ROOMS})/[\w./-]*\w\.(?:py|toml|md|sh|json|txt|c|yml|yaml)")


def files() -> Iterator[tuple[str, Path]]:
    """Every file of the repository that a page names in backticks."""
    for page in PAGES:
        for where, _fenced, line in _lines(page):
            for code in _CODE.findall(line):
                if _FILE.fullmatch(code):
                    yield where, ROOT / code


def variables() -> Iterator[tuple[str, str]]:
    """Every environment variable of the farm that a page names."""
    for page in PAGES:
        for where, _fenced, line in _lines(page):
            yield from ((where, name) for name in re.findall(r"\bFARM_[A-Z][A-Z_]*[A-Z]\b", line))


def targets() -> Iterator[tuple[str, str]]:
    """Every target of the Makefile that a page names."""
    for page in PAGES:
        for where, fenced, line in _lines(page):
            said = re.findall(r"^\$? ?make ([a-z-]+)", line.strip()) if fenced else []
            said += [found[1] for code in _CODE.findall(line) if (found := re.fullmatch(r"make ([a-z-]+)", code))]
            yield from ((where, name) for name in said)
