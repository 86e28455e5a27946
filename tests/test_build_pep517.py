"""Dependents are built by their own backend, for the host platform, with nothing of this machine."""

from __future__ import annotations

import json
import subprocess
import sys
import tomllib
import zipfile
from dataclasses import replace
from pathlib import Path

import build_factory
import pytest
import toy

from farm.build import pyenv, pysdk, pysdk_machine, pysdk_sysconfig
from farm.build.pysdk_sysconfig import CFLAGS
from farm.build.systems import pep517, pep517_hook
from farm.build.systems.pep517 import PythonJob
from farm.catalog.values import Catalog
from farm.errors import BuildError, CatalogError, MissingToolError
from farm.model.recipe import Recipe
from farm.model.toolchain import Toolchain
from farm.settings import Settings, build_machine

ROOT = Path(__file__).resolve().parents[1]
TAG = f"cp{sys.version_info[0]}{sys.version_info[1]}"
SHORT = f"{sys.version_info[0]}.{sys.version_info[1]}"


@pytest.fixture(scope="session")
def toolchain() -> Toolchain:
    text = (ROOT / "toolchains" / "manylinux_2_17_x86_64.toml").read_text("utf-8")
    return Toolchain.model_validate(tomllib.loads(text))


@pytest.fixture
def settings(tmp_path: Path) -> Settings:
    return Settings(catalog=ROOT, home=tmp_path / "home", cache=tmp_path / "cache", cores=2)


def no_pythons(toolchain: Toolchain) -> Catalog:
    """A catalog that describes no Python: the machine's own is taken."""
    return Catalog(root=ROOT, recipes={}, toolchains={toolchain.platform: toolchain}, providers={})


def job(toolchain: Toolchain, backend: str = "setuptools.build_meta", **build: object) -> PythonJob:
    inner = build_factory.job(toolchain, jobs=2, **{"system": "pep517", **build})
    return PythonJob(
        job=inner,
        python="/farm/pyenv/bin/python",
        hook="/farm/work/hook.py",
        backend=backend,
        include="/farm/sdk/include/python3.11",
        out="/farm/out",
    )


def test_recipe_arguments_become_config_settings(toolchain: Toolchain) -> None:
    found = pep517.config_settings(job(toolchain, args=["--build-option=x", "a=1", "a={deps}=2"]))
    assert found == {"--build-option": "x", "a": ["1", "/farm/deps=2"]}
    with pytest.raises(CatalogError, match="no key=value"):
        pep517.config_settings(job(toolchain, args=["--static"]))


def test_meson_python_gets_cross_files(toolchain: Toolchain) -> None:
    found = pep517.config_settings(job(toolchain, "mesonpy", args=["setup-args=-Dx=y"]))
    assert found["setup-args"] == [
        "--cross-file=/farm/toolchain/meson.cross",
        "--cross-file=/farm/work/python.cross",
        "-Dbuildtype=release",
        "-Dx=y",
    ]
    (command,) = pep517.commands(job(toolchain, "mesonpy"))
    assert json.loads(command.argv[-1])["build-dir"] == "/farm/work/meson"


def test_meson_is_told_of_windows_stable_abi(toolchain: Toolchain) -> None:
    windows = toolchain.model_copy(update={"os": "windows", "python_platform": "win-amd64"})
    stable = replace(job(windows, "mesonpy", abi3="cp311"), soabi="cp311-win_amd64", version="3.11.2")
    option = "-Dpython.build_config=/farm/work/build-details.json"
    assert option in pep517.config_settings(stable)["setup-args"]
    told = json.loads(pep517.details(stable, sdk="/farm/sdk"))
    assert told["libpython"]["dynamic_stableabi"] == "/farm/sdk/lib/python3.lib"
    assert (told["platform"], told["language"]["version"]) == ("win-amd64", "3.11")
    for own, seen in (("win-arm64", "win-amd64"), ("win32", "win32")):  # Meson compares it with the build platform
        other = replace(stable.job, toolchain=windows.model_copy(update={"python_platform": own}))
        assert json.loads(pep517.details(replace(stable, job=other), sdk="/farm/sdk"))["platform"] == seen
    for asked in (job(windows, "mesonpy"), job(toolchain, "mesonpy", abi3="cp311")):  # the interpreter's answer will do
        assert option not in pep517.config_settings(asked)["setup-args"]
        assert pep517.details(asked, sdk="/farm/sdk") == ""


