"""The escape hatch: a shell script that sees $SOURCE $PREFIX $DEPS $WORK $JOBS and stops at its first failure."""

from __future__ import annotations

from farm.build.systems.base import Command, Job
from farm.errors import CatalogError


def commands(job: Job) -> tuple[Command, ...]:
    """The recipe's own script. Raises CatalogError if it is empty."""
    if not job.build.script.strip():
        raise CatalogError(['[build] script: is empty, and system = "script" runs nothing else'])
    env = {
        "SOURCE": job.source,
        "PREFIX": job.prefix,
        "DEPS": job.deps,
        "WORK": job.work,
        "JOBS": str(job.jobs),
    }
    argv = ("sh", "-eu", "-c", job.build.script, "build.script", *job.expand(job.build.args))
    return (Command(phase="script", argv=argv, cwd=job.source if job.build.in_tree else job.work, env=env),)
