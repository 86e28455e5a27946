"""Open a shell inside a step's build environment.

After a failed build this is the very place it stopped: the same files, the same walls, the same environment. Without
one, the sources are unpacked and patched first. `-c` runs one command instead, like the one an error message repeats.
"""

from __future__ import annotations

import argparse
import os
import re
import sys
from typing import TYPE_CHECKING

from farm.errors import UsageError

if TYPE_CHECKING:
    from farm.build.enter import Entrance
    from farm.catalog import Catalog
    from farm.model.plan import Plan, Step
    from farm.settings import Settings

EPILOG = """examples:
  farm shell gmp                                       where the last build of gmp stopped, or its sources
  farm shell gmp@6.3.0/manylinux_2_17_x86_64 -c 'cd /farm/work && make check'
  farm shell gmp --fresh                               throw away what is kept and begin anew
"""


def configure(parser: argparse.ArgumentParser) -> None:
    """Add the verb's options."""
    parser.add_argument("step", metavar="STEP", help="a step's id (NAME@VERSION/PLATFORM), or the beginning of one")
    parser.add_argument("-c", dest="command", type=str, default="", metavar="COMMAND", help="run this and come back")
    parser.add_argument("--fresh", action="store_true", help="throw the kept workspace away and prepare a new one")
    parser.add_argument("--no-sandbox", action="store_true", help="without walls, when a new one is prepared")


def run(args: argparse.Namespace, settings: Settings) -> int:
    """Become the shell: does not return unless something is wrong."""
    from farm import process

    entrance = _entrance(args, settings)
    argv, env, cwd = entrance.argv(args.command)
    if not args.command:
        print(f"{entrance.step} in {entrance.space.root}; leave with `exit`", file=sys.stderr)
    entrance.keep_locked()
    os.chdir(cwd)
    process.replace(argv, env=env)
    return 1


def _entrance(args: argparse.Namespace, settings: Settings) -> Entrance:
    from farm.build import enter

    if not args.fresh:
        found = enter.kept(settings, args.step)
        if len(found) == 1:
            return enter.enter_kept(settings, found[0])
        if found:
            raise UsageError(f"{args.step} may be any of: {', '.join(found)}", fix="write the whole id")
    return _fresh(args.step, settings)


def _fresh(text: str, settings: Settings) -> Entrance:
    from farm import catalog
    from farm.build import enter
    from farm.cli import running
    from farm.store.artifacts import open_store

    loaded = catalog.load(settings)
    plan, step = _step(text, loaded)
    if step.kind != "library":
        raise UsageError(
            f"{step.id} makes a Python wheel: a shell is where its build failed, and no failed one is kept",
            fix=f"`farm build {step.recipe}`, and if that fails, the same again",
        )
    return enter.enter_fresh(
        step,
        loaded.recipes[step.recipe],
        loaded.toolchains[step.platform],
        running.stored_deps(plan, step, open_store(settings)),
        settings,
        lambda phase: print(f"  {step.id}: {phase}", file=sys.stderr),
    )


def _step(text: str, loaded: Catalog) -> tuple[Plan, Step]:
    """The step a person means, with the plan it is in; of several platforms this machine's own, else the last."""
    from farm.cli import history, wanted

    head, slash, rest = text.partition("/")
    name, at, release = head.partition("@")
    recipes = []
    if recipe := loaded.providers.get(name):  # so a release that is not planned otherwise can be named
        recipes = [f"{recipe}{at}{release}"]
        text = f"{recipes[0]}{slash}{rest}"
    plan = wanted.make_plan(loaded, recipes=recipes, pythons=re.findall(r"/(cp\d+)$", text))
    found = history.find_steps(plan, text)
    own = wanted.own_platforms(loaded)
    found = tuple(step for step in found if step.platform in own) or found
    if len({(step.recipe, step.platform) for step in found}) > 1:
        raise UsageError(f"{text} may be any of: {', '.join(step.id for step in found)}", fix="write the whole id")
    return plan, found[-1]