def test_environment_points_to_natives_and_host_platform(toolchain: Toolchain) -> None:
    python_job = job(toolchain, env={"X": "{deps}/x"}, cflags=["-DY"])
    found = pep517.environment(python_job, sdk="/farm/sdk", sysconfig_name="_s")
    assert found["CFLAGS"] == f"{CFLAGS} -I/farm/sdk/include/python3.11 -I/farm/deps/native_gmp/include -DY"
    assert found["PYTHONPATH"] == "/farm/sdk/sysconfig"
    assert found["FARM_LDFLAGS"] == ""
    assert found["LDFLAGS"] == "-L/farm/deps/native_gmp/lib"
    assert found["_PYTHON_HOST_PLATFORM"] == "linux-x86_64"
    assert found["X"] == "/farm/deps/x"


def test_what_extension_modules_need_of_the_linker_is_a_table_of_systems(toolchain: Toolchain) -> None:
    macos = toolchain.model_copy(update={"os": "macos", "floor": (11, 0)})
    found = pep517.environment(job(macos), sdk="/farm/sdk", sysconfig_name="_s")
    assert found["FARM_LDFLAGS"] == ""  # the run path depends on where the module lies: repair gives it
    assert found["LDSHARED"] == "cc -dynamiclib -undefined dynamic_lookup"
    assert found["MACOSX_DEPLOYMENT_TARGET"] == "11.0"
    windows = replace(job(toolchain.model_copy(update={"os": "windows"})), library="python313")
    found = pep517.environment(windows, sdk="/farm/sdk", sysconfig_name="_s")
    assert found["FARM_LDFLAGS"] == "-L/farm/sdk/lib\n-lpython313"
    assert 'set(Python_LIBRARY "/farm/sdk/lib/python313.lib"' in pep517.cmake_toolchain(windows, sdk="/farm/sdk")


@pytest.mark.skipif(build_machine() != "x86_64", reason="the toolchain file of the test is x86-64's")
def test_sdk_describes_the_host_platform(toolchain: Toolchain, settings: Settings, tmp_path: Path) -> None:
    sdk = pysdk.sdk(TAG, toolchain, no_pythons(toolchain), settings)
    assert (sdk.include / "Python.h").is_file()
    assert (sdk.include / "pyconfig.h").read_text("utf-8").count("HAVE_") > 100  # the real one, no switch
    assert sdk.version.startswith(f"{SHORT}.")
    assert pysdk.sdk(TAG, toolchain, no_pythons(toolchain), settings) == sdk
    assert pysdk.digest(TAG, toolchain, no_pythons(toolchain)) == sdk.digest
    ask = (
        "import sysconfig, json; print(json.dumps([sysconfig.get_config_var('CC'), sysconfig.get_platform(),"
        " sysconfig.get_path('include'), sysconfig.get_config_var('EXT_SUFFIX')]))"
    )
    done = subprocess.run(
        [str(sdk.interpreter), "-s", "-c", ask],
        env={
            "PYTHONPATH": str(sdk.root / "sysconfig"),
            "_PYTHON_SYSCONFIGDATA_NAME": pysdk.SYSCONFIG_NAME,
            "_PYTHON_HOST_PLATFORM": toolchain.python_platform,
        },
        capture_output=True,
        text=True,
        check=True,
    )
    assert json.loads(done.stdout) == [
        "cc",
        "linux-x86_64",
        f"/farm/sdk/include/python{SHORT}",
        f".cpython-{SHORT.replace('.', '')}-x86_64-linux-gnu.so",
    ]
    data = (sdk.root / "sysconfig" / f"{pysdk.SYSCONFIG_NAME}.py").read_text("utf-8")
    assert str(sdk.base) not in data


def test_sdk_for_another_machine_is_refused_with_a_way_on(toolchain: Toolchain, settings: Settings) -> None:
    other = toolchain.model_copy(update={"arch": "s390x", "platform": "manylinux_2_17_s390x"})
    with pytest.raises(MissingToolError, match="no Python SDK"):
        pysdk.sdk(TAG, other, no_pythons(other), settings)
    with pytest.raises(MissingToolError, match=r"no working python3\.99"):
        pysdk.sdk("cp399", toolchain, no_pythons(toolchain), settings)


def test_multiarch_names(toolchain: Toolchain) -> None:
    expected = {
        ("i686", "glibc"): "i386-linux-gnu",
        ("ppc64le", "glibc"): "powerpc64le-linux-gnu",
        ("aarch64", "musl"): "aarch64-linux-musl",
    }
    for (arch, libc), name in expected.items():
        assert pysdk_sysconfig.multiarch(toolchain.model_copy(update={"arch": arch, "libc": libc})) == name


