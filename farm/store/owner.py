"""Who holds something: a process on a machine, named so that its death can be seen.

A process id alone is reused, and means nothing in another container; so an owner is the machine (kernel boot and pid
namespace), the pid and the moment the process started. Leases, temporary files and work directories carry it.
"""

from __future__ import annotations

import functools
import os
import re
import socket
from dataclasses import dataclass
from pathlib import Path

_TAG = re.compile(r"\.(?P<machine>[0-9a-z]{12})-(?P<pid>\d+)-(?P<started>\d+)$")


@dataclass(frozen=True, slots=True, kw_only=True)
class Owner:
    """A process. `machine` is 12 characters that name kernel boot and pid namespace, `started` is in clock ticks since
    boot (0 where the kernel does not say), `host` is for people."""

    machine: str
    pid: int
    started: int
    host: str

    def __str__(self) -> str:
        return f"{self.machine}-{self.pid}-{self.started}@{self.host}"

    @classmethod
    def parse(cls, text: str) -> Owner:
        """The reverse of `str(owner)`. Raises ValueError."""
        name, _, host = text.partition("@")
        machine, pid, started = name.split("-")
        return cls(machine=machine, pid=int(pid), started=int(started), host=host)

    @property
    def tag(self) -> str:
        """A suffix for the names of temporary files and directories of this process."""
        return f".{self.machine}-{self.pid}-{self.started}"

    def is_here(self) -> bool:
        """True if it is (or was) a process of this machine, so that its death can be seen."""
        return self.machine == _machine()

    def is_surely_dead(self) -> bool:
        """True only if the process is known to be gone: false for processes of other machines and containers."""
        if not self.is_here():
            return False
        try:
            os.kill(self.pid, 0)
        except ProcessLookupError:
            return True
        except PermissionError:
            pass
        state, started = _stat(self.pid)
        return state in "ZX" or (started != self.started and 0 not in (started, self.started))


def this_process() -> Owner:
    """The running process (computed anew after a fork)."""
    return _owner(os.getpid())


def owner_of_name(name: str) -> Owner | None:
    """The owner whose `tag` ends a file name, or None."""
    found = _TAG.search(name)
    if found is None:
        return None
    return Owner(machine=found["machine"], pid=int(found["pid"]), started=int(found["started"]), host="")


@functools.lru_cache(maxsize=4)
def _owner(pid: int) -> Owner:
    return Owner(machine=_machine(), pid=pid, started=_stat(pid)[1], host=socket.gethostname())


@functools.cache
def _machine() -> str:
    import hashlib

    parts = [_read("/proc/sys/kernel/random/boot_id") or socket.gethostname()]
    try:
        parts.append(str(Path("/proc/self/ns/pid").readlink()))
    except OSError:
        parts.append("")
    return hashlib.sha256("\n".join(parts).encode()).hexdigest()[:12]


def _stat(pid: int) -> tuple[str, int]:
    """State letter and start time of a process; ``("", 0)``-like values where /proc is not there."""
    text = _read(f"/proc/{pid}/stat")
    fields = text.rpartition(")")[2].split()
    return (fields[0], int(fields[19])) if len(fields) > 19 else ("?", 0)


def _read(path: str) -> str:
    try:
        return Path(path).read_text(encoding="utf-8", errors="replace").strip()
    except OSError:
        return ""
