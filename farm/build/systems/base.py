"""What a build system is to the farm: a pure function from a job to commands."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Protocol

from farm.model.recipe import Build
from farm.model.toolchain import Toolchain


@dataclass(frozen=True, slots=True, kw_only=True)
class Job:
    """One build of one library. All paths are as the commands see them.

    `source` is the project's directory in the source tree; `packages` the roots of the native packages it is built
    against, each with ``include/`` and ``lib/``; `symbols` the headers of those whose public names are not those of
    their sources; `jobs` how many commands may run at once.
    """

    build: Build
    toolchain: Toolchain
    build_triple: str
    source: str
    work: str
    prefix: str
    deps: str
    toolchain_dir: str
    packages: tuple[str, ...]
    jobs: int
    symbols: tuple[str, ...] = ()

    @property
    def header_flags(self) -> tuple[str, ...]:
        """Compiler flags for the headers of the packages."""
        first = (word for header in self.symbols for word in ("-include", header))
        return (*(f"-I{package}/include" for package in self.packages), *first)

    def expand(self, words: tuple[str, ...]) -> tuple[str, ...]:
        """Replace ``{source} {work} {prefix} {deps} {triple} {jobs}`` in a recipe's arguments."""
        return tuple(self.expand_one(word) for word in words)

    def expand_one(self, word: str) -> str:
        """The same for one word. Other braces stay as they are: shells and CMake have uses for them."""
        values = {
            "source": self.source,
            "work": self.work,
            "prefix": self.prefix,
            "deps": self.deps,
            "triple": self.toolchain.triple,
            "jobs": str(self.jobs),
        }
        for name, value in values.items():
            word = word.replace("{" + name + "}", value)
        return word


@dataclass(frozen=True, slots=True, kw_only=True)
class Command:
    """One command of a build; `phase` is what progress shows: ``configure``, ``make``, ``install``."""

    phase: str
    argv: tuple[str, ...]
    cwd: str
    env: Mapping[str, str] = field(default_factory=dict)


class BuildSystem(Protocol):
    """A module of this package."""

    def commands(self, job: Job) -> tuple[Command, ...]:
        """The commands that leave headers and position-independent static archives in the job's prefix."""
        ...


def flag_environment(job: Job) -> dict[str, str]:
    """CFLAGS, CXXFLAGS, CPPFLAGS and LDFLAGS: the usual level, and the packages it is built against.

    A recipe's own `cflags` are not here: the compiler wrapper adds them (FARM_CFLAGS), so that no build system can
    lose, reorder or misquote them.
    """
    return {
        "CFLAGS": "-O2",
        "CXXFLAGS": "-O2",
        "CPPFLAGS": " ".join(job.header_flags),
        "LDFLAGS": " ".join([f"-L{p}/lib" for p in job.packages]),
    }
