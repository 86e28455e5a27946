"""Where the library is, for builds that take plain flags: ``cc $(python -m native_x --cflags --libs) ...``."""

from __future__ import annotations

import argparse
import os
import shlex
import sys
from importlib import import_module
from types import ModuleType

_PACKAGE = __package__ or ""


def main(arguments: list[str]) -> int:
    """Print what is asked for on one line, as pkg-config does."""
    package = import_module(_PACKAGE)
    parser = argparse.ArgumentParser(prog=f"python -m {_PACKAGE}", description=__doc__)
    add = parser.add_argument
    add("--cflags", action="store_true", help="compiler flags, with those of the native libraries it needs")
    add("--libs", action="store_true", help="linker flags")
    add("--includedir", action="store_true", help="the directory with the headers")
    add("--libdir", action="store_true", help="the directory with the library")
    add("--pkgconfigdir", action="store_true", help="for PKG_CONFIG_PATH, with the native libraries it needs")
    add("--cmakeprefix", action="store_true", help="for CMAKE_PREFIX_PATH, with the native libraries it needs")
    add("--version", action="store_true", help="the version, with the ABI epoch before the exclamation mark")
    wanted = vars(parser.parse_args(arguments))
    if not any(wanted.values()):
        parser.print_help()
        return 2
    everything = _with_required(package, {})
    answers = {
        "version": lambda: package.__version__,
        "includedir": package.get_include,
        "libdir": package.get_lib_dir,
        "pkgconfigdir": lambda: os.pathsep.join(module.get_pkgconfig_dir() for module in everything),
        "cmakeprefix": lambda: ";".join(os.path.dirname(module.get_lib_dir()) for module in everything),  # noqa: PTH120
        "cflags": lambda: shlex.join(flag for module in everything for flag in _cflags(module)),
        "libs": lambda: shlex.join(
            [f"-L{package.get_lib_dir()}", *(f"-l{name}" for name in _fact(package, "LINK_NAMES"))]
        ),
    }
    sys.stdout.write(" ".join(str(answer()) for name, answer in answers.items() if wanted[name]) + "\n")
    return 0


def _with_required(module: ModuleType, seen: dict[str, ModuleType]) -> list[ModuleType]:
    """The package and all native packages it needs, each once."""
    if module.__name__ not in seen:
        seen[module.__name__] = module
        for requirement in _fact(module, "REQUIRES"):
            _with_required(import_module(requirement[0]), seen)
    return list(seen.values())


def _cflags(module: ModuleType) -> list[str]:
    return [f"-I{module.get_include()}", *_fact(module, "CFLAGS")]


def _fact(module: ModuleType, name: str) -> tuple[str, ...]:
    return tuple(getattr(module, f"_{name}", ()))


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
