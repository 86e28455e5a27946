"""The bill of materials: right shape, complete, and the same bytes from the same facts."""

from __future__ import annotations

import base64
import json
import re
from dataclasses import replace
from typing import Any

from farm.wheel.sbom import AppliedPatch, Component, SourceArchive, bom, pypi_purl

SHA = "a3c2b80201b89e68616f4ad30bc66aee4927c3ce50e33929ca819d5c43538898"
GMP = Component(
    name="gmp",
    version="6.3.0",
    purl="pkg:generic/gmp@6.3.0",
    license="LGPL-3.0-or-later OR GPL-2.0-or-later",
    sources=(SourceArchive(url="https://example.invalid/gmp-6.3.0.tar.xz", sha256=SHA, name="gmp-6.3.0.tar.xz"),),
    patches=(AppliedPatch(name="0001-asm.patch", text=b"--- a\n+++ b\n", resolves=("CVE-2021-43618",)),),
)
WHEEL = Component(
    name="native-mpfr", version="6!4.2.2", purl=pypi_purl("native-mpfr", "6!4.2.2"), license="lgpl-3.0-or-later"
)
NEEDS = Component(name="native-gmp", version="10!6.3.0", purl=pypi_purl("native-gmp", "10!6.3.0"), license="not SPDX")
ZIG = Component(name="zig", version="0.17.0", purl="pkg:generic/zig@0.17.0", type="application", sha256=SHA)


def make(**changes: Any) -> bytes:
    return bom(
        WHEEL, contains=[GMP], depends_on=[NEEDS], tools=[ZIG], properties=[("farm:build-key", "0" * 64)], **changes
    )


def test_shape_is_cyclonedx_1_6() -> None:
    document = json.loads(make())
    assert (document["bomFormat"], document["specVersion"], document["version"]) == ("CycloneDX", "1.6", 1)
    assert re.fullmatch(r"urn:uuid:[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}", document["serialNumber"])
    assert set(document) == {"$schema", "bomFormat", "specVersion", "version", "serialNumber", "metadata", "components",
                             "dependencies"}  # fmt: skip
    refs = {document["metadata"]["component"]["bom-ref"], *(c["bom-ref"] for c in document["components"])}
    assert len(refs) == 3, "references are unique"
    for dependency in document["dependencies"]:
        assert dependency["ref"] in refs
        assert set(dependency.get("dependsOn", [])) <= refs
    needed = {"type", "bom-ref", "name", "version"}
    optional = {"description", "hashes", "licenses", "cpe", "purl", "externalReferences", "pedigree", "properties"}
    for component in (document["metadata"]["component"], *document["components"]):
        assert set(component) <= needed | optional
        assert needed <= set(component)
        assert all(
            re.fullmatch("[0-9a-f]{64}", h["content"]) and h["alg"] == "SHA-256" for h in component.get("hashes", [])
        )


def test_says_what_is_inside_and_where_it_came_from() -> None:
    document = json.loads(make())
    gmp = next(c for c in document["components"] if c["name"] == "gmp")
    assert gmp["externalReferences"] == [
        {
            "type": "source-distribution",
            "url": "https://example.invalid/gmp-6.3.0.tar.xz",
            "comment": "gmp-6.3.0.tar.xz",
            "hashes": [{"alg": "SHA-256", "content": SHA}],
        }
    ]
    (patch,) = gmp["pedigree"]["patches"]
    assert base64.b64decode(patch["diff"]["text"]["content"]) == b"--- a\n+++ b\n"
    assert patch["resolves"][0]["id"] == "CVE-2021-43618"
    assert gmp["licenses"] == [{"expression": "LGPL-3.0-or-later OR GPL-2.0-or-later"}]
    assert document["metadata"]["component"]["licenses"] == [{"license": {"id": "LGPL-3.0-or-later"}}]
    needs = next(c for c in document["components"] if c["name"] == "native-gmp")
    assert needs["licenses"] == [{"license": {"name": "not SPDX"}}]
    assert needs["purl"] == "pkg:pypi/native-gmp@10%216.3.0"
    assert document["metadata"]["tools"]["components"][0]["name"] == "zig"


def test_same_facts_same_bytes_and_no_dates() -> None:
    assert make() == make()
    assert b"timestamp" not in make()
    other = json.loads(bom(replace(WHEEL, version="6!4.2.3"), contains=[GMP]))
    assert other["serialNumber"] != json.loads(make())["serialNumber"]
    assert bom(WHEEL, contains=[GMP, NEEDS]) == bom(WHEEL, contains=[NEEDS, GMP])


def test_smallest() -> None:
    document = json.loads(bom(WHEEL))
    assert document["components"] == []
    assert "tools" not in document["metadata"]
