"""The header of a native wheel whose library has other public names than its sources: macros from one to the other.

The library's own headers declare the names of the sources. A compiler that is told to include this header first
(``-include``, MSVC ``/FI``) reads them with the public names, and so every program that uses them.
"""

from __future__ import annotations

from farm.errors import BuildError
from farm.model.mangling import is_identifier
from farm.wheel.native_spec import NativeSpec

_HEAD = """\
/* Public names of {name} {release} in {distribution}. Included before everything else:
   `-include {header}`, MSVC `/FI{header}`; pkg-config and CMake do it.
   -D{opt_out} keeps the names of the sources, for programs that write the public names themselves. */
#if !defined({guard}) && !defined({opt_out})
#define {guard}
"""


def header(spec: NativeSpec) -> dict[str, bytes]:
    """Path below the package -> content; empty where all public names are those of the sources.

    Raises BuildError if two libraries of the wheel give one name different public names.
    """
    if not spec.symbols_header:
        return {}
    stem = spec.import_name.upper()
    head = _HEAD.format(
        name=spec.name,
        release=spec.release,
        distribution=spec.distribution,
        header=spec.symbols_header,
        guard=f"{stem}_SYMBOLS_H",
        opt_out=f"{stem}_NO_SYMBOLS",
    )
    lines = [f"#define {old} {new}\n" for old, new in sorted(_names(spec).items())]
    return {f"include/{spec.symbols_header}": "".join([head, *lines, "#endif\n"]).encode()}


def _names(spec: NativeSpec) -> dict[str, str]:
    """What macros can rename: names that are written in C. The rest is for assembly."""
    found: dict[str, str] = {}
    for product in spec.products:
        for old, new in product.renamed.items():
            name, public = old.partition("@")[0], new.partition("@")[0]
            if is_identifier(name) and found.setdefault(name, public) != public:
                raise BuildError(
                    f"{name} is {found[name]} in one of its libraries and {public} in another",
                    where=spec.distribution,
                    fix="export it from one library, or give both the same symbol_prefix and symbol_suffix",
                )
    return found
