"""The catalog's own toolchain and sysroot files, for tests of what runs on which platform."""

from __future__ import annotations

import tomllib
from pathlib import Path

from farm.model.sysroot import Sysroot
from farm.model.toolchain import Toolchain

ROOT = Path(__file__).parents[1] / "toolchains"


def toolchain(platform: str, **changes: object) -> Toolchain:
    """The toolchain of a platform, with some of its keys changed."""
    file = ROOT / f"{platform}.toml"
    return Toolchain.model_validate({**tomllib.loads(file.read_text("utf-8")), **changes})


def sysroots() -> dict[str, Sysroot]:
    """All sysroots by name."""
    files = sorted((ROOT / "sysroots").glob("*.toml"))
    return {file.stem: Sysroot.model_validate(tomllib.loads(file.read_text("utf-8"))) for file in files}
