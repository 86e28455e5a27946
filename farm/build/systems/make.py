"""A project with nothing but a Makefile: tools, flags and prefix are given as variables, in the source tree.

The recipe's `args` go to both calls of make, `make` to the first, `install` to the second.
"""

from __future__ import annotations

from farm.build.systems.base import Command, Job, flag_environment


def commands(job: Job) -> tuple[Command, ...]:
    """make and make install, in the sources, with the compiler as variables."""
    flags = flag_environment(job)
    variables = ("CC=cc", "CXX=c++", "AR=ar", "RANLIB=ranlib", f"PREFIX={job.prefix}", f"prefix={job.prefix}")
    given = (*variables, *(f"{name}={value}" for name, value in flags.items()), *job.expand(job.build.args))
    return (
        Command(phase="make", argv=("make", f"-j{job.jobs}", *given, *job.expand(job.build.make)), cwd=job.source),
        Command(phase="install", argv=("make", *given, *job.expand(job.build.install)), cwd=job.source),
    )