def backend_wheel(tmp_path: Path) -> Path:
    """A wheel with a PEP 517 backend, a console script and a script."""
    tree = tmp_path / "backend"
    tree.mkdir()
    (tree / "tinybackend.py").write_text(
        "import os, zipfile\n"
        "def build_wheel(where, config_settings=None, metadata_directory=None):\n"
        "    name = 'made-1.0-py3-none-any.whl'\n"
        "    with zipfile.ZipFile(os.path.join(where, name), 'w') as z:\n"
        "        z.writestr('made.txt', repr((config_settings, sorted(os.listdir('.')))))\n"
        "    return name\n"
        "def main():\n    print('tool runs')\n"
    )
    (tree / "tinybackend-1.0.dist-info").mkdir()
    (tree / "tinybackend-1.0.dist-info" / "entry_points.txt").write_text("[console_scripts]\ntool = tinybackend:main\n")
    scripts = tree / "tinybackend-1.0.data" / "scripts"
    scripts.mkdir(parents=True)
    (scripts / "plain").write_text("#!python\nprint('plain runs')\n")
    return toy.make_wheel(tree, "tinybackend-1.0-py3-none-any.whl", tmp_path)


def test_build_environment_holds_the_lock_and_nothing_else(tmp_path: Path) -> None:
    target = tmp_path / "env"
    target.mkdir()
    real = str(pysdk_machine.find(TAG).executable)
    pyenv.lay_out(target, (backend_wheel(tmp_path),), seen_as=str(target), python=real, short=SHORT)
    assert subprocess.check_output([target / "bin" / "tool"], text=True) == "tool runs\n"
    assert subprocess.check_output([target / "bin" / "plain"], text=True) == "plain runs\n"
    code = "import importlib.metadata as m; print(sorted(d.name for d in m.distributions()))"
    assert subprocess.check_output([target / "bin" / "python", "-c", code], text=True) == "['tinybackend']\n"


def test_hook_calls_the_backend(tmp_path: Path) -> None:
    target, project = tmp_path / "env", tmp_path / "project"
    target.mkdir()
    project.mkdir()
    real = str(pysdk_machine.find(TAG).executable)
    pyenv.lay_out(target, (backend_wheel(tmp_path),), seen_as=str(target), python=real, short=SHORT)
    (project / "pyproject.toml").write_text('[build-system]\nrequires = []\nbuild-backend = "tinybackend"\n')
    subprocess.run(
        [target / "bin" / "python", pep517_hook.__file__, tmp_path, '{"a": "b"}'], cwd=project, check=True, timeout=60
    )
    with zipfile.ZipFile(tmp_path / "made-1.0-py3-none-any.whl") as made:
        assert made.read("made.txt").decode() == "({'a': 'b'}, ['pyproject.toml'])"


def test_script_that_is_no_identifier_is_refused(tmp_path: Path) -> None:
    tree = tmp_path / "evil"
    (tree / "evil-1.0.dist-info").mkdir(parents=True)
    (tree / "evil-1.0.dist-info" / "entry_points.txt").write_text("[console_scripts]\n../x = os:system\n")
    target = tmp_path / "env"
    target.mkdir()
    wheel = toy.make_wheel(tree, "evil-1.0-py3-none-any.whl", tmp_path)
    with pytest.raises(BuildError, match="console script"):
        pyenv.lay_out(target, (wheel,), seen_as="/x", python="/usr/bin/python3", short=SHORT)
    assert not (tmp_path / "x").exists()


@pytest.mark.parametrize("name", ["gmpy2", "python-flint"])
def test_locks_pin_everything(name: str) -> None:
    folder = ROOT / "recipes" / name
    recipe = Recipe.model_validate(tomllib.loads((folder / "recipe.toml").read_text("utf-8")))
    assert recipe.requires.python is not None
    lines = (folder / recipe.requires.python).read_text("utf-8").replace("\\\n", " ").splitlines()
    pins = [line for line in lines if line and not line.startswith("#")]
    assert pins
    assert all("==" in pin and "--hash=sha256:" in pin for pin in pins)


def test_backend_of_projects() -> None:
    assert pep517.backend_of({}) == "setuptools.build_meta"
    assert pep517.backend_of({"build-system": {"build-backend": "mesonpy"}}) == "mesonpy"
    assert pep517.backend_of({"build-system": {"build-backend": "a.b:c"}}) == "a.b"


def test_extension_modules_do_not_link_libpython(toolchain: Toolchain) -> None:
    """distutils links it in cross builds unless told that this is no Android; Meson unless LIBPYTHON is empty."""
    data = pysdk_sysconfig.sysconfig_data(pysdk_machine.find(TAG).flavour, toolchain)
    assert data["ANDROID_API_LEVEL"] == 0
    assert data["LIBPYTHON"] == ""
    assert data["Py_ENABLE_SHARED"] == 0
