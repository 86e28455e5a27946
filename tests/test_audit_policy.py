"""Which rules a wheel is held to."""

from __future__ import annotations

from pathlib import Path

import pytest
import wheel_fixtures as wf
from packaging.version import Version

from farm.catalog.loader import examine
from farm.errors import UsageError
from farm.gates.policy import FORMATS, lowest_platform, policy_for, policy_for_tag
from farm.model.recipe import Recipe

CATALOG = Path(__file__).parents[1]
RECIPE = Recipe.model_validate(
    {
        "format": 1,
        "name": "t",
        "kind": "library",
        "summary": "t",
        "license": "MIT",
        "license_files": ["LICENSE"],
        "release": [{"version": "1.0", "source": [{"location": [{"url": "file:t.tar", "sha256": "0" * 64}]}]}],
        "build": {"system": "make"},
        "audit": {"dispatched": ["*_haswell"], "dispatch_reason": "why", "allow_libraries": ["libz.so.1"]},
        "variant": [{"level": "x86-64-v3", "platform": ["*_x86_64"]}],
    }
)


def test_a_toolchain_and_a_recipe_make_strict_rules(tmp_path: Path) -> None:
    toolchain = examine(CATALOG)[0].toolchains[wf.PLATFORM]
    policy = policy_for(toolchain, RECIPE, natives=[wf.make_native(tmp_path)])
    assert policy.strict
    assert policy.floor == (2, 17)
    assert policy.isa == "x86-64"
    assert {"libc.so.6", "ld-linux-x86-64.so.2"} <= policy.system_libraries
    assert set(policy.libraries) == {"libt-nf01.so"}
    assert policy.libraries["libt-nf01.so"].directory == "native_t/lib"
    assert policy.libraries["libt-nf01.so"].version == Version("1!2.0")
    assert (policy.dispatched, policy.allow_libraries, policy.variants) == (
        ("*_haswell",),
        ("libz.so.1",),
        ("x86-64-v3",),
    )
    assert not policy_for(toolchain).strict


def test_a_rebuilt_native_wheel_is_read_again(tmp_path: Path) -> None:
    toolchain = examine(CATALOG)[0].toolchains[wf.PLATFORM]
    wheel = wf.make_native(tmp_path)
    first = policy_for(toolchain, natives=[wheel]).libraries["libt-nf01.so"].linkage
    wf.make_native(tmp_path, wf.native_files() | {wf.LIBRARY: wf.library(source="int t_other(void) { return 1; }")})
    second = policy_for(toolchain, natives=[wheel]).libraries["libt-nf01.so"].linkage
    assert {s.name for s in second.exports} == {"t_other"}
    assert first != second


@pytest.mark.parametrize(
    ("tag", "libc", "floor", "arch", "isa"),
    [
        ("manylinux2014_x86_64", "glibc", (2, 17), "x86_64", "x86-64"),
        ("manylinux1_i686", "glibc", (2, 5), "i686", "i686"),
        ("manylinux_2_28_aarch64", "glibc", (2, 28), "aarch64", "armv8.0-a"),
        ("musllinux_1_2_x86_64", "musl", (1, 2), "x86_64", "x86-64"),
        ("manylinux_2_31_riscv64", "glibc", (2, 31), "riscv64", "rv64gc"),
        ("win_amd64", "ucrt", (10, 0), "x86_64", "x86-64"),
        ("win32", "ucrt", (10, 0), "i686", "sse2"),
        ("win_arm64", "ucrt", (10, 0), "aarch64", "armv8.0-a"),
        ("macosx_11_0_arm64", "libsystem", (11, 0), "aarch64", "apple-m1"),
        ("macosx_10_13_x86_64", "libsystem", (10, 13), "x86_64", "penryn"),
        ("macosx_11_0_universal2", "libsystem", (11, 0), "universal2", "universal2"),
    ],
)
def test_rules_from_a_tag_alone(tag: str, libc: str, floor: tuple[int, int], arch: str, isa: str) -> None:
    policy = policy_for_tag(tag)
    assert (policy.libc, policy.floor, policy.arch, policy.isa, policy.strict) == (libc, floor, arch, isa, False)


def test_musl_libc_has_the_name_that_users_have() -> None:
    names = {arch: policy_for_tag(f"musllinux_1_2_{arch}").system_libraries for arch in ("x86_64", "i686", "armv7l")}
    assert names == {
        "x86_64": {"libc.musl-x86_64.so.1", "libz.so.1"},
        "i686": {"libc.musl-x86.so.1", "libz.so.1"},
        "armv7l": {"libc.musl-armv7.so.1", "libz.so.1"},
    }


@pytest.mark.parametrize("tag", ["any", "linux_x86_64", "plan9_386"])
def test_a_tag_without_rules(tag: str) -> None:
    with pytest.raises(UsageError, match=f"no audit policy for the platform '{tag}'"):
        policy_for_tag(tag)


@pytest.mark.parametrize(
    ("tag", "needed", "promised"),
    [
        ("win_amd64", "KERNEL32.dll", True),
        ("win_arm64", "api-ms-win-crt-heap-l1-1-0.dll", True),
        ("win32", "gmp-nf10.dll", False),
        ("win32", "msvcp140.dll", False),
        ("macosx_11_0_arm64", "/usr/lib/libSystem.B.dylib", True),
        ("macosx_11_0_arm64", "/System/Library/Frameworks/Accelerate.framework/Versions/A/Accelerate", True),
        ("macosx_11_0_arm64", "@rpath/libgmp-nf10.dylib", False),
        ("macosx_11_0_arm64", "/opt/homebrew/lib/libgmp.10.dylib", False),
        ("manylinux_2_17_aarch64", "ld-linux-aarch64.so.1", True),
        ("manylinux_2_17_aarch64", "LIBC.SO.6", False),
    ],
)
def test_what_a_system_promises(tag: str, needed: str, promised: bool) -> None:
    policy = policy_for_tag(tag)
    assert policy.promises(needed, FORMATS[policy.libc]) is promised


def test_of_several_tags_the_one_that_promises_most() -> None:
    tags = ["manylinux_2_28_x86_64", "manylinux2014_x86_64", "manylinux_2_24_x86_64"]
    assert lowest_platform(tags) == "manylinux2014_x86_64"
