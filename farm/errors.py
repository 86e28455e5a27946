"""Every error a user can meet, with its exit code.

An error says *what* is wrong, *where* (file, field, step) and *how to fix it*. Code below the command line raises
these and never exits; `farm.cli.main` is the only place that turns one into an exit code (docs/exit-codes.md).
"""

from __future__ import annotations

from collections.abc import Sequence

from farm.redact import redact

_CONTROL = {n: f"\\x{n:02x}" for n in (*range(32), *range(127, 160)) if chr(n) not in "\t\n"}


class FarmError(Exception):
    """Base of all errors that are shown without a traceback.

    `what` is one sentence; `where` names a file, a field or a step; `fix` says what to do next.
    """

    exit_code = 1
    kind = "error"

    def __init__(self, what: str, *, where: str = "", fix: str = "") -> None:
        what, where, fix = (printable(part) for part in (what, where, fix))
        super().__init__(what, where, fix)  # all parts, so that the error pickles and copies
        self.what = what
        self.where = where
        self.fix = fix

    def __str__(self) -> str:
        head = f"{self.where}: {self.what}" if self.where else self.what
        return f"{head}\n  fix: {self.fix}" if self.fix else head


def printable(text: str) -> str:
    """Names that are no UTF-8 and terminal sequences, as hostile archives have them, in a form that every ledger, log
    and terminal takes; without passwords and tokens."""
    return redact(text).encode("utf-8", "backslashreplace").decode().translate(_CONTROL)


class UsageError(FarmError):
    """The command line asks for something that does not exist or contradicts itself."""

    exit_code = 2
    kind = "usage"


class NothingToDoError(UsageError):
    """A change was asked for that changes nothing."""


class CatalogError(FarmError):
    """Recipes or toolchains are wrong. Holds *all* faults, each as ``file: [table] key: why``."""

    exit_code = 3
    kind = "catalog"

    def __init__(self, faults: Sequence[str], *, fix: str = "") -> None:
        self.faults = tuple(map(redact, faults))
        super().__init__("\n".join(self.faults), fix=fix)


class PlanError(FarmError):
    """The plan cannot be made: an unknown requirement, a cycle, an impossible platform."""

    exit_code = 4
    kind = "plan"


class SourceError(FarmError):
    """A source cannot be had or trusted: unreachable, wrong hash, hostile archive, patch that does not apply."""

    exit_code = 5
    kind = "source"
    retryable = False


class UnreachableError(SourceError):
    """No location of a source answered: worth a retry later."""

    retryable = True


class BuildError(FarmError):
    """A command of a build failed. `log` is the path of its log, `tail` its last lines."""

    exit_code = 6
    kind = "build"

    def __init__(self, what: str, *, where: str = "", fix: str = "", log: str = "", tail: Sequence[str] = ()) -> None:
        super().__init__(what, where=where, fix=fix)
        self.log = log
        self.tail = tuple(map(redact, tail))


class BusyError(BuildError):
    """Another process of this machine works in the step's workspace: on the same step with other inputs, on its ABI, or
    in a shell. Worth a retry."""

    retryable = True


class GateError(FarmError):
    """A wheel was built but a gate (audit, ABI, smoke test) refuses it."""

    exit_code = 7
    kind = "gate"


class AdmissionError(GateError):
    """What a native runner reports is not what the farm asked it for, or has."""


class BinaryFormatError(FarmError):
    """A file is not the ELF/PE/Mach-O/wheel that it should be: cut short, damaged or lying."""

    exit_code = 8
    kind = "format"


class StoreError(FarmError):
    """Store, ledger or another place cannot be read or written: disk full, no permission, damage, wrong schema."""

    exit_code = 9
    kind = "store"


class UnavailableError(StoreError):
    """The ledger's database or the shared store does not answer now (restarting, unreachable, busy): worth a retry."""

    retryable = True


class MissingToolError(FarmError):
    """This machine lacks a program the farm needs. `fix` holds the command that installs it."""

    exit_code = 10
    kind = "machine"


class IndexFormatError(FarmError):
    """A channel, a generation or an index page is wrong or missing."""

    exit_code = 11
    kind = "index"


class ChannelMovedError(IndexFormatError):
    """A channel serves another generation than the one that was to be replaced: somebody published meanwhile."""


class OverlayError(IndexFormatError):
    """A metadata overlay or its signature is wrong, missing, not trusted or expired, or contradicts another one."""


class ProcessError(FarmError):
    """A program that the farm ran failed or ran out of time; raised by farm.process only."""

    exit_code = 12
    kind = "process"

    def __init__(self, what: str, *, where: str = "", fix: str = "", returncode: int = -1, output: str = "") -> None:
        super().__init__(what, where=where, fix=fix)
        self.returncode = returncode
        self.output = output


class TestsFailedError(FarmError):
    """Tests ran and some failed."""

    __test__ = False
    exit_code = 13
    kind = "tests"


class ForgeError(FarmError):
    """A branch or a pull request cannot be made: git or the forge refuses, or does not answer."""

    exit_code = 14
    kind = "forge"


class FleetError(FarmError):
    """A job is not signed by whom a worker trusts, asks for what it may not, or cannot be done by this worker; or the
    broker refuses us, or is not the one it should be."""

    exit_code = 15
    kind = "fleet"


class NotifyError(FarmError):
    """Somebody could not be told. `retryable`: worth trying again later."""

    exit_code = 16
    kind = "notify"

    def __init__(self, what: str, *, where: str = "", fix: str = "", retryable: bool = True) -> None:
        super().__init__(what, where=where, fix=fix)
        self.retryable = retryable


def may_pass(error: BaseException | None) -> bool:
    """Whether a fault is the infrastructure's: what says so itself (`retryable`), a disk, a database. A compiler, a
    gate, a wrong hash or a failing test say the same the next time."""
    return bool(getattr(error, "retryable", False)) or isinstance(error, StoreError | OSError)


def restored(kind: str, what: str) -> FarmError:
    """An error that another machine met, by its kind, so that it ends in the same exit code here."""
    if kind == CatalogError.kind:
        return CatalogError([what])
    return next((error for error in FarmError.__subclasses__() if error.kind == kind), FarmError)(what)


INTERRUPTED_EXIT_CODE = 130  # 128 + SIGINT, as shells do
