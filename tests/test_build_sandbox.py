"""The walls: what a build cannot see, and what it can."""

from __future__ import annotations

import os
import shutil
from pathlib import Path

import pytest

from farm.build import sandbox as walls
from farm.build import tools
from farm.build.sandbox import Mount, Sandbox
from farm.errors import MissingToolError, UsageError

pytestmark = pytest.mark.skipif(shutil.which("bwrap") is None, reason="needs bubblewrap")


def box(tmp_path: Path, *, enabled: bool = True) -> Sandbox:
    for name in ("work", "deps", "tools"):
        (tmp_path / name).mkdir(exist_ok=True)
    tools.link(tools.programs([]), tmp_path / "tools")
    mounts = (
        Mount(source=tmp_path / "work", inside="/farm/work", writable=True),
        Mount(source=tmp_path / "deps", inside="/farm/deps"),
        Mount(source=tmp_path / "tools", inside="/farm/tools"),
    )
    at = "/farm/tools" if enabled else str(tmp_path / "tools")
    return Sandbox(mounts=mounts, enabled=enabled, environment={"PATH": at, "HOME": walls.NO_HOME})


def sh(tmp_path: Path, script: str) -> tuple[int, str]:
    done = box(tmp_path).run(["sh", "-c", script], cwd="/farm/work", check=False, timeout=60)
    return done.returncode, done.output


def test_there_is_no_network(tmp_path: Path) -> None:
    code, output = sh(tmp_path, "cat /proc/net/dev | sed 1,2d | grep -v ' lo:'; cat /proc/net/route | sed 1d")
    assert output.strip() == ""
    assert code == 0
    code, output = sh(tmp_path, "bash -c 'echo > /dev/tcp/1.1.1.1/53'")
    assert code != 0
    assert "unreachable" in output


def test_there_is_no_home_and_nobody_elses_files(tmp_path: Path) -> None:
    places = ["/root", "/home", os.environ.get("HOME", "/root"), str(tmp_path), "/var", "/opt", "/work", "/srv"]
    code, output = sh(tmp_path, f"for p in {' '.join(places)} ~; do test -e $p && echo $p; done; ls -A /tmp; true")
    assert (code, output) == (0, "")


def test_the_machines_headers_and_libraries_do_not_leak_in(tmp_path: Path) -> None:
    code, output = sh(tmp_path, "find /usr/include /usr/local /usr/lib/*/pkgconfig /usr/share/pkgconfig -mindepth 1")
    assert code == 0 or "No such file" in output
    assert not [line for line in output.splitlines() if not line.startswith("find:")]
    assert sh(tmp_path, "pkg-config --exists zlib || pkg-config --list-all | wc -l")[1].strip() == "0"


def test_only_declared_programs_are_on_the_path(tmp_path: Path) -> None:
    _, output = sh(tmp_path, "for p in sed make gcc cc python3 perl curl git; do command -v $p; done")
    assert output.split() == ["/farm/tools/sed", "/farm/tools/make"]


def test_only_marked_mounts_can_be_written(tmp_path: Path) -> None:
    code, _ = sh(tmp_path, "echo x > /farm/work/here && echo x > /tmp/scratch")
    assert code == 0
    assert (tmp_path / "work/here").read_text() == "x\n"
    assert not Path("/tmp/scratch").exists()
    for place in ("/farm/deps/x", "/farm/tools/x", "/usr/x", "/etc/x", "/usr/bin/sh"):
        if place != "/etc/x":  # a private, empty /etc is no harm
            assert sh(tmp_path, f"echo x > {place}")[0] != 0


def test_identity_and_environment_are_the_same_everywhere(tmp_path: Path) -> None:
    os.environ["FARM_TEST_SECRET"] = "s"
    try:
        _, output = sh(tmp_path, "id -u; uname -n; pwd; env | sort")
    finally:
        del os.environ["FARM_TEST_SECRET"]
    assert output.split("\n")[:3] == ["1000", "farm", "/farm/work"]
    names = {line.partition("=")[0] for line in output.splitlines()[3:]}
    assert names <= {"HOME", "PATH", "PWD", "SHLVL", "OLDPWD", "_"}


def test_what_a_build_starts_ends_with_it(tmp_path: Path) -> None:
    sh(tmp_path, "(sleep 30; touch /farm/work/late) & exit 0")
    _, output = sh(tmp_path, "ls -d /proc/[0-9]* | wc -l")
    assert int(output) < 8


def test_without_a_sandbox_the_same_commands_run_at_real_paths(tmp_path: Path) -> None:
    open_box = box(tmp_path, enabled=False)
    assert open_box.place("/farm/work/x") == str(tmp_path / "work/x")
    assert open_box.path(tmp_path / "deps") == str(tmp_path / "deps")
    assert box(tmp_path).path(tmp_path / "deps/a") == "/farm/deps/a"
    done = open_box.run(["sh", "-c", "pwd; env"], cwd=str(tmp_path / "work"))
    assert done.output.startswith(str(tmp_path / "work"))
    assert "FARM_" not in done.output


def test_a_machine_without_bubblewrap_is_told_both_ways_on(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(walls, "BWRAP", "no-such-bwrap")
    with pytest.raises(MissingToolError) as caught:
        sh(tmp_path, "true")
    assert "apt-get install bubblewrap" in caught.value.fix
    assert "--no-sandbox" in caught.value.fix
    assert walls.works() != ""
    monkeypatch.undo()
    assert walls.works() == ""


def test_missing_and_unknown_tools(tmp_path: Path) -> None:
    with pytest.raises(MissingToolError, match=r"lacks .*autoconf") as caught:
        tools.programs(["autoconf"], path=str(tmp_path))
    assert "apt-get install" in caught.value.fix
    assert "autoconf" in caught.value.fix
    with pytest.raises(UsageError, match="'vim' is unknown"):
        tools.programs(["vim"])


def test_the_processor_time_of_a_sandboxed_command_is_counted(tmp_path: Path) -> None:
    """The kernel accounts nothing of a process namespace to whoever waits for it."""
    burn = "ulimit -t 1; while :; do :; done"  # until the kernel has counted one second
    done = Sandbox(mounts=()).run(["/bin/sh", "-c", f"({burn}); exit 3"], cwd="/tmp", check=False)
    assert done.returncode == 3
    assert done.cpu_seconds >= 0.5
