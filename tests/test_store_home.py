"""FARM_HOME: claimed once, never somebody else's directory, cleaned of what dead builds left."""

from __future__ import annotations

import os
import subprocess
import sys
import tempfile
from pathlib import Path

import pytest

from farm.errors import StoreError
from farm.store.home import prepare, remove_tree, require_free, work_dir
from farm.store.owner import Owner, owner_of_name, this_process


def test_prepare_makes_the_layout_and_may_be_repeated(tmp_path: Path) -> None:
    home = tmp_path / "deep" / ".farm"
    prepare(home)
    prepare(home)
    assert sorted(p.name for p in home.iterdir()) == [".farm", "index", "logs", "store", "work"]


def test_a_directory_with_other_things_is_refused(tmp_path: Path) -> None:
    (tmp_path / "thesis.tex").write_text("years of work")
    with pytest.raises(StoreError, match=r"not a farm's home: it holds thesis\.tex"):
        prepare(tmp_path)
    assert [p.name for p in tmp_path.iterdir()] == ["thesis.tex"]


@pytest.mark.parametrize(
    ("marker", "match"),
    [('{"format": 2}', "has format 2"), ("", "is damaged"), ("[]", "is damaged"), ("[" * 100_000, "is damaged")],
)
def test_a_newer_or_damaged_home_is_refused(tmp_path: Path, marker: str, match: str) -> None:
    (tmp_path / ".farm").write_text(marker)
    with pytest.raises(StoreError, match=match):
        prepare(tmp_path)


def test_work_of_a_killed_build_is_removed_by_the_next_farm(tmp_path: Path) -> None:
    prepare(tmp_path)
    script = f"""
import os, signal
from pathlib import Path
from farm.store.home import work_dir
with work_dir(Path({str(tmp_path / "work")!r}), "gmp") as place:
    (place / "sub").mkdir()
    (place / "sub" / "file").write_text("x")
    (place / "sub").chmod(0o555)
    os.kill(os.getpid(), signal.SIGKILL)
"""
    subprocess.run([sys.executable, "-c", script], check=False)
    with work_dir(tmp_path / "work", "mpfr") as alive:
        assert len(list((tmp_path / "work").iterdir())) == 2
        prepare(tmp_path)
        assert list((tmp_path / "work").iterdir()) == [alive]
    assert not alive.exists()


@pytest.mark.skipif(os.geteuid() != 0, reason="runs the removal as another user, which needs root")
def test_read_only_trees_are_removed_by_an_ordinary_user() -> None:
    with tempfile.TemporaryDirectory() as place:  # pytest's own directory is closed to other users
        tree = Path(place) / "tree"
        (tree / "a" / "b").mkdir(parents=True)
        (tree / "a" / "b" / "file").write_text("x")
        for path in (tree / "a" / "b" / "file", tree / "a" / "b", tree / "a", tree, tree.parent):
            os.chown(path, 65534, 65534)
            path.chmod(0o444 if path.is_file() else 0o755 if path == tree.parent else 0o555)
        pid = os.fork()
        if pid == 0:
            try:
                os.setuid(65534)
                remove_tree(tree)
            finally:
                os._exit(0)
        os.waitpid(pid, 0)
        assert not tree.exists()


def test_remove_tree_does_not_follow_links(tmp_path: Path) -> None:
    (tmp_path / "precious").mkdir()
    (tmp_path / "precious" / "file").write_text("x")
    (tmp_path / "tree").mkdir()
    (tmp_path / "tree" / "link").symlink_to(tmp_path / "precious")
    remove_tree(tmp_path / "tree")
    assert (tmp_path / "precious" / "file").exists()
    assert not (tmp_path / "tree").exists()


def test_free_space_is_asked_where_the_directory_will_be(tmp_path: Path) -> None:
    require_free(tmp_path / "not" / "yet", 1)
    with pytest.raises(StoreError, match=r"are needed"):
        require_free(tmp_path / "not" / "yet", 10**18)


def test_owners_are_told_apart(tmp_path: Path) -> None:
    me = this_process()
    assert Owner.parse(str(me)) == me
    assert owner_of_name(f"gmp.3{me.tag}") == Owner(machine=me.machine, pid=me.pid, started=me.started, host="")
    assert owner_of_name("gmp") is None
    assert not me.is_surely_dead()
    assert Owner(machine=me.machine, pid=me.pid, started=me.started + 1, host="").is_surely_dead(), "a reused pid"
    elsewhere = Owner(machine="0" * 12, pid=999_999, started=1, host="other")
    assert not elsewhere.is_surely_dead(), "nobody can know"


def test_two_processes_may_make_one_home(tmp_path: Path) -> None:
    """The other's marker is there under the name that it is written by."""
    (tmp_path / "..farm.0.67f305ed7dfc-7952-729636").write_text("{}")
    prepare(tmp_path)
    assert (tmp_path / ".farm").exists()
