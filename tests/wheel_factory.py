"""Small real wheels for tests of the wheel and index rooms."""

from __future__ import annotations

from pathlib import Path

from farm.wheel import metadata, names
from farm.wheel.pack import pack

EPOCH = 1_700_000_000


def make_tree(
    tree: Path, filename: str, *, requires: tuple[str, ...] = (), text: str = "x = 1\n", **headers: str
) -> Path:
    """The content of a small wheel that can be imported as its distribution name."""
    name = names.parse(filename)
    package = tree / name.distribution
    info = tree / name.dist_info
    for folder in (package / "lib", info / "licenses"):
        folder.mkdir(parents=True, exist_ok=True)
    (package / "__init__.py").write_text(text)
    (package / "lib" / "data.bin").write_bytes(bytes(range(256)) * 64)
    tool = package / "tool.sh"
    tool.write_text("#!/bin/sh\necho hello\n")
    tool.chmod(0o755)
    (info / "licenses" / "LICENSE").write_text("do what you want\n")
    fields = [("Name", name.project), ("Version", name.version)]
    fields += [(key.replace("_", "-"), value) for key, value in headers.items()]
    fields += [("Requires-Dist", line) for line in requires]
    (info / "METADATA").write_bytes(metadata.make_metadata(fields, body="A test.\n"))
    (info / "WHEEL").write_bytes(metadata.make_wheel_file(name, generator="test"))
    return tree


def make_wheel(
    folder: Path, filename: str, *, requires: tuple[str, ...] = (), text: str = "x = 1\n", **headers: str
) -> Path:
    """Pack such a wheel into `folder`."""
    tree = make_tree(folder / f".tree-{filename}-{abs(hash(text))}", filename, requires=requires, text=text, **headers)
    return pack(tree, filename, folder, epoch_seconds=EPOCH)
