"""The toolchain: what its wrappers do with arguments, what its files say, and what happens when it cannot be had."""

from __future__ import annotations

import shutil
import subprocess
from dataclasses import replace
from pathlib import Path

import pytest
from build_factory import settings, toolchain

from farm.build import crossfiles, warm
from farm.build.toolchain import Tools, materialise, tools_digest
from farm.build.toolchain_files import NAMES
from farm.errors import CatalogError, FarmError, MissingToolError
from farm.model.toolchain import Flags


@pytest.fixture(scope="module")
def tools(tmp_path_factory: pytest.TempPathFactory) -> Tools:
    return materialise(toolchain(), settings(tmp_path_factory.mktemp("home")))


@pytest.fixture
def recorder(tools: Tools, tmp_path: Path) -> Path:
    """The same wrapper, but with a compiler that only says what it was given."""
    root = tmp_path / "tc"
    (root / "bin").mkdir(parents=True)
    (root / "zig").mkdir()
    shutil.copy(tools.bin / "wrapper", root / "bin" / "wrapper")
    for name in NAMES:
        (root / "bin" / name).symlink_to("wrapper")
    fake = root / "zig" / "zig"
    fake.write_text('#!/bin/sh\nprintf "%s\\n" "$@"\n')
    fake.chmod(0o755)
    flags = Flags(
        c=("-O2",),
        link=("-Wl,-z,now",),
        drop=("-Wl,--exclude-libs*", "-pipe"),
        rewrite={r"^(-m(arch|cpu|tune)=[A-Za-z0-9_.+]*)-": r"\1_", "^-lfoo$": "-lbar"},
    )
    chain = toolchain().model_copy(update={"flags": flags})
    (root / "wrapper.conf").write_text(crossfiles.wrapper_conf(chain, ["-target", "build"]))
    return root / "bin"


def call(program: Path, *words: str, env: dict[str, str] | None = None) -> list[str]:
    done = subprocess.run([program, *words], check=True, capture_output=True, text=True, env=env or {})
    return done.stdout.splitlines()


def test_flags_come_first_and_link_flags_only_when_linking(recorder: Path) -> None:
    target = ["cc", "-target", "x86_64-linux-gnu.2.17", "-O2"]
    assert call(recorder / "cc", "-c", "a.c") == [*target, "-c", "a.c"]
    assert call(recorder / "cc", "a.o", "-o", "a") == [*target, "a.o", "-o", "a", "-Wl,-z,now"]
    assert call(recorder / "c++", "-E", "-")[0] == "c++"


@pytest.mark.parametrize(
    "question",
    [
        "--version",
        "-v",
        "-V",
        "-dumpmachine",
        "-print-search-dirs",
        "--print-file-name=x a.c",
        "-o a -Wl,-v",
    ],
)
def test_a_question_is_no_link(recorder: Path, question: str) -> None:
    is_asked = question != "-o a -Wl,-v"  # what only looks like one: the name of the output is taken for an input
    assert ("-Wl,-z,now" not in call(recorder / "cc", *question.split())) is is_asked


def test_libraries_and_standard_input_are_something_to_link(recorder: Path) -> None:
    for words in (["-lx"], ["-"], ["@arguments"], ["-v", "a.o"]):
        assert call(recorder / "cc", *words)[-1] == "-Wl,-z,now"


def test_arguments_are_dropped_and_rewritten(recorder: Path) -> None:
    given = [
        "-c",
        "-pipe",
        "-march=skylake-avx512",
        "-mtune=x86-64-v3",
        "-lfoo",
        "a-b.c",
        "-Wl,--exclude-libs,ALL",
        "-DX=a b",
    ]
    assert call(recorder / "cc", *given)[4:] == [
        "-c",
        "-march=skylake_avx512",
        "-mtune=x86_64_v3",
        "-lbar",
        "a-b.c",
        "-DX=a b",
    ]


def test_a_builds_own_flags_come_last(recorder: Path) -> None:
    env = {"FARM_CFLAGS": "-march=x86-64-v3\n-DNAME=a b", "FARM_LDFLAGS": "-Wl,-x"}
    assert call(recorder / "cc", "-c", "-march=x", "a.c", env=env)[-2:] == ["-march=x86_64_v3", "-DNAME=a b"]
    assert call(recorder / "cc", "a.o", env=env)[-2:] == ["-Wl,-z,now", "-Wl,-x"]


def test_instructions_are_for_the_compiler_alone(recorder: Path) -> None:
    """Linked with them, a check for instructions would have the run time built again for that processor."""
    target = ["cc", "-target", "x86_64-linux-gnu.2.17", "-O2"]
    said = call(recorder / "cc", "-mavx2", "-Werror", "-D", "X", "check.c", "-o", "check", "-MF", "x.d", "-lm", "y.o")
    compiled, linked = said[: said.index("cc", 1)], said[said.index("cc", 1) :]
    object_ = compiled[-1]
    assert compiled == [*target, "-mavx2", "-Werror", "-D", "X", "check.c", "-MF", "x.d", "-c", "-o", object_]
    assert linked == [*target, "-Werror", "-D", "X", object_, "-o", "check", "-lm", "y.o", "-Wl,-z,now"]
    assert not Path(object_).exists()


@pytest.mark.parametrize(
    "words",
    [
        "-mavx2 -c a.c",
        "-mavx2 a.c b.c -o a",
        "-mavx2 a.o -o a",
        "-mlong-double-64 a.c -o a",
        "-mavx2 -x c - -o a",
        "-mavx2 a.c @more",
        "-mavx2 a.c -odd value",
        "a.c -o a",
    ],
)
def test_other_calls_are_one(recorder: Path, words: str) -> None:
    assert call(recorder / "cc", *words.split()).count("cc") == 1


