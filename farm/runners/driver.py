"""Runs inside the environment under test, not in the farm: imports modules, runs a script, leaves what is mapped.

``python -I driver.py <maps file> <script or empty> [module...]``. Only the standard library, Python 3.9 or newer.
"""

import runpy
import sys
from importlib import import_module


def main(maps_file: str, script: str, modules: "list[str]") -> None:
    """Leave the process's memory map in `maps_file` also if the script fails."""
    try:
        for module in modules:
            import_module(module)
        if script:
            sys.argv = [script]
            runpy.run_path(script, run_name="__main__")
    finally:
        try:
            with open("/proc/self/maps", "rb") as maps, open(maps_file, "wb") as out:  # noqa: PTH123
                out.write(maps.read())
        except OSError:
            pass  # no /proc on this platform


if __name__ == "__main__":
    main(sys.argv[1], sys.argv[2], sys.argv[3:])
