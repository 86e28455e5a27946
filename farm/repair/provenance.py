"""What a rebound wheel says of itself: `rebound.json` in its .dist-info."""

from __future__ import annotations

from pathlib import Path

from pydantic import ValidationError

from farm.errors import BinaryFormatError
from farm.model.rebound import Rebinding, Rebound
from farm.repair.move import BUILD_INSTEAD
from farm.wheel.archive import WheelArchive

PROVENANCE = "rebound.json"


def rebindings(archive: WheelArchive) -> tuple[Rebinding, ...]:
    """How a wheel was rebound since it was built, oldest first. Raises BinaryFormatError for a damaged record."""
    member = archive.dist_info_file(PROVENANCE)
    if member not in archive.members:
        return ()
    try:
        return Rebound.model_validate_json(archive.read(member)).rebound
    except ValidationError as error:
        raise BinaryFormatError(
            f"is not a record of rebindings: {error.errors()[0]['msg']}",
            where=f"{archive.path}: {member}",
            fix=BUILD_INSTEAD,
        ) from error


def rebindings_of(wheel: Path) -> tuple[Rebinding, ...]:
    """The same of a wheel's file."""
    with WheelArchive.open(wheel) as archive:
        return rebindings(archive)
