"""A fresh virtual environment for one test, filled by pip: this machine's Python, or one of another platform.

In the environment of another platform's Python, `bin/python` is a script that starts it. So it is what `sys.executable`
says, and a test that starts its interpreter again gets the same one. Nothing is installed by it: pip under emulation
takes minutes, and this machine's pip can do it for others.
"""

from __future__ import annotations

import os
import re
import sys
from dataclasses import dataclass
from pathlib import Path

from farm import process
from farm.errors import ProcessError
from farm.process import Cancel
from farm.runners.launcher import Interpreter
from farm.runners.values import Install
from farm.wheel import names

_UNREACHABLE = re.compile(
    r"NewConnectionError|ConnectTimeout|ReadTimeout|Temporary failure in name resolution|Connection (?:refused|reset)"
    r"|ProxyError|HTTP error 5\d\d|SSLError",
    re.IGNORECASE,
)


class InstallError(Exception):
    """Something cannot be installed; `output` is pip's. `is_transient`: the index did not answer."""

    def __init__(self, reason: str, output: str, *, is_transient: bool) -> None:
        super().__init__(reason)
        self.reason = reason
        self.output = output
        self.is_transient = is_transient


@dataclass(frozen=True, slots=True, kw_only=True)
class Environment:
    """A virtual environment without pip in it: the farm's own pip installs from outside.

    `pip` and `install` are what pip needs to be told for it: before and after the word `install`.
    """

    root: Path
    pip: tuple[str, ...]
    install: tuple[str, ...] = ()

    @property
    def python(self) -> Path:
        return self.root / "bin" / "python"

    def variables(self, home: Path) -> dict[str, str]:
        """A plain environment for tests: nothing of the user's but the locale's encoding."""
        return {
            "PATH": f"{self.root / 'bin'}:/usr/bin:/bin",
            "VIRTUAL_ENV": str(self.root),
            "HOME": str(home),
            "TMPDIR": str(home),
            "LC_ALL": "C.UTF-8",
            "TZ": "UTC",
            "PYTHONDONTWRITEBYTECODE": "1",
        }


def create(python: Path, root: Path, *, cancel: Cancel | None = None) -> Environment:
    """An empty environment of the given interpreter. Raises ProcessError, MissingToolError."""
    process.run([python, "-I", "-m", "venv", "--without-pip", "--symlinks", root], cancel=cancel, timeout=120)
    return Environment(root=root, pip=("--python", str(root / "bin" / "python")))


def create_foreign(interpreter: Interpreter, root: Path, work: Path) -> Environment:
    """An empty environment of another platform's interpreter; `work` is the test's scratch directory."""
    site = root / interpreter.site_packages
    site.mkdir(parents=True)
    (root / "bin").mkdir()
    python = root / "bin" / "python"
    python.write_text(interpreter.script(work, python, interpreter.put(root)), "utf-8")
    python.chmod(0o755)
    home = interpreter.home or interpreter.executable.parent
    text = f"home = {home}\ninclude-system-site-packages = false\n"
    (root / "pyvenv.cfg").write_text(text, "utf-8")
    interpreter.launcher.prepare(work)
    platforms = [word for tag in interpreter.platforms for word in ("--platform", tag)]
    version = ("--implementation", "cp", "--python-version", interpreter.version)
    return Environment(root=root, pip=(), install=("--target", str(site), *platforms, *version))


def fill(environment: Environment, install: Install, work: Path, *, cancel: Cancel | None = None) -> None:
    """Install everything; see `Install`. Raises InstallError, or ProcessError if cancelled."""
    extra = ("--extra-index-url", install.index_url) if install.index_url else ()
    if install.wheels:
        alone = bool(install.index_url) and install.only_farm
        index = ("--index-url", install.index_url) if alone else extra
        # --index-url leaves the extra indexes of the client's configuration in place: that has to go as well.
        env = {"PATH": "/usr/bin:/bin", "HOME": str(work), "PIP_CONFIG_FILE": os.devnull} if alone else None
        _pip(
            environment,
            (*index, *(wheel.resolve().as_uri() for wheel in install.wheels)),
            "the wheel cannot be installed",
            env,
            cancel,
        )
    if install.requires:
        pins = work / "constraints.txt"
        pins.write_text("".join(f"{_pin(wheel)}\n" for wheel in install.wheels), "utf-8")
        arguments = ("--constraint", str(pins), *extra, *install.requires)
        _pip(environment, arguments, f"cannot install {', '.join(install.requires)}", None, cancel)


def _pin(wheel: Path) -> str:
    name = names.parse(wheel.name)
    return f"{name.project}=={name.version}"


def _pip(
    environment: Environment, arguments: tuple[str, ...], what: str, env: dict[str, str] | None, cancel: Cancel | None
) -> None:
    command = [sys.executable, "-m", "pip", "--disable-pip-version-check", "--no-input"]
    command += [*environment.pip, "install", "--quiet", *environment.install]
    command += ["--no-compile", "--only-binary", ":all:", *arguments]
    done = process.run(command, env=env, check=False, cancel=cancel, timeout=1800)
    if done.returncode != 0:
        errors = [line.strip() for line in done.output.splitlines() if line.startswith("ERROR:")]
        reason = f"{what}: {(errors or ['pip failed'])[-1].removeprefix('ERROR: ')}"
        raise InstallError(reason, done.output, is_transient=bool(_UNREACHABLE.search(done.output)))


def is_cancelled(cancel: Cancel | None, error: ProcessError) -> bool:
    """Whether an error is the run's end rather than the test's."""
    return cancel is not None and cancel.is_set and error.returncode != 0
