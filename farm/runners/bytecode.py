"""The compiled modules of a sysroot's Python.

Debian compiles them when a package is installed, which unpacking is not. Without them every start compiles what it
imports: for an emulated Python that is ten seconds. Byte code is the same on every processor, so this machine's own
Python of the version makes it, once.
"""

from __future__ import annotations

from contextlib import suppress

from farm import process
from farm.errors import SourceError
from farm.process import Cancel
from farm.runners.host import Host, Place
from farm.store.files import file_lock

_DONE = ".bytecode"
_LEFT_OUT = r"/(test|tests|idlelib|lib2to3|config-[^/]*)/"
_TIMEOUT = 900


def ensure(host: Host, place: Place, cancel: Cancel | None = None) -> None:
    """Compile the sysroot's standard library unless that is done. Without a Python that could do it nothing happens:
    it is only slower. Raises ProcessError if cancelled."""
    done = place.root / _DONE
    if done.exists():
        return
    with suppress(SourceError):
        compiler = _compiler(host, place.pinned.python, cancel)
        if compiler is None:
            return
        with file_lock(place.root.with_name(place.root.name + ".lock")):
            if not done.exists():
                library = place.root / "usr" / "lib" / f"python{place.pinned.python}"
                argv = [str(compiler.loader), "--library-path", compiler.library_path, str(compiler.program("python"))]
                argv += ["-I", "-m", "compileall", "-q", "--invalidation-mode", "unchecked-hash", "-x", _LEFT_OUT]
                process.run([*argv, str(library)], env={}, timeout=_TIMEOUT, check=False, cancel=cancel)
                done.touch()


def _compiler(host: Host, version: str, cancel: Cancel | None) -> Place | None:
    """The Python of this version that runs on this machine."""
    fitting = (s.name for s in host.sysroots.values() if s.machine == host.machine and s.python == version)
    name = next(fitting, None)
    return host.place(name, cancel) if name else None
