"""The command line. `main` is the only place that exits; each verb is a module that is imported only when asked for."""

from __future__ import annotations

import os
import sys

from farm.cli import failing, log_options, quick
from farm.errors import INTERRUPTED_EXIT_CODE, FarmError, UsageError

TYPE_CHECKING = False  # imports are late and typing is left out: with nothing to do, none of them is needed
if TYPE_CHECKING:
    import argparse
    from collections.abc import Sequence
    from typing import NoReturn

# verb -> one line of help; the module is farm.cli.<verb>, its docstring the description, its EPILOG the examples.
VERBS = {
    "plan": "show what would be built, and why",
    "build": "build recipes and all they need; publish to the staging channel",
    "test": "run the tests of recipes against their built wheels",
    "reproduce": "build stored wheels once more, elsewhere, and compare",
    "why": "explain why a step is built again",
    "shell": "open a shell inside a step's build environment",
    "logs": "show the log of a step",
    "status": "show what is built, tested, failed",
    "abi": "measure and compare the ABIs of libraries",
    "audit": "check wheels against the farm's rules",
    "repair": "make a foreign wheel use the farm's native wheels",
    "admit": "take in what native runners built or tested",
    "rebind": "move a built dependent to another ABI epoch of a native wheel, without building",
    "inspect": "show how a binary or a wheel is linked",
    "fetch": "unpack a native wheel into a plain prefix",
    "recipe": "make, check, list recipes",
    "watch": "look for new releases of upstream",
    "toolchain": "list and check toolchains",
    "cascade": "roll a change out: build, move, test, stage, promote",
    "worker": "carry out steps that others ask for, on this machine",
    "beat": "the clock of a fleet: lost work, old jobs, scheduled cascades",
    "fleet": "keys and queues of a fleet of workers",
    "notify": "tell people and programs what happened",
    "metrics": "the farm in numbers, for Prometheus",
    "index": "build, serve and roll back channels",
    "gc": "remove what no live generation needs",
    "doctor": "say what this machine lacks, and the command that gets it",
}

_WITH_VALUE = ("--catalog", "--home")  # what may stand before a verb, with a value of its own


def main(argv: Sequence[str] | None = None) -> NoReturn:
    """Run `farm`; exits with the code documented in docs/exit-codes.md."""
    sys.exit(run(list(sys.argv[1:] if argv is None else argv)))


def run(argv: list[str]) -> int:
    """Run one command line and return its exit code."""
    _open_standard_streams()
    try:
        if (answer := quick.answer(argv, os.environ)) is not None:
            print(answer)
            return 0
        return _dispatch(argv)
    except FarmError as error:
        failing.report(error)
        return error.exit_code
    except KeyboardInterrupt:
        failing.interrupted()
        return INTERRUPTED_EXIT_CODE
    except BrokenPipeError:  # `farm ... | head`
        sys.stderr.close()
        return 0
    except OSError as error:  # a place that a verb was given, or a disk: the same everywhere
        return _refused(error)


def _open_standard_streams() -> None:
    """Give what was closed (`farm ... >&-`) an end that takes all, and let a stream of another encoding than UTF-8 take
    every text (a log's line, an author's name), so that nothing that prints must ask."""
    for name in ("stdout", "stderr"):
        stream = getattr(sys, name)
        if stream is None:
            setattr(sys, name, open(os.devnull, "w", encoding="utf-8"))  # noqa: PTH123, SIM115 - until the end
        elif hasattr(stream, "reconfigure"):
            stream.reconfigure(errors="backslashreplace")


def _dispatch(argv: list[str]) -> int:
    if odd := next((word for word in argv if not _is_text(word)), None):
        raise UsageError(
            f"{odd!r} is not valid UTF-8", where="command line", fix="rename the file, or use a UTF-8 locale"
        )
    form, words = log_options.taken(argv, os.environ)
    parser = _parser(only=_verb(words))
    args = parser.parse_args(words)
    if args.verb is None:
        parser.print_help()
        return 0
    import importlib

    from farm import log, settings

    _treat_sigterm_as_ctrl_c()

    args.argv = tuple(argv)  # what quick.remember wants to know
    log.configure(verbose=args.verbose, form=form)
    places = settings.load(catalog=args.catalog, home=args.home, sandbox=not getattr(args, "no_sandbox", False))
    code = importlib.import_module(f"farm.cli.{args.verb}").run(args, places)
    assert isinstance(code, int)
    return code


def _verb(words: Sequence[str]) -> str | None:
    """The verb of a command line; `build` in ``--home build status`` is a directory."""
    before = ("", *words)
    return next(
        (word for last, word in zip(before, words, strict=False) if word in VERBS and last not in _WITH_VALUE), None
    )


def _is_text(word: str) -> bool:
    """Python keeps undecodable bytes as surrogates, which no ledger, log or JSON document can hold."""
    try:
        word.encode()
    except UnicodeEncodeError:
        return False
    return True


def _treat_sigterm_as_ctrl_c() -> None:
    """What a service manager sends: end as after Ctrl-C, with programs killed and leases given back."""
    import signal
    import threading

    def interrupt(*_: object) -> None:
        raise KeyboardInterrupt

    if threading.current_thread() is threading.main_thread():
        signal.signal(signal.SIGTERM, interrupt)


def _parser(*, only: str | None) -> argparse.ArgumentParser:
    """The parser; only the verb that is asked for is imported and configured."""
    import argparse
    import importlib
    from pathlib import Path

    from farm.cli import examples, words

    parser = words.Parser(
        prog="farm",
        description="A build farm for shared native-library wheels.",
        epilog="`farm VERB --help` shows a verb's options and examples.",
    )
    parser.add_argument("--version", action="version", version=_version())
    parser.add_argument("--catalog", type=Path, metavar="DIR", help="holds recipes/ and toolchains/ ($FARM_CATALOG)")
    parser.add_argument("--home", type=Path, metavar="DIR", help="the farm's state ($FARM_HOME, else .farm)")
    parser.add_argument("-v", "--verbose", action="store_true", help="more log lines")
    log_options.configure(parser)
    verbs = parser.add_subparsers(dest="verb", metavar="VERB", title="verbs")
    for name, text in VERBS.items():
        if only is None or name != only:
            verbs.add_parser(name, help=text, add_help=False)
            continue
        module = importlib.import_module(f"farm.cli.{name}")
        sub = verbs.add_parser(
            name,
            help=text,
            description=module.__doc__,
            epilog=getattr(module, "EPILOG", None),
            formatter_class=argparse.RawDescriptionHelpFormatter,
        )
        module.configure(sub)
        examples.hand_down(sub, getattr(module, "EPILOG", ""))
        log_options.configure(sub)
    return parser


def _version() -> str:
    from farm import __version__

    return f"farm {__version__}"


def _refused(error: OSError) -> int:
    """What the operating system refused is no bug of the farm; `-v` shows where it happened."""
    import logging

    from farm.store.files import store_error

    logging.getLogger(__name__).debug("refused by the system", exc_info=error)
    refused = store_error(error)
    failing.report(refused)
    return refused.exit_code
