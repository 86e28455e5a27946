"""Is a build the same wherever it happens? One recipe, built twice for every platform: homes at other paths, of other
length, one after the other, and each build with a compiler cache of its own.

A home that exists can stand for a side (`--home`): then only what it lacks is built.
"""

from __future__ import annotations

import argparse
import json
import sys
import tempfile
import zipfile
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import NamedTuple

from benchmarks._environments import ROOT
from farm.binary import formats
from farm.binary.elf_file import ElfFile
from farm.binary.macho_file import MachoFile
from farm.binary.pe_file import PeFile
from farm.cli.output import print_json, print_table
from farm.errors import FarmError
from farm.model.binary import BinaryFormat
from farm.process import run

SIDES = ("a", "second/home/of/another/length")


class Part(NamedTuple):
    """A section of a binary: its name, and from where to where in the file it is."""

    name: str
    start: int
    end: int


def wheels(recipe: str, platforms: list[str], home: Path) -> dict[str, Path]:
    """Platform -> wheel, built in `home`. A platform for which the build fails is left out, and said."""
    farm = [sys.executable, "-m", "farm.cli", "--catalog", str(ROOT), "--home", str(home)]
    words = [word for platform in platforms for word in ("--platform", platform)]
    done = run([*farm, "build", recipe, "--no-publish", "--json", *words], cwd=ROOT, check=False)
    found = {}
    for row in json.loads(done.output[done.output.index("{") :])["steps"]:
        name, platform = row["step"].partition("@")[0], row["step"].split("/")[1]
        if name != recipe:
            continue
        if row["wheel"]:
            found[platform] = home / "store" / "blobs" / row["sha256"][:2] / row["sha256"] / row["wheel"]
        else:
            print(f"  {row['step']}: {row['state']}", file=sys.stderr)
    return found


def differences(one: Path, other: Path) -> list[str]:
    """What differs between two wheels, member by member; RECORD, which only lists the others, last. Empty if the files
    are the same, byte for byte."""
    if one.read_bytes() == other.read_bytes():
        return []
    with zipfile.ZipFile(one) as a, zipfile.ZipFile(other) as b:
        names = sorted({*a.namelist(), *b.namelist()}, key=lambda name: (name.endswith("/RECORD"), name))
        missing = [name for name in names if (name in a.namelist()) != (name in b.namelist())]
        pairs = [(name, a.read(name), b.read(name)) for name in names if name not in missing]
    found = [f"{name} is in one of them only" for name in missing]
    found += [f"{name}: {_difference(x, y)}" for name, x, y in pairs if x != y]
    return found or ["the archive itself: order, dates or compression of its members"]


def _difference(one: bytes, other: bytes) -> str:
    if len(one) != len(other):
        return f"{len(one)} bytes against {len(other)}"
    wrong = [at for at, (x, y) in enumerate(zip(one, other, strict=True)) if x != y]
    return f"{len(wrong)} of {len(one)} bytes, the first at {wrong[0]:#x} ({_part(one, wrong[0])})"


def _part(data: bytes, at: int) -> str:
    """The section of a binary that a byte lies in."""
    format_ = formats.detect(data[: formats.HEAD_SIZE])
    if format_ is None:
        return "text"
    try:
        parts = list(_PARTS[format_](data))
    except FarmError as error:
        return str(error)
    return next((part.name for part in parts if part.start <= at < part.end), "between its sections")


def _elf(data: bytes) -> Iterator[Part]:
    yield from (Part(s.name, s.offset, s.offset + s.size) for s in ElfFile(data, "").sections)


def _pe(data: bytes) -> Iterator[Part]:
    sections = PeFile(data, "").sections
    yield from (Part(s.name, s.offset, s.offset + s.size) for s in sections)
    yield Part("headers", 0, min((s.offset for s in sections if s.offset), default=0))


def _macho(data: bytes) -> Iterator[Part]:
    yield from (Part(s.name, s.offset, s.offset + s.size) for s in MachoFile(data, "").sections if s.offset)
    yield from (Part(s.name, s.offset, s.offset + s.size) for s in MachoFile(data, "").segments)


_PARTS: dict[BinaryFormat, Callable[[bytes], Iterator[Part]]] = {
    BinaryFormat.ELF: _elf,
    BinaryFormat.PE: _pe,
    BinaryFormat.MACHO: _macho,
}


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--recipe", default="zlib")
    parser.add_argument("--platform", action="append", metavar="P", help="tag or glob; default: all")
    parser.add_argument("--home", action="append", type=Path, default=[], help="a home instead of a fresh one")
    parser.add_argument("--json", action="store_true")
    args = parser.parse_args()
    with tempfile.TemporaryDirectory() as scratch:
        homes = [*args.home, *(Path(scratch) / side for side in SIDES)][:2]
        one, other = (wheels(args.recipe, args.platform or ["*"], home) for home in homes)
        found = {name: differences(one[name], other[name]) for name in sorted(one.keys() & other.keys())}
    if args.json:
        print_json({"recipe": args.recipe, "differences": found})
    else:
        rows = [[platform, "no" if what else "yes", "; ".join(what)] for platform, what in found.items()]
        print_table([args.recipe, "identical", "what differs"], rows)
    return 1 if any(found.values()) or not found else 0


if __name__ == "__main__":
    sys.exit(main())
