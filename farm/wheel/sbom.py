"""A software bill of materials: CycloneDX 1.6 JSON, to be put into ``.dist-info/sboms/`` (PEP 770).

It says what the wheel holds, from which sources with which hashes and patches it was made, by which toolchain, and
what it needs. It holds no dates and no random numbers: the same input gives the same bytes, and the serial number is
derived from the content.
"""

from __future__ import annotations

import base64
import json
import uuid
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from packaging.licenses import InvalidLicenseExpression, canonicalize_license_expression

SCHEMA = "http://cyclonedx.org/schema/bom-1.6.schema.json"
FILE_NAME = "farm.cdx.json"
_NAMESPACE = uuid.UUID("6c1f3c52-6f0a-5b6e-9d3e-0d6a4a0e6a10")  # any constant: the farm's own


@dataclass(frozen=True, slots=True, kw_only=True)
class SourceArchive:
    """An upstream archive: where it can be had (may be empty) and the sha256 in hex of the file there."""

    url: str
    sha256: str
    name: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class AppliedPatch:
    """A patch the farm applied: its file name and text."""

    name: str
    text: bytes
    resolves: tuple[str, ...] = ()  # CVE-...: listed as fixed


@dataclass(frozen=True, slots=True, kw_only=True)
class Component:
    """A library, program or distribution. `license` is an SPDX expression; `purl` its package URL, also its reference
    in the document. `sha256` is of the component itself where it is a file."""

    name: str
    version: str
    purl: str
    type: str = "library"
    license: str = ""
    description: str = ""
    cpe: str = ""
    sha256: str = ""
    sources: tuple[SourceArchive, ...] = ()
    patches: tuple[AppliedPatch, ...] = ()
    properties: tuple[tuple[str, str], ...] = ()


def bom(
    subject: Component,
    *,
    contains: Sequence[Component] = (),
    depends_on: Sequence[Component] = (),
    tools: Sequence[Component] = (),
    properties: Sequence[tuple[str, str]] = (),
) -> bytes:
    """The document for a wheel.

    `subject` is the wheel's distribution; `contains` what is inside it (the upstream library, with sources and
    patches); `depends_on` the distributions it needs at run time; `tools` the toolchain; `properties` further facts
    (``farm:build-key`` and such).
    """
    inside, outside = _by_purl(contains), _by_purl(depends_on)
    document: dict[str, Any] = {
        "$schema": SCHEMA,
        "bomFormat": "CycloneDX",
        "specVersion": "1.6",
        "version": 1,
        "metadata": _present(
            {
                "tools": {"components": [_component(tool) for tool in _by_purl(tools)]} if tools else None,
                "component": _component(subject),
                "properties": _properties(properties),
            }
        ),
        "components": [_component(part) for part in (*inside, *(d for d in outside if d not in inside))],
        "dependencies": [
            {"ref": subject.purl, "dependsOn": sorted({part.purl for part in (*inside, *outside)} - {subject.purl})},
            *({"ref": purl} for purl in sorted({part.purl for part in (*inside, *outside)} - {subject.purl})),
        ],
    }
    content = json.dumps(document, sort_keys=True, ensure_ascii=False)
    document["serialNumber"] = f"urn:uuid:{uuid.uuid5(_NAMESPACE, content)}"
    return (json.dumps(document, indent=1, sort_keys=True, ensure_ascii=False) + "\n").encode()


def pypi_purl(project: str, version: str, *, filename: str = "") -> str:
    """The package URL of a distribution. A version epoch's ``!`` is percent-encoded, as purls ask."""
    from urllib.parse import quote

    tail = f"?file_name={quote(filename, safe='')}" if filename else ""
    return f"pkg:pypi/{project}@{quote(version, safe='')}{tail}"


def _by_purl(components: Sequence[Component]) -> list[Component]:
    return sorted(components, key=lambda component: (component.purl, component.name, component.version))


def _component(component: Component) -> dict[str, Any]:
    return _present(
        {
            "type": component.type,
            "bom-ref": component.purl or f"{component.name}@{component.version}",
            "name": component.name,
            "version": component.version,
            "description": component.description,
            "hashes": _hashes(component.sha256),
            "licenses": _licenses(component.license),
            "cpe": component.cpe,
            "purl": component.purl,
            "externalReferences": [_reference(source) for source in component.sources],
            "pedigree": {"patches": [_patch(patch) for patch in component.patches]} if component.patches else None,
            "properties": _properties(component.properties),
        }
    )


def _reference(source: SourceArchive) -> dict[str, Any]:
    return _present(
        {
            "type": "source-distribution",
            "url": source.url or source.name or "unknown",
            "comment": source.name,
            "hashes": _hashes(source.sha256),
        }
    )


def _patch(patch: AppliedPatch) -> dict[str, Any]:
    content = base64.b64encode(patch.text).decode()
    diff = {"text": {"contentType": "text/x-diff", "encoding": "base64", "content": content}, "url": patch.name}
    issues = [{"type": "security", "id": name, "name": name} for name in patch.resolves]
    return _present({"type": "unofficial", "diff": diff, "resolves": issues})


def _licenses(expression: str) -> list[dict[str, Any]]:
    """An SPDX expression where it is one, else a plain name."""
    if not expression:
        return []
    try:
        canonical = canonicalize_license_expression(expression)
    except InvalidLicenseExpression:
        return [{"license": {"name": expression}}]
    if " " in canonical or canonical.startswith("LicenseRef-"):
        return [{"expression": canonical}]
    return [{"license": {"id": str(canonical)}}]


def _hashes(sha256: str) -> list[dict[str, str]]:
    return [{"alg": "SHA-256", "content": sha256}] if sha256 else []


def _properties(properties: Sequence[tuple[str, str]]) -> list[dict[str, str]]:
    return [{"name": name, "value": value} for name, value in properties]


def _present(value: dict[str, Any]) -> dict[str, Any]:
    """Without empty members, which the schema does not want everywhere."""
    return {key: item for key, item in value.items() if item not in (None, "", [], {})}