def test_a_check_for_instructions_builds_no_run_time(tools: Tools, tmp_path: Path) -> None:
    (tmp_path / "a.c").write_text(
        "#include <immintrin.h>\n#include <stdio.h>\nint main(int n, char **v) { (void)v;\n"
        '  __m256i x = _mm256_set1_epi32(n); return printf("%d", _mm256_extract_epi32(_mm256_add_epi32(x, x), 0)); }\n'
    )
    cache = tmp_path / "c"
    env = {"ZIG_GLOBAL_CACHE_DIR": str(cache), "ZIG_LOCAL_CACHE_DIR": str(cache), "PATH": "/usr/bin"}
    warm.copy(tools.warm, cache)
    before = set(cache.rglob("*.[ao]"))
    subprocess.run([tools.bin / "cc", "-mavx2", "a.c", "-o", "a"], env=env, cwd=tmp_path, check=True)
    assert (tmp_path / "a").is_file()
    assert [path.name for path in set(cache.rglob("*.[ao]")) - before] == ["a.o"]
    wrong = subprocess.run([tools.bin / "cc", "-msse4.1", "a.c", "-o", "b"], env=env, cwd=tmp_path, capture_output=True)
    assert wrong.returncode == 1
    assert b"avx" in wrong.stderr


def test_programs_for_the_build_machine_and_binary_tools(recorder: Path) -> None:
    env = {"FARM_CFLAGS": "-march=x86-64-v3"}
    assert call(recorder / "build-cc", "a.c", env=env) == ["cc", "-target", "build", "a.c"]
    assert call(recorder / "ar", "rcs", "x.a", "-pipe", env=env) == ["ar", "rcs", "x.a", "-pipe"]
    assert call(recorder / "ld", "-r")[0] == "ld.lld"
    assert call(recorder / "strip", "x") == []


def test_the_baseline_is_not_the_build_machines_own_cpu(tools: Tools, tmp_path: Path) -> None:
    (tmp_path / "a.c").write_text("#ifdef __AVX__\n#error not the baseline\n#endif\nint x;\n")
    env = {"ZIG_GLOBAL_CACHE_DIR": str(tmp_path / "c"), "ZIG_LOCAL_CACHE_DIR": str(tmp_path / "c"), "PATH": "/usr/bin"}
    warm.copy(tools.warm, tmp_path / "c")
    assert subprocess.run([tools.bin / "cc", "-c", tmp_path / "a.c", "-o", tmp_path / "a.o"], env=env).returncode == 0
    env["FARM_CFLAGS"] = "-march=x86-64-v3"
    assert subprocess.run([tools.bin / "cc", "-c", tmp_path / "a.c", "-o", tmp_path / "a.o"], env=env).returncode != 0


def test_a_second_call_is_quick_and_changes_nothing(tools: Tools, tmp_path: Path) -> None:
    """But for the time of its directory, which tells when it was used last."""

    def seen() -> dict[Path, tuple[int, int]]:
        return {path: (path.lstat().st_ino, path.lstat().st_mtime_ns) for path in tools.root.rglob("*")}

    before = seen()
    again = materialise(toolchain(), settings(tmp_path))
    assert again == tools
    assert before
    assert seen() == before


def test_every_flag_changes_the_digest() -> None:
    chain = toolchain()
    other = chain.model_copy(update={"flags": chain.flags.model_copy(update={"link": ("-Wl,-x",)})})
    assert tools_digest(chain) != tools_digest(other)


def test_no_compiler_for_this_machine(tmp_path: Path) -> None:
    chain = toolchain()
    foreign = chain.model_copy(update={"compiler": chain.compiler.model_copy(update={"sha256": {"sparc": "0" * 64}})})
    with pytest.raises(MissingToolError, match="pins no compiler") as caught:
        materialise(foreign, settings(tmp_path))
    assert "[compiler.sha256]" in caught.value.fix


@pytest.mark.parametrize("where", ["empty", "lying"])
def test_a_compiler_that_cannot_be_had_or_is_another(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, where: str
) -> None:
    links = tmp_path / "links"
    links.mkdir()
    if where == "lying":
        (links / "ziglang-0.17.0-py3-none-any.whl").write_bytes(b"not the compiler")
    monkeypatch.setenv("PIP_NO_INDEX", "1")
    monkeypatch.setenv("PIP_FIND_LINKS", str(links))
    at = replace(settings(tmp_path / "home"), cache=tmp_path / "cache")
    with pytest.raises(FarmError) as caught:
        materialise(toolchain(), at)
    assert "ziglang==0.17.0" in str(caught.value)
    assert caught.value.exit_code == 5
    assert getattr(caught.value, "retryable") is (where == "empty")  # noqa: B009
    assert not list((tmp_path / "cache/toolchains").glob("zig-*/*"))


def test_meson_and_cmake_files_name_the_host_platform() -> None:
    chain = toolchain()
    assert "set(CMAKE_SYSTEM_NAME Linux)" in crossfiles.cmake_toolchain(chain)
    assert "INSTALL_NAME_TOOL" not in crossfiles.cmake_toolchain(chain)
    assert "cpu_family = 'x86_64'" in crossfiles.meson_cross(chain)
    with pytest.raises(CatalogError, match="line break"):
        crossfiles.wrapper_conf(chain.model_copy(update={"flags": Flags(c=("-DX=a\nb",))}), [])


def test_cmake_finds_every_program_that_it_wants_for_macos() -> None:
    """With a second language it insists on an install_name_tool, which no Linux machine has by that name."""
    text = crossfiles.cmake_toolchain(toolchain().model_copy(update={"binary": "macho"}))
    assert 'set(CMAKE_INSTALL_NAME_TOOL "${CMAKE_CURRENT_LIST_DIR}/bin/strip"' in text
