"""Change one Requires-Dist line in a 35 MB wheel: the farm's edit against `wheel unpack` + `wheel pack`, in one run.

Two pairs of figures: whole processes (interpreter start and imports included), and the work alone inside a running
process, which is what a cascade that rebinds many wheels pays. The peer has no library interface, so its figure is the
whole process in both; its start-up alone is measured too and taken off in the second.
"""

from __future__ import annotations

import argparse
import json
import os
import resource
import shutil
import statistics
import sys
import sysconfig
import tempfile
import time
import zlib
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

from farm.process import run
from farm.wheel import metadata, names, record
from farm.wheel.edit import WheelEdits, edit
from farm.wheel.pack import pack

NAME = "big-1.0-py3-none-any.whl"
GOAL = 30.0
EDIT = """
import sys; from pathlib import Path
from farm.wheel.edit import WheelEdits, edit
edit(Path(sys.argv[1]), Path(sys.argv[2]), WheelEdits(requires_replace={"native-gmp": "native-gmp>=10!6.3.0,<11!0"}))
"""


def make_wheel(folder: Path, megabytes: int) -> Path:
    """A wheel of about `megabytes` of what wheels hold: this Python's own machine code, modules and extensions."""
    tree, name = folder / "tree", names.parse(NAME)
    (tree / "big").mkdir(parents=True)
    (tree / name.dist_info).mkdir()
    left = megabytes * 1_000_000
    for number, source in enumerate(real_files()):
        content = source.read_bytes()
        (tree / "big" / f"{number}-{source.name}").write_bytes(content)
        left -= len(zlib.compress(content, 6))
        if left <= 0:
            break
    fields = [("Name", "big"), ("Version", "1.0"), ("Requires-Dist", "native-gmp>=10!6.2.0,<11!0")]
    (tree / name.dist_info / "METADATA").write_bytes(metadata.make_metadata(fields))
    (tree / name.dist_info / "WHEEL").write_bytes(metadata.make_wheel_file(name, generator="benchmark"))
    return pack(tree, NAME, folder, epoch_seconds=1_700_000_000)


def real_files() -> Iterator[Path]:
    """The interpreter, then what is installed beside it, largest binaries first."""
    yield Path(sys.executable).resolve()
    places = [Path(sysconfig.get_path(key)) for key in ("platlib", "platstdlib")]
    binaries = {path for place in places for path in place.rglob("*.so*") if path.is_file() and not path.is_symlink()}
    yield from sorted(binaries, key=lambda path: (-path.stat().st_size, path.name))
    yield from (path for place in places for path in sorted(place.rglob("*.py")) if path.stat().st_size)


def peer_python(where: Path) -> Path:
    """An environment with the `wheel` program."""
    python = where / "bin" / "python"
    run([sys.executable, "-m", "venv", where])
    run([python, "-m", "pip", "install", "-q", "--disable-pip-version-check", "wheel"], env=dict(os.environ))
    return python


def by_peer(python: Path, wheel: Path, scratch: Path) -> None:
    """What its users do today."""
    run([python, "-m", "wheel", "unpack", "-d", scratch, wheel])
    place = scratch / "big-1.0" / "big-1.0.dist-info" / "METADATA"
    place.write_text(place.read_text().replace(">=10!6.2.0", ">=10!6.3.0"))
    run([python, "-m", "wheel", "pack", "-d", scratch, scratch / "big-1.0"])


def measure(call: Callable[[Path], object], folder: Path, rounds: int) -> dict[str, float]:
    """Medians of wall and CPU seconds (this process and the programs it ran)."""
    wall, cpu = [], []
    for _ in range(rounds):
        scratch = Path(tempfile.mkdtemp(dir=folder))
        before, start = _cpu(), time.perf_counter()
        call(scratch)
        wall.append(time.perf_counter() - start)
        cpu.append(_cpu() - before)
        shutil.rmtree(scratch)
    return {"wall": statistics.median(wall), "cpu": statistics.median(cpu)}


def _cpu() -> float:
    used = (resource.getrusage(who) for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN))
    return sum(r.ru_utime + r.ru_stime for r in used)


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--megabytes", type=int, default=35)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--json", action="store_true")
    args = parser.parse_args()
    changes = WheelEdits(requires_replace={"native-gmp": "native-gmp>=10!6.3.0,<11!0"})
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        wheel = make_wheel(folder, args.megabytes)
        record.verify(edit(wheel, folder / "check", changes))
        peer = peer_python(folder / "peer")
        results: dict[str, Any] = {
            "wheel_bytes": wheel.stat().st_size,
            "farm": measure(lambda out: edit(wheel, out, changes), folder, args.rounds * 5),
            "farm_process": measure(lambda out: run([sys.executable, "-c", EDIT, wheel, out]), folder, args.rounds),
            "peer_process": measure(lambda out: by_peer(peer, wheel, out), folder, min(args.rounds, 3)),
            "peer_start": measure(lambda _: [run([peer, "-m", "wheel", "version"]) for _ in "12"], folder, args.rounds),
        }
    peer_work = {unit: results["peer_process"][unit] - results["peer_start"][unit] for unit in ("wall", "cpu")}
    results["ratio_process"] = {u: results["peer_process"][u] / results["farm_process"][u] for u in ("wall", "cpu")}
    results["ratio_work"] = {u: peer_work[u] / results["farm"][u] for u in ("wall", "cpu")}
    if args.json:
        print(json.dumps(results, indent=2))
    else:
        report(results)
    return 0 if results["ratio_work"]["cpu"] >= GOAL else 1


def report(results: dict[str, Any]) -> None:
    print(f"wheel of {results['wheel_bytes'] / 1e6:.1f} MB; seconds, median   wall     CPU")
    for label, key in (
        ("wheel unpack + wheel pack, whole processes", "peer_process"),
        ("farm, whole process", "farm_process"),
        ("farm, inside a process", "farm"),
    ):
        print(f"  {label:44s} {results[key]['wall']:7.3f} {results[key]['cpu']:7.3f}")
    for label, key in (("ratio, whole processes", "ratio_process"), ("ratio, work without start-up", "ratio_work")):
        print(
            f"  {label:44s} {results[key]['wall']:6.1f}x {results[key]['cpu']:6.1f}x   (goal {GOAL:.0f}x for the work)"
        )


if __name__ == "__main__":
    sys.exit(main())
