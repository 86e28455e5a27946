"""What a build hands to packing: finished libraries and the prefix they came from."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from types import TracebackType
from typing import Self

from farm.build.workspace import Workspace


@dataclass(frozen=True, slots=True, kw_only=True)
class LinkedLibrary:
    """One shared library that the farm linked.

    `link_name` is ``gmp`` for -lgmp; `shared_name` its file name and soname. `path` is the stripped file that is
    shipped, `unstripped` the same link with its symbol table, for audits only. `level` is the instruction-set level
    (``x86-64-v3``) of a variant and empty for the baseline. `import_library` is what other links read instead of the
    library: PE's ``.lib``, Mach-O's ``.tbd``; ELF has none. `renamed` maps names of the sources to those under which
    the library exports them, where the recipe says that these are others.
    """

    link_name: str
    shared_name: str
    path: Path
    unstripped: Path
    level: str = ""
    import_library: Path | None = None
    renamed: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True, kw_only=True)
class Built:
    """What a step's build left, in a workspace that lives until `discard`.

    `source` is the patched source tree (licence files, smoke and upstream tests). `epoch_seconds` is the newest time
    in the sources: the time that reproducible archives carry.

    As a context manager it removes the workspace after success and keeps it for `farm shell` after an error.
    """

    step: str
    source: Path
    epoch_seconds: int
    workspace: Workspace

    def discard(self) -> None:
        """Remove the workspace; the paths above are gone afterwards."""
        self.workspace.remove()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if kind is None:
            self.discard()
        else:
            self.workspace.release()


@dataclass(frozen=True, slots=True, kw_only=True)
class BuiltWheel(Built):
    """A dependent as its backend built it: the raw `wheel`."""

    wheel: Path


@dataclass(frozen=True, slots=True, kw_only=True)
class BuiltLibrary(Built):
    """A library recipe, built and linked.

    `prefix` is the baseline's install prefix: headers in ``include/``, upstream's .pc and CMake files where it has
    any. `libraries` are in the order of the recipe's products; `variants` hold every further instruction-set level.
    `anchor` is the stub that is opened at run time, where the format needs one.
    """

    import_name: str
    prefix: Path
    libraries: tuple[LinkedLibrary, ...]
    variants: tuple[LinkedLibrary, ...]
    anchor: Path | None

    @property
    def headers(self) -> Path:
        """Where the build installed its headers."""
        return self.prefix / "include"

    @property
    def twins(self) -> dict[str, Path]:
        """Member of the native wheel -> the same library before it was stripped, for audits."""
        folder = f"{self.import_name}/lib"
        return {
            f"{folder}/{f'glibc-hwcaps/{at.level}/' if at.level else ''}{at.shared_name}": at.unstripped
            for at in (*self.libraries, *self.variants)
        }
