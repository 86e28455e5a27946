"""The cache of compilers is a cache: whatever somebody removes from it is made again."""

from __future__ import annotations

import os
import subprocess
from dataclasses import replace
from pathlib import Path

import pytest
from small_farm import PLATFORM, ROOT

from farm import catalog, settings
from farm.build import toolchain


@pytest.mark.slow
@pytest.mark.parametrize("gone", ["{root}/bin/wrapper", "{root}.warm", "{compiler}/ziglang/zig"])
def test_a_damaged_toolchain_is_made_again(tmp_path: Path, gone: str) -> None:
    places = settings.load(catalog=ROOT)
    description = catalog.load(places).toolchains[PLATFORM]
    real = toolchain.materialise(description, places)
    mine = replace(places, cache=tmp_path / "cache")
    # Only what belongs to this platform: other platforms may be made in the user's cache at this moment.
    there = places.cache / "toolchains"
    parts = [real.root, real.warm, real.compiler, *(p for p in there.glob("build-*") if p.is_dir())]
    for folder, copied in (("toolchains", parts), ("downloads", (places.cache / "downloads").glob("*"))):
        (mine.cache / folder).mkdir(parents=True)
        for part in copied:
            subprocess.run(["cp", "-a", part, mine.cache / folder], check=True)
    names = {"root": real.root.name, "compiler": real.compiler.name}
    path = mine.cache / "toolchains" / gone.format(**names)
    path.rename(path.with_name("moved-away"))
    tools = toolchain.materialise(description, mine)
    source = tmp_path / "a.c"
    source.write_text("int main(void) { return 0; }\n")
    cache = str(tools.warm)
    subprocess.run(
        [tools.bin / "cc", "-o", tmp_path / "a.out", source],
        env={**os.environ, "ZIG_GLOBAL_CACHE_DIR": cache, "ZIG_LOCAL_CACHE_DIR": cache},
        check=True,
    )
    assert subprocess.run([tmp_path / "a.out"]).returncode == 0
