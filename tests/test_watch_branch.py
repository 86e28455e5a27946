"""A bump as a branch and as a pull request: real git with a repository and a remote on this machine."""

from __future__ import annotations

import json
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from fake_github import TOKEN, FakeGitHub, serve_github
from upstreams import debian_archive, serve, small_tar, use_archive, watched_catalog

from farm import cli
from farm.catalog import Catalog
from farm.cli import measuring
from farm.errors import BuildError, ForgeError
from farm.forge import git as forge_git
from farm.forge.git import Git
from farm.model.abi import Abi, AbiLibrary, AbiSymbol

BRANCH = "bump/gmp-1.1"


def git(where: Path, *words: str) -> str:
    done = subprocess.run(["git", *words], cwd=where, capture_output=True, text=True)
    assert done.returncode == 0, (words, done.stderr)
    return done.stdout.strip()


@pytest.fixture
def root(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """A clone of a catalog, whose one recipe has a newer release upstream. Its working tree has changes of its own."""
    monkeypatch.setenv("FARM_CACHE", str(tmp_path / "cache"))
    monkeypatch.setenv("GIT_CONFIG_GLOBAL", str(tmp_path / "gitconfig"))
    (tmp_path / "gitconfig").write_text(
        "[user]\nname = Farmer\nemail = farmer@example.org\n[init]\ndefaultBranch = main\n"
    )
    with serve(tmp_path / "archive") as url:
        use_archive(tmp_path / "apt", url, monkeypatch)
        place = watched_catalog(tmp_path / "work" / "c", tmp_path / "archive")
        git(tmp_path, "init", "--quiet", "--bare", "remote/owner/catalog.git")
        git(place.parent, "init", "--quiet")
        git(place.parent, "add", ".")
        git(place.parent, "commit", "--quiet", "-m", "the catalog")
        git(place.parent, "remote", "add", "origin", str(tmp_path / "remote/owner/catalog.git"))
        git(place.parent, "push", "--quiet", "origin", "main")
        (place / "recipes/gmp/recipe.toml").open("a").write("# not committed\n")
        (place / "new").write_text("not added")
        yield place


def bump(root: Path, *words: object) -> int:
    home = root.parent.parent / "home"
    return cli.run(["--catalog", str(root), "--home", str(home), "recipe", "bump", *map(str, words)])


def said(capsys: pytest.CaptureFixture[str]) -> dict[str, Any]:
    value = json.loads(capsys.readouterr().out)
    assert isinstance(value, dict)
    return value


def test_a_bump_becomes_a_branch_with_one_commit_beside_the_users_work(
    root: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    before = git(root, "status", "--porcelain"), git(root, "rev-parse", "HEAD"), git(root, "diff")
    assert bump(root, "gmp", "--branch", "--json") == 0, capsys.readouterr()
    first = said(capsys)
    assert (git(root, "status", "--porcelain"), git(root, "rev-parse", "HEAD"), git(root, "diff")) == before
    assert (first["branch"]["name"], first["branch"]["state"]) == (BRANCH, "created")
    assert git(root, "log", "--format=%H %P", BRANCH, "^main") == f"{first['branch']['commit']} {before[1]}"
    assert git(root, "diff", "--name-only", "main", BRANCH) == "c/recipes/gmp/recipe.toml"
    text = git(root, "show", f"{BRANCH}:c/recipes/gmp/recipe.toml")
    assert 'version = "1.1"' in text
    assert "# not committed" not in text
    message = git(root, "log", "-1", "--format=%B", BRANCH)
    assert message.splitlines()[0] == "gmp 1.1"
    for line in (
        "- debian:gmp_1.1+dfsg10.orig.tar.gz",
        "- not there: https://upstream.invalid/gmp/1.1/gmp-1.1.tar.gz",
        "- as before: file:extra.tar.gz",
        "- 0001-a.patch: applies",
        "- 0002-b.patch: is in the release already **to do**",
        "ABI: not measured.",
        "Plan: 4 tasks, 0 steps untouched",
        "- test gmp 1.1 (2 steps): it is built",
    ):
        assert line in message.splitlines(), message
    assert any(line.startswith("- build gmp 1.1 (2 steps): ") for line in message.splitlines())
    assert git(root, "worktree", "list").count("\n") == 0, "nothing of it is left"
    assert bump(root, "gmp", "--branch", "--json") == 0
    again = said(capsys)
    assert (again["branch"]["state"], again["branch"]["commit"]) == ("present", first["branch"]["commit"])


def test_a_branch_of_the_farm_is_renewed_and_one_that_people_changed_is_not(
    root: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert bump(root, "gmp", "--branch", "--json") == 0
    first = said(capsys)["branch"]["commit"]
    new = small_tar({"a": "one\n", "b": "two\n", "COPYING": "again"}, "gmp-1.1")
    debian_archive(tmp_path / "archive", {"gmp_1.1+dfsg11.orig.tar.gz": new})
    assert bump(root, "gmp", "--branch", "--json") == 0
    second = said(capsys)["branch"]
    assert second["state"] == "updated"
    assert git(root, "log", "--format=%H", BRANCH, "^main") == second["commit"] != first
    git(root, "worktree", "add", "--quiet", str(tmp_path / "mine"), BRANCH)
    debian_archive(tmp_path / "archive", {"gmp_1.1+dfsg12.orig.tar.gz": new})
    assert bump(root, "gmp", "--branch") == 14
    assert "is checked out, and would have to be moved" in capsys.readouterr().err
    (tmp_path / "mine/c/recipes/gmp/patches/0001-a.patch").write_text("mended")
    git(tmp_path / "mine", "commit", "--quiet", "-am", "mend the patch")
    edited = git(root, "rev-parse", BRANCH)
    assert bump(root, "gmp", "--branch", "--json") == 0
    third = said(capsys)["branch"]
    assert (third["state"], third["commit"], git(root, "rev-parse", BRANCH)) == ("edited by others", edited, edited)


def test_the_commit_says_what_becomes_of_the_abi(
    root: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    exported = {"1.0": ("gmp_add", "gmp_old"), "1.1": ("gmp_add", "gmp_new")}

    def measured(text: str, _platform: object, loaded: Catalog, *_: object, **__: object) -> Abi:
        version = text.partition("@")[2]
        assert version in [release.version for release in loaded.recipes["gmp"].recipe.release]
        symbols = tuple(AbiSymbol(name=name) for name in exported[version])
        libraries = {"gmp": AbiLibrary(symbols=symbols)}
        return Abi(recipe="gmp", release=version, epoch=1, platform="p", abi_class="elf-lp64", libraries=libraries)

    monkeypatch.setattr(measuring, "abi_of", measured)
    assert bump(root, "gmp", "--branch", "--abi") == 0
    message = git(root, "log", "-1", "--format=%B", BRANCH)
    assert "ABI (elf-lp64): breaking" in message
    assert "- gmp_old is gone" in message
    assert "Builds refuse it until the release raises `abi_epoch`" in message
    assert "gmp_new" not in message, "what is added breaks nobody"

    def fails(*_: object, **__: object) -> Abi:
        raise BuildError("make failed", log="x.log")

    monkeypatch.setattr(measuring, "abi_of", fails)
    assert bump(root, "gmp", "--branch", "--abi") == 0
    assert "ABI: could not be measured (build error)" in git(root, "log", "-1", "--format=%B", BRANCH)
    assert "make failed" in capsys.readouterr().err


def test_git_says_what_is_wrong_with_the_repository(
    root: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    assert bump(root, "gmp", "--branch", "--base", "nosuch") == 14
    assert "there is no commit nosuch" in capsys.readouterr().err
    (tmp_path / "gitconfig").write_text("[user]\nuseConfigOnly = true\n")
    assert bump(root, "gmp", "--branch") == 14
    assert "git config user.name and user.email" in capsys.readouterr().err
    assert git(root, "branch", "--list", "bump/*") == ""
    (root.parent / ".git").rename(tmp_path / "elsewhere")
    assert bump(root, "gmp", "--branch") == 14
    assert "is not in a git repository" in capsys.readouterr().err
    monkeypatch.setenv("GIT_DIR", str(tmp_path / "elsewhere"))
    assert bump(root, "gmp", "--branch") == 14, "a hook's variables lead to no other repository"
    assert bump(root, "gmp", "--abi") == 2


@pytest.fixture
def fake(monkeypatch: pytest.MonkeyPatch) -> Iterator[FakeGitHub]:
    server = FakeGitHub()
    with serve_github(server) as url:
        monkeypatch.setenv("FARM_FORGE_API", url)
        monkeypatch.setenv("FARM_FORGE_TOKEN_VARIABLE", "MY_TOKEN")
        monkeypatch.setenv("MY_TOKEN", TOKEN)
        yield server


def test_a_bump_becomes_a_pull_request(
    root: Path, tmp_path: Path, fake: FakeGitHub, capsys: pytest.CaptureFixture[str]
) -> None:
    remote = tmp_path / "remote/owner/catalog.git"
    words = ("gmp", "--pull-request", "--repository", "owner/catalog", "--label", "bump", "--json")
    assert bump(root, *words) == 0, capsys.readouterr()
    first = said(capsys)
    assert first["pull_request"] == {
        "number": 1,
        "url": "https://forge.invalid/owner/catalog/pull/1",
        "state": "created",
    }
    assert git(remote, "rev-parse", BRANCH) == first["branch"]["commit"]
    (pull,) = fake.pulls
    assert (pull["title"], pull["base"], pull["labels"]) == ("gmp 1.1", {"ref": "main"}, [{"name": "bump"}])
    assert "- debian:gmp_1.1+dfsg10.orig.tar.gz" in pull["body"]
    assert "Farm-Bump" not in pull["body"]
    assert bump(root, *words) == 0
    assert said(capsys)["pull_request"]["state"] == "unchanged"
    # Another machine, without the local branch.
    git(root, "update-ref", "-d", f"refs/heads/{BRANCH}")
    assert bump(root, *words) == 0
    again = said(capsys)
    assert (again["branch"]["state"], again["pull_request"]["state"]) == ("present", "unchanged")
    debian_archive(tmp_path / "archive", {"gmp_1.1+dfsg11.orig.tar.gz": small_tar({"b": "two\n"}, "gmp-1.1")})
    assert bump(root, *words) == 0
    renewed = said(capsys)
    assert (renewed["branch"]["state"], renewed["pull_request"]["state"]) == ("updated", "updated")
    assert git(remote, "rev-parse", BRANCH) == renewed["branch"]["commit"]
    assert fake.comments[1] == [f"The branch was made anew: {renewed['branch']['commit']}"]
    # Somebody mends it on the forge: it is theirs now.
    git(tmp_path, "clone", "--quiet", "--branch", BRANCH, str(remote), "theirs")
    git(tmp_path / "theirs", "commit", "--quiet", "--allow-empty", "-m", "mended")
    git(tmp_path / "theirs", "push", "--quiet")
    theirs = git(remote, "rev-parse", BRANCH)
    assert bump(root, *words) == 0
    left = said(capsys)
    assert (left["branch"]["state"], left["pull_request"]["state"]) == ("edited by others", "unchanged")
    assert git(remote, "rev-parse", BRANCH) == theirs
    fake.pulls[0]["state"] = "closed"
    git(remote, "update-ref", "-d", f"refs/heads/{BRANCH}")
    assert bump(root, *words) == 0
    assert said(capsys)["pull_request"]["state"] == "declined"
    assert git(remote, "branch", "--list") == "* main", "what people closed is not pushed again"


def test_a_pull_request_needs_a_token_and_a_repository(
    root: Path, fake: FakeGitHub, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    words = ("gmp", "--pull-request", "--repository", "owner/catalog")
    monkeypatch.setenv("MY_TOKEN", "wrong")
    assert bump(root, *words) == 14
    assert "401 Unauthorized: Bad credentials" in capsys.readouterr().err
    monkeypatch.delenv("MY_TOKEN")
    assert bump(root, *words) == 2
    assert "the environment variable MY_TOKEN holds no token" in capsys.readouterr().err
    monkeypatch.setenv("MY_TOKEN", TOKEN)
    assert bump(root, *words, "--base", "nosuch") == 14
    assert "has no branch 'nosuch'" in capsys.readouterr().err
    assert bump(root, *words[:2], "--remote", "upstream") == 14
    assert "has no remote 'upstream'" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("url", "name"),
    [
        ("https://github.com/owner/catalog.git", "owner/catalog"),
        ("https://user:pass@github.com/owner/catalog", "owner/catalog"),
        ("git@github.com:owner/my.catalog.git", "owner/my.catalog"),
        ("ssh://git@forge.example:2222/owner/catalog/", "owner/catalog"),
        ("/srv/catalog.git", None),
    ],
)
def test_the_repository_is_read_off_the_remote(url: str, name: str | None, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Git, "ask", lambda *_: url)
    if name is not None:
        assert forge_git.owner_and_name(Git(top=Path()), "origin") == name
        return
    with pytest.raises(ForgeError, match="does not tell owner and name"):
        forge_git.owner_and_name(Git(top=Path()), "origin")


def test_what_the_watcher_finds_is_proposed_and_one_that_fails_keeps_nobody_from_the_others(
    root: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    text = (root / "recipes/gmp/recipe.toml").read_text()
    for name in ("aaa", "zzz"):  # not committed, so there is nothing to bump at the base
        (root / "recipes" / name).mkdir()
        made = text.replace('name = "gmp"', f'name = "{name}"').replace('patches = ["0003-c.patch"]', "")
        made = made.replace('patches = ["0001-a.patch",  # why a\n  "0002-b.patch"]', "")
        (root / "recipes" / name / "recipe.toml").write_text(made)
        (root / "recipes" / name / "extra.tar.gz").write_bytes((root / "recipes/gmp/extra.tar.gz").read_bytes())
    home = ("--home", str(tmp_path / "home"))
    assert cli.run(["--catalog", str(root), *home, "watch", "--branch", "--json"]) == 2
    told = capsys.readouterr()
    rows = {row["recipe"]: row for row in json.loads(told.out)}
    assert rows["gmp"]["proposal"]["branch"]["name"] == BRANCH
    assert rows["aaa"]["error"]["kind"] == "usage"
    assert "there is no recipe 'zzz' at the base of the branch" in told.err
    assert cli.run(["--catalog", str(root), *home, "watch", "--due", "--branch", "--json"]) == 0
    rows = {row["recipe"]: row for row in json.loads(capsys.readouterr().out)}
    assert "proposal" not in rows["gmp"], "proposed when it was seen"
