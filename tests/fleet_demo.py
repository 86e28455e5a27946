"""`make fleet-demo`: the processes of compose.yaml, bare on this machine; they build a tiny library, pip installs it.

Redis, PostgreSQL, the index, two workers and the beat, with the commands and variables of that file, TLS and
certificates included. Everything is stopped in the end, and nothing is left.
"""

from __future__ import annotations

import subprocess
import sys
import tempfile
import time
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parent))

import compose
import small_farm

from farm.settings import load


def main() -> int:
    with tempfile.TemporaryDirectory(prefix="farm-fleet-") as name:
        show(Path(name).resolve())
    print("7. stopped; nothing is left")
    return 0


def show(place: Path) -> None:
    """Raises AssertionError with what the processes wrote if anything is not as it should be."""
    catalog = small_farm.make(place / "catalog")
    with compose.bare(place, load().cache, catalog) as fleet:
        print("1. redis and postgres answer, over TLS, to whoever has a certificate")
        for number in ("1", "2"):
            fleet.start("worker", name=f"worker-{number}", FARM_HOME=str(place / f"home-of-worker-{number}"))
        fleet.start("index")
        fleet.start("beat")
        fleet.wait("worker")
        print("2. two workers, the index and the beat run")
        started = time.monotonic()
        done = fleet.run(*fleet.words("farm"), "tiny")
        logs = [fleet.log(name) for name in ("worker-1", "worker-2")]
        assert done.returncode == 0, "\n".join([done.stdout, done.stderr, *logs])
        built = [log.relative_to(place).parts[0] for log in place.glob("home*/logs/*.log")]
        assert len(built) == 1, built
        assert built[0].startswith("home-of-worker"), built
        print(f"3. `farm build` had a worker build tiny in {time.monotonic() - started:.0f} s")
        fleet.wait("index")
        url = f"http://127.0.0.1:{fleet.ports['8000']}/staging/simple/"
        python = installed(place / "venv", url)
        print("4. pip installed it from the index")
        code = "import native_tiny; print(native_tiny.load().tiny_add(40, 2))"
        answer = subprocess.check_output([python, "-I", "-c", code], text=True, timeout=60).strip()
        assert answer == "42", answer
        print(f"5. tiny_add(40, 2) is {answer}")
        assert fleet.healthy("beat"), fleet.log("beat")
        codes = fleet.stop()
        print(f"6. stopping: exit codes {codes}")
        for name in ("worker-1", "worker-2"):
            assert "stopped" in fleet.log(name), fleet.log(name)


def installed(where: Path, url: str) -> Path:
    subprocess.run([sys.executable, "-m", "venv", "--without-pip", where], check=True, timeout=120)
    python = where / "bin" / "python"
    pip = [sys.executable, "-m", "pip", "--python", str(python), "install", "-q", "--isolated", "--no-cache-dir"]
    subprocess.run([*pip, "--index-url", url, "native-tiny"], check=True, timeout=300)
    return python


if __name__ == "__main__":
    sys.exit(main())
