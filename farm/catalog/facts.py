"""What the files of a source tree say about it: build files, .pc files, headers. Reads, never runs; guesses nothing."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from farm.model.recipe import BuildSystem

_READ = 400_000  # bytes of a file: a generated `configure` says its name far before that
_SYSTEM_LIBRARIES = ("m", "pthread", "dl", "rt")


@dataclass(frozen=True, slots=True, kw_only=True)
class Library:
    """A library the build is thought to install: link name and the name of its .pc file (empty: none seen)."""

    name: str
    pkgconfig: str = ""


class Facts:
    """What the files of a source tree say about it."""

    def __init__(self, tree: Path, system: BuildSystem) -> None:
        self._tree = tree
        self._system = system
        self._cmake = read(tree / "CMakeLists.txt") if system == "cmake" else ""
        self._configure = read(tree / "configure.ac") or read(tree / "configure.in")
        self._script = read(tree / "configure") if system == "autotools" else ""
        self._pc = {path.name: read(path) for path in _found(tree, (".pc.in", ".pc.cmakein", ".pc.cmake.in"))}
        self._project = re.search(r"^\s*project\s*\(([^)]*)\)", self._cmake, re.M | re.I | re.S)

    @property
    def package(self) -> str:
        """The name the project gives itself to its package."""
        return self._shell("PACKAGE_TARNAME")

    @property
    def version(self) -> str:
        """The version it gives itself; empty if none is written down."""
        text = self._shell("PACKAGE_VERSION")
        if not text and self._project:
            match = re.search(r"VERSION\s+([\d.]+)", self._project[1])
            text = match[1] if match else ""
        if not text and self._system == "meson":
            match = re.search(r"\bversion\s*:\s*'([^']+)'", read(self._tree / "meson.build"))
            text = match[1] if match else ""
        return text

    @property
    def summary(self) -> str:
        """One line on what it is, from a .pc file or ``project()`` of CMake; empty if there is none."""
        for text in self._pc.values():
            if (line := _field(text, "Description")) and "@" not in line:
                return line
        match = re.search(r'DESCRIPTION\s+"([^"]+)"', self._project[1]) if self._project else None
        return match[1] if match else ""

    @property
    def homepage(self) -> str:
        """Its URL; empty if it names none."""
        urls = [self._shell("PACKAGE_URL"), *(_field(text, "URL") for text in self._pc.values())]
        if self._project and (match := re.search(r'HOMEPAGE_URL\s+"([^"]+)"', self._project[1])):
            urls.append(match[1])
        return next((url for url in urls if url.startswith(("https://", "http://"))), "")

    @property
    def system_libraries(self) -> tuple[str, ...]:
        """Which of the C library's parts it seems to link to."""
        linked = " ".join(_field(text, "Libs.private") + " " + _field(text, "Libs") for text in self._pc.values())
        found = set(re.findall(r"-l(\w+)", linked))
        found |= set(re.findall(r"AC_(?:CHECK|SEARCH)_LIBS?\(\s*\[?[\w,\s]*?\]?,?\s*\[?(\w+)\]?", self._configure))
        found |= set(re.findall(r"AC_CHECK_LIB\(\s*\[?(\w+)", self._configure))
        if "LT_LIB_M" in self._configure or re.search(r"target_link_libraries\s*\([^)]*\bm\b", self._cmake):
            found.add("m")
        if re.search(r"find_package\s*\(\s*Threads", self._cmake, re.I) or "AX_PTHREAD" in self._configure:
            found.add("pthread")
        return tuple(name for name in _SYSTEM_LIBRARIES if name in found)

    @property
    def requires(self) -> tuple[str, ...]:
        """Names of .pc files that its own ask for."""
        names: dict[str, None] = {}
        for text in self._pc.values():
            line = f"{_field(text, 'Requires')} {_field(text, 'Requires.private')}"
            names.update(dict.fromkeys(re.findall(r"(?<![\w.<>=])([a-z][\w+-]*[a-z0-9])(?![\w.]*@)", line)))
        own = {file.partition(".pc.")[0] for file in self._pc}
        return tuple(name for name in names if name not in own)

    @property
    def looked_for(self) -> tuple[str, ...]:
        """Libraries that configure looks for: required or optional, nobody can tell from here."""
        found = re.findall(r"AC_CHECK_LIB\(\s*\[?([a-z][\w-]*)", self._configure)
        found += re.findall(r"PKG_CHECK_MODULES\(\s*\[?\w+\]?\s*,\s*\[?([a-z][\w-]*)", self._configure)
        found += re.findall(r"^\s*find_package\s*\(\s*(\w+)", self._cmake, re.M)
        aside = (*_SYSTEM_LIBRARIES, "Threads", "PythonInterp", "Python", "Python3", "Doxygen", "PkgConfig", "Git")
        return tuple(dict.fromkeys(name for name in found if name not in aside))

    @property
    def arguments(self) -> tuple[str, ...]:
        """Switches off what only costs time: tests, examples, benchmarks, documentation."""
        if self._system != "cmake":
            return ()
        words = r"TEST|TESTS|TESTING|EXAMPLE|EXAMPLES|BENCHMARK|BENCHMARKS|DOC|DOCS|FUZZERS?|SAMPLES?"
        options = re.findall(rf"^\s*option\s*\(\s*(\w*?(?:^|_|\b)(?:{words}))\b", self._cmake, re.M | re.I)
        return tuple(dict.fromkeys(f"-D{name}=OFF" for name in options))

    def libraries(self, name: str) -> tuple[Library, ...]:
        """From .pc files, else from the build system's own lists, else by the recipe's name."""
        found: dict[str, str] = {}
        for file, text in self._pc.items():
            for linked in re.findall(r"-l([A-Za-z0-9_+.-]+)", _field(text, "Libs")):
                if linked not in _SYSTEM_LIBRARIES:
                    found.setdefault(linked, re.sub(r"\.pc\..*$", "", file))
        listed = dict.fromkeys(self._listed_libraries())
        wanted = {n: pc for n, pc in found.items() if n in listed} or found or dict.fromkeys(listed, "")
        usable = {
            n.lower(): pc for n, pc in wanted.items() if re.fullmatch(r"[a-z0-9]([a-z0-9-]*[a-z0-9])?", n.lower())
        }
        if not usable:
            usable = {re.sub(r"^lib", "", name) or name: ""}
        return tuple(Library(name=n, pkgconfig=pc) for n, pc in usable.items())

    def main_header(self, names: tuple[str, ...]) -> tuple[str, str]:
        """The header to include, and a function without arguments that tells a version (or an empty string)."""
        headers = sorted(self._headers(names), key=lambda path: (len(path.parts), len(path.name)))
        for path in headers[:8]:
            text = read(path)
            match = re.search(
                r"\bconst\s+char\s*\*\s*(?:\w+\s+)?\(?(\w*[vV]ersion\w*)\)?\s*\(\s*(?:void)?\s*\)\s*;", text
            )
            if match:
                return path.name, match[1]
        return (headers[0].name, "") if headers else ("", "")

    def _headers(self, names: tuple[str, ...]) -> Iterator[Path]:
        stems = {re.sub(r"^lib|[\d.]+$", "", name) for name in names}
        wanted = {*names, *stems, *(f"lib{s}" for s in stems), *(f"{s}lib" for s in stems)}
        wanted |= {name.replace("-", "_") for name in wanted}
        for path in self._tree.rglob("*.h*"):
            if path.name.removesuffix(".in").rpartition(".")[0] in wanted and path.is_file():
                yield path

    def _listed_libraries(self) -> Iterator[str]:
        for path in _found(self._tree, ("Makefile.am",)):
            for line in re.findall(r"^\s*lib_(?:LT)?LIBRARIES\s*\+?=\s*(.*(?:\\\n.*)*)", read(path), re.M):
                yield from re.findall(r"\blib([\w+-]+)\.l?a\b", line)
        for target in re.findall(
            r"^\s*add_library\s*\(\s*([\w+-]+)\s+(?!INTERFACE|ALIAS|OBJECT)", self._cmake, re.M | re.I
        ):
            yield re.sub(r"^lib|[-_]?(?:static|shared)$", "", target)

    def _shell(self, variable: str) -> str:
        match = re.search(rf"^{variable}='([^']*)'", self._script, re.M)
        return match[1] if match else ""


def _found(tree: Path, endings: tuple[str, ...]) -> list[Path]:
    """Files by ending, those nearest to the top first; tests, examples and the like left out."""
    aside = {"test", "tests", "example", "examples", "doc", "docs", "contrib", "third_party", "vendor", "subprojects"}
    paths = [path for ending in endings for path in tree.rglob(f"*{ending}") if path.is_file()]
    near = [path for path in paths if not aside & {part.lower() for part in path.relative_to(tree).parts[:-1]}]
    return sorted(near, key=lambda path: (len(path.parts), path.name))


def _field(text: str, name: str) -> str:
    match = re.search(rf"^{re.escape(name)}:[ \t]*(.*)$", text, re.M)
    return match[1].strip() if match else ""


def read(path: Path) -> str:
    """The beginning of a file as text, whatever its encoding; empty if it cannot be read."""
    try:
        with path.open("rb") as stream:
            return stream.read(_READ).decode("utf-8", "replace")
    except OSError:
        return ""
