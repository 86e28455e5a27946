"""podman on one's own terms, and an image that cibuildwheel can build in, made of Debian's packages. Not a test module.

No registry is asked: the image is a Debian with CPython where manylinux images have theirs. Nothing of the machine's
own podman is used or changed: storage, configuration and run files lie in the directory that is given.
"""

from __future__ import annotations

import hashlib
import os
import shutil
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

from farm.fetch import apt, locations

SUITE, PYTHON, TAG = "bookworm", "3.11", "cp311"
IMAGE = "localhost/farm-cibuildwheel:latest"
PACKAGES = ("gcc", "libc6-dev", "python3-dev", "python3-venv")
FRONTENDS = ("build", "virtualenv")
TIMEOUT = 1500

# runc, since crun refuses cgroups that are mounted as version 1; the machine's network: there is only one container.
CONTAINERS_CONF = """\
[containers]
netns = "host"
default_ulimits = []
pids_limit = 0
[engine]
cgroup_manager = "cgroupfs"
events_logger = "file"
runtime = "runc"
"""
# vfs works everywhere, also when this machine is a container itself.
STORAGE_CONF = """\
[storage]
driver = "vfs"
graphroot = "{place}/storage"
runroot = "{place}/run"
"""
# As in manylinux images: each Python at its place, a utility Python, and a program that fetches other Pythons.
LAY_OUT = f"""\
set -e
mkdir -p /opt/python
python{PYTHON} -m venv /opt/python/{TAG}-{TAG}
ln -s {TAG}-{TAG} /opt/python/cp39-cp39
/opt/python/{TAG}-{TAG}/bin/pip install -q --no-index --find-links /frontends {" ".join(FRONTENDS)}
rm -r /frontends
printf '#!/bin/sh\\nexit 0\\n' > /usr/local/bin/manylinux-interpreters
chmod +x /usr/local/bin/manylinux-interpreters
"""


@dataclass(frozen=True)
class Engine:
    """podman with everything it keeps below `place`."""

    place: Path

    @property
    def environment(self) -> dict[str, str]:
        return {
            **os.environ,
            "CONTAINERS_CONF": str(self.place / "containers.conf"),
            "CONTAINERS_STORAGE_CONF": str(self.place / "storage.conf"),
            "PATH": f"{os.environ['PATH']}:/usr/sbin:/sbin",
        }

    def run(self, *words: str) -> subprocess.CompletedProcess[str]:
        command = ["podman", *words]
        return subprocess.run(command, env=self.environment, capture_output=True, text=True, timeout=TIMEOUT)

    def remove(self) -> None:
        """Stop all containers and delete all that podman kept."""
        self.run("rm", "--all", "--force", "--time", "0")
        self.run("rmi", "--all", "--force")
        shutil.rmtree(self.place, ignore_errors=True)


def engine(place: Path) -> Engine:
    place.mkdir(parents=True)
    (place / "containers.conf").write_text(CONTAINERS_CONF)
    (place / "storage.conf").write_text(STORAGE_CONF.format(place=place))
    return Engine(place=place)


def why_not() -> str:
    """Why no image can be made or no container can run here, as far as it can be seen at once; empty if they may."""
    for program in ("podman", "runc", "mmdebstrap"):
        if shutil.which(program, path=f"{os.environ['PATH']}:/usr/sbin:/sbin") is None:
            return f"the program {program} is not on this machine: apt-get install podman runc mmdebstrap"
    if not locations.debian_mirrors(locations.APT):
        return f"no Debian mirror is configured in {locations.APT}"
    return ""


def image(engine: Engine, cache: Path) -> None:
    """Load the image into the engine. Its root file system is made once per machine and kept in `cache`.

    Raises CannotRunError with what the failing program said.
    """
    made_from = "\n".join((SUITE, *PACKAGES, *FRONTENDS, LAY_OUT))
    archive = cache / f"cibuildwheel-{hashlib.sha256(made_from.encode()).hexdigest()[:16]}.tar"
    if not archive.is_file():
        _make(archive)
    os.utime(archive)  # `farm gc` removes what has long been of no use
    done = engine.run("import", "--os=linux", "--arch=amd64", str(archive), IMAGE)
    if done.returncode:
        raise CannotRunError(f"podman import: {done.stderr}")
    done = engine.run("run", "--rm", IMAGE, f"/opt/python/{TAG}-{TAG}/bin/python", "-c", "print(6 * 7)")
    if done.stdout.strip() != "42":
        raise CannotRunError(f"podman run: {done.stderr}")


class CannotRunError(Exception):
    """Containers cannot run here, and what said so."""


def _make(archive: Path) -> None:
    work = archive.with_suffix(".part")
    shutil.rmtree(work, ignore_errors=True)
    (work / "frontends").mkdir(parents=True)
    wheels(work / "frontends", *FRONTENDS)
    mirror = locations.debian_mirrors(locations.APT)[0]
    (work / "sources.list").write_text(f"deb [{apt.TRUST}] {mirror} {SUITE} main\n")
    (work / "lay-out").write_text(LAY_OUT)
    command = [
        "mmdebstrap",
        "--variant=essential",
        "--dpkgopt=path-exclude=/usr/share/doc/*",
        "--dpkgopt=path-exclude=/usr/share/man/*",
        "--dpkgopt=path-exclude=/usr/share/locale/*",
        f"--include={','.join(PACKAGES)}",
        f"--customize-hook=copy-in {work}/frontends {work}/lay-out /",
        '--customize-hook=chroot "$1" sh /lay-out',
        '--customize-hook=rm "$1/lay-out"',
        SUITE,
        f"{work}/root.tar",
        f"{work}/sources.list",
    ]
    path = f"{os.environ['PATH']}:/usr/sbin:/sbin"  # of programs that only root calls
    done = subprocess.run(command, env={**os.environ, "PATH": path}, capture_output=True, text=True, timeout=TIMEOUT)
    if done.returncode:
        raise CannotRunError(f"mmdebstrap: {done.stderr[-3000:]}")
    (work / "root.tar").replace(archive)
    shutil.rmtree(work)


def wheels(into: Path, *requirements: str) -> None:
    """Wheels of requirements and of all they need, for the Python of the image, through this machine's pip."""
    platforms = [f"--platform=manylinux_2_{minor}_x86_64" for minor in range(36, 4, -1)]
    pip = [sys.executable, "-m", "pip", "--disable-pip-version-check", "download", "-q", "-d", str(into)]
    options = [
        "--only-binary=:all:",
        f"--python-version={PYTHON}",
        "--implementation=cp",
        "--abi=none",
        "--abi=abi3",
        f"--abi={TAG}",
        *platforms,
    ]
    done = subprocess.run([*pip, *options, *requirements], capture_output=True, text=True, timeout=TIMEOUT)
    assert done.returncode == 0, done.stdout + done.stderr
