"""``--branch`` and ``--pull-request`` of `farm recipe bump` and `farm watch`: what is proposed, what is said of it."""

from __future__ import annotations

import sys
from collections import defaultdict
from dataclasses import dataclass, replace
from functools import partial
from typing import TYPE_CHECKING, Any

from farm import extras
from farm.cli import bump_shown, output
from farm.errors import FarmError, MissingToolError, PlanError

if TYPE_CHECKING:
    import argparse
    from collections.abc import Mapping

    from farm.catalog import Catalog
    from farm.fetch.download import Progress
    from farm.forge.base import Forge
    from farm.forge.git import Git
    from farm.settings import Settings
    from farm.watch.branch import Branch
    from farm.watch.bump import Bump, NothingNew
    from farm.watch.values import Asking

_SHOWN = 30  # lines of a plan


def configure(parser: argparse.ArgumentParser) -> None:
    """Add the options of proposals."""
    parser.add_argument("--branch", action="store_true", help="as a commit on a branch of its own")
    parser.add_argument("--pull-request", action="store_true", help="push the branch and open a pull request for it")
    parser.add_argument("--abi", action="store_true", help="say what becomes of a library's ABI (builds both releases)")
    parser.add_argument(
        "--base",
        metavar="BRANCH",
        help="what the branch starts from; default: HEAD, or for a pull request the forge's default branch",
    )
    parser.add_argument("--remote", default="origin", metavar="NAME", help="where the branch is pushed to")
    parser.add_argument("--repository", metavar="OWNER/NAME", help="on the forge; read off the remote")
    parser.add_argument("--label", action="append", default=[], metavar="L", help="of the pull request; repeatable")


@dataclass(frozen=True, slots=True, kw_only=True)
class Proposed:
    """What was proposed. `pull` describes the pull request, and is empty if none was asked for."""

    made: Branch | NothingNew
    pull: Mapping[str, Any]


def propose(
    args: argparse.Namespace, name: str, version: str, settings: Settings, *, asking: Asking, progress: Progress
) -> Proposed:
    """Make the branch, and the pull request if asked for. Raises ForgeError, and as `farm.watch.branch.make` does."""
    from farm.forge.git import repository_of
    from farm.watch import branch
    from farm.watch.bump import NothingNew

    facts = partial(_facts, with_abi=args.abi, settings=settings, quiet=args.json)
    wish = branch.Wish(recipe=name, version=version, prereleases=args.pre, base=args.base or "")
    if not args.pull_request:
        return Proposed(made=branch.make(wish, settings, asking, facts, progress), pull={})
    git = repository_of(settings.catalog)
    forge = _forge(args, git, settings)
    target = args.base or forge.default_branch()
    wish = replace(wish, base=_fetched(git, args.remote, target), remote=args.remote)
    made = branch.make(wish, settings, asking, facts, progress)
    return Proposed(made=made, pull={} if isinstance(made, NothingNew) else _pull(args, made, target, git, forge))


def _forge(args: argparse.Namespace, git: Git, settings: Settings) -> Forge:
    from farm.forge.git import owner_and_name
    from farm.settings import forge_token

    try:
        from farm.forge.github import HEADERS, GitHub
        from farm.forge.wire import Wire
    except ModuleNotFoundError as error:
        raise MissingToolError(f"{error.name} is missing", fix=extras.install("forge")) from error
    token = forge_token(settings)
    repository = args.repository or owner_and_name(git, args.remote)
    return GitHub(Wire(settings.forge_api, token, HEADERS), repository)


def _fetched(git: Git, remote: str, target: str) -> str:
    from farm.errors import ForgeError

    commit = git.on_remote(remote, target)
    if commit is None:
        raise ForgeError(f"the remote {remote} has no branch {target!r}", where=str(git.top), fix="--base BRANCH")
    return commit


