"""Run inside a build: ask a PEP 517 backend for a wheel. Stands alone, with the standard library only.

Arguments: the directory for the wheel, and the config settings as JSON. The current directory is the project's.
"""

import importlib
import json
import os
import sys
from pathlib import Path
from typing import Any

_MAGIC = {"elf": b"\x7fELF", "pe": b"MZ", "macho": b"\xcf\xfa\xed\xfe"}


def _mesonpy(module: Any) -> None:
    """meson-python takes the machine it runs on for the one it builds for: when it looks whether a file is a program,
    and when it edits run paths with that system's tools. The farm sets run paths itself."""
    magic = _MAGIC[os.environ["FARM_PYTHON_HOST"]]
    module._is_native = lambda file: Path(file).read_bytes()[: len(magic)] == magic  # noqa: SLF001
    if magic != _MAGIC["elf"]:
        run_paths: Any = importlib.import_module("mesonpy._rpath")
        run_paths.fix_rpath = lambda *_args, **_kwargs: None


_ADAPT = {"mesonpy": _mesonpy}


def main() -> None:
    out, settings = sys.argv[1], json.loads(sys.argv[2])
    project = Path.cwd()
    table = {}
    if (file := project / "pyproject.toml").is_file():
        import tomllib

        table = tomllib.loads(file.read_text("utf-8")).get("build-system", {})
    sys.path[:1] = [str(project / entry) for entry in table.get("backend-path", [])]  # instead of this file's directory
    module, _, attribute = table.get("build-backend", "setuptools.build_meta:__legacy__").partition(":")
    backend = importlib.import_module(module)
    if module in _ADAPT and "FARM_PYTHON_HOST" in os.environ:
        _ADAPT[module](backend)
    for part in filter(None, attribute.split(".")):
        backend = getattr(backend, part)
    print(f"wheel: {backend.build_wheel(out, settings or None)}")


if __name__ == "__main__":
    main()
