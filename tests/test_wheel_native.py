"""What a native wheel holds, and what stage_native refuses."""

from __future__ import annotations

import ast
import json
from dataclasses import replace
from pathlib import Path

import native_factory as factory
import pytest
from native_factory import Tiny
from packaging.metadata import Metadata

from farm.errors import BinaryFormatError, BuildError
from farm.model.binary import BinaryFormat
from farm.model.native import NativeManifest
from farm.repair import natives
from farm.wheel import record
from farm.wheel.archive import WheelArchive
from farm.wheel.native import NativeProduct, NativeSpec, stage_native
from farm.wheel.native_links import STYLES


@pytest.fixture(scope="module")
def gmp(tmp_path_factory: pytest.TempPathFactory) -> Tiny:
    return factory.tiny_gmp(tmp_path_factory.mktemp("gmp"), variant=True)


@pytest.fixture(scope="module")
def mpfr(tmp_path_factory: pytest.TempPathFactory, gmp: Tiny) -> Tiny:
    return factory.tiny_mpfr(tmp_path_factory.mktemp("mpfr"), gmp)


def test_wheel_holds_everything_a_build_and_an_import_need(gmp: Tiny) -> None:
    record.verify(gmp.wheel)
    with WheelArchive.open(gmp.wheel) as archive:
        members = {name.partition("/")[2] for name in archive.members}
    assert gmp.wheel.name == "native_gmp-10!6.3.0-py3-none-manylinux_2_17_x86_64.whl"
    assert members >= {
        "__init__.py",
        "__main__.py",
        "py.typed",
        "include/gmp.h",
        "lib/libgmp-nf10.so",
        "lib/libgmp.so",
        "lib/glibc-hwcaps/x86-64-v3/libgmp-nf10.so",
        "libnative_gmp-nf10.anchor.so",
        "lib/pkgconfig/gmp.pc",
        "lib/cmake/gmp/gmp-config.cmake",
        "lib/cmake/gmp/gmp-config-version.cmake",
        "native.json",
        "entry_points.txt",
        "licenses/COPYING.LESSERv3",
        "sboms/farm.cdx.json",
    }


def test_same_input_gives_the_same_bytes(tmp_path: Path, gmp: Tiny) -> None:
    again = factory.make(gmp.spec, tmp_path)
    assert again.wheel.read_bytes() == gmp.wheel.read_bytes()


def test_metadata_is_valid_and_names_the_bounds_of_what_it_needs(mpfr: Tiny) -> None:
    with WheelArchive.open(mpfr.wheel) as archive:
        metadata = Metadata.from_email(archive.read(archive.dist_info_file("METADATA")))
        wheel = archive.read(archive.dist_info_file("WHEEL")).decode()
    assert [str(line) for line in metadata.requires_dist or []] == ["native-gmp<11!0,>=10!6.2.0"]
    assert metadata.license_expression == "LGPL-3.0-or-later OR GPL-2.0-or-later"
    assert metadata.license_files == ["COPYING.LESSERv3"]
    assert "Root-Is-Purelib: false\n" in wheel
    assert "Tag: py3-none-manylinux_2_17_x86_64\n" in wheel


def test_a_recipe_may_require_more_at_run_time(tmp_path: Path, mpfr: Tiny) -> None:
    """`requires.run` reaches pip; native.json goes on naming native wheels only, which `farm fetch` looks up."""
    more = factory.make(replace(mpfr.spec, requires=("typing-extensions>=4; python_version < '3.11'",)), tmp_path)
    with WheelArchive.open(more.wheel) as archive:
        metadata = Metadata.from_email(archive.read(archive.dist_info_file("METADATA")))
    lines = [str(line) for line in metadata.requires_dist or []]
    assert lines == ["native-gmp<11!0,>=10!6.2.0", 'typing-extensions>=4; python_version < "3.11"']
    assert natives.load([more.wheel]).named("libmpfr-nf06.so").manifest.requires == ("native-gmp>=10!6.2.0,<11!0",)  # type: ignore[union-attr]


def test_manifest_is_what_repair_reads(gmp: Tiny, mpfr: Tiny) -> None:
    known = natives.load([gmp.wheel, mpfr.wheel])
    found = known.named("libgmp-nf10.so")
    assert found is not None
    assert "__gmpz_powm" in known.exports(found)
    assert known.replacing("libgmp.so.10", vendored=False) is found
    manifest = NativeManifest.model_validate_json((mpfr.site / "native_mpfr-6!4.2.2.dist-info/native.json").read_text())
    assert manifest.requires == ("native-gmp>=10!6.2.0,<11!0",)
    assert (mpfr.package / manifest.anchor).is_file()


def test_sbom_names_the_library_its_source_and_what_it_needs(mpfr: Tiny) -> None:
    document = json.loads((mpfr.site / "native_mpfr-6!4.2.2.dist-info/sboms/farm.cdx.json").read_text())
    assert {part["name"] for part in document["components"]} == {"mpfr", "native-gmp"}
    library = next(part for part in document["components"] if part["name"] == "mpfr")
    assert library["externalReferences"][0]["hashes"][0]["content"] == "0" * 64


