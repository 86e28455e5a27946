"""Windows programs under Wine, which comes from a sysroot and sees nothing of this machine but the test's directory.

Wine's C: drive is made once per sysroot (half a minute) and linked into each test; `farm gc` removes those that no test
has used for a while. A namespace of process numbers
holds all that Wine starts: when the program ends or runs out of time, its server goes with it.
"""

from __future__ import annotations

import re
import shutil
import tempfile
from collections.abc import Iterable
from pathlib import Path

from farm import process
from farm.errors import MissingToolError
from farm.process import Cancel
from farm.runners.host import Host, Place, install_command, installed, wheel_platforms
from farm.runners.launcher import Interpreter, Launcher
from farm.settings import Settings
from farm.store.keeping import keep

_DRIVES = "wine-prefix"
_ARCHITECTURE = {"x86_64": "win64", "i686": "win32"}
_RUNS = {"x86_64": ("x86_64", "i686")}
"""Architecture of a build machine -> those of the Windows programs that it runs."""

_ENVIRONMENT = {
    "PATH": "/usr/bin",
    "HOME": "/tmp",  # noqa: S108 - the sandbox's own
    "LC_ALL": "C.UTF-8",
    "WINEDEBUG": "-all",
    "WINEDLLOVERRIDES": "mscoree,mshtml,winemenubuilder.exe=",  # installers and menus that nobody sees
}
_FIRST_START = 600
_DRIVES_LAYOUT = 2
"""Raised when drives are made in another way, so that old ones in caches are not taken."""

UNIMPLEMENTED = re.compile(r"^wine: Call from \S+ to unimplemented function (\S+), aborting", re.MULTILINE)
"""What Wine says when a program calls what Windows has and Wine has not."""

_SYSTEM = "drive_c/windows/system32"
_ROOT_DRIVE = "Z:"
"""Wine's name for the root directory."""


def check(host: Host) -> None:
    """Raises MissingToolError if this machine's processor does not run such programs."""
    if host.toolchain.arch not in _RUNS.get(host.machine, ()):
        raise MissingToolError(f"a {host.machine} machine does not run {host.toolchain.arch} programs")


def program(host: Host, cancel: Cancel | None = None) -> Launcher:
    """For C programs. Raises MissingToolError."""
    check(host)
    return _launcher(host, cancel)


def python(host: Host, version: str, cancel: Cancel | None = None) -> Interpreter:
    """The Python that the farm puts together. Raises MissingToolError."""
    check(host)
    made = host.made_python(version, cancel)
    return Interpreter(
        launcher=_launcher(host, cancel, made.root),
        executable=made.executable,
        version=version,
        platforms=wheel_platforms(host.toolchain),
        site="Lib/site-packages",
        programs="Scripts",
        copied=("*.dll",),
        home=_ROOT_DRIVE + str(made.executable.parent).replace("/", "\\"),
    )


def _launcher(host: Host, cancel: Cancel | None, *seen: Path) -> Launcher:
    place = host.place(host.toolchain.run.sysroot, cancel)
    assert host.settings is not None  # or there were no place
    prefix = (*_sandbox(place, seen), f"/{place.pinned.programs['wine']}")
    return Launcher(prefix=prefix, seeds={_DRIVES: _drives(place, host.settings, cancel)})


def _sandbox(place: Place, seen: Iterable[Path] = ()) -> tuple[str, ...]:
    """A sandbox whose root is the sysroot's, with what Wine wants to find in its environment. Programs start in the
    directory of their caller, which must be below the test's."""
    bwrap = installed("bwrap")
    if bwrap is None:
        raise MissingToolError("bubblewrap is not on this machine", fix=install_command("bwrap"))
    root = place.root
    words = [str(bwrap), "--unshare-all", "--die-with-parent", "--new-session", "--clearenv"]
    for folder in sorted(p.name for p in root.iterdir() if p.is_dir() and not p.is_symlink()):
        words += ["--ro-bind", str(root / folder), f"/{folder}"]
    words += ["--proc", "/proc", "--dev", "/dev", "--tmpfs", "/tmp"]  # noqa: S108
    for link in sorted(p for p in root.iterdir() if p.is_symlink()):
        words += ["--symlink", str(link.readlink()), f"/{link.name}"]
    for shown in seen:
        words += ["--ro-bind", str(shown), str(shown)]
    words += ["--bind", "{work}", "{work}"]
    wine, server = (f"/{place.pinned.programs[name]}" for name in ("wine", "wineserver"))
    environment = {
        **_ENVIRONMENT,
        "WINEARCH": _ARCHITECTURE[place.pinned.machine],
        "WINELOADER": wine,
        "WINESERVER": server,
        "WINEPREFIX": f"{{work}}/{_DRIVES}",
    }
    for key, value in environment.items():
        words += ["--setenv", key, value]
    return tuple(words)


def _drives(place: Place, settings: Settings, cancel: Cancel | None) -> Path:
    """Wine's drives and registry, made by its own first start; whole or not at all."""
    target = settings.cache / "wine" / f"{place.root.name}.{_DRIVES_LAYOUT}"
    keep(target, target.is_dir, lambda: _make_drives(place, target, cancel))
    return target


def _make_drives(place: Place, target: Path, cancel: Cancel | None) -> None:
    scratch = Path(tempfile.mkdtemp(prefix=".wine-", dir=target.parent))
    try:
        (scratch / _DRIVES).mkdir()
        # The server writes the registry when it ends, which the sandbox's end would not wait for.
        commands = '"$WINELOADER" wineboot --init; "$WINESERVER" -w'
        words = Launcher(prefix=_sandbox(place)).argv(scratch, Path("/usr/bin/dash"), "-c", commands)
        done = process.run(words, cwd=scratch, timeout=_FIRST_START, cancel=cancel, check=False)
        if not (scratch / _DRIVES / "system.reg").is_file():
            last = "".join(done.output.strip().splitlines()[-1:])
            raise MissingToolError(f"the first start of {place.pinned.name} made no registry: {last}")
        _add_libraries(place, scratch / _DRIVES / _SYSTEM)
        (scratch / _DRIVES).rename(target)
    finally:
        shutil.rmtree(scratch, ignore_errors=True)


def _add_libraries(place: Place, system: Path) -> None:
    """Wine's first start installs its own DLLs only, and some of them need others, which the sysroot links among them.
    Programs would find those beside Wine's start only: user32.dll could not be loaded."""
    for name in place.pinned.links:
        if name.endswith(".dll"):
            shutil.copyfile(place.root / name, system / Path(name).name)
