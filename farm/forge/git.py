"""git, for a repository that belongs to somebody: nothing here touches a working tree that was there before."""

from __future__ import annotations

import os
import re
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO

from farm import process
from farm.errors import ForgeError
from farm.process import Completed
from farm.store.files import file_lock

_TIMEOUT = 600
_NOBODY = "0" * 40
_REMOTE = re.compile(r"(?:[a-z+]+://[^/]+/|[^/:]+:)(?:.*/)?(?P<owner>[\w.-]+)/(?P<name>[\w.-]+?)(?:\.git)?/?")


@dataclass(frozen=True, slots=True, kw_only=True)
class Git:
    """A repository by the directory it is used from: the top of a working tree."""

    top: Path

    def ask(self, *words: str) -> str | None:
        """What a command prints, None if it says no."""
        done = self._run(words)
        return done.output.strip() if done.returncode == 0 else None

    def do(self, *words: str, stdin: str = "") -> str:
        """What a command prints. Raises ForgeError with what it says if it fails."""
        done = self._run(words, stdin.encode())
        if done.returncode:
            last = "\n".join(done.output.strip().splitlines()[-8:])
            raise ForgeError(f"git {words[0]} failed:\n{last}", where=str(self.top), fix=_advice(last))
        return done.output.strip()

    def raw(self, *words: str) -> bytes:
        """What a command prints, byte for byte. Raises ForgeError if it fails."""
        with tempfile.TemporaryFile() as log:
            done = self._run(words, log=log)
            if done.returncode:
                raise ForgeError(f"git {words[0]} failed", where=str(self.top), fix="try the same with git by hand")
            log.seek(0)
            return log.read()

    def _run(self, words: tuple[str, ...], stdin: bytes = b"", log: BinaryIO | None = None) -> Completed:
        # Only what git says on purpose is wanted: no pager, no hooks of the user, no question that nobody answers.
        argv = ["git", "-c", "core.hooksPath=/dev/null", "-c", "advice.detachedHead=false", "--no-pager", *words]
        return process.run(argv, cwd=self.top, env=_environment(), check=False, timeout=_TIMEOUT, stdin=stdin, log=log)

    def commit_of(self, name: str) -> str | None:
        """The commit that a branch, tag or hash names, None if there is none."""
        return self.ask("rev-parse", "--verify", "--quiet", "--end-of-options", f"{name}^{{commit}}")

    def set_branch(self, branch: str, new: str, old: str | None) -> None:
        """Let a branch be at a commit, if it is still where it was (None: nowhere). Raises ForgeError."""
        self.do("update-ref", "-m", "farm: bump", f"refs/heads/{branch}", new, old or _NOBODY)

    def is_checked_out(self, branch: str) -> bool:
        """Whether a working tree has the branch: moving it would make that tree look changed."""
        return f"branch refs/heads/{branch}" in (self.ask("worktree", "list", "--porcelain") or "").splitlines()

    def on_remote(self, remote: str, branch: str) -> str | None:
        """Where a branch of a remote is now, fetched; None if there is none. Raises ForgeError."""
        line = self.do("ls-remote", remote, f"refs/heads/{branch}")
        found = re.search(r"^([0-9a-f]{40,64})\t", line, re.MULTILINE)
        if found is None:
            return None
        self.do("fetch", "--quiet", "--no-tags", remote, f"+refs/heads/{branch}:refs/remotes/{remote}/{branch}")
        return found[1]

    def push(self, remote: str, branch: str, expected: str | None) -> None:
        """Bring a branch to a remote, if it is there where it was seen (None: nowhere). Raises ForgeError."""
        name = f"refs/heads/{branch}"
        self.do("push", "--quiet", f"--force-with-lease={name}:{expected or ''}", remote, f"{name}:{name}")

    @contextmanager
    def worktree(self, place: Path, commit: str) -> Iterator[Git]:
        """A working tree of its own at a commit; gone afterwards, or with the next one if this farm is killed."""
        self.do("worktree", "prune")
        self.do("worktree", "add", "--quiet", "--detach", str(place), commit)
        try:
            yield Git(top=place)
        finally:
            self.ask("worktree", "remove", "--force", str(place))

    @contextmanager
    def alone(self) -> Iterator[None]:
        """Nobody else of the farm changes branches of this repository meanwhile."""
        folder = self.do("rev-parse", "--path-format=absolute", "--git-common-dir")
        with file_lock(Path(folder) / "farm.lock"):
            yield


def repository_of(directory: Path) -> Git:
    """The repository that a directory is part of. Raises ForgeError."""
    top = Git(top=directory).ask("rev-parse", "--show-toplevel")
    if top is None:
        raise ForgeError(
            "is not in a git repository, so nothing can be proposed as a branch",
            where=str(directory),
            fix="run it in a clone of the catalog, or without --branch",
        )
    return Git(top=Path(top))


def owner_and_name(git: Git, remote: str) -> str:
    """``owner/name`` of the repository behind a remote, from its address. Raises ForgeError."""
    url = git.ask("remote", "get-url", "--push", remote)
    if url is None:
        raise ForgeError(f"the repository has no remote {remote!r}", where=str(git.top), fix="--remote NAME")
    found = _REMOTE.fullmatch(url)
    if found is None:
        raise ForgeError(f"the remote {remote} does not tell owner and name", where=url, fix="--repository OWNER/NAME")
    return f"{found['owner']}/{found['name']}"


def _environment() -> dict[str, str]:
    """Without what a hook that runs the farm leaves: GIT_DIR and the like would lead to another repository."""
    kept = {name: value for name, value in os.environ.items() if not name.startswith("GIT_") or name in _OF_USER}
    return {**kept, "LC_ALL": "C.UTF-8", "GIT_TERMINAL_PROMPT": "0", "GIT_OPTIONAL_LOCKS": "0"}


_OF_USER = frozenset(
    {
        *(f"GIT_{who}_{what}" for who in ("AUTHOR", "COMMITTER") for what in ("NAME", "EMAIL")),
        *("GIT_SSH", "GIT_SSH_COMMAND", "GIT_ASKPASS", "GIT_CONFIG_GLOBAL", "GIT_CONFIG_SYSTEM", "GIT_CONFIG_NOSYSTEM"),
    }
)


def _advice(said: str) -> str:
    if "user.email" in said or "user.name" in said or "empty ident" in said:
        return "git config user.name and user.email say who proposes"
    if "stale info" in said or "rejected" in said:
        return "somebody moved the branch: run it again"
    return "try the same with git by hand"
