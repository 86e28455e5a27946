"""A bump as a branch of the catalog's repository: made beside the user's working tree, one commit, safe to make again.

The commit says in a trailer which recipe text it made. As long as the branch ends in that commit, it belongs to the
farm and is made anew when upstream's release, the branch below it or what is said of it changes. Once a person added to
it, here or on the remote, it is left alone.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Callable
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path

from farm.catalog import loader
from farm.catalog.values import Catalog
from farm.errors import CatalogError, ForgeError, UsageError
from farm.fetch.download import Progress
from farm.forge.git import Git, repository_of
from farm.settings import Settings
from farm.store.home import work_dir
from farm.watch import bump, message
from farm.watch.bump import Bump, NothingNew
from farm.watch.values import Asking

_TRAILER = re.compile(r"^Farm-Bump: (\S+) (\S+) ([0-9a-f]{64})$", re.MULTILINE)

Facts = Callable[[Catalog, Catalog, Bump], str]
"""Further paragraphs of the message, from the catalog before and after the bump."""


class BranchState(StrEnum):
    """What was done about a branch."""

    CREATED = "created"
    UPDATED = "updated"
    PRESENT = "present"
    EDITED = "edited by others"


@dataclass(frozen=True, slots=True, kw_only=True)
class Branch:
    """A proposal. `base` and `commit` are commits, `on_remote` is the one that the remote has under this name (None:
    none, or no remote was asked); `message` is that of the commit, its first line the title."""

    name: str
    base: str
    commit: str
    on_remote: str | None
    message: str
    state: BranchState
    bump: Bump


@dataclass(frozen=True, slots=True, kw_only=True)
class Wish:
    """What is to be proposed. `base` names a branch or commit, empty for what is checked out; `remote` is looked at for
    the branch, too, unless it is empty."""

    recipe: str
    version: str = ""
    prereleases: bool = False
    base: str = ""
    remote: str = ""


def make(
    wish: Wish, settings: Settings, asking: Asking, facts: Facts, progress: Progress | None = None
) -> Branch | NothingNew:
    """Make or renew the branch ``bump/<recipe>-<version>``, from the recipe as it is at the base.

    Neither the index nor the working tree of the user is touched, and a branch that is checked out is not moved. Raises
    ForgeError, UsageError, and as `bump.prepare` does.
    """
    git = repository_of(settings.catalog)
    inside = settings.catalog.relative_to(git.top.resolve())
    base = git.commit_of(wish.base or "HEAD")
    if base is None:
        raise ForgeError(f"there is no commit {wish.base or 'HEAD'}", where=str(git.top), fix="--base BRANCH")
    with (
        git.alone(),
        work_dir(settings.work, f"branch-{wish.recipe}") as work,
        git.worktree(work / "tree", base) as tree,
    ):
        before = _catalog(tree.top / inside, wish.recipe)
        found = bump.prepare(
            before, wish.recipe, wish.version, asking, settings, prereleases=wish.prereleases, progress=progress
        )
        if isinstance(found, NothingNew):
            return found
        bump.write(found)
        after = _catalog(tree.top / inside, wish.recipe)
        text = message.commit(found, facts(before, after, found), _trailer(found))
        return _commit(git, tree, base, found, text, wish.remote)


def _catalog(root: Path, recipe: str) -> Catalog:
    catalog, faults = loader.examine(root)
    if recipe not in catalog.recipes:
        if faults:
            raise CatalogError([str(fault) for fault in faults])
        raise UsageError(f"there is no recipe {recipe!r} at the base of the branch", fix="commit it first, or --base")
    return catalog


def _trailer(found: Bump) -> str:
    return f"Farm-Bump: {found.recipe} {found.version} {hashlib.sha256(found.text.encode()).hexdigest()}"


def _commit(git: Git, tree: Git, base: str, found: Bump, text: str, remote: str) -> Branch:
    name = name_of(found.recipe, found.version)
    path = found.path.relative_to(tree.top).as_posix()
    here = git.commit_of(f"refs/heads/{name}")
    there = git.on_remote(remote, name) if remote else None

    def branch(commit: str, state: BranchState, said: str = text) -> Branch:
        return Branch(name=name, base=base, commit=commit, on_remote=there, message=said, state=state, bump=found)

    for commit in (there, here):
        if commit is not None and not _is_own(git, commit, path):
            return branch(commit, BranchState.EDITED, git.do("log", "-1", "--format=%B", commit))
    tree.do("add", "--", path)
    made = tree.do("write-tree")
    for commit in (here, there):
        if commit is not None and _is_same(git, commit, made, base, text):
            return branch(commit, BranchState.PRESENT)
    if here is not None and git.is_checked_out(name):
        raise ForgeError(
            f"{name} is checked out, and would have to be moved", where=str(git.top), fix="check out another branch"
        )
    tree.do("commit", "--quiet", "--no-verify", "--cleanup=verbatim", "--file=-", stdin=text)
    new = tree.do("rev-parse", "HEAD")
    git.set_branch(name, new, here)
    return branch(new, BranchState.UPDATED if here or there else BranchState.CREATED)


def name_of(recipe: str, version: str) -> str:
    """The branch of a bump."""
    return f"bump/{recipe}-{version}"


def _is_same(git: Git, commit: str, tree: str, base: str, text: str) -> bool:
    return (
        git.do("rev-parse", f"{commit}^{{tree}}", f"{commit}^").split() == [tree, base]
        and git.do("log", "-1", "--format=%B", commit).strip() == text.strip()
    )


def _is_own(git: Git, commit: str, path: str) -> bool:
    """Whether a branch is one commit of the farm that nobody changed: its trailer tells the recipe that it holds.

    Any other file in it, or any further commit, is somebody's work.
    """
    found = _TRAILER.search(git.do("log", "-1", "--format=%B", commit))
    changed = git.ask("diff-tree", "--no-commit-id", "--name-only", "-r", commit)
    content = git.ask("rev-parse", f"{commit}:{path}")
    if found is None or changed != path or content is None:
        return False
    return hashlib.sha256(git.raw("cat-file", "blob", content)).hexdigest() == found[3]
