"""`python -m benchmarks` runs every benchmark in turn; `python -m benchmarks NAME` one of them."""

from __future__ import annotations

import sys
from pathlib import Path

from farm.process import run

HERE = Path(__file__).parent


def main() -> int:
    names = sys.argv[1:] or sorted(p.stem for p in HERE.glob("[a-z]*.py"))
    failed = []
    for name in names:
        print(f"\n== {name}", flush=True)
        done = run(
            [sys.executable, "-m", f"benchmarks.{name}"], check=False, on_line=lambda line: print(line, flush=True)
        )
        if done.returncode:
            failed.append(name)
    if failed:
        print(f"\nfailed: {', '.join(failed)}")
    return len(failed)


if __name__ == "__main__":
    sys.exit(main())
