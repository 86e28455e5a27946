"""ABIs as text: canonical, one fact a line, sorted, so that a version control system shows what changed.

```
abi 1
recipe zlib
release 1.3.2
epoch 1
platform manylinux_2_17_x86_64
class elf64
header zlib.h
  Z_OK = 0
library z
symbol adler32 func
symbol table object size=8 version=T_1.0
function adler32 : unsigned long int (unsigned long int, const unsigned char *, unsigned int)
variable table : const unsigned int[2]
type struct z_stream_s 112
  0 next_in : unsigned char *
type enum level 4
  NONE = 0
```
"""

from __future__ import annotations

from collections.abc import Iterator

from farm.model.abi import Abi, AbiFunction, AbiLibrary, AbiSymbol

FORMAT = "1"
TYPED = "types"
"""Behind a library's name: its types were looked at."""
PRIVATE = "private"
"""Behind a symbol: it is data that no header names."""
SIGNATURE = " : "


def write(abi: Abi) -> str:
    """The canonical text: equal ABIs give equal texts."""
    return "".join(f"{line}\n" for line in _lines(abi))


def _lines(abi: Abi) -> Iterator[str]:
    yield from (f"abi {FORMAT}", f"recipe {abi.recipe}", f"release {abi.release}", f"epoch {abi.epoch}")
    yield from (f"platform {abi.platform}", f"class {abi.abi_class}")
    for header, macros in sorted(abi.headers.items()):
        yield f"header {header}"
        yield from (f"  {name} = {value}" for name, value in sorted(macros.items()))
    for name, library in sorted(abi.libraries.items()):
        yield f"library {name}{f' {TYPED}' if library.typed else ''}"
        yield from _library_lines(library)


def _library_lines(library: AbiLibrary) -> Iterator[str]:
    for symbol in sorted(library.symbols):
        yield " ".join(["symbol", symbol.name, symbol.kind, *_facts(symbol)])
    for name, function in sorted(library.functions.items()):
        yield f"function {name} : {signature(function)}"
    for name, type_ in sorted(library.variables.items()):
        yield f"variable {name} : {type_}"
    for name, layout in sorted(library.types.items()):
        yield f"type {name} {layout.size}"
        yield from (f"  {member.offset} {member.name} : {member.type}" for member in layout.members)
        yield from (f"  {value} = {number}" for value, number in layout.values.items())


def _facts(symbol: AbiSymbol) -> Iterator[str]:
    if symbol.size:
        yield f"size={symbol.size}"
    if symbol.version:
        yield f"version={symbol.version}"
    if symbol.private:
        yield PRIVATE


def signature(function: AbiFunction) -> str:
    """``int (const char *, ...)``."""
    parameters = [*function.parameters, *(["..."] if function.variadic else [])]
    return f"{function.result} ({', '.join(parameters) or 'void'})"