def test_sbom_knows_the_library_by_its_names_elsewhere(tmp_path: Path, gmp: Tiny) -> None:
    """Scanners of vulnerabilities match by such names."""
    names = ("dep:generic/gmp", "pkg:deb/debian/gmp")
    staged = stage_native(replace(gmp.spec, external=names), tmp_path / "tree")
    (file,) = staged.tree.glob("*.dist-info/sboms/farm.cdx.json")
    library = next(part for part in json.loads(file.read_text())["components"] if part["name"] == "gmp")
    assert library["properties"] == [{"name": "farm:external", "value": name} for name in names]


def test_package_runs_on_the_oldest_python_it_promises(gmp: Tiny) -> None:
    for file in ("__init__.py", "__main__.py"):
        ast.parse((gmp.package / file).read_text(), feature_version=(3, 9))


def test_hostile_facts_stay_data(tmp_path: Path, gmp: Tiny) -> None:
    """Flags and names of a recipe must not become code of the package."""
    evil = '""" + __import__("os").abort() + """\\'
    spec = replace(gmp.spec, products=(replace(gmp.spec.products[0], cflags=(evil,)),))
    tree = stage_native(spec, tmp_path / "tree").tree
    source = (tree / "native_gmp/__init__.py").read_text()
    facts: dict[str, object] = {}
    exec(source, {"__file__": "x", "__name__": "x"}, facts)
    assert facts["_CFLAGS"] == (evil,)


def _refused(spec: NativeSpec, tmp_path: Path) -> str:
    with pytest.raises((BuildError, BinaryFormatError)) as caught:
        stage_native(spec, tmp_path / "tree")
    return str(caught.value)


def test_missing_parts_are_named(tmp_path: Path, gmp: Tiny) -> None:
    spec = gmp.spec
    assert "anchor" in _refused(replace(spec, anchor=None), tmp_path)
    assert "at least one library" in _refused(replace(spec, products=()), tmp_path)
    assert "no header matches 'gmpxx.h'" in _refused(replace(spec, header_globs=("gmpxx.h",)), tmp_path)


def test_wrong_names_are_refused(tmp_path: Path, gmp: Tiny) -> None:
    wrong = factory.compile_library(tmp_path / "other.so", "int f(void) { return 1; }")
    renamed = wrong.rename(tmp_path / "libgmp-nf10.so")
    product = NativeProduct(link_name="gmp", path=renamed)
    assert "calls itself 'other.so'" in _refused(replace(gmp.spec, products=(product,)), tmp_path)
    variant = replace(gmp.spec.products[0], variants={"x86-64-v4": renamed})
    assert "calls itself 'other.so'" in _refused(replace(gmp.spec, products=(variant,)), tmp_path / "b")


def test_an_anchor_that_needs_nothing_is_refused(tmp_path: Path, gmp: Tiny) -> None:
    empty = factory.compile_library(tmp_path / "libnative_gmp-nf10.anchor.so", "")
    assert "does not need libgmp-nf10.so" in _refused(replace(gmp.spec, anchor=empty), tmp_path)


def test_headers_that_lead_outside_are_refused(tmp_path: Path, gmp: Tiny) -> None:
    headers = tmp_path / "include"
    headers.mkdir()
    (headers / "gmp.h").symlink_to("/etc/hostname")
    assert "link out of its directory" in _refused(replace(gmp.spec, headers=headers), tmp_path)


def test_licence_that_is_no_spdx_expression_is_refused(tmp_path: Path, gmp: Tiny) -> None:
    assert "SPDX" in _refused(replace(gmp.spec, license="GNU, mostly"), tmp_path)


def test_trees_are_not_mixed(tmp_path: Path, gmp: Tiny) -> None:
    (tmp_path / "tree").mkdir()
    (tmp_path / "tree" / "rest").touch()
    assert "not empty" in _refused(gmp.spec, tmp_path)


def test_link_names_of_every_format(tmp_path: Path) -> None:
    """One table for all formats; Windows and macOS take what their linker wrote."""
    library = tmp_path / "gmp.lib"
    library.write_bytes(b"!<arch>\n")
    product = NativeProduct(link_name="gmp", path=tmp_path / "gmp-nf10.dll", import_library=library)
    assert set(STYLES[BinaryFormat.PE].link_names(product)) == {"gmp.lib", "libgmp.dll.a"}
    assert set(STYLES[BinaryFormat.MACHO].link_names(product)) == {"libgmp.tbd"}
    assert STYLES[BinaryFormat.PE].cmake(product, "/p")["IMPORTED_IMPLIB"] == "/p/lib/gmp.lib"
    with pytest.raises(BuildError, match="without an import library"):
        STYLES[BinaryFormat.PE].link_names(replace(product, import_library=None))
