"""A binary wheel carries the licenses of what it holds."""

from __future__ import annotations

from collections.abc import Iterator

from packaging.licenses import InvalidLicenseExpression, canonicalize_license_expression

from farm.gates.checks._base import Check
from farm.gates.contents import WheelContents
from farm.gates.policy import AuditPolicy
from farm.model.finding import Finding
from farm.model.shown import some
from farm.wheel.metadata import Headers


def _run(wheel: WheelContents, policy: AuditPolicy) -> Iterator[Finding]:
    if not wheel.metadata.fields:
        return  # its absence is a finding of its own
    metadata = f"{wheel.dist_info}/METADATA"
    expression = wheel.metadata.get("License-Expression")
    if not expression:
        yield CHECK.finding(metadata, "has no License-Expression", severity=policy.house)
    else:
        try:
            canonicalize_license_expression(expression)
        except InvalidLicenseExpression as error:
            yield CHECK.finding(metadata, f"has a License-Expression that is not SPDX: {error}", severity=policy.house)
    folder = f"{wheel.dist_info}/licenses/"
    places = (folder,) if _follows_pep_639(wheel.metadata) else (folder, f"{wheel.dist_info}/")
    listed = wheel.metadata.all("License-File")
    missing = [name for name in listed if not any(wheel.files.get(place + name) for place in places)]
    if missing:
        yield CHECK.finding(
            metadata, f"lists license files that are not in {folder} or are empty: {some(missing, policy.shown)}"
        )
    if not listed:
        yield CHECK.finding(metadata, "lists no license file (License-File)", severity=policy.house)


def _follows_pep_639(metadata: Headers) -> bool:
    """Before core metadata 2.4 tools put license files beside METADATA."""
    major, _, minor = metadata.get("Metadata-Version").partition(".")
    return not (major.isdecimal() and minor.isdecimal()) or (int(major), int(minor)) >= (2, 4)


CHECK = Check(
    name="license",
    meaning="METADATA has a License-Expression (SPDX) and names license files, which are in `.dist-info/licenses/` "
    "(PEP 639; before core metadata 2.4 beside METADATA will do): whoever passes a binary on must pass these on.",
    remedy="set license and license_files in the recipe (in pyproject.toml for dependents)",
    run=_run,
)
