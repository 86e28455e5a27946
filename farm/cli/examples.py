"""The examples of a verb, handed down to its actions: each `--help` shows those that call it."""

from __future__ import annotations

import argparse


def hand_down(parser: argparse.ArgumentParser, examples: str) -> None:
    """Give each action of a verb that has none the examples that call it, and its line of help as description."""
    for actions in parser._subparsers._group_actions if parser._subparsers else ():  # noqa: SLF001 - no other way in
        assert isinstance(actions, argparse._SubParsersAction)  # noqa: SLF001
        helps = {choice.dest: choice.help or "" for choice in actions._choices_actions}  # noqa: SLF001
        for name, sub in actions.choices.items():
            sub.formatter_class = argparse.RawDescriptionHelpFormatter
            sub.description = sub.description or f"{helps[name][:1].upper()}{helps[name][1:]}."
            sub.epilog = sub.epilog or _of(f"{sub.prog} ", examples)
            hand_down(sub, examples)


def _of(call: str, examples: str) -> str | None:
    """The lines of some examples that begin with a call."""
    lines = [line for line in examples.splitlines() if f"{line.strip()} ".startswith(call)]
    return "\n".join(["examples:", *lines]) if lines else None
