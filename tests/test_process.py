"""The one door to programs: output, errors, limits, and nothing left running."""

from __future__ import annotations

import threading
import time
from pathlib import Path

import pytest

from farm.errors import MissingToolError, ProcessError, StoreError, may_pass
from farm.process import Cancel, run


def test_output_goes_to_caller_log_and_listener(tmp_path: Path) -> None:
    lines: list[str] = []
    with (tmp_path / "log").open("wb") as log:
        done = run(["sh", "-c", "echo out; echo err >&2"], log=log, on_line=lines.append)
    assert done.output == "out\nerr\n"
    assert (tmp_path / "log").read_text() == "out\nerr\n"
    assert lines == ["out", "err"]


def test_cpu_of_grandchildren_is_counted() -> None:
    spin = "import time\nwhile time.process_time() < 0.2: pass"
    done = run(["sh", "-c", f'python3 -c "{spin}"; true'])
    assert done.cpu_seconds >= 0.2


def test_failure_keeps_the_output() -> None:
    with pytest.raises(ProcessError, match="exit code 3") as caught:
        run(["sh", "-c", "echo why; exit 3"])
    assert caught.value.returncode == 3
    assert caught.value.output == "why\n"


def test_a_program_that_fails_on_a_full_disk_met_a_fault_that_passes() -> None:
    with pytest.raises(StoreError, match="no space was left on the device while sh ran") as told:
        run(["sh", "-c", "echo 'cp: cannot create: No space left on device' >&2; exit 1"])
    assert may_pass(told.value)
    assert run(["sh", "-c", "echo 'No space left on device'"]).returncode == 0


def test_unchecked_failure_is_a_value() -> None:
    assert run(["false"], check=False).returncode == 1


def test_missing_program_is_named() -> None:
    with pytest.raises(MissingToolError, match="no-such-program"):
        run(["no-such-program"])


def test_missing_directory_is_not_taken_for_a_missing_program(tmp_path: Path) -> None:
    with pytest.raises(ProcessError, match="does not exist"):
        run(["true"], cwd=tmp_path / "gone")


def test_environment_is_only_what_is_given(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SECRET", "x")
    assert run(["/usr/bin/env"], env={"A": "1"}).output == "A=1\n"


def test_stdin_is_empty_unless_given() -> None:
    assert run(["cat"]).output == ""
    assert run(["cat"], stdin=b"hello").output == "hello"


def _alive(pid: int) -> bool:
    try:
        return Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()[0] != "Z"
    except FileNotFoundError:
        return False


def _wait_dead(pid: int) -> bool:
    deadline = time.monotonic() + 5
    while time.monotonic() < deadline:
        if not _alive(pid):
            return True
        time.sleep(0.02)
    return False


def test_timeout_kills_the_whole_family(tmp_path: Path) -> None:
    pidfile = tmp_path / "pid"
    with pytest.raises(ProcessError, match=r"limit of 0\.5 s"):
        run(["sh", "-c", f"sleep 60 & echo $! > {pidfile}; wait"], timeout=0.5)
    assert _wait_dead(int(pidfile.read_text()))


@pytest.mark.parametrize("code", [0, 3])
def test_a_program_that_ends_well_when_its_time_is_over_was_too_slow_all_the_same(code: int) -> None:
    with pytest.raises(ProcessError, match=r"limit of 0\.5 s"):
        run(["sh", "-c", f"trap 'exit {code}' TERM; sleep 60 & wait"], timeout=0.5, check=False)


def test_a_line_without_end_is_not_kept_whole() -> None:
    seen: list[int] = []
    done = run(["head", "-c", "5000000", "/dev/zero"], on_line=lambda line: seen.append(len(line)))
    assert sum(seen) == 5_000_000
    assert max(seen) <= 1 << 20
    assert len(done.output) == 200_000


def test_cancel_kills_what_runs_and_refuses_what_comes(tmp_path: Path) -> None:
    cancel = Cancel()
    pidfile = tmp_path / "pid"
    caught: list[BaseException] = []

    def work() -> None:
        try:
            run(["sh", "-c", f"trap '' TERM; sleep 60 & echo $! > {pidfile}; wait; wait"], cancel=cancel)
        except ProcessError as error:
            caught.append(error)

    thread = threading.Thread(target=work)
    thread.start()
    while not (pidfile.exists() and pidfile.read_text()):
        time.sleep(0.02)
    cancel.set()
    thread.join(timeout=10)
    assert not thread.is_alive()
    assert "cancelled" in str(caught[0])
    assert _wait_dead(int(pidfile.read_text()))
    with pytest.raises(ProcessError, match="cancelled"):
        run(["true"], cancel=cancel)


def test_no_descriptor_leaks() -> None:
    before = sum(1 for _ in Path("/proc/self/fd").iterdir())
    for _ in range(5):
        run(["true"])
    assert sum(1 for _ in Path("/proc/self/fd").iterdir()) == before
