"""Link the one shared library of a product from its static archive (docs/decisions/002).

The name is given here, at link time; nothing is renamed afterwards. One linker per binary format: `LINKERS`.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from farm.build import link_elf, link_macho, link_pe
from farm.build.link_values import Dependency, Inputs, Linker, LinkJob, Prepared
from farm.errors import BuildError
from farm.model.recipe_product import LibraryProduct

__all__ = ["LINKERS", "Dependency", "Inputs", "LinkJob", "Linker", "Prepared", "find_archive"]

LINKERS: Mapping[str, Linker] = {
    "elf": link_elf.LINKER,
    "pe": link_pe.LINKER,
    "macho": link_macho.LINKER,
}
"""Binary format of a toolchain -> how its libraries are linked."""


def find_archive(prefix: Path, product: LibraryProduct, *, step: str) -> Path:
    """The product's static archive in a prefix. Raises BuildError with what is there instead."""
    archive = prefix / product.archive
    if archive.is_file():
        return archive
    there = sorted(str(p.relative_to(prefix)) for p in (*prefix.rglob("*.a"), *prefix.rglob("*.lib")))
    raise BuildError(
        f"the build left no {product.archive} in its prefix (archives there: {', '.join(there) or 'none'})",
        where=step,
        fix="correct [[products.library]] archive, or the build's install arguments",
    )
