"""Run the commands of a step: into its log, and with an error that says how to go on by hand."""

from __future__ import annotations

import json
import shlex
from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import BinaryIO

from farm.build.sandbox import Mount, Sandbox
from farm.build.systems.base import Command
from farm.errors import BuildError, ProcessError, StoreError
from farm.model import json_text
from farm.process import Cancel, Completed, says_full
from farm.store.room import room_watched

TAIL_LINES = 20
SESSION = "session.json"


@dataclass(frozen=True, slots=True, kw_only=True)
class Runner:
    """Runs commands of one step. `log` is the file for output, `log_path` its name for messages; `root` the
    workspace, where the session is written down for `farm shell`."""

    step: str
    log: BinaryIO
    log_path: Path
    root: Path
    report_phase: Callable[[str], None]
    cancel: Cancel | None = None

    def run(self, sandbox: Sandbox, command: Command) -> Completed:
        """Run one command. Raises BuildError if it fails, StoreError if that was for a full disk, ProcessError if the
        step was cancelled."""
        self.report_phase(command.phase)
        save_session(self.root, sandbox, command.cwd, command.env)
        shown = shlex.join(command.argv)
        self.log.write(f"\n$ cd {shlex.quote(command.cwd)} && {shown}\n".encode())
        self.log.flush()
        with room_watched(self.root) as was_full:
            done = sandbox.run(
                command.argv, cwd=command.cwd, env=command.env, log=self.log, check=False, cancel=self.cancel
            )
        if self.cancel is not None and self.cancel.is_set:
            raise ProcessError("cancelled", where=self.step, returncode=done.returncode)
        if done.returncode and (says_full(done.output) or was_full()):
            raise StoreError(
                f"no space was left on the device during {command.phase}",
                where=self.step,
                fix="free some space (`farm gc` removes what no live generation needs) and build again",
            )
        if done.returncode:
            raise self._error(command, done, shown)
        return done

    def _error(self, command: Command, done: Completed, shown: str) -> BuildError:
        again = f"cd {shlex.quote(command.cwd)} && {shown}"
        return BuildError(
            f"{command.phase} failed with exit code {done.returncode}: {shown}"[:2000],
            where=self.step,
            fix=f"look around: farm shell {self.step}\n"
            f"  repeat: farm shell {self.step} -c {shlex.quote(again)}\n"
            f"  whole log: {self.log_path}",
            log=str(self.log_path),
            tail=done.output.rstrip().splitlines()[-TAIL_LINES:],
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class Session:
    """Where the last command of a workspace ran: enough to enter it again."""

    sandbox: Sandbox
    cwd: str
    env: Mapping[str, str]


def save_session(root: Path, sandbox: Sandbox, cwd: str, env: Mapping[str, str]) -> None:
    """Write down how to enter the sandbox again. Lost with the workspace, so no atomic write is needed."""
    value = {
        "enabled": sandbox.enabled,
        "environment": dict(sandbox.environment),
        "mounts": [{**asdict(m), "source": str(m.source)} for m in sandbox.mounts],
        "cwd": cwd,
        "env": dict(env),
    }
    (root / SESSION).write_text(json.dumps(value, indent=1), "utf-8")


def load_session(root: Path) -> Session | None:
    """The session of a kept workspace; None if no command has run in it, or if what is written down is damaged."""
    try:
        value = json_text.loads((root / SESSION).read_text("utf-8"))
        mounts = tuple(
            Mount(source=Path(m["source"]), inside=m["inside"], writable=m["writable"]) for m in value["mounts"]
        )
        sandbox = Sandbox(mounts=mounts, enabled=value["enabled"], environment=value["environment"])
        return Session(sandbox=sandbox, cwd=value["cwd"], env=value["env"])
    except (OSError, ValueError, KeyError, TypeError):
        return None
