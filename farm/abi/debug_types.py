"""The types of exported functions and data, from libabigail's XML (`abidw`): typedefs resolved, private types opaque.

A type is named as in C. A struct without a name takes that of the typedef that leads to it, or the path to the member
or parameter that it is.
Source: libabigail's manual, "abidw"; the elements are those of its format 2.
"""

from __future__ import annotations

import re
import xml.etree.ElementTree as ET
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from xml.etree.ElementTree import Element

from farm.abi.debug_info import Shape, Told
from farm.errors import BinaryFormatError
from farm.model.abi import AbiFunction, AbiMember, AbiType
from farm.model.mangling import PLAIN, Mangling

_RECORDS = {"class-decl": "struct", "union-decl": "union"}
_POINTERS = {"pointer-type-def": "*", "reference-type-def": "&"}
_QUALIFIERS = ("const", "volatile", "restrict")
_BYTE = 8
_NOTHING = Told()
_LENGTHS = re.compile(r"(.*?)((?:\[\d*\])*)", re.DOTALL)  # of an array, behind the type of its elements
_STRANGE = re.compile(r"[^\w.:]+")  # in names: arguments of templates


@dataclass(frozen=True, slots=True, kw_only=True)
class DebugTypes:
    """What debug information says of a library: functions and variables by symbol, layouts by the type's name."""

    functions: Mapping[str, AbiFunction] = field(default_factory=dict)
    variables: Mapping[str, str] = field(default_factory=dict)
    types: Mapping[str, AbiType] = field(default_factory=dict)


def read(xml: bytes, name: str, mangling: Mangling = PLAIN, told: Told = _NOTHING) -> DebugTypes:
    """Read the output of ``abidw`` about the library `name`, whose exported names `mangling` makes of those of its
    sources; `told` is what is known beside. Raises BinaryFormatError if it is not such output."""
    try:
        corpus = ET.fromstring(xml)  # noqa: S314  # of a program that the farm itself ran
        if corpus.tag != "abi-corpus":
            raise _unreadable(name, f"it begins with <{corpus.tag}>")
        return _Reader(corpus, name, mangling, told).all()
    except (ET.ParseError, KeyError, ValueError, RecursionError) as error:
        raise _unreadable(name, f"{type(error).__name__}: {error}") from error


def _unreadable(name: str, why: str) -> BinaryFormatError:
    return BinaryFormatError(
        f"has debug information of which abidw made no corpus: {why}", where=name, fix="try `abidw` on the file"
    )


