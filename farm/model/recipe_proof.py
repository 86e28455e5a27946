"""How what a recipe gives is tested and judged, here and by native runners: `[tests]`, `[native]`, `[audit]`."""

from __future__ import annotations

from pydantic import Field

from farm.model.base import Frozen
from farm.model.recipe_text import PlatformGlob, RelPath


class UpstreamSuite(Frozen):
    """Upstream's own tests, run against the installed wheel."""

    command: tuple[str, ...] = Field(min_length=1, description="`{python}` and `{source}` are replaced")
    copy_paths: tuple[RelPath, ...] = Field(
        default=(), description="parts of the source copied into an empty directory; the tests run there"
    )
    requires: tuple[str, ...] = Field(default=(), description="packages the tests need, PEP 508")


class Tests(Frozen):
    """How the result is tested."""

    smoke: RelPath | None = Field(default=None, description="`smoke.c` (linked to the library) or `smoke.py`")
    upstream: UpstreamSuite | None = None


class Native(Frozen):
    """What a native runner builds, with that system's own compiler, by cibuildwheel. No part of any build key."""

    platform: tuple[PlatformGlob, ...] = Field(
        default=(), description="globs of the platforms whose wheels CI has a native runner build"
    )


class Audit(Frozen):
    """Knowledge the audit needs about this recipe. Every exemption has a reason."""

    dispatched: tuple[str, ...] = Field(
        default=(),
        description="globs of functions, without `symbol_prefix` and `symbol_suffix`, that are only called after a CPU "
        "check, so may exceed the baseline",
    )
    dispatch_reason: str = Field(default="", description="where the sources choose these functions")
    allow_libraries: tuple[str, ...] = Field(default=(), description="further shared libraries that may be needed")
    allow_archives: tuple[RelPath, ...] = Field(
        default=(),
        description="globs of static archives that belong into the wheel, because packages that build on this one link "
        "to them",
    )
