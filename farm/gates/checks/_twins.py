"""The same file before it was stripped: it names functions that the shipped one does not."""

from __future__ import annotations

from pathlib import Path

from farm.binary.functions import Program, programs
from farm.errors import BinaryFormatError
from farm.gates.policy import AuditPolicy
from farm.model.binary import Linkage


def twins_of(policy: AuditPolicy, file: str, linkage: Linkage) -> dict[str, Program]:
    """The unstripped file, by architecture; empty if there is none. Raises BinaryFormatError."""
    for key in (file, file.rpartition("/")[2], linkage.soname):
        place: Path | None = policy.debug_symbols.get(key)
        if place is not None:
            try:
                found = programs(place.read_bytes(), str(place), linkage.format)
            except OSError as error:
                raise BinaryFormatError(
                    f"cannot be read: {error.strerror}",
                    where=str(place),
                    fix="give the path of the file that was kept before stripping",
                ) from error
            return {program.arch: program for program in found}
    return {}
