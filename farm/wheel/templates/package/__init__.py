"""A native library."""

from __future__ import annotations

import os
import threading

TYPE_CHECKING = False  # `typing` is not worth its import time here
if TYPE_CHECKING:
    import ctypes
    from typing import NoReturn

__all__ = ["ABI_EPOCH", "get_cmake_dir", "get_include", "get_lib_dir", "get_pkgconfig_dir", "load"]

# facts: begin
__version__: str = "0!0"
ABI_EPOCH: int = 0
_DISTRIBUTION: str = "native-template"
_PLATFORM: str = "any"
_FORMAT: str = "elf"
_OPENED: tuple[str, ...] = ()
_LINK_NAMES: tuple[str, ...] = ()
_CFLAGS: tuple[str, ...] = ()
_REQUIRES: tuple[tuple[str, str, str, str], ...] = ()
# facts: end

_here: str = os.path.dirname(os.path.abspath(__file__))  # noqa: PTH100, PTH120 - pathlib is slow to import
_lock = threading.RLock()
_handles: list[ctypes.CDLL] = []
_directories: list[object] = []


def get_include() -> str:
    """The directory with the C headers, for the compiler's ``-I``."""
    return _path("include")


def get_lib_dir() -> str:
    """The directory with the library and its link names, for the linker's ``-L``."""
    return _path("lib")


def get_pkgconfig_dir() -> str:
    """The directory with the ``.pc`` files, for ``PKG_CONFIG_PATH``."""
    return _path("lib", "pkgconfig")


def get_cmake_dir() -> str:
    """The directory with the CMake package files, for ``CMAKE_PREFIX_PATH`` or ``<package>_DIR``."""
    return _path("lib", "cmake")


def load() -> ctypes.CDLL:
    """Load the shared library, and before it the native libraries it needs, so that extension modules find it by name.

    Loads once however often and from however many threads it is called. Extension modules repaired by the farm call
    this themselves. Returns the handle, through which `ctypes` finds the library's functions.

    Raises ImportError, with a sentence that says what to install, if a native library that it needs is missing, too
    old or of another ABI epoch, or if the system's loader refuses the library.
    """
    if not _handles:
        with _lock:
            if not _handles:
                for requirement in _REQUIRES:
                    _load_required(*requirement)
                _handles.extend(_open())
    return _handles[0]


def _path(*parts: str) -> str:
    return os.path.join(_here, *parts)  # noqa: PTH118


def _load_required(name: str, distribution: str, lower: str, upper: str) -> None:
    from importlib import import_module

    requirement = f"{distribution}>={lower},<{upper}"
    try:
        module = import_module(name)
    except ModuleNotFoundError as error:
        if error.name != name:
            raise
        _refuse(requirement, "which is not installed", error)
    version = str(getattr(module, "__version__", "0"))
    if not _parse(lower) <= _parse(version) < _parse(upper):
        place = getattr(module, "__file__", None) or "an unknown place"
        _refuse(requirement, f"but {version} is installed at {place}", None)
    module.load()


def _refuse(requirement: str, found: str, cause: Exception | None) -> NoReturn:
    raise ImportError(
        f"{_DISTRIBUTION} {__version__} needs {requirement}, {found}: pip install '{requirement}'"
    ) from cause


def _parse(version: str) -> tuple[int, tuple[int, ...], int]:
    """(epoch, release, post) of the versions that native wheels have: ``10!6.3.0.post1``."""
    epoch, _, rest = version.rpartition("!")
    release, _, post = rest.partition(".post")
    numbers = [int(part) for part in release.split(".") if part.isdigit()]
    while numbers and not numbers[-1]:
        numbers.pop()
    return int(epoch or 0), tuple(numbers), int(post) if post.isdigit() else -1


def _open() -> list[ctypes.CDLL]:
    """Open the files that make the library known to the loader.

    ELF: the anchor, an empty library with a run path to ``lib/``: a name that musl and glibc both remember. Windows:
    the DLLs, after their directory was added to the search path. macOS: the libraries.
    """
    added = None
    try:
        import ctypes

        if _FORMAT == "pe":
            added = getattr(os, "add_dll_directory")(_path("lib"))  # noqa: B009 - exists on Windows only
        handles = [ctypes.CDLL(_path(*file.split("/"))) for file in _OPENED]
    except (ImportError, OSError, AttributeError) as error:
        if added is not None:
            added.close()
        raise ImportError(
            f"{_DISTRIBUTION} {__version__} is installed at {_here}, but its library cannot be loaded ({error}). "
            f"This wheel is for {_PLATFORM}: pip install --force-reinstall '{_DISTRIBUTION}=={__version__}'"
        ) from error
    if added is not None:
        _directories.append(added)  # for as long as the process lives
    return handles
