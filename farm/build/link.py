"""Link the one shared library of a product from its static archive (docs/decisions/002).

The name is given here, at link time; nothing is renamed afterwards. One linker per binary format: `LINKERS`.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

from farm.build.systems.base import Command
from farm.errors import BuildError, CatalogError
from farm.model.names import anchor_name, shared_name
from farm.model.native import NativeManifest
from farm.model.recipe import LibraryProduct
from farm.model.toolchain import Toolchain

_GLOB = re.compile(r"[A-Za-z0-9_.$*?\[\]^!-]+")
_CXX = {"c++", "stdc++"}
# Nothing is compiled here. A variant's processor would only make the compiler build its run time once more.
_LINK_ENVIRONMENT = {"FARM_CFLAGS": ""}


@dataclass(frozen=True, slots=True, kw_only=True)
class Dependency:
    """A native package that is linked to: its directory as commands see it, and what its manifest says."""

    root: str
    manifest: NativeManifest


@dataclass(frozen=True, slots=True, kw_only=True)
class LinkJob:
    """One shared library to be linked. `archive`, `out` and `earlier` (libraries of the same recipe that it may use)
    are paths as commands see them; `level` is a variant's, else empty; `version_script` is a path too. `debug` keeps
    debug information in what is not stripped."""

    product: LibraryProduct
    epoch: int
    toolchain: Toolchain
    archive: str
    out: str
    version_script: str
    deps: tuple[Dependency, ...]
    earlier: tuple[str, ...]
    level: str = ""
    debug: bool = False

    @property
    def shared_name(self) -> str:
        return shared_name(self.product.name, self.epoch, self.toolchain.binary)


def version_script(exports: Sequence[str]) -> str:
    """A linker version script that exports the globs and hides all else.

    No version name is given: the shared name carries the ABI epoch. Raises CatalogError for a glob that is none.
    """
    bad = [glob for glob in exports if not _GLOB.fullmatch(glob)]
    if bad:
        raise CatalogError([f"[[products.library]] exports: {glob!r} is no glob of symbol names" for glob in bad])
    hidden = "" if "*" in exports else "  local: *;\n"
    return "{\n  global:\n" + "".join(f"    {glob};\n" for glob in exports) + hidden + "};\n"


def run_paths(deps: Iterable[Dependency], level: str) -> list[str]:
    """Where the loader finds the packages beside this one: relative, so it works in every site directory.

    A variant lies two directories deeper, in ``lib/glibc-hwcaps/<level>/``.
    """
    up = "../../../.." if level else "../.."
    return [f"$ORIGIN/{up}/{dep.manifest.import_name}/lib" for dep in deps]


def link(job: LinkJob, *, strip: bool) -> Command:
    """The command that links the library; `strip` leaves the symbol table out, and changes nothing else.

    Raises BuildError for a platform whose binary format has no linker here.
    """
    linker = LINKERS.get(job.toolchain.binary)
    if linker is None:
        raise BuildError(
            f"the farm cannot link {job.toolchain.binary} libraries yet, only {', '.join(LINKERS)}",
            where=job.toolchain.platform,
            fix="leave this platform out: --platform 'manylinux_*'",
        )
    return linker(job, strip)


def _link_elf(job: LinkJob, strip: bool) -> Command:
    cxx = bool(_CXX.intersection(job.product.system))
    argv = ["c++" if cxx else "cc", "-shared", "-o", f"{job.out}/{job.shared_name}"]
    argv += [f"-Wl,-soname,{job.shared_name}", f"-Wl,--version-script={job.version_script}", "-Wl,--enable-new-dtags"]
    # Calls inside the library go straight to their target: faster, and no other library can step between.
    argv += ["-Wl,-Bsymbolic", "-Wl,--no-undefined", *(f"-Wl,-rpath,{path}" for path in run_paths(job.deps, job.level))]
    argv += ["-Wl,--whole-archive", job.archive, "-Wl,--no-whole-archive", "-Wl,--as-needed", *job.earlier]
    for dep in job.deps:
        argv += [f"-L{dep.root}/lib", *(f"-l{library.link_name}" for library in dep.manifest.library)]
    argv += [f"-l{name}" for name in job.product.system if name not in _CXX]
    argv += ["-Wl,-s"] if strip else []
    # -g2, not -g: after the toolchain's -g0 the compiler takes only a level.
    env = {"FARM_CFLAGS": "-g2"} if job.debug and not strip else _LINK_ENVIRONMENT
    return Command(phase="link", argv=tuple(argv), cwd=job.out, env=env)


LINKERS: dict[str, Callable[[LinkJob, bool], Command]] = {"elf": _link_elf}
"""Binary format of a toolchain -> how its libraries are linked."""


def anchor(import_name: str, epoch: int, libraries: Sequence[str], *, source: str, out: str) -> Command:
    """The command that makes the anchor: no code, NEEDED the libraries, found through ``$ORIGIN/lib``.

    musl takes a library's name only from one that it loaded as a dependency; that is all the anchor is for.
    """
    name = anchor_name(import_name, epoch, "elf")
    argv = ["cc", "-shared", "-nostdlib", "-o", f"{out}/{name}", f"-Wl,-soname,{name}", "-Wl,--enable-new-dtags"]
    argv += ["-Wl,-rpath,$ORIGIN/lib", "-Wl,--no-as-needed", source, *libraries, "-Wl,-s"]
    return Command(phase="link", argv=tuple(argv), cwd=out, env=_LINK_ENVIRONMENT)


def find_archive(prefix: Path, product: LibraryProduct, *, step: str) -> Path:
    """The product's static archive in a prefix. Raises BuildError with what is there instead."""
    archive = prefix / product.archive
    if archive.is_file():
        return archive
    there = sorted(str(p.relative_to(prefix)) for p in prefix.rglob("*.a"))
    raise BuildError(
        f"the build left no {product.archive} in its prefix (archives there: {', '.join(there) or 'none'})",
        where=step,
        fix="correct [[products.library]] archive, or the build's install arguments",
    )
