"""License texts to SPDX identifiers: a guess for new recipes, to be checked by a person."""

from __future__ import annotations

import re
from collections.abc import Iterable
from pathlib import Path

UNKNOWN = "LicenseRef-Unknown"
_READ = 64_000
_NAMES = re.compile(r"(?:COPYING|LICEN[CS]E|COPYRIGHT|UNLICENSE)(?:[._-].*)?", re.I)
_NOT_TEXT = (".py", ".c", ".h", ".sh", ".in", ".rtf", ".png")

# All phrases must occur, in text with white space collapsed and in lower case. The first match wins.
_TEXTS: tuple[tuple[str, tuple[str, ...]], ...] = (
    ("LGPL-3.0-or-later", ("gnu lesser general public license", "version 3, 29 june 2007")),
    ("LGPL-2.1-or-later", ("gnu lesser general public license", "version 2.1, february 1999")),
    ("LGPL-2.0-or-later", ("gnu library general public license", "version 2, june 1991")),
    ("AGPL-3.0-or-later", ("gnu affero general public license", "version 3")),
    ("GPL-3.0-or-later", ("gnu general public license", "version 3, 29 june 2007")),
    ("GPL-2.0-or-later", ("gnu general public license", "version 2, june 1991")),
    ("MPL-2.0", ("mozilla public license", "version 2.0")),
    ("Apache-2.0", ("apache license", "version 2.0, january 2004")),
    ("BSL-1.0", ("boost software license - version 1.0",)),
    ("libpng-2.0", ("png reference library license version 2",)),
    ("IJG", ("independent jpeg group", "this software is based in part on the work")),
    ("CC0-1.0", ("cc0 1.0 universal",)),
    ("Unlicense", ("this is free and unencumbered software released into the public domain",)),
    ("BSD-3-Clause", ("redistribution and use in source and binary forms", "endorse or promote")),
    ("BSD-2-Clause", ("redistribution and use in source and binary forms",)),
    ("MIT", ("permission is hereby granted, free of charge", "without restriction")),
    ("Zlib", ("provided 'as-is', without any express or implied warranty", "altered source versions")),
    ("ISC", ("permission to use, copy, modify, and", "distribute this software for any purpose")),
)


def license_files(tree: Path) -> list[Path]:
    """Files in the top directory of a source tree that look like license texts, by name."""
    return sorted(
        path
        for path in tree.iterdir()
        if _NAMES.fullmatch(path.name) and path.is_file() and path.suffix.lower() not in _NOT_TEXT
    )


def identify(text: str) -> str:
    """The SPDX identifier of one license text, or an empty string."""
    plain = re.sub(r"\s+", " ", text.replace("\u2019", "'").replace("``", "'").replace("''", "'")).lower()
    # The GPL's own text mentions the Lesser one at its end: what is named first is what it is.
    found = [spdx for spdx, phrases in _TEXTS if all(phrase in plain for phrase in phrases)]
    if (
        len(found) > 1
        and found[0].startswith("LGPL")
        and plain.find("gnu general public license") < plain.find("lesser")
    ):
        found = [spdx for spdx in found if spdx.startswith("GPL")] or found
    return found[0] if found else ""


def expression(files: Iterable[Path]) -> str:
    """An SPDX expression for the texts: all of them joined by AND; UNKNOWN if none is recognised."""
    found = {spdx for path in files if (spdx := identify(_text(path)))}
    if any(spdx.startswith("LGPL-3") for spdx in found):
        found.discard("GPL-3.0-or-later")  # its text comes along because the LGPL 3 is written as an addition to it
    if any(spdx.startswith("LGPL-2") for spdx in found):
        found.discard("GPL-2.0-or-later")  # of the programs beside the library, as a rule
    return " AND ".join(sorted(found)) or UNKNOWN


def _text(path: Path) -> str:
    with path.open("rb") as stream:
        return stream.read(_READ).decode("utf-8", "replace")
