"""Build the farm's own wheel and source archive for a tag, twice, and keep them if both are the same.

python scripts/release.py --tag v0.1.0 --output dist
"""

from __future__ import annotations

import argparse
import hashlib
import os
import shutil
import sys
import tempfile
from pathlib import Path

from farm import __version__
from farm.process import run

ROOT = Path(__file__).resolve().parent.parent


def main(argv: list[str] | None = None) -> int:
    """Write the two files and SHA256SUMS; 1, with nothing written, if the tag or a second build says otherwise."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--tag", required=True)
    parser.add_argument("--output", type=Path, required=True, metavar="DIR")
    args = parser.parse_args(argv)
    if args.tag != f"v{__version__}":
        print(f"the tag is {args.tag}, and farm/__init__.py says {__version__}", file=sys.stderr)
        return 1
    with tempfile.TemporaryDirectory() as name:
        once, again = built(Path(name, "once")), built(Path(name, "again"))
        if once != again:
            print(f"two builds differ: {once} and {again}", file=sys.stderr)
            return 1
        sums = "".join(f"{digest}  {file}\n" for file, digest in sorted(once.items()))
        Path(name, "once", "SHA256SUMS").write_text(sums, "utf-8")
        shutil.copytree(Path(name, "once"), args.output, dirs_exist_ok=True)
    return 0


def built(out: Path) -> dict[str, str]:
    """File name -> sha256 of a build of the checked out commit."""
    time = run(["git", "log", "-1", "--format=%ct"], cwd=ROOT, timeout=60).output.strip()
    environment = {**os.environ, "SOURCE_DATE_EPOCH": time}
    run([sys.executable, "-m", "build", "--outdir", str(out), str(ROOT)], env=environment, cwd=ROOT, timeout=900)
    files = [file for file in out.iterdir() if file.suffix in (".whl", ".gz")]
    return {file.name: hashlib.sha256(file.read_bytes()).hexdigest() for file in files}


if __name__ == "__main__":
    sys.exit(main())
