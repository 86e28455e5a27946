"""Compile an interpreter with the farm's own toolchain: the libraries that its modules link, then CPython."""

from __future__ import annotations

import logging
import re
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import BinaryIO, Self

from farm import sysroot
from farm.build import environment as env
from farm.build import pysdk_interpreter, toolchain, workspace
from farm.build import tools as machine_tools
from farm.build.commands import Runner
from farm.build.pysdk_sysconfig import Flavour, sysconfig_data
from farm.build.sandbox import Mount, Sandbox, require_bwrap
from farm.build.systems import SYSTEMS, Command, Job
from farm.build.systems.base import flag_environment
from farm.build.toolchain import Tools
from farm.build.workspace import Workspace
from farm.catalog.values import Catalog
from farm.errors import BuildError
from farm.fetch import archives, trees
from farm.fetch.obtain import obtain
from farm.model.python import Compiled, Part, Python
from farm.model.recipe_source import Location
from farm.model.sysroot import Sysroot
from farm.model.toolchain import Toolchain
from farm.process import Cancel
from farm.settings import Settings, build_machine
from farm.store.home import remove_tree
from farm.sysroot import place

_PYTHON = "/farm/python"
_LOG = "build.log"
_UNUSED = ("test", "idlelib", "turtledemo", "ensurepip", "lib2to3")
_SOABI = re.compile(r"""['"]SOABI['"]: ['"]([^'"]+)['"]""")
_log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True, kw_only=True)
class Compilation:
    """What a compiled interpreter is made from; `base` holds the Python of the same version that its build runs."""

    python: Python
    entry: Compiled
    platform: Toolchain
    base: Sysroot
    settings: Settings

    @classmethod
    def of(cls, python: Python, entry: Compiled, platform: Toolchain, catalog: Catalog, settings: Settings) -> Self:
        """Raises MissingToolError if the Python's file names no interpreter for this build machine."""
        base = pysdk_interpreter.sysroot_of(python, catalog, needed="CPython's build needs it")
        return cls(python=python, entry=entry, platform=platform, base=base, settings=settings)

    @property
    def pins(self) -> object:
        """All inputs, for a digest."""
        hashes = [at.sha256 for at in self.python.source]
        return [self.entry.model_dump(mode="json", exclude={"platform"}), sorted(hashes), place.digest(self.base)]

    def fill(self, root: Path, cancel: Cancel | None = None) -> None:
        """Make it in an empty directory; takes minutes. Raises UnreachableError, SourceError, MissingToolError,
        BuildError, or ProcessError when cancelled."""
        if self.settings.sandbox:
            require_bwrap()
        machine_tools.programs(_programs(self.entry))
        found = [(part, self._archive(part)) for part in self.entry.part]
        tools = toolchain.materialise(self.platform, self.settings, cancel=cancel)
        with self._at_work(cancel) as (space, runner):
            for part, archive in found:
                self._build(part, archive, tools, space, runner)
            check_names(space.baseline.prefix, self.python, self.platform)
            shutil.copytree(
                space.baseline.prefix, root, symlinks=True, dirs_exist_ok=True, ignore=shutil.ignore_patterns(*_UNUSED)
            )

    def _archive(self, part: Part) -> Path:
        where: tuple[Location, ...] = part.location or self.python.source
        what = f"the source of {part.name}, for {self.python.tag} on {self.platform.platform}"
        return obtain(where, self.settings.toolchains / "pythons", self.settings.downloads, what=what)

    @contextmanager
    def _at_work(self, cancel: Cancel | None) -> Iterator[tuple[Workspace, Runner]]:
        name = f"{self.python.tag}-for-tests/{self.platform.platform}"
        space = workspace.claim(self.settings, name)
        path = space.root / _LOG
        try:
            with path.open("ab") as stream:
                yield space, self._runner(name, space, stream, path, cancel)
        except BaseException:
            space.release()  # it stays: its log and its files say why
            raise
        space.remove()

    def _runner(self, name: str, space: Workspace, stream: BinaryIO, path: Path, cancel: Cancel | None) -> Runner:
        def say(phase: str) -> None:
            _log.info("%s: %s", name, phase)

        return Runner(step=name, log=stream, log_path=path, root=space.root, report_phase=say, cancel=cancel)

    def _build(self, part: Part, archive: Path, tools: Tools, space: Workspace, runner: Runner) -> None:
        for folder in (space.baseline.source, space.baseline.work):
            remove_tree(folder)
            folder.mkdir()
        archives.unpack(archive, space.baseline.source)
        sandbox = self._sandbox(part, tools, space)
        job = self._job(part, tools, sandbox)
        for command in SYSTEMS[part.build.system].commands(job):
            phase = f"{part.name}: {command.phase}"
            runner.run(sandbox, Command(phase=phase, argv=command.argv, cwd=command.cwd, env=command.env))

    def _sandbox(self, part: Part, tools: Tools, space: Workspace) -> Sandbox:
        sandbox = env.make_sandbox(
            space,
            space.baseline,
            tools,
            programs=_programs(self.entry),
            epoch_seconds=trees.newest_time(space.baseline.source),
            enabled=self.settings.sandbox,
            extra=self._build_python(space),
        )
        job = self._job(part, tools, sandbox)
        own = {name: job.expand_one(value) for name, value in part.build.env.items()}
        prefix = sandbox.place(env.PREFIX)
        flags = {
            **flag_environment(job),
            "CPPFLAGS": f"-I{prefix}/include",
            "LDFLAGS": f"-L{prefix}/lib",
            "PKG_CONFIG_LIBDIR": f"{prefix}/lib/pkgconfig",
            "FARM_CFLAGS": "\n".join((sandbox.environment["FARM_CFLAGS"], *job.expand(part.build.cflags))),
            "FARM_LDFLAGS": "\n".join(job.expand(part.build.ldflags)),
        }
        return replace(sandbox, environment={**sandbox.environment, **flags, **own})

    def _build_python(self, space: Workspace) -> tuple[Mount, ...]:
        """The Python that the build runs, where ``{deps}/bin/python`` in the file's arguments finds it."""
        base = sysroot.materialise(self.base, self.settings)
        program = space.deps / "bin" / f"python{self.python.short}"
        if not program.exists():
            program.parent.mkdir()
            seen_as = _PYTHON if self.settings.sandbox else str(base)
            pysdk_interpreter.adapt(self.base, base, program, seen_as=seen_as)
            (space.deps / "bin" / "python").symlink_to(program.name)
            (space.deps / "lib").symlink_to(Path(seen_as, pysdk_interpreter.program(self.base)).parents[1] / "lib")
        return (Mount(source=base, inside=_PYTHON),)

    def _job(self, part: Part, tools: Tools, sandbox: Sandbox) -> Job:
        return Job(
            build=part.build,
            toolchain=tools.toolchain,
            build_triple=f"{build_machine()}-pc-linux-gnu",
            source=sandbox.place(env.SOURCE),
            work=sandbox.place(env.WORK),
            prefix=sandbox.place(env.PREFIX),
            deps=sandbox.place(env.DEPS),
            toolchain_dir=sandbox.place(env.TOOLCHAIN),
            packages=(),
            jobs=self.settings.cores,
        )


def check_names(prefix: Path, python: Python, platform: Toolchain) -> None:
    """Raise BuildError if an interpreter looks for extension modules under another name than wheels for its platform
    give them: CPython's configure guesses the C library, and in a cross build it may guess wrong."""
    named = str(sysconfig_data(Flavour(version=python.version), platform)["SOABI"])
    texts = (file.read_text("utf-8", "replace") for file in sorted(prefix.glob("lib/python3.*/_sysconfigdata*.py")))
    found = {match[1] for text in texts for match in _SOABI.finditer(text)}
    if found != {named}:
        raise BuildError(
            f"its modules are for {', '.join(sorted(found)) or 'nothing that it says'}, those of wheels for {named}",
            where=f"{python.tag} for tests on {platform.platform}",
            fix=f"correct [[compiled]] of toolchains/pythons/{python.tag}.toml, so that configure finds the C library",
        )


def _programs(entry: Compiled) -> tuple[str, ...]:
    return tuple(dict.fromkeys(t for part in entry.part for t in machine_tools.BY_SYSTEM.get(part.build.system, ())))
