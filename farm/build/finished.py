"""What a build left in its workspace, written down: a wheel that a gate refused is judged again without compiling.

The workspace of a step whose wheel was not stored stays (`farm shell`). If everything in it was built to the end, under
the very key that is asked for, the next try begins behind the build: after `farm abi accept`, a mended audit policy, a
full disk or a kill, a library that took an hour takes seconds. A shell in the workspace ends that, for nobody knows
what a person changes there; so does a restart of the machine, for nobody knows what had reached the disk.
"""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any, TypeVar

from pydantic import TypeAdapter, ValidationError

from farm.build import workspace
from farm.build.result import Built
from farm.build.workspace import Workspace
from farm.errors import BusyError
from farm.model.plan import Step
from farm.settings import Settings, boot_id
from farm.store.files import write_atomic

RECORD = "finished.json"
B = TypeVar("B", bound=Built)


def note(step: Step, built: B, *, debug: bool = False) -> B:
    """Write down that a build is finished; returns it. The workspace is claimed by the caller."""
    kept = replace(built, workspace=replace(built.workspace, lock=-1))
    record = {**_identity(step, debug=debug), "built": TypeAdapter(type(built)).dump_python(kept, mode="json")}
    write_atomic(built.workspace.root / RECORD, json.dumps(record).encode())
    return built


def again(
    step: Step,
    settings: Settings,
    kind: type[B],
    report_phase: Callable[[str], None] = lambda _phase: None,
    *,
    debug: bool = False,
) -> B | None:
    """The finished build of a step's key, its workspace claimed; None if there is none, or if another process has it:
    who waits for that process learns what came of it. `report_phase` is told of it; what that raises (the step is
    cancelled) is raised, and the workspace given back."""
    name = workspace.name_of(step.id, debug=debug)
    root = workspace.location(settings, name)
    if _read(root, kind, _identity(step, debug=debug)) is None:
        return None
    try:
        space = workspace.claim(settings, name, fresh=False)
    except BusyError:
        return None
    built = _read(root, kind, _identity(step, debug=debug))  # as it is now that nobody else can be in there
    if built is None:
        space.release()
        return None
    try:
        report_phase("kept from the last try")
    except BaseException:
        space.release()
        raise
    return replace(built, workspace=space)


def forget(space: Workspace) -> None:
    """The files of a workspace may no longer be what the build made."""
    (space.root / RECORD).unlink(missing_ok=True)


def _identity(step: Step, *, debug: bool) -> dict[str, Any]:
    """What must be the same for a finished build to count."""
    return {"key": step.key, "debug": debug, "boot": boot_id()}


def _read(root: Path, kind: type[B], identity: dict[str, Any]) -> B | None:
    try:
        record = json.loads((root / RECORD).read_bytes())
        if not identity["boot"] or {name: record[name] for name in identity} != identity:
            return None
        built = TypeAdapter(kind).validate_python(record["built"])
    except (OSError, ValueError, KeyError, TypeError, ValidationError):
        return None
    if built.workspace.root != root:
        return None  # the home was moved: the paths lead elsewhere
    return built if all(path.exists() for path in _paths(built)) else None


def _paths(value: object) -> Iterator[Path]:
    """Every path in a build's result, those of its parts included."""
    if isinstance(value, Path):
        yield value
    elif isinstance(value, tuple):
        for item in value:
            yield from _paths(item)
    elif dataclasses.is_dataclass(value):
        for field in dataclasses.fields(value):
            yield from _paths(getattr(value, field.name))
