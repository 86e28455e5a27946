"""Enter a step's build environment by hand: the kept workspace of a failed build, or a fresh one up to `configure`."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path

from farm.build import environment, finished, frame, toolchain, workspace
from farm.build.commands import Session, load_session, save_session
from farm.build.workspace import Workspace
from farm.catalog.values import LoadedRecipe
from farm.errors import UsageError
from farm.model.plan import Step
from farm.model.toolchain import Toolchain
from farm.plan.effective import merged
from farm.settings import Settings


@dataclass(frozen=True, slots=True, kw_only=True)
class Entrance:
    """A locked workspace and how to enter it. `argv` and `env` are for `farm.process.replace`."""

    step: str
    space: Workspace
    session: Session

    def argv(self, command: str) -> tuple[list[str], dict[str, str], str]:
        """What to become: an interactive shell, or `command` run by one; with its environment and directory."""
        sandbox = self.session.sandbox
        env = {**self.session.env, "PS1": f"[{self.step}] \\w \\$ ", "TERM": "xterm"}
        words = ["sh", "-c", command] if command else ["bash", "--norc", "--noprofile", "-i"]
        argv, environ = sandbox.argv(words, cwd=self.session.cwd, env=env, interactive=True)
        return argv, environ, "/" if sandbox.enabled else self.session.cwd

    def keep_locked(self) -> None:
        """Let the lock live on in the program this process becomes."""
        self.space.hold_for_shell()


def kept(settings: Settings, text: str) -> list[str]:
    """The kept workspaces that `text` may mean, by name: a step id, or the beginning of one. That of a step's build for
    debugging is meant by the step's id where it is the only one."""
    if not settings.work.is_dir():
        return []
    found = []
    for session in settings.work.glob("*/session.json"):
        step = step_of(session.parent)
        if step == text:
            return [step]
        if step == workspace.name_of(text, debug=True) or step.startswith((f"{text}@", f"{text}/")):
            found.append(step)
    return sorted(found)


def step_of(root: Path) -> str:
    """The step id that a workspace belongs to; empty if it is none."""
    try:
        return (root / workspace.STEP).read_text("utf-8").strip()
    except OSError:
        return ""


def enter_kept(settings: Settings, step: str) -> Entrance:
    """The workspace a failed build left. Raises UsageError if there is none, BuildError if a farm is using it."""
    root = workspace.location(settings, step)
    session = load_session(root)
    if session is None:
        raise UsageError(f"no workspace of {step} is kept", where=str(root), fix=f"farm shell {step} --fresh")
    space = workspace.claim(settings, step, fresh=False)
    finished.forget(space)
    return Entrance(step=step, space=space, session=session)


def enter_fresh(
    step: Step,
    recipe: LoadedRecipe,
    toolchain_: Toolchain,
    deps: Mapping[str, Path],
    settings: Settings,
    report_phase: Callable[[str], None],
) -> Entrance:
    """Prepare a step's sources, packages and tools, as a build would before `configure`. Raises what a build raises."""
    report_phase("toolchain")
    tools = toolchain.materialise(toolchain_, settings)
    space = workspace.claim(settings, step.id)
    release = frame.release_of(recipe, step)
    effective = merged(recipe.recipe, release, step.platform)
    frame.unpack_deps(deps, space.deps)
    prepared = frame.prepare_sources(release, effective, recipe, settings, space, report_phase)
    sandbox = frame.build_sandbox(effective, space, space.baseline, tools, prepared.epoch_seconds, settings)
    cwd = sandbox.place(environment.SOURCE)
    save_session(space.root, sandbox, cwd, {})
    return Entrance(step=step.id, space=space, session=Session(sandbox=sandbox, cwd=cwd, env={}))
