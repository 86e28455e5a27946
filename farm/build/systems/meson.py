"""Meson with Ninja."""

from __future__ import annotations

from farm.build.systems.base import Command, Job


def commands(job: Job) -> tuple[Command, ...]:
    """setup, compile, install."""
    setup = (
        "meson",
        "setup",
        job.work,
        job.source,
        f"--cross-file={job.toolchain_dir}/meson.cross",
        f"--prefix={job.prefix}",
        "--libdir=lib",
        "--buildtype=release",
        "--default-library=static",
        "--wrap-mode=nodownload",
        "-Db_staticpic=true",
        *job.expand(job.build.args),
    )
    return (
        Command(phase="configure", argv=setup, cwd=job.work),
        Command(phase="make", argv=("ninja", f"-j{job.jobs}", *job.expand(job.build.make)), cwd=job.work),
        Command(phase="install", argv=("meson", "install", "--no-rebuild"), cwd=job.work),
    )
