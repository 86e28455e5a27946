"""Guesses a recipe from an unpacked source tree. Everything that is a guess is said in `doubts`. Reads, never runs."""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path

from packaging.version import InvalidVersion

from farm.catalog import licenses
from farm.catalog.facts import Facts, Library, read
from farm.errors import SourceError
from farm.model import pypa
from farm.model.recipe import BuildSystem, Kind

_ARCHIVE = re.compile(
    r"(?P<name>.+?)[-_]v?(?P<version>\d[\w.+~]*?)(?:[.-]orig)?\.(?:t(?:ar\.)?(?:gz|xz|bz2|zst|lzma)|tar|zip)"
)


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
    facts = Facts(tree, system)
    recipe_name = name or _name(filename, facts)
    prepare, tools = _preparation(tree, system, doubts)
    if facts.looked_for:
        doubts.append(f"its configuration looks for {', '.join(facts.looked_for)}: put what it needs into `host`")
    license_files, license_ = _license(tree, doubts)
    libraries, main_header, probe = _products(facts, recipe_name, doubts) if kind == "library" else ((), "", "")
    return Guess(
        name=recipe_name,
        version=_version(filename, facts, doubts),
        kind=kind,
        system=system,
        summary=facts.summary or f"{recipe_name} (what it is, in one line)",
        homepage=facts.homepage,
        license=license_,
        license_files=license_files,
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


def _preparation(
    tree: Path, system: BuildSystem, doubts: list[str]
) -> tuple[tuple[tuple[str, ...], ...], tuple[str, ...]]:
    """Commands before the build, and the tools that they need."""
    if system != "autotools" or (tree / "configure").is_file():
        return (), ()
    doubts.append("the archive has no `configure`; `prepare` makes it")
    return (("autoreconf", "-fi"),), ("autoconf", "automake", "libtool")


def _license(tree: Path, doubts: list[str]) -> tuple[tuple[str, ...], str]:
    """Names of the license files, and the SPDX expression for them."""
    files = licenses.license_files(tree)
    found = licenses.expression(files)
    if found == licenses.UNKNOWN:
        doubts.append("the license was not recognised: write its SPDX expression")
    elif "-or-later" in found:
        doubts.append("`-or-later` or `-only`: the license text alone does not say; look into the sources")
    if not files:
        doubts.append("no license file was found at the top of the sources")
    return tuple(path.name for path in files) or ("README",), found


def _products(facts: Facts, name: str, doubts: list[str]) -> tuple[tuple[Library, ...], str, str]:
    """The libraries, the header to include, and a function without arguments that tells a version."""
    libraries = facts.libraries(name)
    if not any(library.pkgconfig for library in libraries):
        doubts.append("the library's name is a guess: no .pc file tells it")
    main_header, probe = facts.main_header((name, *(library.name for library in libraries)))
    if not main_header:
        doubts.append("no main header was found: write smoke.c and name it in [tests]")
    return libraries, main_header, probe


def _system(tree: Path) -> tuple[BuildSystem, Kind]:
    """What builds it, in order of how well a cross build is expected to work."""
    configure = tree / "configure"
    if configure.is_file() and "Autoconf" in read(configure)[:20_000]:
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


def _name(filename: str, facts: Facts) -> str:
    match = _ARCHIVE.fullmatch(filename)
    text = facts.package or (match["name"] if match else filename.partition(".")[0])
    plain = re.sub(r"[^a-z0-9]+", "-", text.lower()).strip("-")
    return plain[:60].strip("-") or "unnamed"


def _version(filename: str, facts: Facts, doubts: list[str]) -> str:
    match = _ARCHIVE.fullmatch(filename)
    for text in (match["version"] if match else "", facts.version):
        upstream = re.split(r"[+~]|\.(?:dfsg|ds)", text.rpartition("really")[2])[0]  # Debian's marks of repacked ones
        plain = upstream.replace("_", ".")
        try:
            return str(pypa.version(plain))
        except InvalidVersion:
            continue
    doubts.append("the version is not known")
    return "0"
