"""What an optional part of the farm needs, as a command that works wherever the farm was installed from."""

from __future__ import annotations

import shlex
from importlib import metadata

_DISTRIBUTION = "wheel-farm"


def install(extra: str) -> str:
    """The command that installs what an extra of pyproject.toml names. It says the packages themselves: the farm is
    installed from a checkout, so pip finds it by its name nowhere."""
    from packaging.requirements import Requirement

    try:
        lines = metadata.requires(_DISTRIBUTION) or []
    except metadata.PackageNotFoundError:  # run from its sources
        return f"pip install '.[{extra}]' in the farm's checkout"
    needed = []
    for requirement in map(Requirement, lines):
        marker, requirement.marker = requirement.marker, None
        if marker is not None and marker.evaluate({"extra": extra}) and not marker.evaluate({"extra": ""}):
            needed.append(shlex.quote(str(requirement)))
    return f"pip install {' '.join(needed)}"
