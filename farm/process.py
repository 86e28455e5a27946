"""The one door to `subprocess`.

Every program the farm runs goes through `run`: a list of arguments (never a shell), an explicit environment, its own
process group so that a timeout, Ctrl-C or a cancelled step kills the whole family and leaves nothing behind.
"""

from __future__ import annotations

import contextlib
import os
import signal
import subprocess
import threading
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO

from farm.errors import MissingToolError, ProcessError, StoreError

_GRACE_SECONDS = 2.0
_KEPT_OUTPUT = 200_000
_LONGEST_LINE = 1 << 20  # bytes; what goes on for longer comes in pieces
_SAYS_FULL = ("No space left on device", "NoSpaceLeft", "Disk quota exceeded", "DiskQuota")  # C programs', zig's words


@dataclass(frozen=True, slots=True, kw_only=True)
class Completed:
    """A finished program. `output` holds stdout and stderr together, decoded, its last 200,000 characters."""

    argv: tuple[str, ...]
    returncode: int
    output: str
    seconds: float
    cpu_seconds: float


class Cost:
    """Processor time, in seconds, of what a thread did inside `measured`."""

    __slots__ = ("cpu_seconds",)

    def __init__(self) -> None:
        self.cpu_seconds = 0.0


_cost: ContextVar[Cost | None] = ContextVar("farm_cost", default=None)


@contextmanager
def measured() -> Iterator[Cost]:
    """Count the programs that this thread runs in the block, and, at its end, the thread's own work."""
    cost = Cost()
    token = _cost.set(cost)
    before = time.thread_time()
    try:
        yield cost
    finally:
        _cost.reset(token)
        cost.cpu_seconds += time.thread_time() - before


def add_cpu(seconds: float) -> None:
    """Count processor time that the kernel does not account to the one who waits (a process namespace's)."""
    if (cost := _cost.get()) is not None:
        cost.cpu_seconds += seconds


class Cancel:
    """Shared by threads that run programs: once `set`, running programs are killed and new ones refused."""

    def __init__(self) -> None:
        self._event = threading.Event()
        self._lock = threading.Lock()
        self._running: set[subprocess.Popen[bytes]] = set()

    @property
    def is_set(self) -> bool:
        """True once somebody has cancelled."""
        return self._event.is_set()

    def set(self) -> None:
        """Kill every program started under this token; wakes the threads that wait for them."""
        self._event.set()
        with self._lock:
            running = tuple(self._running)
        if running:
            _kill_group(*running)

    def enter(self, child: subprocess.Popen[bytes]) -> None:
        """From now on `set` kills this program; if it was set before, the program is killed at once."""
        with self._lock:
            self._running.add(child)
        if self.is_set:
            _kill_group(child)

    def leave(self, child: subprocess.Popen[bytes]) -> None:
        """The program has ended: its number may become another's."""
        with self._lock:
            self._running.discard(child)


def run(
    argv: Sequence[str | os.PathLike[str]],
    *,
    env: Mapping[str, str] | None = None,
    cwd: Path | None = None,
    log: BinaryIO | None = None,
    on_line: Callable[[str], None] | None = None,
    timeout: float | None = None,
    check: bool = True,
    cancel: Cancel | None = None,
    stdin: bytes = b"",
) -> Completed:
    """Run a program to its end.

    `env` replaces the environment when given. Output is appended to `log` as it comes, and each line handed to
    `on_line`. `timeout` is in seconds.

    Raises MissingToolError if the program does not exist, ProcessError if it fails (unless `check` is false), runs out
    of time or is cancelled; StoreError if it fails because a disk is full.
    """
    args = tuple(os.fspath(a) for a in argv)
    if cancel is not None and cancel.is_set:
        raise ProcessError("cancelled before it started", where=args[0])
    started = time.monotonic()
    child = _spawn(args, env, cwd)
    with _guarded(child, timeout, cancel) as is_late:
        feeder = _feed(child, stdin)
        output = _pump(child, log, on_line)
        returncode, cpu = _wait(child)
        if feeder is not None:
            feeder.join(timeout=1)
    seconds = time.monotonic() - started
    add_cpu(cpu)
    done = Completed(argv=args, returncode=returncode, output=output, seconds=seconds, cpu_seconds=cpu)
    _judge(done, check=check, limit=timeout if is_late.is_set() else None, cancel=cancel)
    return done


@contextmanager
def _guarded(child: subprocess.Popen[bytes], timeout: float | None, cancel: Cancel | None) -> Iterator[threading.Event]:
    """Its time is limited (the event says that it was over), whoever cancels reaches it, and nothing of it is left when
    the block ends in an error."""
    if cancel is not None:
        cancel.enter(child)
    is_late = threading.Event()

    def end() -> None:
        if not _has_ended(child):
            is_late.set()
        _kill_group(child)

    timer = threading.Timer(timeout, end) if timeout is not None else None
    if timer is not None:
        timer.daemon = True
        timer.start()
    try:
        yield is_late
    except BaseException:
        _kill_group(child)
        child.wait()
        raise
    finally:
        if timer is not None:
            timer.cancel()
        if cancel is not None:
            cancel.leave(child)
        if child.stdout is not None:
            child.stdout.close()


def _spawn(args: tuple[str, ...], env: Mapping[str, str] | None, cwd: Path | None) -> subprocess.Popen[bytes]:
    try:
        return subprocess.Popen(
            args,
            env=dict(env) if env is not None else None,
            cwd=cwd,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            start_new_session=True,
        )
    except FileNotFoundError as error:
        if cwd is not None and not cwd.is_dir():
            raise ProcessError(
                f"working directory {cwd} does not exist", where=args[0], fix="run it again: something removed it"
            ) from error
        raise MissingToolError(
            f"the program {args[0]!r} is not on this machine", fix=f"install {args[0]}; `farm doctor` names the package"
        ) from error
    except OSError as error:
        raise ProcessError(f"cannot start {args[0]!r}: {error}", where=args[0]) from error


