"""configure, make, make install."""

from __future__ import annotations

from farm.build.systems.base import Command, Job


def commands(job: Job) -> tuple[Command, ...]:
    """Configure, make, make install."""
    where = job.source if job.build.in_tree else job.work
    configure = (
        "sh",
        f"{job.source}/configure",
        f"--host={job.toolchain.triple}",
        f"--build={job.build_triple}",
        f"--prefix={job.prefix}",
        f"--libdir={job.prefix}/lib",
        "--disable-shared",
        "--enable-static",
        "--with-pic",
        *job.expand(job.build.args),
    )
    return (
        Command(phase="configure", argv=configure, cwd=where),
        Command(phase="make", argv=("make", f"-j{job.jobs}", *job.expand(job.build.make)), cwd=where),
        Command(phase="install", argv=("make", *job.expand(job.build.install)), cwd=where),
    )
