"""CMake with Ninja."""

from __future__ import annotations

from farm.build.systems.base import Command, Job


def commands(job: Job) -> tuple[Command, ...]:
    """Configure with Ninja, build, install."""
    configure = (
        "cmake",
        "-S",
        job.source,
        "-B",
        job.work,
        "-G",
        "Ninja",
        "-DCMAKE_MAKE_PROGRAM=ninja",  # by name: the toolchain file forbids CMake to search PATH
        f"-DCMAKE_TOOLCHAIN_FILE={job.toolchain_dir}/cmake.toolchain",
        "-DCMAKE_BUILD_TYPE=Release",
        f"-DCMAKE_INSTALL_PREFIX={job.prefix}",
        "-DCMAKE_INSTALL_LIBDIR=lib",
        "-DBUILD_SHARED_LIBS=OFF",
        *job.expand(job.build.args),
    )
    build = ("cmake", "--build", job.work, "--parallel", str(job.jobs), *_ninja(job.expand(job.build.make)))
    return (
        Command(phase="configure", argv=configure, cwd=job.work),
        Command(phase="make", argv=build, cwd=job.work),
        Command(phase="install", argv=("cmake", "--install", job.work), cwd=job.work),
    )


def _ninja(words: tuple[str, ...]) -> tuple[str, ...]:
    return ("--", *words) if words else ()
