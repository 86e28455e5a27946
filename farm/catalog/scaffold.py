"""Guesses a recipe from an unpacked source tree. Everything that is a guess is said in `doubts`. Reads, never runs."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from packaging.version import InvalidVersion, Version

from farm.catalog import licenses
from farm.errors import SourceError
from farm.model.recipe import BuildSystem, Kind

_ARCHIVE = re.compile(
    r"(?P<name>.+?)[-_]v?(?P<version>\d[\w.+~]*?)(?:[.-]orig)?\.(?:t(?:ar\.)?(?:gz|xz|bz2|zst|lzma)|tar|zip)"
)
_READ = 400_000
_SYSTEM_LIBRARIES = ("m", "pthread", "dl", "rt")


@dataclass(frozen=True, slots=True, kw_only=True)
class Library:
    """A library the build is thought to install: link name and the name of its .pc file (empty: none seen)."""

    name: str
    pkgconfig: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Guess:
    """A recipe in the making. `requires` are the names of .pc files it asks for, not yet recipes."""

    name: str
    version: str
    kind: Kind
    system: BuildSystem
    summary: str
    homepage: str
    license: str
    license_files: tuple[str, ...]
    libraries: tuple[Library, ...]
    headers: tuple[str, ...]
    main_header: str
    system_libraries: tuple[str, ...]
    requires: tuple[str, ...]
    prepare: tuple[tuple[str, ...], ...]
    tools: tuple[str, ...]
    args: tuple[str, ...]
    probe: str
    doubts: tuple[str, ...]


def guess(tree: Path, filename: str, *, name: str = "") -> Guess:
    """Guess from the unpacked archive `filename`; `name` overrides the recipe's name.

    Raises SourceError if there is nothing in the tree that could be built.
    """
    doubts: list[str] = []
    system, kind = _system(tree)
    facts = _Facts(tree, system)
    recipe_name = name or _name(filename, facts)
    prepare: tuple[tuple[str, ...], ...] = ()
    tools: tuple[str, ...] = ()
    if system == "autotools" and not (tree / "configure").is_file():
        prepare, tools = (("autoreconf", "-fi"),), ("autoconf", "automake", "libtool")
        doubts.append("the archive has no `configure`; `prepare` makes it")
    if facts.looked_for:
        doubts.append(f"its configuration looks for {', '.join(facts.looked_for)}: put what it needs into `host`")
    files = licenses.license_files(tree)
    found_license = licenses.expression(files)
    if found_license == licenses.UNKNOWN:
        doubts.append("the license was not recognised: write its SPDX expression")
    elif "-or-later" in found_license:
        doubts.append("`-or-later` or `-only`: the license text alone does not say; look into the sources")
    if not files:
        doubts.append("no license file was found at the top of the sources")
    libraries = facts.libraries(recipe_name) if kind == "library" else ()
    if kind == "library" and not any(library.pkgconfig for library in libraries):
        doubts.append("the library's name is a guess: no .pc file tells it")
    names = (recipe_name, *(library.name for library in libraries))
    main_header, probe = facts.main_header(names) if kind == "library" else ("", "")
    if kind == "library" and not main_header:
        doubts.append("no main header was found: write smoke.c and name it in [tests]")
    return Guess(
        name=recipe_name,
        version=_version(filename, facts, doubts),
        kind=kind,
        system=system,
        summary=facts.summary or f"{recipe_name} (what it is, in one line)",
        homepage=facts.homepage,
        license=found_license,
        license_files=tuple(path.name for path in files) or ("README",),
        libraries=libraries,
        headers=("**/*",),  # all that is installed into include/
        main_header=main_header,
        system_libraries=facts.system_libraries,
        requires=facts.requires,
        prepare=prepare,
        tools=tools,
        args=facts.arguments,
        probe=probe,
        doubts=tuple(doubts),
    )


def _system(tree: Path) -> tuple[BuildSystem, Kind]:
    """What builds it, in order of how well a cross build is expected to work."""
    configure = tree / "configure"
    if configure.is_file() and "Autoconf" in _read(configure)[:20_000]:
        return "autotools", "library"
    for file, system in (("CMakeLists.txt", "cmake"), ("meson.build", "meson"), ("configure.ac", "autotools")):
        if (tree / file).is_file() and not (file != "configure.ac" and _is_python(tree)):
            return system, "library"  # type: ignore[return-value]  # the literals above
    if _is_python(tree):
        return "pep517", "dependent"
    for file in ("GNUmakefile", "Makefile", "makefile"):
        if (tree / file).is_file():
            return "make", "library"
    raise SourceError(
        "no build system was recognised (configure, CMakeLists.txt, meson.build, pyproject.toml, Makefile)",
        where=tree.name,
        fix='write a recipe with `system = "script"` by hand (docs/recipes.md)',
    )


def _is_python(tree: Path) -> bool:
    return (tree / "pyproject.toml").is_file() or (tree / "setup.py").is_file()


def _name(filename: str, facts: _Facts) -> str:
    match = _ARCHIVE.fullmatch(filename)
    text = facts.package or (match["name"] if match else filename.partition(".")[0])
    plain = re.sub(r"[^a-z0-9]+", "-", text.lower()).strip("-")
    return plain[:60].strip("-") or "unnamed"


def _version(filename: str, facts: _Facts, doubts: list[str]) -> str:
    match = _ARCHIVE.fullmatch(filename)
    for text in (match["version"] if match else "", facts.version):
        plain = re.split(r"[+~]|\.(?:dfsg|ds)", text.rpartition("really")[2])[0].replace(
            "_", "."
        )  # Debian's marks of repacked archives
        try:
            return str(Version(plain)) if plain else _again()
        except InvalidVersion:
            continue
    doubts.append("the version is not known")
    return "0"


def _again() -> str:
    raise InvalidVersion


class _Facts:
    """What the files of a source tree say about it."""

    def __init__(self, tree: Path, system: BuildSystem) -> None:
        self._tree = tree
        self._system = system
        self._cmake = _read(tree / "CMakeLists.txt") if system == "cmake" else ""
        self._configure = _read(tree / "configure.ac") or _read(tree / "configure.in")
        self._script = _read(tree / "configure") if system == "autotools" else ""
        self._pc = {path.name: _read(path) for path in _found(tree, (".pc.in", ".pc.cmakein", ".pc.cmake.in"))}
        self._project = re.search(r"^\s*project\s*\(([^)]*)\)", self._cmake, re.M | re.I | re.S)

    @property
    def package(self) -> str:
        """The name the project gives itself to its package."""
        return self._shell("PACKAGE_TARNAME")

    @property
    def version(self) -> str:
        text = self._shell("PACKAGE_VERSION")
        if not text and self._project:
            match = re.search(r"VERSION\s+([\d.]+)", self._project[1])
            text = match[1] if match else ""
        if not text and self._system == "meson":
            match = re.search(r"\bversion\s*:\s*'([^']+)'", _read(self._tree / "meson.build"))
            text = match[1] if match else ""
        return text

    @property
    def summary(self) -> str:
        for text in self._pc.values():
            if (line := _field(text, "Description")) and "@" not in line:
                return line
        match = re.search(r'DESCRIPTION\s+"([^"]+)"', self._project[1]) if self._project else None
        return match[1] if match else ""

    @property
    def homepage(self) -> str:
        urls = [self._shell("PACKAGE_URL"), *(_field(text, "URL") for text in self._pc.values())]
        if self._project and (match := re.search(r'HOMEPAGE_URL\s+"([^"]+)"', self._project[1])):
            urls.append(match[1])
        return next((url for url in urls if url.startswith(("https://", "http://"))), "")

    @property
    def system_libraries(self) -> tuple[str, ...]:
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
            text = _read(path)
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
            for line in re.findall(r"^\s*lib_(?:LT)?LIBRARIES\s*\+?=\s*(.*(?:\\\n.*)*)", _read(path), re.M):
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


def _read(path: Path) -> str:
    try:
        with path.open("rb") as stream:
            return stream.read(_READ).decode("utf-8", "replace")
    except OSError:
        return ""
