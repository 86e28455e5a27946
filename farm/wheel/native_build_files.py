"""Files by which build systems find a native wheel: pkg-config and CMake. Relocatable: a wheel may lie anywhere."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from packaging.version import Version

from farm.model.native import NativeLibrary
from farm.wheel import native_templates as templates
from farm.wheel.native_links import STYLES
from farm.wheel.native_spec import NativeDependency, NativeProduct, NativeSpec


def build_files(spec: NativeSpec, needs: Mapping[str, frozenset[str]], *, bits: int) -> dict[str, bytes]:
    """Path relative to the package -> content. `needs` maps a product's shared name to the shared names it needs."""
    files = {
        f"lib/pkgconfig/{product.pkgconfig_name}.pc": _pc(spec, product, needs[product.shared_name])
        for product in spec.products
    }
    folder, stem = f"lib/cmake/{spec.cmake_name}", spec.cmake_name.lower()
    # `<lower case>-config.cmake` is found by find_package() in every spelling: gmp and GMP.
    files[f"{folder}/{stem}-config.cmake"] = _config(spec, needs)
    values = {"VERSION": spec.release, "POINTER_SIZE": str(bits // 8)}
    files[f"{folder}/{stem}-config-version.cmake"] = templates.fill("config-version.cmake.in", values)
    return {path: content.encode() for path, content in files.items()}


def _siblings(spec: NativeSpec, needed: frozenset[str]) -> tuple[NativeProduct, ...]:
    return tuple(product for product in spec.products if product.shared_name in needed)


def _needed_dependencies(spec: NativeSpec, needed: frozenset[str]) -> tuple[tuple[NativeDependency, str, str], ...]:
    """(dependency, its pkg-config name, its CMake target) of every foreign library; a dependency of which only headers
    are used counts with all its libraries."""
    return tuple(
        (dependency, library.pkgconfig or library.link_name, f"{_package(dependency)}::{library.link_name}")
        for dependency in spec.dependencies
        for library in _used(dependency, needed)
    )


def _used(dependency: NativeDependency, needed: frozenset[str]) -> tuple[NativeLibrary, ...]:
    libraries = dependency.manifest.library
    return tuple(library for library in libraries if library.shared_name in needed) or libraries


def _package(dependency: NativeDependency) -> str:
    return dependency.manifest.cmake_package or dependency.manifest.name


def _pc(spec: NativeSpec, product: NativeProduct, needed: frozenset[str]) -> str:
    """A .pc file. Other libraries are `Requires.private`, as upstreams have it: their headers are needed (pkg-config
    gives their flags to --cflags), their link names are not."""
    requires = [f"{sibling.pkgconfig_name} = {spec.release}" for sibling in _siblings(spec, needed)]
    for dependency, name, _ in _needed_dependencies(spec, needed):
        requires.append(f"{name} >= {_release(dependency.lower)}")
    values = {
        "NAME": product.pkgconfig_name,
        "DESCRIPTION": _one_line(spec.summary),
        "URL": f"URL: {spec.homepage}\n" if spec.homepage else "",
        "VERSION": spec.release,
        "REQUIRES": f"Requires.private: {', '.join(requires)}\n" if requires else "",
        "CFLAGS": "".join(f" {flag}" for flag in (*product.cflags, *_first(spec, product))),
        "LINK_NAME": product.link_name,
        "LIBS_PRIVATE": f"Libs.private: {' '.join(f'-l{name}' for name in product.system)}\n" if product.system else "",
    }
    return templates.fill("library.pc.in", values).rstrip("\n") + "\n"


def _first(spec: NativeSpec, product: NativeProduct) -> tuple[str, ...]:
    """Flags that make compilers include the public names first: the header lies where ``-I`` leads to."""
    return ("-include", spec.symbols_header) if product.renamed else ()


def _config(spec: NativeSpec, needs: Mapping[str, frozenset[str]]) -> str:
    values = {
        "PACKAGE": spec.cmake_name,
        "VERSION": spec.release,
        "DISTRIBUTION": spec.distribution,
        "NATIVE_VERSION": spec.version,
        "IMPORT_NAME": spec.import_name,
        "TARGETS": ", ".join(_target(spec, product) for product in spec.products),
        "DEPENDENCIES": _find_dependencies(spec),
        "LIBRARIES": "\n".join(
            [
                *_cmake_symbols(spec),
                *(_imported(spec, product, needs[product.shared_name]) for product in spec.products),
            ]
        ),
    }
    return templates.fill("config.cmake.in", values)


def _find_dependencies(spec: NativeSpec) -> str:
    """Found by CMAKE_PREFIX_PATH (entry points), else beside this wheel."""
    if not spec.dependencies:
        return ""
    lines = ["include(CMakeFindDependencyMacro)"]
    for dependency in spec.dependencies:
        beside = f'"${{_{spec.import_name}_prefix}}/../{dependency.manifest.import_name}"'
        lines.append(f"find_dependency({_package(dependency)} {_release(dependency.lower)} CONFIG HINTS {beside})")
    return "\n".join(lines) + "\n\n"


def _imported(spec: NativeSpec, product: NativeProduct, needed: frozenset[str]) -> str:
    target, prefix = _target(spec, product), f"${{_{spec.import_name}_prefix}}"
    others = [_target(spec, sibling) for sibling in _siblings(spec, needed)]
    others += [name for _, _, name in _needed_dependencies(spec, needed)]
    properties = {name: [value] for name, value in STYLES[spec.format].cmake(product, prefix).items()}
    properties["INTERFACE_INCLUDE_DIRECTORIES"] = [
        f"{prefix}/include",
        *(f"$<TARGET_PROPERTY:{other},INTERFACE_INCLUDE_DIRECTORIES>" for other in others),
    ]
    flags = [flag.replace("${includedir}", f"{prefix}/include") for flag in product.cflags]
    flags += [f"${{_{spec.import_name}_symbols}}"] if product.renamed else []
    flags += [f"$<TARGET_PROPERTY:{other},INTERFACE_COMPILE_OPTIONS>" for other in _renamed(spec, needed)]
    if flags:
        properties["INTERFACE_COMPILE_OPTIONS"] = flags
    if others:
        properties["IMPORTED_LINK_DEPENDENT_LIBRARIES"] = others
    lines = [f"if(NOT TARGET {target})", f"  add_library({target} SHARED IMPORTED)"]
    lines += [f"  set_property(TARGET {target} PROPERTY {name} {_quoted(v)})" for name, v in properties.items()]
    return "\n".join([*lines, "endif()", ""])


def _renamed(spec: NativeSpec, needed: frozenset[str]) -> list[str]:
    """The targets among those it needs whose headers want other names: who includes them through this one's headers
    wants them, too. pkg-config knows that by itself."""
    siblings = [_target(spec, sibling) for sibling in _siblings(spec, needed) if sibling.renamed]
    others = _needed_dependencies(spec, needed)
    return siblings + [target for dependency, _, target in others if dependency.manifest.symbols_header]


def _cmake_symbols(spec: NativeSpec) -> list[str]:
    """A variable with the option that makes a compiler include the public names first. ``SHELL:`` keeps its two words
    together where CMake takes equal options of several libraries out."""
    if not spec.symbols_header:
        return []
    values = {"IMPORT_NAME": spec.import_name, "HEADER": spec.symbols_header}
    return [templates.fill("symbols.cmake.in", values)]


def _target(spec: NativeSpec, product: NativeProduct) -> str:
    return f"{spec.cmake_name}::{product.link_name}"


def _quoted(values: Sequence[str]) -> str:
    return " ".join(f'"{value}"' for value in values)


def _release(version: str) -> str:
    """A native version as pkg-config and CMake know it: without epoch and revision."""
    return ".".join(str(number) for number in Version(version).release)


def _one_line(text: str) -> str:
    return " ".join(text.split())
