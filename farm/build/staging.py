"""From a built library and its recipe to the description of its native wheel."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from pathlib import Path

from farm.abi.introduced import Introduced
from farm.binary import formats
from farm.build.library import release_of
from farm.build.result import BuiltLibrary, LinkedLibrary
from farm.catalog.values import LoadedRecipe
from farm.errors import BuildError
from farm.model.binary import BinaryFormat
from farm.model.names import native_version
from farm.model.plan import Step
from farm.model.recipe import Recipe
from farm.model.recipe_product import LibraryProduct
from farm.model.recipe_source import Release
from farm.model.toolchain import Toolchain
from farm.plan.effective import merged
from farm.plan.epochs import epoch_of
from farm.repair import bounds, natives
from farm.wheel.native_spec import NativeDependency, NativeProduct, NativeSpec
from farm.wheel.sbom import AppliedPatch, Component, SourceArchive


def native_spec(
    step: Step,
    loaded: LoadedRecipe,
    toolchain: Toolchain,
    built: BuiltLibrary,
    deps: Mapping[str, Path],
    brought: Introduced | None = None,
) -> NativeSpec:
    """What the native wheel of a built library is made from. `deps` are the native wheels it was built against,
    `brought` is known of the releases of its ABI epoch: which symbols are how old; None: nothing.

    Raises BuildError if a licence file is missing, CatalogError for a recipe without ABI, BinaryFormatError for a
    dependency that is no native wheel.
    """
    recipe, release = loaded.recipe, release_of(loaded, step)
    return NativeSpec(
        name=recipe.name,
        version=native_version(release.version, release.revision, epoch_of(recipe, release.version)),
        baseline=brought.baseline if brought else release.version,
        introduced=brought.symbols if brought else {},
        platform=toolchain.platform,
        format=BinaryFormat(toolchain.binary),
        summary=recipe.summary,
        license=recipe.license,
        products=tuple(_product(p, built) for p in recipe.products.library),
        anchor=built.anchor,
        headers=built.headers,
        header_globs=recipe.products.headers,
        licenses=_licenses(recipe, built.source, step.id),
        dependencies=tuple(_dependencies(built.libraries, deps)),
        requires=recipe.requires.run,
        homepage=recipe.homepage,
        purl=f"{recipe.purl}@{release.version}" if recipe.purl else "",
        external=recipe.external,
        sources=_sources(release),
        patches=_patches(step, loaded, release),
        tools=(_compiler(toolchain),),
    )


def _product(product: LibraryProduct, built: BuiltLibrary) -> NativeProduct:
    def of(libraries: tuple[LinkedLibrary, ...]) -> Iterator[LinkedLibrary]:
        return (library for library in libraries if library.link_name == product.name)

    library = next(of(built.libraries))
    return NativeProduct(
        link_name=product.name,
        path=library.path,
        import_library=library.import_library,
        variants={variant.level: variant.path for variant in of(built.variants)},
        pkgconfig=product.pkgconfig,
        system=product.system,
        replaces=product.replaces,
        mangling=product.mangling,
        renamed=library.renamed,
    )


def _licenses(recipe: Recipe, source: Path, step: str) -> dict[str, Path]:
    found = {name: source / name for name in recipe.license_files}
    for name, path in found.items():
        if not path.resolve().is_relative_to(source.resolve()) or not path.is_file():
            raise BuildError(
                f"the source has no licence file {name}", where=step, fix="mend `license_files` in the recipe"
            )
    return found


def _dependencies(libraries: tuple[LinkedLibrary, ...], deps: Mapping[str, Path]) -> Iterator[NativeDependency]:
    """The native wheels whose libraries are really needed, with bounds computed from the symbols that are imported."""
    known = natives.load(tuple(dict.fromkeys(deps.values())))
    imported: dict[str, set[str]] = {}
    manifests = {}
    for library in libraries:
        linkage = formats.read_file(library.path)
        symbols = {symbol.name for symbol in linkage.imports} if linkage else set()
        for needed in linkage.needed if linkage else ():
            if (native := known.named(needed)) is not None:
                name = native.manifest.distribution
                manifests[name] = native.manifest
                imported.setdefault(name, set()).update(symbols & known.exports(native).keys())
    for name in sorted(manifests):
        need = bounds.need(manifests[name], imported[name], [bounds.own_release(manifests[name])])
        yield NativeDependency(manifest=manifests[name], lower=need.lower)


def _sources(release: Release) -> tuple[SourceArchive, ...]:
    return tuple(
        SourceArchive(url=location.url if location.url.startswith("https://") else "", sha256=location.sha256)
        for source in release.source
        for location in source.location
    )


def _patches(step: Step, loaded: LoadedRecipe, release: Release) -> tuple[AppliedPatch, ...]:
    names = merged(loaded.recipe, release, step.platform).patches
    return tuple(AppliedPatch(name=name, text=loaded.patch(name).read_bytes()) for name in names)


def _compiler(toolchain: Toolchain) -> Component:
    compiler = toolchain.compiler
    return Component(
        name=compiler.distribution,
        version=compiler.version,
        purl=f"pkg:pypi/{compiler.distribution}@{compiler.version}",
        type="application",
    )
