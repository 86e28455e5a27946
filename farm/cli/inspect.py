"""Show how a binary, or every binary in a wheel, is linked: names, needs, run paths, imports; ELF, PE and Mach-O."""

from __future__ import annotations

import argparse
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING

from farm.settings import Settings

if TYPE_CHECKING:
    from farm.model.binary import Linkage

EPILOG = """examples:
  farm inspect libgmp-nf10.so
  farm inspect gmp-nf10.dll
  farm inspect gmpy2-2.3.2-cp311-cp311-manylinux_2_17_x86_64.whl
  farm inspect some.whl --json | jq '.binaries[].needed'
"""
_METADATA = ("Name", "Version", "License-Expression", "License", "Requires-Python", "Requires-Dist")


def configure(parser: argparse.ArgumentParser) -> None:
    """Add the verb's options."""
    parser.add_argument("file", type=Path, metavar="FILE", help="an ELF, PE or Mach-O file, or a wheel")
    parser.add_argument("--json", action="store_true", help="one JSON document, with every symbol")


def run(args: argparse.Namespace, settings: Settings) -> int:  # noqa: ARG001
    """Print what the file says of itself. Raises UsageError, BinaryFormatError."""
    from farm.cli.output import print_json
    from farm.errors import UsageError

    if not args.file.is_file():
        raise UsageError(f"there is no file {args.file}", where="farm inspect", fix="check its path")
    value = _wheel(args.file) if args.file.name.endswith(".whl") else _binary(args.file)
    if args.json:
        print_json(value)
    else:
        _print(value)
    return 0


def _binary(path: Path) -> dict[str, object]:
    from farm.binary import formats
    from farm.errors import BinaryFormatError

    try:
        data = path.read_bytes()
    except OSError as error:
        raise BinaryFormatError(
            f"cannot be read: {error.strerror}", where=str(path), fix="check who may read the file"
        ) from error
    linkage = formats.read_bytes(data, str(path))
    if linkage is None:
        raise BinaryFormatError(
            "is neither a binary nor a wheel",
            where=str(path),
            fix="give an ELF, PE or Mach-O file, or a file that ends in .whl",
        )
    return {
        "file": path.name,
        "binaries": [describe(path.name, linkage, signature=_signature(path.name, linkage, data))],
    }


def _wheel(path: Path) -> dict[str, object]:
    from farm.gates import contents
    from farm.gates.checks.undefined import visible_libraries

    wheel = contents.load(path)
    visible = visible_libraries(wheel, {})
    headers = {name: wheel.metadata.all(name) for name in _METADATA}
    return {
        "file": path.name,
        "tags": list(wheel.name.tags),
        "metadata": {name: list(values) for name, values in headers.items() if values},
        "native": wheel.manifest.model_dump(mode="json") if wheel.manifest else None,
        "members": len(wheel.files),
        "size": sum(map(len, wheel.files.values())),
        "faults": [f"{fault.file}: {fault.fact}" for fault in wheel.faults],
        "binaries": [
            describe(name, linkage, visible, signature=_signature(name, linkage, wheel.files[name]))
            for name, linkage in wheel.binaries.items()
        ],
    }


def _signature(name: str, linkage: Linkage, data: bytes) -> str:
    """``valid``, ``none`` or what is wrong with it; empty for formats without signatures."""
    from farm.binary.macho_signature import signature_fault

    if linkage.signed is None:
        return ""
    return signature_fault(data, name) or ("valid" if linkage.signed else "none")


