"""What dependents compile from headers and no ABI shows: inline functions, macros that are no constants, alignments,
and what headers say for one system alone. Pure.

Texts are compared, without comments and blanks. What only looks different costs a build.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping

from farm.abi.header_values import constant

_COMMENT = re.compile(r"/\*.*?\*/|//[^\n]*|(\"(?:\\.|[^\"\\\n])*\"|'(?:\\.|[^'\\\n])*')", re.DOTALL)
_MACRO = re.compile(r"^[ \t]*#[ \t]*define[ \t]+(\w+)(\([^)]*\))?[ \t]+(\S.*)$", re.MULTILINE)
_DIRECTIVE = re.compile(r"^[ \t]*#[ \t]*(\w+)(.*)$")
_PLACED = re.compile(r"\b(?:_Alignas|alignas|__?aligned?_*|__?packed_*|aligned|packed|pack)\b[ \t]*(?:\([^()]*\))?")
_INLINE = re.compile(r"\b\w*inline\w*\b", re.IGNORECASE)
_WORD = re.compile(r"[A-Za-z_]\w*")
_OPENS, _CLOSES = frozenset({"if", "ifdef", "ifndef"}), "endif"
SYSTEMS: Mapping[str, re.Pattern[str]] = {
    "pe": re.compile(r"\b_?_?(?:WIN32|WIN64|WINDOWS|CYGWIN|MSC_VER|MINGW\w*)"),
    "macho": re.compile(r"__APPLE__|__MACH__|TARGET_OS_|__APPLE_CC__"),
}
"""How headers ask for the systems whose types are not measured, by binary format."""


def lost(older: Iterable[str], newer: Iterable[str], binary_format: str) -> tuple[str, ...]:
    """What a dependent may have compiled from the texts of the older headers and is not in the newer ones, in words."""
    systems = SYSTEMS.get(binary_format)
    had, has = (_all(texts, systems) for texts in (older, newer))
    return tuple(dict.fromkeys(what for what, _ in sorted((had - has).elements())))


def _all(texts: Iterable[str], systems: re.Pattern[str] | None) -> Counter[tuple[str, str]]:
    found: Counter[tuple[str, str]] = Counter()
    for raw in texts:
        text = _COMMENT.sub(lambda match: match[1] or " ", raw.replace("\\\n", " "))
        found.update(_macros(text))
        found.update(_functions(text))
        found.update(("an alignment", _plain(match[0])) for match in _PLACED.finditer(text))
        if systems is not None:
            found.update(("what is for this system alone", line) for line in _conditional(text, systems))
    return found


def _plain(text: str) -> str:
    return " ".join(text.split())


def _macros(text: str) -> Iterator[tuple[str, str]]:
    for name, parameters, body in _MACRO.findall(text):
        if parameters or not constant(body):
            yield f"the macro {name}", _plain(f"{parameters} {body}")


def _functions(text: str) -> Iterator[tuple[str, str]]:
    """Definitions: a head that ends with a bracket, and a body in braces. Directives count as part of a body."""
    code = "\n".join("" if _is_macro(line) else line for line in text.splitlines())
    at = 0
    while (opens := code.find("{", at)) >= 0:
        head = re.split(r"[;{}]|^[ \t]*#.*$", code[at:opens], flags=re.MULTILINE)[-1]
        if '"' in head and not head.rpartition('"')[2].strip():  # extern "C"
            at = opens + 1
            continue
        at = _end(code, opens)
        if "(" in head and (_INLINE.search(head) or head.rstrip().endswith(")")):
            words = _WORD.findall(head.partition("(")[0])
            yield f"the function {words[-1] if words else '?'}", _plain(head + code[opens:at])


def _is_macro(line: str) -> bool:
    match = _DIRECTIVE.match(line)
    return match is not None and match[1] in ("define", "undef", "include", "error", "warning")


def _end(code: str, opens: int) -> int:
    """Behind the brace that closes the one there, or the end of the text."""
    depth = 0
    for at in range(opens, len(code)):
        depth += (code[at] == "{") - (code[at] == "}")
        if not depth:
            return at + 1
    return len(code)


def _conditional(text: str, systems: re.Pattern[str]) -> Iterator[str]:
    """The lines between a condition that asks for a system and its end."""
    inside: list[bool] = []
    for line in text.splitlines():
        match = _DIRECTIVE.match(line)
        word = match[1] if match else ""
        if word in _OPENS:
            inside.append(systems.search(line) is not None)
        elif word == "elif" and inside:
            inside[-1] = inside[-1] or systems.search(line) is not None
        if any(inside) and line.strip() and not _names_release(line):
            yield _plain(line)
        if word == _CLOSES and inside:
            inside.pop()


def _names_release(line: str) -> bool:
    """A constant: these are compared as such."""
    match = _MACRO.match(line)
    return match is not None and not match[2] and bool(constant(match[3]))