class _Reader:
    """Resolves types by their identifiers; what it meets on the way becomes `layouts`."""

    def __init__(self, corpus: Element, name: str, mangling: Mangling, told: Told) -> None:
        self.corpus, self.name, self.mangling, self.told = corpus, name, mangling, told
        self.by_id = {e.attrib["id"]: e for e in corpus.iter() if "id" in e.attrib}
        self.symbols = _exported(corpus)
        self.names: dict[str, str] = {}
        self.waiting: list[tuple[Element, str]] = []
        self.layouts: dict[str, AbiType] = {}

    def all(self) -> DebugTypes:
        declared = sorted(self.corpus.iter("function-decl"), key=lambda e: "elf-symbol-id" in e.attrib)
        functions = {s: self._function(e) for e in declared for s in self._symbols(e)}
        variables = {
            symbol: self.type(e.attrib["type-id"], symbol)
            for e in self.corpus.iter("var-decl")
            if "elf-symbol-id" in e.attrib  # members of structs are declared so, too
            for symbol in self._symbols(e)
        }
        while self.waiting:  # not by recursion: types may lead to each other in long chains
            element, name = self.waiting.pop()
            self.layouts[name] = self._layout(element, name.partition(" ")[2])
        return DebugTypes(functions=functions, variables=variables, types=self.layouts)

    def _symbols(self, element: Element) -> Iterator[str]:
        """The exported names of a declaration: its symbol and the aliases of that.

        Of a function that another file calls, abidw may keep the declaration only, which names no symbol. What it says
        counts unless the definition has another shape: C lets files declare what others define otherwise.
        """
        defined = self.told.shapes.get(element.attrib.get("name", ""))
        if "elf-symbol-id" not in element.attrib and defined not in (None, self._shape(element)):
            return
        id_ = element.attrib.get("elf-symbol-id", self.mangling(element.attrib.get("name", "")))
        found = self.symbols.get(id_) or self.symbols.get(id_.partition("@")[0])
        yield from sorted(found or ())

    def _shape(self, element: Element) -> Shape:
        said = self._function(element)
        return Shape(said.result != "void", len(said.parameters))

    def _function(self, element: Element) -> AbiFunction:
        result, name = element.find("return"), element.attrib.get("name", "")
        parameters = element.findall("parameter")
        return AbiFunction(
            result="void" if result is None else self.type(result.attrib["type-id"], f"{name}.result"),
            parameters=tuple(
                self.type(p.attrib["type-id"], f"{name}.{number}")
                for number, p in enumerate(parameters, 1)
                if "type-id" in p.attrib
            ),
            variadic=any(p.attrib.get("is-variadic") == "yes" for p in parameters),
        )

    def type(self, identifier: str, owner: str) -> str:
        """How C writes a type. `owner` names what a type without a name belongs to."""
        element = self.by_id.get(identifier)
        if element is None:
            raise _unreadable(self.name, f"there is no type {identifier}")
        return _WRITERS.get(element.tag, _plain)(self, element, owner)

    def record(self, element: Element, owner: str) -> str:
        """The name of a struct, union or enum; its layout is noted."""
        identifier = element.attrib["id"]
        if identifier not in self.names:
            name = f"{_keyword(element)} {self._own_name(element, owner)}"
            self.names[identifier] = name
            if element.tag == "enum-decl" or not self._is_opaque(element):
                self.waiting.append((element, name))
        return self.names[identifier]

    def _is_opaque(self, element: Element) -> bool:
        """Whether no program knows what is in a type. libabigail could leave private types out itself
        (``--drop-private-types``), but it then takes all structs without a tag for one, and leaves out every parameter
        and member that is a union."""
        if element.attrib.get("is-declaration-only") == "yes":
            return True
        place = element.attrib.get("filepath", "")  # what the compiler made has none
        headers = self.told.headers
        return bool(place) and headers is not None and place.rpartition("/")[2] not in headers

    def _own_name(self, element: Element, owner: str) -> str:
        naming = self.by_id.get(element.attrib.get("naming-typedef-id", ""))
        if naming is not None:
            return naming.attrib["name"]
        # As `farm.abi.layouts` finds it again in the text of other types.
        return owner if element.attrib.get("is-anonymous") == "yes" else _STRANGE.sub("_", element.attrib["name"])

    def _layout(self, element: Element, name: str) -> AbiType:
        if element.tag == "enum-decl":
            return self._enumeration(element)
        size = int(element.attrib.get("size-in-bits", "0")) // _BYTE
        members = [
            self._member(variable, f"{name}.{variable.attrib.get('name', '') or number}", size, offset)
            for number, member in enumerate(element.findall("data-member"))
            for offset in (int(member.attrib.get("layout-offset-in-bits", "0")),)
            for variable in member.findall("var-decl")
        ]
        return AbiType(size=size, members=tuple(members))

    def _member(self, variable: Element, owner: str, size: int, offset: int) -> AbiMember:
        """Bit fields are written as in C: ``unsigned int : 3``."""
        name = variable.attrib.get("name", "")
        widths = "".join(f" : {width}" for width in sorted(self.told.bit_fields.get((size, name, offset), ())))
        return AbiMember(name=name, type=self.type(variable.attrib["type-id"], owner) + widths, offset=offset)

    def _enumeration(self, element: Element) -> AbiType:
        underlying = element.find("underlying-type")
        base = None if underlying is None else self.by_id.get(underlying.attrib["type-id"])
        told = () if self._is_opaque(element) else element.findall("enumerator")
        values = {e.attrib["name"]: int(e.attrib["value"]) for e in told}
        bits = 0 if base is None else int(base.attrib.get("size-in-bits", "0"))
        return AbiType(size=bits // _BYTE, values=values)


def _exported(corpus: Element) -> dict[str, frozenset[str]]:
    """Exported symbols by their id (``name@@version``) and by their name, each with the names of itself and of all its
    aliases: abidw lists these at one of them."""
    groups: dict[str, frozenset[str]] = {}
    for element in corpus.iter("elf-symbol"):
        version, default = element.attrib.get("version"), element.attrib.get("is-default-version") == "yes"
        own = element.attrib["name"] + (f"{'@@' if default else '@'}{version}" if version else "")
        ids = {own, *filter(None, element.attrib.get("alias", "").split(","))}
        group = frozenset(ids).union(*(groups.get(id_, ()) for id_ in ids))
        groups.update(dict.fromkeys(group, group))
    found: dict[str, frozenset[str]] = {}
    for id_, group in groups.items():
        names = frozenset(each.partition("@")[0] for each in group)
        plain = id_.partition("@")[0]
        found.update({id_: names, plain: found.get(plain, frozenset()) | names})
    return found


def _keyword(element: Element) -> str:
    return "enum" if element.tag == "enum-decl" else _RECORDS[element.tag]


def _plain(_reader: _Reader, element: Element, _owner: str) -> str:
    return element.attrib.get("name", "void")


def _typedef(reader: _Reader, element: Element, _owner: str) -> str:
    return reader.type(element.attrib["type-id"], element.attrib["name"])


def _pointer(reader: _Reader, element: Element, owner: str) -> str:
    to = reader.type(element.attrib["type-id"], owner)
    return f"{to}{'' if to.endswith('*') else ' '}{_POINTERS[element.tag]}"


def _qualified(reader: _Reader, element: Element, owner: str) -> str:
    """Of a pointer behind its star, of all else before it; elements of arrays are what is qualified."""
    base = reader.type(element.attrib["type-id"], owner)
    element_type, lengths = _LENGTHS.fullmatch(base).groups()  # type: ignore[union-attr]  # matches every text
    pointer, star, own = element_type.rpartition("*")
    if star and ")" not in own:
        words = [word for word in _QUALIFIERS if element.attrib.get(word) == "yes" and word not in own.split()]
        return f"{' '.join([pointer + star, *own.split(), *words])}{lengths}"
    words = [word for word in _QUALIFIERS if element.attrib.get(word) == "yes" and word not in base.split()]
    return " ".join([*words, base])


def _array(reader: _Reader, element: Element, owner: str) -> str:
    """As C declares it: the lengths of an array of arrays before those of its elements."""
    base = reader.type(element.attrib["type-id"], owner)
    element_type, inner = _LENGTHS.fullmatch(base).groups()  # type: ignore[union-attr]  # matches every text
    lengths = [s.attrib.get("length", "") for s in element.findall("subrange")]
    outer = "".join(f"[{'' if length in ('infinite', 'unknown') else length}]" for length in lengths)
    return f"{element_type}{outer}{inner}"


def _function_type(reader: _Reader, element: Element, owner: str) -> str:
    result = element.find("return")
    parameters = [
        reader.type(p.attrib["type-id"], owner) if "type-id" in p.attrib else "..."
        for p in element.findall("parameter")
    ]
    return f"{'void' if result is None else reader.type(result.attrib['type-id'], owner)} ({', '.join(parameters)})"


_WRITERS = {
    "typedef-decl": _typedef,
    "pointer-type-def": _pointer,
    "reference-type-def": _pointer,
    "qualified-type-def": _qualified,
    "array-type-def": _array,
    "function-type": _function_type,
    "class-decl": _Reader.record,
    "union-decl": _Reader.record,
    "enum-decl": _Reader.record,
}
