"""delocate, the judge of macOS wheels: architectures and lowest macOS version of every binary against the tag.

Its listing of needed libraries asks otool, a program of macOS, so it is not asked for that here; the versions are
read with macholib, which works on every system. That function is internal, so the version is pinned.
"""

from __future__ import annotations

import tempfile
import zipfile
from pathlib import Path

from farm.gates.judges import Answer, Question, reply


def answer(question: Question) -> Answer:
    """The tag that delocate would give the wheel, and what stands against the one it has."""
    from delocate.delocating import _calculate_minimum_wheel_name
    from delocate.libsana import DelocationError

    wheel = Path(question["wheel"])
    with tempfile.TemporaryDirectory(prefix="farm-delocate-") as scratch:
        with zipfile.ZipFile(wheel) as archive:
            archive.extractall(scratch)
        try:
            name, _ = _calculate_minimum_wheel_name(wheel.name, Path(scratch), None)
        except DelocationError as error:
            return {"tag": "", "granted": [], "reasons": [], "failure": str(error)}
    granted = name.removesuffix(".whl").rpartition("-")[2].split(".")
    fits = set(granted) <= set(wheel.name.removesuffix(".whl").rpartition("-")[2].split("."))
    return {
        "tag": ".".join(granted),
        "granted": [*granted, *([question["platform"]] if fits else [])],
        "reasons": [] if fits else ["a binary in it is for another architecture or a newer macOS"],
        "failure": "",
    }


if __name__ == "__main__":
    reply(answer)
