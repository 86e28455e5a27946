"""Import libraries of Python's DLLs: what these export is read from CPython's headers, so no DLL is needed."""

from __future__ import annotations

import re
from pathlib import Path

from farm import process
from farm.build import import_library
from farm.build.toolchain import Tools
from farm.process import Cancel

_COMMENT = re.compile(r"/\*.*?\*/|//[^\n]*", re.DOTALL)
_DECLARED = re.compile(r"\bPyAPI_(FUNC|DATA)\s*\(")
_NAME = re.compile(r"\s*(?:\w+\s+)*?\**\s*(?P<pointer>\(\s*\*\s*)?(?P<name>_?P[Yy]\w+)\s*(?:\)\s*\(|(?P<next>[;(\[]))")
_SIZE_T = re.compile(r"#\s*define\s+\w+\s+(_Py\w+_SizeT)\b")
_STABLE = re.compile(r"^EXPORT_(FUNC|DATA)\((\w+)\)", re.MULTILINE)


def exported(text: str) -> dict[str, bool]:
    """Name -> whether it is data, of what CPython's headers, or the source of its stable DLL, say is exported."""
    found = {name: kind == "DATA" for kind, name in _STABLE.findall(text)}
    if found:
        return found
    plain = _COMMENT.sub(" ", text)
    found = dict.fromkeys(_SIZE_T.findall(plain), False)
    for match in _DECLARED.finditer(plain):
        name = _NAME.match(plain, _closing(plain, match.end()))
        if name:  # some functions are declared as data
            found[name["name"]] = match[1] == "DATA" and name["next"] != "("
    return found


def _closing(text: str, start: int) -> int:
    """The place behind the parenthesis that is open at `start`."""
    depth = 1
    while depth and start < len(text):
        depth += {"(": 1, ")": -1}.get(text[start], 0)
        start += 1
    return start


def definition(dll: str, names: dict[str, bool]) -> str:
    """A module definition file of a DLL."""
    lines = "".join(f"  {name}{' DATA' if is_data else ''}\n" for name, is_data in sorted(names.items()))
    return f"LIBRARY {dll}\nEXPORTS\n{lines}"


def make(library: str, text: str, folder: Path, tools: Tools, *, cancel: Cancel | None = None) -> None:
    """Write ``<library>.lib`` into `folder`; `text` names what the DLL exports. Raises ProcessError."""
    file = folder / f"{library}.def"
    file.write_text(definition(f"{library}.dll", exported(text)), "utf-8")
    words = import_library.arguments(tools.toolchain.arch, f"{library}.dll", definition=file.name, out=f"{library}.lib")
    process.run(
        [str(tools.bin / "dlltool"), *words], env={"PATH": "/usr/bin:/bin"}, cwd=folder, cancel=cancel, timeout=300
    )
    file.unlink()
