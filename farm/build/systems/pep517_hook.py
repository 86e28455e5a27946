"""Run inside a build: ask a PEP 517 backend for a wheel. Stands alone, with the standard library only.

Arguments: the directory for the wheel, and the config settings as JSON. The current directory is the project's.
"""

import importlib
import json
import sys
from pathlib import Path


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
    for part in filter(None, attribute.split(".")):
        backend = getattr(backend, part)
    print(f"wheel: {backend.build_wheel(out, settings or None)}")


if __name__ == "__main__":
    main()
