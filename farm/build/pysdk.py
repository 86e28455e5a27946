"""Python SDKs: what an extension module is compiled against and by which Python the build is run, pinned by content.

`toolchains/pythons/<tag>.toml` says where the headers of each platform come from; nothing of this machine's Pythons is
used then. Only for a Python that no such file describes the machine's own is taken, for the machine's own platform.
Each SDK is laid out in the cache once, whole or not at all, below a digest of what it is made from.
"""

from __future__ import annotations

import hashlib
import json
import shutil
import tempfile
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Self

from farm import sysroot
from farm.build import pysdk_headers, pysdk_imports, pysdk_interpreter, pysdk_machine, pysdk_sysconfig, toolchain
from farm.build.pysdk_machine import Interpreter
from farm.build.pysdk_sysconfig import INSIDE, SYSCONFIG_NAME, Flavour, Value, sysconfig_data
from farm.catalog.values import Catalog
from farm.errors import MissingToolError
from farm.model.python import Headers, Python
from farm.model.sysroot import Sysroot
from farm.model.toolchain import Toolchain
from farm.process import Cancel
from farm.settings import Settings, build_machine
from farm.store.files import settle_dir
from farm.store.keeping import keep

LAYOUT = 2
"""Raised when what is written here changes, so that keys change too."""

__all__ = ["INSIDE", "SYSCONFIG_NAME", "PythonSdk", "digest", "interpreter", "sdk"]


@dataclass(frozen=True, slots=True, kw_only=True)
class PythonSdk:
    """What extension modules of one Python are built with, for one platform.

    `tag` is ``cp311``, `version` the full version of the headers; `include` holds Python.h; `root`, which builds see
    as ``/farm/sdk``, has the host platform's sysconfig data in ``sysconfig/`` and import libraries in ``lib/``.
    `soabi` is in the names of its extension modules: ``cpython-311-x86_64-linux-gnu``. `interpreter` runs on this
    machine as it is; `base` is what it needs beside it, which builds see as
    ``/farm/python``; `pinned` is the sysroot that `base` is made from, None for a Python of this machine. `digest` is
    the sha256 of everything a result can depend on, for the build key.
    """

    tag: str
    version: str
    root: Path
    include: Path
    soabi: str
    interpreter: Path
    base: Path
    digest: str
    pinned: Sysroot | None = None

    @property
    def short(self) -> str:
        """``3.11``."""
        return ".".join(self.version.split(".")[:2])

    @property
    def library(self) -> str:
        """Link name of the import library, where the platform has one: ``python311``."""
        return f"python{self.short.replace('.', '')}"


def digest(python_tag: str, platform: Toolchain, catalog: Catalog) -> str:
    """The digest of an SDK, from the files that describe it: nothing is fetched or laid out.

    Raises MissingToolError if there is no such Python for the platform, SourceError for a file without pins.
    """
    python = catalog.pythons.get(python_tag)
    if python is None:
        return _machine_parts(python_tag, platform)[-1]
    entry = _entry(python, platform)
    version = python.version_of(entry)
    data = sysconfig_data(Flavour(version=version), platform)
    pins = sorted(location.sha256 for location in pysdk_headers.locations(python, entry, catalog))
    made_from = {
        "layout": LAYOUT,
        "version": version,
        "pins": pins,
        "headers": entry.model_dump(mode="json", exclude={"platform", "sysroot", "package", "prelude"}),
        "sysconfig": dict(data),
    }
    if entry.prelude:  # younger than the digests of the files that have none
        made_from["prelude"] = entry.prelude
    return hashlib.sha256(json.dumps(made_from, sort_keys=True).encode()).hexdigest()


def directory(python_tag: str, platform: Toolchain, whole: str) -> str:
    """The name in the cache of the SDK with that digest."""
    return f"{python_tag}-{platform.platform}-{whole[:16]}"


def sdk(
    python_tag: str, platform: Toolchain, catalog: Catalog, settings: Settings, *, cancel: Cancel | None = None
) -> PythonSdk:
    """The SDK of a Python (``cp311``) for a platform; quick when it is in the cache.

    Raises MissingToolError if there is no such Python, none for the platform, or none for this build machine;
    UnreachableError or SourceError if what the file pins cannot be had.
    """
    python = catalog.pythons.get(python_tag)
    if python is None:
        return _of_machine(python_tag, platform, settings)
    entry = _entry(python, platform)
    flavour = Flavour(version=python.version_of(entry))
    data = sysconfig_data(flavour, platform)
    whole = digest(python_tag, platform, catalog)
    root = settings.cache / "sdk" / directory(python_tag, platform, whole)

    def make() -> None:
        headers, naming = pysdk_headers.read(python, entry, catalog, settings)
        with _Layout(root) as layout:
            layout.write(flavour, headers, data)
            if naming:
                layout.describe(flavour)
                tools = toolchain.materialise(platform, settings, cancel=cancel)
                for library, text in naming.items():
                    pysdk_imports.make(library, text, layout.libraries, tools, cancel=cancel)

    keep(root, root.is_dir, make)
    pinned = pysdk_interpreter.sysroot_of(python, catalog)
    return PythonSdk(
        tag=python_tag,
        version=flavour.version,
        root=root,
        include=root / "include" / flavour.include_name,
        soabi=str(data["SOABI"]),
        interpreter=pysdk_interpreter.runnable(pinned, settings, cancel=cancel),
        base=sysroot.materialise(pinned, settings, cancel=cancel),
        digest=whole,
        pinned=pinned,
    )