def describe(
    name: str, linkage: Linkage, visible: Mapping[str, Linkage] | None = None, *, signature: str = ""
) -> dict[str, object]:
    """A linkage as plain values, the one form for programs and for people, for every binary format.

    `visible` are libraries whose exports tell where an import without a version comes from; `signature` is what is to
    be said about the file's code signature.
    """
    marks = {
        "program": linkage.is_executable,
        "executable stack": linkage.exec_stack,
        "text relocations": linkage.text_relocations,
        "debug information": linkage.has_debug_info,
    }
    return {
        "file": name,
        "format": str(linkage.format),
        "arch": linkage.arch,
        "bits": linkage.bits,
        "soname": linkage.soname,
        "needed": list(linkage.needed),
        "runpath": list(linkage.runpath),
        "rpath": list(linkage.rpath),
        "interpreter": linkage.interpreter,
        "newest_versions": newest_versions(linkage),
        "lowest_system": ".".join(map(str, linkage.os_floor)) if any(linkage.os_floor) else "",
        "signature": signature,
        "hardening": list(linkage.hardening),
        "slices_differ": list(linkage.disagreements),
        "marks": [mark for mark, is_set in marks.items() if is_set],
        "exports": [f"{s.name}@{s.version}" if s.version else s.name for s in linkage.exports],
        "imports": _imports(linkage, visible or {}),
    }


def newest_versions(linkage: Linkage) -> list[str]:
    """The newest version needed of each family: ``GLIBC_2.14``, ``GLIBCXX_3.4.21``."""
    newest: dict[str, tuple[tuple[int, ...], str]] = {}
    for version in {version for versions in linkage.version_needs.values() for version in versions}:
        family, _, number = version.rpartition("_")
        parts = tuple(int(part) for part in number.split(".") if part.isdecimal())
        newest[family] = max(newest.get(family, ((), "")), (parts, version))
    return sorted(version for _, version in newest.values())


def _imports(linkage: Linkage, visible: Mapping[str, Linkage]) -> dict[str, list[str]]:
    """Imported symbols by the library they come from; ``?`` where neither the file nor `visible` says it."""
    homes: dict[str, str] = {}
    for needed in reversed(linkage.needed):  # the loader takes the first that has it
        if needed in visible:
            homes.update(dict.fromkeys((symbol.name for symbol in visible[needed].exports), needed))
    found: dict[str, list[str]] = {}
    for symbol in linkage.imports:
        found.setdefault(symbol.library or homes.get(symbol.name) or _guess(symbol.name), []).append(symbol.name)
    return dict(sorted(found.items()))


def _guess(name: str) -> str:
    return "the interpreter" if name.lstrip("_").startswith("Py") else "?"


def _print(value: dict[str, object]) -> None:
    from farm.cli.output import human_size

    metadata, size, binaries, faults = (value.get(key) for key in ("metadata", "size", "binaries", "faults"))
    if isinstance(metadata, dict) and isinstance(size, int):
        print(f"{value['file']}: {value['members']} members, {human_size(size)} unpacked")
        for name, values in metadata.items():
            for text in values:
                print(f"  {name}: {text}")
        for fault in faults if isinstance(faults, list) else []:
            print(f"  fault: {fault}")
        print()
    assert isinstance(binaries, list)
    for binary in binaries:
        _print_binary(binary)


def _print_binary(binary: dict[str, object]) -> None:
    print(f"{binary['file']}  ({binary['format']}, {binary['arch']})")
    exports, imports = binary["exports"], binary["imports"]
    assert isinstance(exports, list)
    assert isinstance(imports, dict)
    rows = [
        ("soname", [binary["soname"]]),
        ("needed", binary["needed"]),
        ("runpath", binary["runpath"]),
        ("rpath", binary["rpath"]),
        ("interpreter", [binary["interpreter"]]),
        ("newest versions", binary["newest_versions"]),
        ("lowest system", [binary["lowest_system"]]),
        ("signature", [binary["signature"]]),
        ("hardening", binary["hardening"]),
        ("slices differ", binary["slices_differ"]),
        ("marks", binary["marks"]),
        ("exports", [str(len(exports))] if exports else []),
        ("imports", [f"{len(names)} from {library}" for library, names in imports.items()]),
    ]
    for title, values in rows:
        assert isinstance(values, list)
        shown = ", ".join(str(value) for value in values if value)
        if shown:
            print(f"  {title + ':':<17}{shown}")
