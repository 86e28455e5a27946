"""What public headers tell without a compiler: names of symbols, and constants that programs carry in them."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

from farm.abi import header_values
from farm.model.mangling import Mangling

_MACRO = re.compile(r"^[ \t]*#[ \t]*define[ \t]+(\w+)[ \t]+(.+?)[ \t]*(?:/\*.*|[ \t]//.*)?$", re.MULTILINE)
_WORD = re.compile(r"[A-Za-z_]\w*")
_PASTING = re.compile(r"^[ \t]*#[ \t]*define[ \t]+\w+\(([^)]*)\)(.*##.*)$", re.MULTILINE)
_PASTES = re.compile(r"[ \t]*##[ \t]*")
_BEFORE = re.compile(r"(?<!##)\b([A-Za-z_]\w*)##")
_BEHIND = re.compile(r"##(\w+)\b(?!##)")
_COMMENT = re.compile(r"/\*.*?\*/|//[^\n]*", re.DOTALL)
_ENUMERATION = re.compile(r"\benum\b[^{}();#]*\{([^{}#]*)\}")
_INTEGER = re.compile(r"\(?(-?)(0[xX][0-9a-fA-F]+|0[0-7]*|[1-9]\d*)[uUlL]*(?:[ \t]*<<[ \t]*(\d{1,2}))?\)?")


@dataclass(frozen=True, slots=True, kw_only=True)
class Named:
    """The names of symbols that headers may say: `words` of theirs, and names of which they have one end, to which a
    macro puts the rest: ``#define T(name) t_##name``."""

    words: frozenset[str]
    begins: tuple[str, ...]
    ends: tuple[str, ...]

    def __contains__(self, name: str) -> bool:
        return name in self.words or name.startswith(self.begins) or name.endswith(self.ends)

    def under(self, mangling: Mangling) -> Named:
        """The same, as a library exports them."""
        return Named(
            words=frozenset(map(mangling, self.words)),
            begins=tuple(mangling.prefix + begin for begin in self.begins),
            ends=tuple(end + mangling.suffix for end in self.ends),
        )


def names_in(headers: Iterable[Path]) -> Named:
    """The names of symbols that headers may say."""
    texts = [path.read_text("utf-8", "replace").replace("\\\n", " ") for path in headers]
    begins: set[str] = set()
    ends: set[str] = set()
    for parameters, written in (match.groups() for text in texts for match in _PASTING.finditer(text)):
        given, body = set(_WORD.findall(parameters)), _PASTES.sub("##", written)
        begins.update(word for word in _BEFORE.findall(body) if word not in given)
        ends.update(word for word in _BEHIND.findall(body) if word not in given)
    words = frozenset(word for text in texts for word in _WORD.findall(text))
    return Named(words=words, begins=tuple(begins), ends=tuple(ends))


def constants_of(folder: Path, headers: Iterable[Path]) -> Mapping[str, Mapping[str, str]]:
    """Each header by its path below the folder, with the macros that it defines as a number, a text or an expression of
    such constants, and the constants of its enumerations.

    Programs carry such values in them, so a change is worth telling; it is no change of the binary interface. What has
    several values, for several platforms, has all of them: ``1 | 2``.
    """
    return {str(path.relative_to(folder)): _constants(path) for path in sorted(headers)}


def _constants(header: Path) -> Mapping[str, str]:
    text = header.read_text("utf-8", "replace").replace("\\\n", " ")
    seen: dict[str, set[str]] = {}
    macros = ((name, header_values.constant(value)) for name, value in _MACRO.findall(text))
    for name, value in (*macros, *_enumerators(_COMMENT.sub(" ", text))):
        seen.setdefault(name, set()).add(value)
    return {name: " | ".join(sorted(values - {""})) for name, values in sorted(seen.items()) if values != {""}}


def _enumerators(text: str) -> Iterator[tuple[str, str]]:
    """The constants whose values can be told without a preprocessor."""
    for body in _ENUMERATION.findall(text):
        follows: int | None = 0
        for item in body.split(","):
            name, given, value = (part.strip() for part in item.partition("="))
            number = _number(value) if given else follows
            number = number if _WORD.fullmatch(name) else None
            if number is not None:
                yield name, str(number)
            follows = None if number is None else number + 1


def _number(text: str) -> int | None:
    found = _INTEGER.fullmatch(text)
    if found is None:
        return None
    sign, digits, shift = found.groups()
    base = 16 if digits[:2] in ("0x", "0X") else 8 if digits.startswith("0") else 10
    return int(f"{sign}{digits}", base) << int(shift or 0)
