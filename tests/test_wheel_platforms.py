"""What platform tags and library names mean, for the audit and `farm repair` alike."""

from __future__ import annotations

import pytest

from farm.wheel.platforms import platform_tag
from farm.wheel.system_libraries import is_libpython, is_loader, is_versioned


@pytest.mark.parametrize(
    ("tag", "family", "floor", "arch"),
    [
        ("manylinux_2_17_x86_64", "glibc", (2, 17), "x86_64"),
        ("manylinux2014_aarch64", "glibc", (2, 17), "aarch64"),
        ("manylinux2010_i686", "glibc", (2, 12), "i686"),
        ("manylinux1_x86_64", "glibc", (2, 5), "x86_64"),
        ("musllinux_1_2_x86_64", "musl", (1, 2), "x86_64"),
        ("macosx_11_0_arm64", "macos", (11, 0), "arm64"),
        ("linux_x86_64", "", None, "x86_64"),
        ("win_amd64", "windows", None, "win_amd64"),
        ("win32", "windows", None, "win32"),
        ("any", "", None, "any"),
        ("manylinux3000_x86_64", "", None, "manylinux3000_x86_64"),
    ],
)
def test_a_tag_taken_apart(tag: str, family: str, floor: tuple[int, int] | None, arch: str) -> None:
    parsed = platform_tag(tag)
    assert (parsed.family, parsed.floor, parsed.arch) == (family, floor, arch)


def test_the_interpreter_as_a_library() -> None:
    for name in ("libpython3.so", "libpython3.11.so.1.0", "libpython3.13t.so", "libpython2.7.so.1.0"):
        assert is_libpython(name), name
    for name in ("libpython.so", "libboost_python311.so.1", "libpython3-helper.so"):
        assert not is_libpython(name), name


def test_libraries_in_which_every_symbol_has_a_version() -> None:
    for name in ("libc.so.6", "libstdc++.so.6", "libcrypt.so.1", "ld-linux-x86-64.so.2", "ld64.so.2"):
        assert is_versioned(name), name
    for name in ("libz.so.1", "libc.so", "libgmp-nf10.so", "libmvec2.so.1"):
        assert not is_versioned(name), name


def test_the_loader_by_its_name_of_each_processor() -> None:
    for name in ("ld-linux-x86-64.so.2", "ld-linux.so.2", "ld-linux-riscv64-lp64d.so.1", "ld64.so.1", "ld64.so.2"):
        assert is_loader(name), name
    for name in ("libc.so.6", "libld64.so.2", "ld64.so", "ld-musl-x86_64.so.1"):
        assert not is_loader(name), name
