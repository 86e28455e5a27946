"""What differs between ELF, PE and Mach-O in a native wheel, as one table: link names and CMake's properties.

Wheels hold no symlinks, so `-lgmp` finds the shared name in another way on each format.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass

from farm.errors import BuildError
from farm.model.binary import BinaryFormat
from farm.wheel.native_spec import NativeProduct


@dataclass(frozen=True, slots=True, kw_only=True)
class LinkStyle:
    """`link_names` gives the files that make ``-l<name>`` work: file name in ``lib/`` -> content. `cmake` gives
    the location properties of an imported target, below the prefix given. `has_anchor`: the loader needs one."""

    link_names: Callable[[NativeProduct], dict[str, bytes]]
    cmake: Callable[[NativeProduct, str], dict[str, str]]
    has_anchor: bool


def _elf_link_names(product: NativeProduct) -> dict[str, bytes]:
    """A linker script. Without AS_NEEDED, so that the user's own --as-needed decides; GNU ld (bfd, gold), lld and zig
    look for the named file in the -L directories, GNU ld also beside the script."""
    return {f"lib{product.link_name}.so": f"INPUT({product.shared_name})\n".encode()}


def _elf_cmake(product: NativeProduct, prefix: str) -> dict[str, str]:
    return {"IMPORTED_LOCATION": f"{prefix}/lib/{product.shared_name}", "IMPORTED_SONAME": product.shared_name}


def _pe_link_names(product: NativeProduct) -> dict[str, bytes]:
    """One import library under the names that MSVC and clang (``gmp.lib``) and GNU ld (``libgmp.dll.a``) look for."""
    content = _import_library(product)
    return {f"{product.link_name}.lib": content, f"lib{product.link_name}.dll.a": content}


def _pe_cmake(product: NativeProduct, prefix: str) -> dict[str, str]:
    return {
        "IMPORTED_LOCATION": f"{prefix}/lib/{product.shared_name}",
        "IMPORTED_IMPLIB": f"{prefix}/lib/{product.link_name}.lib",
    }


def _macho_link_names(product: NativeProduct) -> dict[str, bytes]:
    return {f"lib{product.link_name}.tbd": _import_library(product)}


def _macho_cmake(product: NativeProduct, prefix: str) -> dict[str, str]:
    return {
        "IMPORTED_LOCATION": f"{prefix}/lib/{product.shared_name}",
        "IMPORTED_SONAME": f"@rpath/{product.shared_name}",
    }


def _import_library(product: NativeProduct) -> bytes:
    if product.import_library is None:
        raise BuildError(
            f"library {product.link_name} came without an import library (PE: .lib, Mach-O: .tbd)",
            where=product.shared_name,
            fix="let the link step of this platform's toolchain write one",
        )
    return product.import_library.read_bytes()


STYLES: Mapping[BinaryFormat, LinkStyle] = {
    BinaryFormat.ELF: LinkStyle(link_names=_elf_link_names, cmake=_elf_cmake, has_anchor=True),
    BinaryFormat.PE: LinkStyle(link_names=_pe_link_names, cmake=_pe_cmake, has_anchor=False),
    BinaryFormat.MACHO: LinkStyle(link_names=_macho_link_names, cmake=_macho_cmake, has_anchor=False),
}
