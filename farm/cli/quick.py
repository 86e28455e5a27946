"""The way of a command line that has nothing to do: no parser, no catalog, only `farm.plan.snapshot`.

`answer` is asked by `farm.cli.run` before anything else; `remember` is called by a verb that found all up to date.
"""

from __future__ import annotations

import os
import sys

from farm.plan import snapshot

TYPE_CHECKING = False  # as in snapshot: start-up time
if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    from farm.settings import Settings

VERBS = ("plan", "build")
# Variables that choose the farm's places and Pythons, and so what a command line means.
_ENVIRONMENT = ("HOME", "PATH", "XDG_CACHE_HOME")


def answer(argv: Sequence[str], environ: Mapping[str, str]) -> str | None:
    """What to print if the command line was answered before and nothing changed since, else None."""
    if not _is_for_us(argv):
        return None
    summary = snapshot.check(_home(argv, environ), _request(argv, environ))
    return None if summary is None else text(summary.steps, summary.notes)


def text(steps: int, notes: Sequence[str] = ()) -> str:
    """The sentence for nothing to do, with further lines."""
    return "\n".join([f"nothing to do: {steps} {'step is' if steps == 1 else 'steps are'} up to date", *notes])


def remember(
    argv: Sequence[str],
    environ: Mapping[str, str],
    settings: Settings,
    *,
    started_ns: int,
    inputs: Iterable[str | os.PathLike[str]],
    wheels: Iterable[tuple[str, str | os.PathLike[str], int]],
    notes: tuple[str, ...] = (),
) -> bool:
    """Let the next run of this command line be answered at once; see `snapshot.save` for the arguments.

    False if nothing was remembered: not a command line for this, inputs that changed just now, or a full disk.
    """
    if not _is_for_us(argv):
        return False
    try:
        return snapshot.save(
            settings.home,
            _request(argv, environ),
            started_ns=started_ns,
            root=settings.catalog,
            store=settings.store,
            inputs=inputs,
            wheels=wheels,
            notes=notes,
        )
    except OSError:
        return False  # only a cache


def _request(argv: Sequence[str], environ: Mapping[str, str]) -> str:
    chosen = [f"{name}={environ[name]}" for name in sorted(environ) if name.startswith("FARM_") or name in _ENVIRONMENT]
    return "\0".join((sys.version, _cwd(), *chosen, "", *argv))


def _is_for_us(argv: Sequence[str]) -> bool:
    """Cheap and generous: a snapshot is only found for a command line that was remembered word for word."""
    return any(verb in argv for verb in VERBS)


def _home(argv: Sequence[str], environ: Mapping[str, str]) -> str:
    """FARM_HOME as `farm.settings` finds it. A wrong guess finds no snapshot of this command line: no harm."""
    home = _option(argv, "--home") or environ.get("FARM_HOME")
    if home:
        return home
    catalog = _option(argv, "--catalog") or environ.get("FARM_CATALOG") or _nearest_catalog(_cwd())
    return os.path.join(catalog, ".farm")  # noqa: PTH118


def _option(argv: Sequence[str], name: str) -> str:
    for option, following in zip(argv, (*argv[1:], ""), strict=True):
        if option == name:
            return following
        if option.startswith(f"{name}="):
            return option.partition("=")[2]
    return ""


def _nearest_catalog(start: str) -> str:
    place = start
    while not (os.path.isdir(f"{place}/recipes") and os.path.isdir(f"{place}/toolchains")):  # noqa: PTH112
        above = os.path.dirname(place)  # noqa: PTH120
        if above == place:
            return start
        place = above
    return place


def _cwd() -> str:
    try:
        return os.getcwd()  # noqa: PTH109
    except FileNotFoundError:
        return ""
