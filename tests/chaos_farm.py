"""A real farm under chaos: one who asks, four workers with homes of their own, a shared store, all on one small disk.

Not a test module. `Seeds` builds what every round begins with: three platforms' wheels of a tiny library and of a
dependent, and a cascade that is started but for which nothing is done yet.
"""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

import databases
import small_farm
from small_farm import TINY

WITNESS = str(Path(__file__).parent / "witness.py")
PLATFORMS = ("manylinux_2_17_x86_64", "musllinux_1_2_x86_64", "manylinux_2_17_i686")
ELSEWHERE = """
[[when]]
platform = ["musllinux_*", "*_i686"]
impossible = "a round would take too long with Pythons for these platforms"
"""
WORKERS = 4
LEASE = 5.0  # seconds
RIGHTS = "build"
WRONG = {
    "tiny.c": TINY["tiny.c"].replace('"1.0"', '"1.1"').replace("a + b", "a + b + 1"),
}
MORE = {
    "tiny.c": TINY["tiny.c"].replace('"1.0"', '"1.1"') + "int tiny_sub(int a, int b) { return a - b; }\n",
    "tiny.h": TINY["tiny.h"] + "int tiny_sub(int, int);\n",
}
LESS = {
    "tiny.c": '#include "tiny.h"\nint tiny_add(int a, int b) { return a + b; }\n',
    "tiny.h": "int tiny_add(int, int);\n",
}
CHANGES: Mapping[str, tuple[str, Mapping[str, str]]] = {
    "compatible": ("1.1", MORE),
    "breaking": ("2.0", LESS),
    "wrong": ("1.1", WRONG),
}
"""What upstream did: the release, and its files. `wrong` compiles and does not pass its tests."""


@dataclass
class Place:
    """Directories of one farm below `root`; `catalog` is elsewhere, so that copies of the rest see the same."""

    root: Path
    catalog: Path
    ledger: str
    broker: str = ""
    bucket: str = ""  # FARM_STORE, if it is no directory

    @property
    def home(self) -> Path:
        """Of whoever asks; with the index."""
        return self.root / "home"

    @property
    def store(self) -> Path:
        """What all share."""
        return self.root / "store"

    @property
    def log(self) -> Path:
        """What witnesses wrote. Not on the disk that is filled."""
        return self.root.parent / f"{self.root.name}.log"

    @property
    def env(self) -> dict[str, str]:
        """A round starts some thirty interpreters, so they compile the farm once, as an installation does."""
        kept = {name: value for name, value in os.environ.items() if name != "PYTHONDONTWRITEBYTECODE"}
        places = {"FARM_LEDGER": self.ledger, "FARM_STORE": self.bucket or str(self.store), "FARM_CORES": "1"}
        return {**kept, **places, **({"FARM_BROKER": self.broker} if self.broker else {})}

    def command(self, *words: str, home: Path | None = None) -> list[str]:
        places = ["--catalog", str(self.catalog), "--home", str(home or self.home)]
        return [sys.executable, WITNESS, str(self.log), *places, *words]

    def farm(self, *words: str, home: Path | None = None) -> subprocess.CompletedProcess[str]:
        """Run a command to its end."""
        command = self.command(*words, home=home)
        return subprocess.run(command, env=self.env, capture_output=True, text=True, timeout=600)

    def begin(self, name: str, *words: str, home: Path | None = None) -> subprocess.Popen[bytes]:
        """Start a command that goes on; what it says is in a file."""
        with (self.root.parent / f"{self.root.name}-{name}.out").open("ab") as out:
            return subprocess.Popen(
                self.command(*words, home=home), env=self.env, stdout=out, stderr=out, start_new_session=True
            )

    def said(self) -> str:
        """The ends of all that was said."""
        files = sorted(self.root.parent.glob(f"{self.root.name}-*.out"))
        return "\n".join(f"--- {one.name}\n{one.read_text('utf-8', 'replace')[-4000:]}" for one in files)

    def worker_home(self, number: int) -> Path:
        return self.root / f"worker{number}"

    def make_workers(self) -> None:
        """Homes that have nothing but the list of whom they trust, and the index, which workers share."""
        for number in range(WORKERS):
            (self.worker_home(number) / "fleet").mkdir(parents=True)
            shutil.copy(self.home / "fleet/trusted", self.worker_home(number) / "fleet")
            (self.worker_home(number) / "index").symlink_to(self.home / "index")


def processes(*words: str) -> list[int]:
    """Processes whose command lines hold all of these words."""
    wanted, found = {word.encode() for word in words}, []
    for entry in Path("/proc").iterdir():
        if entry.name.isdigit():
            try:
                line = (entry / "cmdline").read_bytes().split(b"\0")
            except OSError:
                continue
            if wanted <= set(line):
                found.append(int(entry.name))
    return sorted(found)


@dataclass
class Seeds:
    """Farms that rounds begin with, each made when it is first asked for."""

    server: str
    place: Path
    made: dict[str, Place] = field(default_factory=dict)

    def get(self, change: str) -> Place:
        """A farm that nobody may change. Its database may be copied."""
        if change not in self.made:
            self.made[change] = self._base() if change == "base" else self._changed(change, self.get("base"))
        return self.made[change]

    def _base(self) -> Place:
        catalog = small_farm.add_platforms(small_farm.make(self.place / "base-catalog"))
        with (catalog / "recipes/pytiny/recipe.toml").open("a") as recipe:
            recipe.write(ELSEWHERE)
        made = Place(self.place / "base", catalog, databases.copied(self.server, "base"))
        made.store.mkdir(parents=True)
        must(made.farm("build", *platforms(PLATFORMS)))
        must(made.farm("abi", "accept", "tiny@1.0"))
        must(made.farm("fleet", "key", "--rights", RIGHTS))
        return made

    def _changed(self, change: str, base: Place) -> Place:
        version, files = CHANGES[change]
        catalog = shutil.copytree(base.catalog, self.place / f"{change}-catalog", symlinks=True)
        made = Place(self.place / change, catalog, databases.copied(self.server, change, "base"))
        shutil.copytree(base.root, made.root, symlinks=True)
        small_farm.add_release(catalog, version, dict(files))
        if change == "breaking":
            recipe = catalog / "recipes/tiny/recipe.toml"
            recipe.write_text(recipe.read_text().replace('version = "2.0"\n', 'version = "2.0"\nabi_epoch = 2\n'))
            smoke = "#include <tiny.h>\nint main(void) { return tiny_add(2, 3) != 5; }\n"
            (catalog / "recipes/tiny/smoke.c").write_text(smoke)
            must(made.farm("abi", "accept", "tiny@2.0"))
        must(made.farm("cascade", "start", "--bump", f"tiny={version}", *platforms(PLATFORMS)))
        return made


def platforms(names: tuple[str, ...]) -> list[str]:
    return [word for name in names for word in ("--platform", name)]


def must(done: subprocess.CompletedProcess[str]) -> str:
    assert done.returncode == 0, f"{done.args}\n{done.stdout[-3000:]}{done.stderr[-6000:]}"
    return done.stdout


@contextmanager
def ended(child: Callable[[], subprocess.Popen[bytes] | None]) -> Iterator[None]:
    """Nothing of a child is left."""
    try:
        yield
    finally:
        if (process := child()) is not None and process.poll() is None:
            process.send_signal(signal.SIGCONT)
            process.send_signal(signal.SIGKILL)
            process.wait()
