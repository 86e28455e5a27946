"""The linker of ELF libraries, and the anchor that musl needs."""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence

from farm.build.link_values import Dependency, Inputs, Linker, LinkJob, Prepared, link_command, public
from farm.build.systems.base import Command
from farm.model.names import anchor_name

_WILD = re.compile(r"[*?\[]")


def version_script(exports: Sequence[str]) -> str:
    """A linker version script that exports the globs and hides all else.

    No version name is given: the shared name carries the ABI epoch. The globs are words of a recipe, which have been
    checked (farm.model.recipe_text), or names of symbols.
    """
    hidden = "" if "*" in exports else "  local: *;\n"
    return "{\n  global:\n" + "".join(f"    {glob};\n" for glob in exports) + hidden + "};\n"


def run_paths(deps: Iterable[Dependency], level: str) -> list[str]:
    """Where the loader finds the packages beside this one: relative, so it works in every site directory.

    A variant lies two directories deeper, in ``lib/glibc-hwcaps/<level>/``.
    """
    up = "../../../.." if level else "../.."
    return [f"$ORIGIN/{up}/{dep.manifest.import_name}/lib" for dep in deps]


def _prepare(inputs: Inputs) -> Prepared:
    script = inputs.folder / f"{inputs.product.name}.map"
    script.write_text(version_script(_shown(inputs)), "utf-8")
    return Prepared(archive=inputs.archive, exports=script)


def _shown(inputs: Inputs) -> tuple[str, ...]:
    """The globs, or with other public names than those of the sources the very names: a glob of them might take what
    the globs of the recipe leave hidden. A name that is listed and not there is the linker's to refuse."""
    if not inputs.product.mangling:
        return inputs.exports
    listed = (name for name in inputs.exports if not _WILD.search(name))
    names = {*(export.name for export in public(inputs)), *listed}
    return tuple(sorted(map(inputs.public_name, names)))


def _command(job: LinkJob, strip: bool) -> Command:
    argv = [job.driver, "-shared", "-o", f"{job.out}/{job.shared_name}"]
    argv += [f"-Wl,-soname,{job.shared_name}", f"-Wl,--version-script={job.exports}", "-Wl,--enable-new-dtags"]
    # Calls inside the library go straight to their target: faster, and no other library can step between.
    paths = [*([job.beside] if job.beside else []), *run_paths(job.deps, job.level)]
    argv += ["-Wl,-Bsymbolic", "-Wl,--no-undefined", *(f"-Wl,-rpath,{path}" for path in paths)]
    argv += ["-Wl,--whole-archive", job.archive, "-Wl,--no-whole-archive", "-Wl,--as-needed", *job.needed]
    argv += ["-Wl,-s"] if strip else []
    # -g2, not -g: after the toolchain's -g0 the compiler takes only a level.
    return link_command(job, argv, "-g2" if job.debug and not strip else "")


LINKER = Linker(prepare=_prepare, command=_command, has_twin=True, beside="$ORIGIN")


def anchor(import_name: str, epoch: int, libraries: Sequence[str], *, source: str, out: str) -> Command:
    """The command that makes the anchor: no code, NEEDED the libraries, found through ``$ORIGIN/lib``.

    musl takes a library's name only from one that it loaded as a dependency; that is all the anchor is for.
    """
    name = anchor_name(import_name, epoch, "elf")
    argv = ["cc", "-shared", "-nostdlib", "-o", f"{out}/{name}", f"-Wl,-soname,{name}", "-Wl,--enable-new-dtags"]
    argv += ["-Wl,-rpath,$ORIGIN/lib", "-Wl,--no-as-needed", source, *libraries, "-Wl,-s"]
    return Command(phase="link", argv=tuple(argv), cwd=out, env={"FARM_CFLAGS": ""})
