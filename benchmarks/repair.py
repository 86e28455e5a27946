"""Repair of a ~35 MB wheel: `farm repair` against `auditwheel repair`, with and without --exclude (no vendoring).

The wheel is made here, of real extension modules of this environment; half of them need a small shared library.
auditwheel gets the library as a system library to graft; the farm gets it as a native wheel. Each runs as a command in
a process of its own, as a CI job would; CPU seconds (user + system, children included), the median of several runs.
"""

from __future__ import annotations

import argparse
import shutil
import statistics
import sys
import sysconfig
import tempfile
from collections.abc import Callable
from pathlib import Path

from farm.cli.output import human_size, print_json, print_table
from farm.model.native import NativeLibrary, NativeManifest
from farm.process import run
from farm.wheel import metadata
from farm.wheel.names import parse
from farm.wheel.pack import pack

BIN = Path(sys.executable).parent
SHARED = "libweight-nf01.so"
PLATFORM = "manylinux_2_34_x86_64"  # what the borrowed modules allow
ENV = {"PATH": f"{BIN}:/usr/bin:/bin", "LC_ALL": "C.UTF-8"}
GOAL = 4.0


def compile_c(source: str, target: Path, *arguments: str) -> None:
    target.parent.mkdir(parents=True, exist_ok=True)
    file = target.with_suffix(".c")
    file.write_text(source)
    run(["gcc", "-shared", "-fPIC", "-O1", "-s", "-o", target, file, *arguments], env=ENV)
    file.unlink()


def make_wheel(tree: Path, filename: str, out: Path) -> Path:
    name = parse(filename)
    info = tree / name.dist_info
    info.mkdir(exist_ok=True)
    fields = [("Name", name.distribution.replace("_", "-")), ("Version", name.version)]
    info.joinpath("METADATA").write_bytes(metadata.make_metadata(fields))
    info.joinpath("WHEEL").write_bytes(metadata.make_wheel_file(name, generator="benchmark"))
    return pack(tree, filename, out, epoch_seconds=1_600_000_000)


def native_wheel(work: Path) -> Path:
    tree = work / "native"
    package = tree / "native_weight"
    compile_c("int weight(int a) { return a; }", package / "lib" / SHARED, f"-Wl,-soname,{SHARED}")
    (package / "__init__.py").write_text("")
    manifest = NativeManifest(
        name="weight",
        distribution="native-weight",
        import_name="native_weight",
        version="1!1.0",
        abi_epoch=1,
        baseline="1.0",
        platform=PLATFORM,
        anchor="",
        library=(NativeLibrary(link_name="weight", shared_name=SHARED, path=f"lib/{SHARED}"),),
    )
    info = tree / "native_weight-1!1.0.dist-info"
    info.mkdir()
    (info / "native.json").write_text(manifest.model_dump_json())
    return make_wheel(tree, f"native_weight-1!1.0-py3-none-{PLATFORM}.whl", work)


def raw_wheel(work: Path, megabytes: int) -> Path:
    """Real extension modules of this environment, half of which are made to need the library, and Python sources."""
    tree, lib = work / "tree", work / "native" / "native_weight" / "lib"
    heavy = tree / "heavy"
    tag = f"cp{sys.version_info[0]}{sys.version_info[1]}"
    source = "int weight(int); int use(int a) { return weight(a); }"
    compile_c(source, heavy / "use.so", f"-L{lib}", f"-l:{SHARED}", f"-Wl,-rpath,{lib}")
    (heavy / "__init__.py").write_text("")
    site = Path(sysconfig.get_path("platlib"))
    found = [path for path in site.rglob("*.so") if "psycopg" not in str(path) and path.stat().st_size < 10_000_000]
    modules = sorted(found, key=lambda path: (path.stat().st_size, str(path)), reverse=True)
    size = number = 0
    while size < megabytes * 1_000_000:
        module = modules[number % len(modules)]
        target = heavy / f"m{number}.so"
        shutil.copyfile(module, target)
        if number % 2:
            run(["patchelf", "--add-needed", SHARED, "--set-rpath", lib, target], env=ENV)
        size += target.stat().st_size
        number += 1
    for text in sorted(site.rglob("*.py"))[:2000]:
        target = heavy / "sources" / text.relative_to(site)
        target.parent.mkdir(parents=True, exist_ok=True)
        shutil.copyfile(text, target)
    return make_wheel(tree, f"heavy-1.0-{tag}-{tag}-linux_x86_64.whl", work)


def measure(command: Callable[[Path], list[str | Path]], work: Path, env: dict[str, str], runs: int) -> float:
    seconds = []
    for _ in range(runs):
        with tempfile.TemporaryDirectory(dir=work) as out:
            seconds.append(run(command(Path(out)), env=env).cpu_seconds)
            assert list(Path(out).glob("*.whl"))
    return statistics.median(seconds)


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--json", action="store_true")
    parser.add_argument("--runs", type=int, default=3)
    parser.add_argument("--megabytes", type=int, default=100, help="of extension modules, unpacked")
    args = parser.parse_args()
    with tempfile.TemporaryDirectory() as scratch:
        work = Path(scratch)
        native, wheel = native_wheel(work), raw_wheel(work, args.megabytes)
        audit: list[str | Path] = [sys.executable, "-m", "auditwheel", "repair", wheel, "--plat", PLATFORM]
        farm: list[str | Path] = [BIN / "farm", "repair", wheel, "--native", native, "--platform", PLATFORM]
        env = {**ENV, "LD_LIBRARY_PATH": str(work / "native" / "native_weight" / "lib")}
        facts = {
            "wheel": wheel.stat().st_size,
            "farm": measure(lambda out: [*farm, "-w", out], work, ENV, args.runs),
            "auditwheel": measure(lambda out: [*audit, "-w", out], work, env, args.runs),
            "auditwheel --exclude": measure(lambda out: [*audit, "--exclude", SHARED, "-w", out], work, env, args.runs),
        }
    if args.json:
        print_json(facts)
        return 0
    rows = [
        [name, f"{facts[name]:.2f}", f"{facts[name] / facts['farm']:.1f}"]
        for name in ("farm", "auditwheel", "auditwheel --exclude")
    ]
    print_table([f"repair of {human_size(facts['wheel'])}", "CPU s", "x farm"], rows)
    return 0


if __name__ == "__main__":
    sys.exit(main())
