"""delvewheel, the judge of Windows wheels: which DLLs it would have to add. Its `show` works on every system."""

from __future__ import annotations

import contextlib
import io
import sys

from farm.gates.judges import Answer, Question, reply

_MISSING = " (Error: Not Found)"


def answer(question: Question) -> Answer:
    """Grants the tag if no DLL would have to be added, except those in `exclude`."""
    from delvewheel.__main__ import main

    sys.argv = ["delvewheel", "show", question["wheel"], "--ignore-existing", "--analyze-existing"]
    # delvewheel splits at the separator of the system it runs on
    sys.argv += ["--exclude", ":".join(question["exclude"])] if question["exclude"] else []
    said = io.StringIO()
    with contextlib.redirect_stdout(said):
        main()
    needed = _copied(said.getvalue())
    return {
        "tag": "" if needed else question["platform"],
        "granted": [] if needed else [question["platform"]],
        "reasons": [f"{name} is neither in the wheel nor part of every Windows" for name in needed],
        "failure": "",
    }


def _copied(text: str) -> list[str]:
    """The DLLs listed below the first heading, without those that it found in the wheel itself."""
    lines = iter(text.splitlines())
    found = []
    for line in lines:
        if "will be copied into the wheel" in line:
            break
    for line in lines:
        if not line.startswith(" "):
            break
        if line.endswith(_MISSING):
            found.append(line.strip().removesuffix(_MISSING))
    return sorted(found)


if __name__ == "__main__":
    reply(answer)