def _feed(child: subprocess.Popen[bytes], data: bytes) -> threading.Thread | None:
    assert child.stdin is not None
    if not data:
        child.stdin.close()
        return None
    stream = child.stdin

    def write() -> None:
        with contextlib.suppress(BrokenPipeError, OSError):
            stream.write(data)
            stream.close()

    thread = threading.Thread(target=write, daemon=True)
    thread.start()
    return thread


def _pump(child: subprocess.Popen[bytes], log: BinaryIO | None, on_line: Callable[[str], None] | None) -> str:
    assert child.stdout is not None
    kept: list[str] = []
    size = 0
    while raw := child.stdout.readline(_LONGEST_LINE):
        if log is not None:
            log.write(raw)
            log.flush()
        text = raw.decode("utf-8", "replace")
        if on_line is not None:
            on_line(text.rstrip("\r\n"))
        kept.append(text)
        size += len(text)
        if size > 2 * _KEPT_OUTPUT:
            kept = ["".join(kept)[-_KEPT_OUTPUT:]]
            size = len(kept[0])
    return "".join(kept)[-_KEPT_OUTPUT:]


def _wait(child: subprocess.Popen[bytes]) -> tuple[int, float]:
    """Reap with the kernel's own accounting, which counts the child's finished descendants too."""
    try:
        _, status, usage = os.wait4(child.pid, 0)
    except ChildProcessError:  # somebody else (Popen in another thread) reaped it
        return child.wait(), 0.0
    child.returncode = os.waitstatus_to_exitcode(status)
    return child.returncode, usage.ru_utime + usage.ru_stime


def _kill_group(*children: subprocess.Popen[bytes]) -> None:
    """TERM whole process groups at once; KILL what is left when their leaders ended or a grace period is over."""
    for child in children:
        _signal_group(child, signal.SIGTERM)
    deadline = time.monotonic() + _GRACE_SECONDS
    while time.monotonic() < deadline and not all(_has_ended(child) for child in children):
        time.sleep(0.02)
    for child in children:
        _signal_group(child, signal.SIGKILL)


def _signal_group(child: subprocess.Popen[bytes], number: int) -> None:
    with contextlib.suppress(ProcessLookupError, PermissionError):
        os.killpg(child.pid, number)


def _has_ended(child: subprocess.Popen[bytes]) -> bool:
    """Look without reaping: the thread that pumps the output does that."""
    try:
        return os.waitid(os.P_PID, child.pid, os.WEXITED | os.WNOHANG | os.WNOWAIT) is not None
    except ChildProcessError:
        return True


def _judge(done: Completed, *, check: bool, limit: float | None, cancel: Cancel | None) -> None:
    """`limit` is given if its time was over: a program that is told to end may call any exit code its own."""
    name = done.argv[0]
    if cancel is not None and cancel.is_set and done.returncode != 0:
        raise ProcessError("cancelled", where=name, returncode=done.returncode, output=done.output)
    if limit is not None:
        raise ProcessError(
            f"ran longer than its limit of {limit:g} s and was killed",
            where=name,
            fix="run it again when the machine is less busy; if it hangs, its output says where",
            returncode=done.returncode,
            output=done.output,
        )
    if check and done.returncode != 0 and says_full(done.output):
        raise StoreError(
            f"no space was left on the device while {name} ran",
            fix="free some space (`farm gc` removes what no live generation needs) and run the command again",
        )
    if check and done.returncode != 0:
        raise ProcessError(
            f"exit code {done.returncode}: {' '.join(done.argv)}"[:2000],
            where=name,
            returncode=done.returncode,
            output=done.output,
        )


def says_full(output: str) -> bool:
    """Whether a program told of a full disk before it failed: then its failure is no word about what it worked on."""
    return any(sign in output for sign in _SAYS_FULL)


class Child:
    """A program that goes on beside this one. It learns of our death by the end of its standard input."""

    def __init__(self, argv: Sequence[str], *, env: Mapping[str, str] | None = None) -> None:
        self._popen = subprocess.Popen(
            tuple(argv), env=dict(env) if env is not None else None, stdin=subprocess.PIPE, start_new_session=True
        )

    @property
    def pid(self) -> int:
        """Its process id."""
        return self._popen.pid

    def ended(self) -> int | None:
        """Its exit code (negative: the signal that killed it), None while it runs."""
        return self._popen.poll()

    def say(self, data: bytes) -> None:
        """Write to its standard input; one that is gone hears nothing."""
        assert self._popen.stdin is not None
        with contextlib.suppress(OSError, ValueError):
            self._popen.stdin.write(data)
            self._popen.stdin.flush()

    def interrupt(self) -> None:
        """Ask it to end."""
        with contextlib.suppress(OSError):
            self._popen.terminate()

    def finish(self, seconds: float) -> None:
        """Wait for its end; kill it, and what it started, when the time is over."""
        try:
            self._popen.wait(seconds)
        except subprocess.TimeoutExpired:
            _kill_group(self._popen)
            self._popen.wait()
        finally:
            if self._popen.stdin is not None:
                with contextlib.suppress(OSError):
                    self._popen.stdin.close()


def replace(argv: Sequence[str], *, env: Mapping[str, str] | None = None) -> None:
    """Become another program (for `farm shell`): does not return."""
    os.execvpe(argv[0], list(argv), dict(os.environ if env is None else env))  # noqa: S606