def _pull(args: argparse.Namespace, made: Branch, target: str, git: Git, forge: Forge) -> dict[str, Any]:
    """Push what the remote has not, and open the pull request or bring it up to date."""
    from farm.forge.base import PullState
    from farm.forge.propose import Outcome, Proposal
    from farm.forge.propose import propose as bring
    from farm.watch import message
    from farm.watch.branch import BranchState

    known = forge.find(made.name)
    if known is not None and known.state is PullState.CLOSED:
        return {"number": known.number, "url": known.url, "state": Outcome.DECLINED}
    if made.state is BranchState.EDITED and made.on_remote is None:
        return {"number": None, "url": "", "state": "the branch was edited here: push it"}
    is_new = made.state is not BranchState.EDITED and made.commit != made.on_remote
    if is_new:
        git.push(args.remote, made.name, made.on_remote)
    if made.state is BranchState.EDITED and known is not None and known.state is PullState.OPEN:
        return {"number": known.number, "url": known.url, "state": Outcome.UNCHANGED}
    pull, outcome = bring(
        forge,
        Proposal(
            branch=made.name,
            base=target,
            title=message.title(made.bump),
            body=message.body(made.message),
            labels=tuple(args.label),
            renewed=f"The branch was made anew: {made.commit}" if is_new and made.on_remote else "",
        ),
    )
    return {"number": pull.number, "url": pull.url, "state": outcome}


def document(proposed: Proposed) -> dict[str, Any]:
    """A proposal for programs."""
    from farm.watch.bump import NothingNew

    made = proposed.made
    if isinstance(made, NothingNew):
        return bump_shown.document(made)
    row = {"name": made.name, "state": made.state, "commit": made.commit, "base": made.base}
    said = {**bump_shown.document(made.bump), "state": "proposed", "branch": row, "message": made.message}
    return {**said, **({"pull_request": proposed.pull} if proposed.pull else {})}


def lines(proposed: Proposed) -> list[str]:
    """A proposal for people."""
    from farm.watch.bump import NothingNew

    made, pull = proposed.made, proposed.pull
    if isinstance(made, NothingNew):
        return bump_shown.lines(made)
    last = f"pull request {pull['url'] or 'none'}: {pull['state']}" if pull else f"next: git show {made.name}"
    return [*bump_shown.lines(made.bump), f"branch {made.name}: {made.state}, {made.commit[:12]}", last]


def _facts(before: Catalog, after: Catalog, found: Bump, *, with_abi: bool, settings: Settings, quiet: bool) -> str:
    """ABI verdict and plan. No times: they change from run to run, and a branch is not made anew for that."""
    parts = [_plan(before, after)]
    if after.recipes[found.recipe].recipe.kind == "library":
        parts.insert(0, _abi(after, found, settings, quiet=quiet) if with_abi else "ABI: not measured.")
    return "\n\n".join(parts)


def _abi(after: Catalog, found: Bump, settings: Settings, *, quiet: bool) -> str:
    from farm.abi.compare import compare
    from farm.cli import measuring

    here = replace(settings, catalog=after.root)
    try:
        older, newer = (
            measuring.abi_of(f"{found.recipe}@{version}", None, after, here, quiet=quiet)
            for version in (found.before, found.version)
        )
    except FarmError as error:
        print(f"  the ABI could not be measured: {error}", file=sys.stderr)
        return f"ABI: could not be measured ({error.kind} error); `farm abi diff` says why."
    difference = compare(older, newer)
    lines = [f"ABI ({newer.abi_class}): {difference.verdict}"]
    broken = [change for change in difference.changes if change.verdict == "breaking"]
    lines += [f"- {change.said}" for change in broken[:_SHOWN]]
    lines += [f"- and {len(broken) - _SHOWN} more"] * (len(broken) > _SHOWN)
    if broken:
        lines.append("Builds refuse it until the release raises `abi_epoch`; the plan is as if the ABI were kept.")
    return "\n".join(lines)


def _plan(before: Catalog, after: Catalog) -> str:
    """What the bump makes the farm do on all platforms, with this farm's Python."""
    from farm.cli import wanted
    from farm.plan.reach import Facts
    from farm.plan.rework import rework

    try:
        plans = [wanted.make_plan(catalog, platforms=tuple(catalog.toolchains)) for catalog in (before, after)]
    except PlanError as error:
        return f"Plan: none can be made: {error.what}"
    work = rework(plans[0], plans[1], Facts())
    steps = {step.id: step for step in plans[1].steps}
    groups: defaultdict[tuple[str, str, str], int] = defaultdict(int)
    for task in work.tasks:
        step = steps[task.step]
        groups[(task.verb, f"{step.recipe} {step.version}", task.why)] += 1
    lines = [f"- {verb} {what} ({output.counted(count, 'step')}): {why}" for (verb, what, why), count in groups.items()]
    lines = lines[:_SHOWN] + [f"- and {len(lines) - _SHOWN} more"] * (len(lines) > _SHOWN)
    return "\n".join([f"Plan: {len(work.tasks)} tasks, {work.untouched} steps untouched", *lines])
