"""The configuration of cibuildwheel for one step, made of its recipe and its toolchain. Pure.

Paths are as the runner sees them. cibuildwheel copies the handout to `/project` of its container on Linux, and works in
it where it is elsewhere; there the variable FARM_HANDOUT, which `scripts/native_build.py` sets, says where.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from farm.build.systems.base import Job
from farm.build.systems.pep517 import key_values, platform_environment
from farm.catalog.values import LoadedRecipe
from farm.handout.compilers import COMPILERS, NativeCompiler, Told
from farm.model.plan import Step
from farm.model.toolchain import Toolchain
from farm.plan.effective import Effective

FILE, REQUIREMENTS, JOB = "cibuildwheel.toml", "requirements.txt", "job.json"
SOURCE, DEPS, CATALOG, WORK = "source", "deps", "catalog", "work"
LINKED, BESIDE, FARM = "wheels/linked", "wheels/beside", "wheels/farm"
_FARM_HOME = "/opt/farm"  # in containers: an environment of its own, which no build sees
_ROOT = {"linux": "/project", "macos": "$FARM_HANDOUT", "windows": "$FARM_HANDOUT"}
_IMAGES = {
    ("glibc", (2, 17)): "manylinux2014",
    ("glibc", (2, 28)): "manylinux_2_28",
    ("glibc", (2, 34)): "manylinux_2_34",
    ("glibc", (2, 39)): "manylinux_2_39",
    ("musl", (1, 2)): "musllinux_1_2",
}
_FAMILY = {"glibc": "manylinux", "musl": "musllinux", "libsystem": "macosx"}
# Said to cross builds only: on its own platform a build system asks instead.
_CROSS_ONLY = "setup-args=--cross-file="
# The backend and all it needs, and the native wheels of the plan, all of them by hash.
_BEFORE_BUILD = (
    "python -m pip install --no-deps --only-binary :all: --require-hashes "
    f'--find-links "{{project}}/{LINKED}" -r "{{project}}/{REQUIREMENTS}"'
)
Value = str | int | Sequence[str] | Mapping[str, object]


@dataclass(frozen=True, slots=True, kw_only=True)
class Order:
    """What is to be built. `packages` are the import packages of the native wheels below `deps/`, `beside` the
    distributions that the tests run with, `farm` what pip installs in a container to get `farm`."""

    step: Step
    recipe: LoadedRecipe
    effective: Effective
    toolchain: Toolchain
    packages: tuple[str, ...]
    beside: tuple[str, ...]
    farm: str
    epoch_seconds: int

    @property
    def compiler(self) -> NativeCompiler:
        """The compiler of the platform's own machines."""
        return COMPILERS[self.toolchain.os]

    @property
    def package(self) -> str:
        """The project's directory, relative to the handout."""
        directory = self.effective.build.directory
        return SOURCE if directory == "." else f"{SOURCE}/{directory}"

    def job(self, source: str) -> Job:
        """The build as recipes' placeholders see it, with the project at `source`."""
        root = _ROOT[self.toolchain.os]
        return Job(
            build=self.effective.build,
            toolchain=self.toolchain,
            build_triple=self.toolchain.triple,
            source=source,
            work=f"{root}/{WORK}",
            prefix=f"{root}/{WORK}/prefix",
            deps=f"{root}/{DEPS}",
            toolchain_dir="",
            packages=tuple(f"{root}/{DEPS}/{package}" for package in self.packages),
            jobs=4,  # processors of the forge's machines
        )


def identifier(step: Step, toolchain: Toolchain) -> str:
    """cibuildwheel's name of a build: ``cp313-manylinux_aarch64``, ``cp311-win_arm64``."""
    family = _FAMILY.get(toolchain.libc)
    return f"{step.python}-{f'{family}_{toolchain.arch}' if family else toolchain.platform}"


def text(order: Order) -> str:
    """The file. Raises CatalogError for arguments that are no config settings."""
    notes = "".join(f"# left out, as {order.compiler.name} does not know it: {flag}\n" for flag in left_out(order))
    lines = "".join(f"{key} = {_toml(value)}\n" for key, value in _options(order).items() if value != "")
    return (
        f"# {order.step.id}, by its recipe; made by `farm recipe cibuildwheel`\n{notes}[tool.cibuildwheel]\n{lines}"
        f"{_table('environment', environment(order))}{_table('config-settings', _config_settings(order))}"
    )


def _table(name: str, values: Mapping[str, object]) -> str:
    lines = "".join(f"{json.dumps(key)} = {_toml(value)}\n" for key, value in values.items())
    return f"\n[tool.cibuildwheel.{name}]\n{lines}" if lines else ""


