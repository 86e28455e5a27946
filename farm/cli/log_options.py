"""`--log-format`: where it may stand, and what it means. Start-up imports this: nothing heavy here."""

from __future__ import annotations

from farm.errors import UsageError

TYPE_CHECKING = False  # start-up time
if TYPE_CHECKING:
    import argparse
    from collections.abc import Mapping, Sequence

OPTION = "--log-format"
VARIABLE = "FARM_LOG_FORMAT"
FORMATS = ("text", "json")


def configure(parser: argparse.ArgumentParser) -> None:
    """Let `--help` show the option. `taken` has removed it before anything is parsed, so that it may stand behind a
    verb's action, too."""
    parser.add_argument(
        OPTION, choices=FORMATS, help="log lines on stderr for people or one JSON object each ($FARM_LOG_FORMAT)"
    )


def taken(argv: Sequence[str], environ: Mapping[str, str]) -> tuple[str, list[str]]:
    """The form of log lines, and the command line without the option. What follows ``--`` is left alone. Raises
    UsageError."""
    form, where, rest = environ.get(VARIABLE) or FORMATS[0], VARIABLE, []
    words = iter(argv)
    for word in words:
        if word == "--":
            rest += [word, *words]
        elif word == OPTION or word.startswith(f"{OPTION}="):
            form, where = (next(words, "") if word == OPTION else word.partition("=")[2]), OPTION
        else:
            rest.append(word)
    if form not in FORMATS:
        raise UsageError(f"{form!r} is no form of log lines", where=where, fix=f"say {' or '.join(FORMATS)}")
    return form, rest
