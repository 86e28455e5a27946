"""The ``.dist-info`` of a native wheel: METADATA, WHEEL, entry points, manifest, licences, SBOM."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import PurePosixPath

from packaging.licenses import InvalidLicenseExpression, canonicalize_license_expression

import farm
from farm.errors import BuildError
from farm.model import names
from farm.model.native import NativeLibrary, NativeManifest
from farm.wheel import metadata, native_manifest, sbom
from farm.wheel import native_templates as templates
from farm.wheel.native_links import STYLES
from farm.wheel.native_manifest import MANIFEST
from farm.wheel.native_spec import REQUIRES_PYTHON, NativeSpec


def manifest(spec: NativeSpec) -> NativeManifest:
    """``native.json`` as a value."""
    return NativeManifest(
        name=spec.name,
        distribution=spec.distribution,
        import_name=spec.import_name,
        version=spec.wheel_name.version,
        abi_epoch=spec.abi_epoch,
        baseline=spec.baseline,
        platform=spec.platform,
        anchor=opened(spec)[0],
        cmake_package=spec.cmake_package,
        library=tuple(
            NativeLibrary(
                link_name=product.link_name,
                shared_name=product.shared_name,
                path=f"lib/{product.shared_name}",
                pkgconfig=product.pkgconfig,
                replaces=product.replaces,
                symbol_prefix=product.mangling.prefix,
                symbol_suffix=product.mangling.suffix,
            )
            for product in spec.products
        ),
        introduced={release: tuple(sorted(symbols)) for release, symbols in spec.introduced.items()},
        requires=tuple(dependency.requirement for dependency in spec.dependencies),
        symbols_header=spec.symbols_header,
    )


def opened(spec: NativeSpec) -> tuple[str, ...]:
    """The files that `load()` opens, relative to the package: the anchor, or without one the libraries."""
    if spec.anchor is not None:
        return (spec.anchor.name,)
    if STYLES[spec.format].has_anchor:
        raise BuildError(
            "an ELF native wheel needs an anchor: without it musl does not find the library by name",
            where=spec.distribution,
            fix="link one (farm.build.link) and pass it as `anchor`",
        )
    return tuple(f"lib/{product.shared_name}" for product in spec.products)


def info_files(spec: NativeSpec, described: NativeManifest) -> dict[str, bytes]:
    """Path relative to ``.dist-info`` -> content. RECORD is the packer's business."""
    files = {
        "METADATA": _metadata(spec),
        "WHEEL": metadata.make_wheel_file(spec.wheel_name, generator=f"wheel-farm {farm.__version__}"),
        "entry_points.txt": _entry_points(spec),
        MANIFEST: native_manifest.write(described),
        f"sboms/{sbom.FILE_NAME}": _sbom(spec),
    }
    for path, file in spec.licenses.items():
        files[f"licenses/{_inside(path)}"] = file.read_bytes()
    return files


def _inside(path: str) -> str:
    if path.startswith("/") or ".." in PurePosixPath(path).parts:
        raise BuildError(
            f"licence path {path!r} leaves its directory",
            where="license_files",
            fix="name files of the source tree, relative to its top",
        )
    return path


def _metadata(spec: NativeSpec) -> bytes:
    fields = [
        ("Name", spec.distribution),
        ("Version", spec.wheel_name.version),
        ("Summary", " ".join(spec.summary.split())),
        ("Description-Content-Type", "text/markdown; charset=UTF-8; variant=GFM"),
        ("License-Expression", _license(spec)),
        *(("License-File", path) for path in sorted(spec.licenses)),
        ("Requires-Python", REQUIRES_PYTHON),
        *(("Requires-Dist", dependency.requirement) for dependency in spec.dependencies),
        *(("Requires-Dist", metadata.check_requirement(line, spec.distribution)) for line in spec.requires),
        *((("Project-URL", f"Homepage, {spec.homepage}"),) if spec.homepage else ()),
    ]
    return metadata.make_metadata(fields, body=_description(spec))


def _license(spec: NativeSpec) -> str:
    try:
        return canonicalize_license_expression(spec.license)
    except InvalidLicenseExpression as error:
        raise BuildError(
            f"{spec.license!r} is not an SPDX licence expression: {error}",
            where=spec.distribution,
            fix="correct `license` in the recipe",
        ) from error


def _description(spec: NativeSpec) -> str:
    first = spec.products[0]
    return templates.fill(
        "description.md.in",
        {
            "NAME": spec.name,
            "DISTRIBUTION": spec.distribution,
            "IMPORT_NAME": spec.import_name,
            "SUMMARY": " ".join(spec.summary.split()).rstrip(".") + ".",
            "VERSION": spec.release,
            "NATIVE_VERSION": spec.wheel_name.version,
            "UPPER": names.upper_bound(spec.abi_epoch),
            "SHARED_NAMES": ", ".join(f"`{product.shared_name}`" for product in spec.products),
            "PKGCONFIG": first.pkgconfig_name,
            "PACKAGE": spec.cmake_name,
            "TARGET": f"{spec.cmake_name}::{first.link_name}",
            "LINK_NAME": first.link_name,
            "LICENSE": _license(spec),
            "SYMBOLS": _symbols(spec),
        },
    )


def _symbols(spec: NativeSpec) -> str:
    """What users must know of names, as a paragraph; empty where there is nothing to know."""
    product = next((product for product in spec.products if product.renamed), None)
    if product is None:
        return ""
    example = min(product.renamed)
    values = {"HEADER": spec.symbols_header, "OLD": example, "NEW": product.renamed[example], "NAME": spec.name}
    return templates.fill("description-symbols.md.in", values)


def _entry_points(spec: NativeSpec) -> bytes:
    """How build backends find the wheel in an isolated build environment: importable directories.

    `pkg_config` is read by the distribution pkgconf, `cmake.prefix` by scikit-build-core.
    """
    groups: Mapping[str, str] = {
        "cmake.prefix": spec.import_name,
        "pkg_config": f"{spec.import_name}.lib.pkgconfig",
    }
    return "\n".join(f"[{group}]\n{spec.name} = {value}\n" for group, value in groups.items()).encode()


def _sbom(spec: NativeSpec) -> bytes:
    version = spec.wheel_name.version
    purl = sbom.pypi_purl(spec.distribution, version)
    subject = sbom.Component(
        name=spec.distribution, version=version, purl=purl, license=spec.license, description=spec.summary
    )
    library = sbom.Component(
        name=spec.name,
        version=spec.release,
        purl=spec.purl or f"pkg:generic/{spec.name}@{spec.release}",
        license=spec.license,
        sources=spec.sources,
        patches=spec.patches,
        properties=tuple(("farm:external", identifier) for identifier in spec.external),
    )
    needed = [
        sbom.Component(name=m.distribution, version=m.version, purl=sbom.pypi_purl(m.distribution, m.version))
        for m in (dependency.manifest for dependency in spec.dependencies)
    ]
    return sbom.bom(subject, contains=[library], depends_on=needed, tools=spec.tools)