def left_out(order: Order) -> tuple[str, ...]:
    """The recipe's flags and arguments that say nothing to the runner's build."""
    build, compiler = order.effective.build, order.compiler
    flags = compiler.sorted_out(build.cflags)[1] + compiler.sorted_out(build.ldflags)[1]
    return (*flags, *(argument for argument in build.args if argument.startswith(_CROSS_ONLY)))


def _options(order: Order) -> dict[str, Value]:
    image = _IMAGES.get((order.toolchain.libc, order.toolchain.floor), "")
    family = _FAMILY.get(order.toolchain.libc)
    return {
        "build-frontend": {"name": "build", "args": ["--no-isolation", "--skip-dependency-check"]},
        "build-verbosity": 1,
        **({f"{family}-{order.toolchain.arch}-image": image} if image else {}),
        "before-all": _before_all(order),
        "before-build": _BEFORE_BUILD,
        "repair-wheel-command": _repair(order),
        "audit-command": [],  # the farm's own audit judges, when the wheel is admitted
        "before-test": _before_test(order),
        "test-command": _test(order),
    }


def _config_settings(order: Order) -> dict[str, list[str]]:
    found: dict[str, list[str]] = {}
    job = order.job("{package}")
    kept = (argument for argument in job.build.args if not argument.startswith(_CROSS_ONLY))
    for key, value in key_values(job.expand(tuple(kept))):
        found.setdefault(key, []).append(value)
    return found


def environment(order: Order) -> dict[str, str]:
    """Variables of the build, quoted as cibuildwheel reads them: by the rules of a shell, in double quotes.

    As in the farm's own builds, a variable that the recipe sets to an empty string is not set at all.
    """
    root = _ROOT[order.toolchain.os]
    job, compiler = order.job(f"{root}/{order.package}"), order.compiler
    told = Told(
        cflags=compiler.sorted_out(job.expand(job.build.cflags))[0],
        ldflags=compiler.sorted_out(job.expand(job.build.ldflags))[0],
        packages=job.packages,
    )
    own = {name: job.expand_one(value) for name, value in job.build.env.items()}
    wanted = {
        "SOURCE_DATE_EPOCH": str(order.epoch_seconds),
        **platform_environment(order.toolchain),
        **compiler.variables(told),
        **own,
    }
    return {name: _quoted(value, root) for name, value in wanted.items() if value}


def _quoted(value: str, root: str) -> str:
    """A value between double quotes of a shell, in which only the handout's root is replaced."""
    parts = value.split(root)
    for character in '\\"`$':
        parts = [part.replace(character, f"\\{character}") for part in parts]
    return root.join(parts)


def _before_all(order: Order) -> str:
    """In a container the farm gets an environment of its own."""
    if order.toolchain.os != "linux":
        return ""
    python = f"/opt/python/{order.step.python}-{order.step.python}/bin/python"
    return f'{python} -m venv {_FARM_HOME} && {_FARM_HOME}/bin/python -m pip install -q "{order.farm}"'


def _repair(order: Order) -> str:
    farm = f"{_FARM_HOME}/bin/farm" if order.toolchain.os == "linux" else "farm"
    return (
        f'{farm} --catalog "{{project}}/{CATALOG}" repair "{{wheel}}" -w "{{dest_dir}}" '
        f'--native "{{project}}/{DEPS}" --recipe {order.step.recipe} --platform {order.step.platform}'
    )


def _before_test(order: Order) -> str:
    """Before the wheel, so that no index is asked for native wheels."""
    if not order.beside:
        return ""
    return f'python -m pip install -q --no-deps --no-index --find-links "{{project}}/{BESIDE}" {" ".join(order.beside)}'


def _test(order: Order) -> str:
    recipe = order.recipe.recipe
    commands = [f'python -c "import {module}"' for module in order.effective.products.imports]
    if recipe.tests.smoke:
        commands.append(f'python "{{project}}/{smoke(order.recipe)}"')
    return " && ".join(commands)


def smoke(recipe: LoadedRecipe) -> str:
    """The smoke program, relative to the handout; empty if there is none."""
    program = recipe.recipe.tests.smoke
    return f"{CATALOG}/recipes/{recipe.recipe.name}/{program}" if program else ""


def _toml(value: object) -> str:
    """A value as TOML. JSON's strings are TOML's, but for characters that JSON may leave as they are."""
    if isinstance(value, Mapping):
        return "{ " + ", ".join(f"{json.dumps(str(key))} = {_toml(item)}" for key, item in value.items()) + " }"
    if isinstance(value, str | int):
        return json.dumps(value, ensure_ascii=False).replace("\x7f", "\\u007f")
    assert isinstance(value, Sequence)
    return "[" + ", ".join(_toml(item) for item in value) + "]"
