"""From finished libraries to the tree of a native wheel. What is in it and how it is found: docs/native-wheel.md."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from pathlib import Path

from farm.binary import formats
from farm.errors import BinaryFormatError, BuildError
from farm.model.binary import Linkage
from farm.wheel.native_build_files import build_files
from farm.wheel.native_info import info_files, manifest, opened
from farm.wheel.native_links import STYLES
from farm.wheel.native_spec import NativeDependency, NativeProduct, NativeSpec, StagedWheel
from farm.wheel.native_symbols import header
from farm.wheel.native_templates import package_init, read

__all__ = ["NativeDependency", "NativeProduct", "NativeSpec", "StagedWheel", "stage_native"]
_HEADER_LIMIT = 64 << 20  # bytes: a header is text


def stage_native(spec: NativeSpec, out: Path) -> StagedWheel:
    """Lay out the complete native wheel in the directory `out`, which must be empty or not exist.

    The same spec and files give the same tree. Hand the result to `farm.wheel.pack.pack`.

    Raises BuildError if something is missing (no anchor, no header for a pattern, no library), BinaryFormatError if a
    library is not what its file name says.
    """
    if out.exists() and any(out.iterdir()):
        raise BuildError("the directory for the tree of a native wheel is not empty", where=str(out))
    if not spec.products:
        raise BuildError("a native wheel needs at least one library", where=spec.distribution)
    linkages = {product.shared_name: _checked(product, product.path) for product in spec.products}
    needs = {name: frozenset(map(_file_name, linkage.needed)) for name, linkage in linkages.items()}
    bits = linkages[spec.products[0].shared_name].bits
    described = manifest(spec)
    name = spec.wheel_name
    for path, content in info_files(spec, described).items():
        _write(out / name.dist_info / path, content)
    package = out / spec.import_name
    files = {**_python_files(spec), **build_files(spec, needs, bits=bits), **_link_names(spec), **header(spec)}
    for path, content in files.items():
        _write(package / path, content)
    for path, source in _libraries(spec):
        _copy(source, package / path)
    for path, source in _headers(spec):
        _copy(source, package / "include" / path)
    return StagedWheel(tree=out, filename=name.filename, manifest=described)


def _checked(product: NativeProduct, path: Path) -> Linkage:
    """The linkage of a library file, after checking that it is the library its file name says."""
    linkage = formats.read_file(path)
    if linkage is None:
        raise BinaryFormatError(
            "is not a shared library",
            where=str(path),
            fix="stage the finished library (ELF, PE or Mach-O), not an archive or a link name",
        )
    if _file_name(linkage.soname) != product.shared_name:
        raise BinaryFormatError(
            f"calls itself {linkage.soname or 'nothing'!r}, so dependents would not find it as {product.shared_name!r}",
            where=str(path),
            fix="set soname / DLL name / install name when linking; a variant has the name of its baseline",
        )
    return linkage


def _file_name(needed: str) -> str:
    """Without the ``@rpath/`` of Mach-O."""
    return needed.rpartition("/")[2]


def _python_files(spec: NativeSpec) -> dict[str, bytes]:
    version, files = spec.wheel_name.version, ", ".join(product.shared_name for product in spec.products)
    docstring = f"{spec.name} {spec.release} as a shared library ({files}) for all extension modules of an environment."
    init = package_init(
        docstring,
        {
            "__version__": version,
            "ABI_EPOCH": spec.abi_epoch,
            "_DISTRIBUTION": spec.distribution,
            "_PLATFORM": spec.platform,
            "_FORMAT": spec.format.value,
            "_OPENED": opened(spec),
            "_LINK_NAMES": tuple(product.link_name for product in spec.products),
            "_CFLAGS": (
                *dict.fromkeys(flag for product in spec.products for flag in product.cflags),
                *(("-include", spec.symbols_header) if spec.symbols_header else ()),
            ),
            "_REQUIRES": tuple(
                (d.manifest.import_name, d.manifest.distribution, d.lower, d.upper) for d in spec.dependencies
            ),
            **({"SYMBOLS_HEADER": spec.symbols_header} if spec.symbols_header else {}),
        },
    )
    return {
        "__init__.py": init.encode(),
        "__main__.py": read("package/__main__.py").encode(),
        "py.typed": b"",
    }


def _link_names(spec: NativeSpec) -> dict[str, bytes]:
    style, taken = STYLES[spec.format], {product.shared_name for product in spec.products}
    files: dict[str, bytes] = {}
    for product in spec.products:
        for name, content in style.link_names(product).items():
            if name in taken:
                raise BuildError(
                    f"the link name {name} is also the shared name",
                    where=spec.distribution,
                    fix="give the library another `name` in products.library",
                )
            files[f"lib/{name}"] = content
    return files


def _libraries(spec: NativeSpec) -> Iterator[tuple[str, Path]]:
    for product in spec.products:
        yield f"lib/{product.shared_name}", product.path
        for level, path in product.variants.items():
            _checked(product, path)
            yield f"lib/glibc-hwcaps/{level}/{product.shared_name}", path
    if spec.anchor is not None:
        yield spec.anchor.name, _checked_anchor(spec, spec.anchor)


def _checked_anchor(spec: NativeSpec, anchor: Path) -> Path:
    """An anchor that forgets a library (`--as-needed` is many linkers' default) would load nothing and say nothing."""
    linkage = formats.read_file(anchor)
    missing = {product.shared_name for product in spec.products} - set(linkage.needed if linkage else ())
    if missing:
        raise BinaryFormatError(
            f"the anchor does not need {', '.join(sorted(missing))}", where=str(anchor), fix="link it --no-as-needed"
        )
    return anchor


def _headers(spec: NativeSpec) -> Iterator[tuple[str, Path]]:
    """Headers by their path below ``include/``. Links to files inside are followed, others refused."""
    if spec.headers is None:
        return
    root = spec.headers.resolve()
    found: dict[str, Path] = {}
    for pattern in spec.header_globs:
        matched = {path.relative_to(root).as_posix(): path for path in root.glob(pattern) if path.is_file()}
        if not matched:
            raise BuildError(
                f"no header matches {pattern!r}",
                where=f"{spec.distribution}: products.headers",
                fix=f"look at what the build installed in {root}",
            )
        found |= matched
    for name in sorted(found):
        real = found[name].resolve()
        if not real.is_relative_to(root) or real.stat().st_size > _HEADER_LIMIT:
            raise BuildError(
                f"header {name} is a link out of its directory or larger than {_HEADER_LIMIT} bytes",
                where=spec.distribution,
                fix="leave it out of products.headers, or patch the install rules",
            )
        yield name, real


def _write(path: Path, content: bytes) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("xb") as stream:  # nothing is written twice
        stream.write(content)
    path.chmod(0o644)


def _copy(source: Path, target: Path) -> None:
    target.parent.mkdir(parents=True, exist_ok=True)
    if target.exists():
        raise BuildError(f"two files would be {target.name}", where=str(target))
    shutil.copyfile(source, target)
    target.chmod(0o644)
