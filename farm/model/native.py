"""`native.json`: what a native wheel says about itself, so that `farm repair` needs no recipe.

It lies in the wheel's ``.dist-info/`` directory.
"""

from __future__ import annotations

from typing import Literal

from pydantic import Field

from farm.model.base import Frozen


class NativeLibrary(Frozen):
    """One shared library of a native wheel. `path` is relative to the import package.

    `pkgconfig` is the name of its .pc file where that is not the link name. Its exported names are those of its sources
    with `symbol_prefix` before and `symbol_suffix` behind them.
    """

    link_name: str
    shared_name: str
    path: str
    pkgconfig: str = ""
    replaces: tuple[str, ...] = ()
    symbol_prefix: str = ""
    symbol_suffix: str = ""


class NativeManifest(Frozen):
    """The manifest of a native wheel.

    `version` is the wheel's PEP 440 version, whose version epoch is the ABI epoch (``10!6.3.0``); `baseline` the
    oldest release of the epoch of which is known what it had; `introduced` maps a later release to the symbols it
    brought: all other symbols are as old as the baseline. `anchor` is the file that is opened at run time, relative to
    the import package.
    `symbols_header` is the header that compilers must include first, where exported names are not those of the sources.
    """

    format: Literal[1] = 1
    name: str
    distribution: str
    import_name: str
    version: str
    abi_epoch: int
    baseline: str
    platform: str
    anchor: str
    cmake_package: str = ""
    library: tuple[NativeLibrary, ...]
    introduced: dict[str, tuple[str, ...]] = Field(default_factory=dict)
    requires: tuple[str, ...] = ()
    symbols_header: str = ""