def interpreter(python_tag: str, catalog: Catalog, settings: Settings, *, cancel: Cancel | None = None) -> Path:
    """A Python of that tag that runs on this machine: the machine's own if it has one, else the pinned one.

    For tests, which say what a wheel does and not how it is made. Raises what `sdk` raises.
    """
    python = catalog.pythons.get(python_tag)
    try:
        return pysdk_machine.find(python_tag).executable
    except MissingToolError:
        if python is None:
            raise
        return pysdk_interpreter.runnable(pysdk_interpreter.sysroot_of(python, catalog), settings, cancel=cancel)


def _entry(python: Python, platform: Toolchain) -> Headers:
    entry = python.headers_for(platform.platform)
    if entry is None:
        raise MissingToolError(
            f"there is no Python SDK for {python.tag} on {platform.platform}",
            fix=f"add [[headers]] for it to toolchains/pythons/{python.tag}.toml, or build for another --python",
        )
    return entry


def _machine_parts(
    python_tag: str, platform: Toolchain
) -> tuple[Interpreter, Mapping[str, bytes], Mapping[str, Value], str]:
    python = pysdk_machine.find(python_tag)
    if platform.arch != build_machine() or platform.os != "linux":
        raise MissingToolError(
            f"there is no Python SDK for {python_tag} on {platform.platform}: this machine's is for {build_machine()}",
            fix=f"describe {python_tag} in toolchains/pythons/, or plan dependents for this machine only: --platform "
            f"'manylinux_*_{build_machine()}'",
        )
    headers = pysdk_machine.headers(python)
    data = sysconfig_data(python.flavour, platform)
    whole = hashlib.sha256(f"{LAYOUT}\nof this machine\n{python.version}\n".encode())
    for name, content in sorted(headers.items()):
        whole.update(f"{name}\0{len(content)}\0".encode() + content)
    whole.update(json.dumps(data, sort_keys=True).encode())
    return python, headers, data, whole.hexdigest()


def _of_machine(python_tag: str, platform: Toolchain, settings: Settings) -> PythonSdk:
    python, headers, data, whole = _machine_parts(python_tag, platform)
    root = settings.cache / "sdk" / directory(python_tag, platform, whole)

    def make() -> None:
        with _Layout(root) as layout:
            layout.write(python.flavour, headers, data)

    keep(root, root.is_dir, make)
    return PythonSdk(
        tag=python_tag,
        version=python.version,
        root=root,
        include=root / "include" / python.flavour.include_name,
        soabi=str(data["SOABI"]),
        interpreter=python.executable,
        base=python.base,
        digest=whole,
    )


class _Layout:
    """A directory that appears whole, at the end of a `with` block, or not at all."""

    def __init__(self, root: Path) -> None:
        root.parent.mkdir(parents=True, exist_ok=True)
        self._root = root
        self._scratch = Path(tempfile.mkdtemp(prefix=".sdk-", dir=root.parent))

    def __enter__(self) -> Self:
        return self

    @property
    def libraries(self) -> Path:
        place = self._scratch / "lib"
        place.mkdir(exist_ok=True)
        return place

    def write(self, python: Flavour, headers: Mapping[str, bytes], data: Mapping[str, Value]) -> None:
        for name, content in headers.items():
            file = self._scratch / "include" / python.include_name / name
            file.parent.mkdir(parents=True, exist_ok=True)
            file.write_bytes(content)
        (self._scratch / "sysconfig").mkdir()
        (self._scratch / "sysconfig" / f"{SYSCONFIG_NAME}.py").write_text(pysdk_sysconfig.text(data), "utf-8")

    def describe(self, python: Flavour) -> None:
        """A .pc file, for Meson: it would look for libraries where Windows has them. The wrapper links them."""
        place = self.libraries / "pkgconfig"
        place.mkdir()
        include = f"{INSIDE}/include/{python.include_name}"
        text = f"Name: Python\nDescription: headers of Python\nVersion: {python.short}\nCflags: -I{include}\nLibs:\n"
        (place / f"python-{python.short}.pc").write_text(text, "utf-8")

    def __exit__(self, kind: object, *_: object) -> None:
        try:
            if kind is None:
                self._scratch.chmod(0o755)
                settle_dir(self._scratch, self._root)
        finally:
            shutil.rmtree(self._scratch, ignore_errors=True)
