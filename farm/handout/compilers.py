"""The compilers of native runners: which of a recipe's flags they take, and where they look for native wheels. Pure.

A recipe's flags are written for the farm's own compiler, which is clang. A flag that the runner's compiler does not
know is left out, and whoever asks for the handout is told.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from fnmatch import fnmatchcase

from farm.build.crossfiles import shell_words
from farm.build.pysdk_sysconfig import CFLAGS

_ONLY_CLANG = {"-mllvm": 2, "-Xclang": 2, "-Qunused-arguments": 1}


@dataclass(frozen=True, slots=True, kw_only=True)
class Told:
    """What a compiler is told: `cflags` and `ldflags` as recipes write them, `packages` the roots of the native
    packages, each with ``include/`` and ``lib/``, as the runner sees them."""

    cflags: tuple[str, ...]
    ldflags: tuple[str, ...]
    packages: tuple[str, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class NativeCompiler:
    """`takes` are globs of the flags it knows; `unknown` are flags that it does not, with the number of words that each
    is made of. `variables` makes the environment in which it, and whoever calls it, finds all of `Told`."""

    name: str
    variables: Callable[[Told], dict[str, str]]
    takes: tuple[str, ...] = ("*",)
    unknown: Mapping[str, int]

    def sorted_out(self, flags: Iterable[str]) -> tuple[tuple[str, ...], tuple[str, ...]]:
        """The flags that it is given, and those that are left out."""
        kept: list[str] = []
        left: list[str] = []
        for words in self._grouped(flags):
            known = words[0] not in self.unknown and any(fnmatchcase(words[0], glob) for glob in self.takes)
            (kept if known else left).extend(words)
        return tuple(kept), tuple(left)

    def _grouped(self, flags: Iterable[str]) -> Iterator[tuple[str, ...]]:
        """Flags with the words that belong to them."""
        words = iter(flags)
        for word in words:
            more = self.unknown.get(word, 1) - 1
            yield (word, *(next(words, "") for _ in range(more)))


def _unix(told: Told) -> dict[str, str]:
    """CFLAGS stand instead of what Python was built with, so its own are said again, as for the farm's builds."""
    flags = f"{CFLAGS} {shell_words((*(f'-I{root}/include' for root in told.packages), *told.cflags))}".strip()
    return {
        "CFLAGS": flags,
        "CXXFLAGS": flags,
        "LDFLAGS": shell_words((*(f"-L{root}/lib" for root in told.packages), *told.ldflags)),
        **_found_by_name(told, ":"),
    }


def _windows(told: Told) -> dict[str, str]:
    """INCLUDE, LIB and CL are read by the programs themselves, whatever build system calls them."""
    return {
        "INCLUDE": ";".join(f"{root}/include" for root in told.packages),
        "LIB": ";".join(f"{root}/lib" for root in told.packages),
        "CL": shell_words(told.cflags),
        **_found_by_name(told, ";"),
    }


def _found_by_name(told: Told, between: str) -> dict[str, str]:
    """For pkg-config and CMake."""
    return {
        "PKG_CONFIG_PATH": between.join(f"{root}/lib/pkgconfig" for root in told.packages),
        "CMAKE_PREFIX_PATH": between.join(told.packages),
    }


COMPILERS: Mapping[str, NativeCompiler] = {
    "linux": NativeCompiler(name="gcc", variables=_unix, unknown=_ONLY_CLANG),
    "macos": NativeCompiler(name="Apple's clang", variables=_unix, unknown={}),
    "windows": NativeCompiler(
        name="Microsoft's compiler", variables=_windows, unknown=_ONLY_CLANG, takes=("-D?*", "-U?*", "-I?*")
    ),
}
"""By a toolchain's `os`. manylinux and musllinux images have gcc."""
