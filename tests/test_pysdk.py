"""Python SDKs come from pinned archives: contents per platform, digests, and what is said when one lacks."""

from __future__ import annotations

import hashlib
import io
import tarfile
from dataclasses import replace
from pathlib import Path

import pytest

from farm.build import pysdk, pysdk_headers, pysdk_imports, pysdk_interpreter, pysdk_sysconfig, toolchain
from farm.build.pysdk_sysconfig import Flavour
from farm.catalog.pythoncheck import check
from farm.catalog.values import Catalog
from farm.errors import MissingToolError, SourceError, UnreachableError
from farm.model.python import Headers, Python
from farm.settings import Settings

ROOT = Path(__file__).parent.parent
SOURCE = {
    "Include/Python.h": "#include <pyconfig.h>\nPyAPI_FUNC(void) Py_Start(void);\n",
    "Include/cpython/more.h": "PyAPI_DATA(int) Py_More;\n",
    "PC/pyconfig.h": "#define MS_WINDOWS 1\n",
    "PC/python3dll.c": "#define EXPORT_FUNC(name)\nEXPORT_FUNC(Py_Start)\n",
    "pyconfig.h.in": "#ifndef GUARD\n#define GUARD\n#undef HAVE_A\n#undef SIZEOF_B\n/* c */\n#undef HAVE_C\n#endif\n",
    "Lib/os.py": "not wanted",
}
MACOS = {
    "platform": ["macosx_*"],
    "include": "Include",
    "pyconfig": "pyconfig.h.in",
    "ones": ["HAVE_A"],
    "values": {"SIZEOF_B": "8"},
}
WINDOWS = {
    "platform": ["win*"],
    "include": "Include",
    "pyconfig": "PC/pyconfig.h",
    "import_libraries": {"python313": "Include", "python3": "PC/python3dll.c"},
}


@pytest.fixture
def fake(at: Settings, real: Catalog, monkeypatch: pytest.MonkeyPatch) -> Catalog:
    """A catalog with a cp313 from a tiny source archive; its interpreter is not laid out."""
    folder = at.toolchains / "pythons"
    folder.mkdir(parents=True)
    archive = folder / "Python-3.13.9.tar.gz"
    with tarfile.open(archive, "w:gz") as tar:
        for name, text in SOURCE.items():
            info = tarfile.TarInfo(f"Python-3.13.9/{name}")
            info.size = len(text)
            tar.addfile(info, io.BytesIO(text.encode()))
    at.downloads.mkdir(parents=True)
    monkeypatch.setattr(pysdk_interpreter, "runnable", lambda *_args, **_kwargs: Path("/python"))
    monkeypatch.setattr("farm.sysroot.materialise", lambda *_args, **_kwargs: Path("/sysroot"))
    sha256 = hashlib.sha256(archive.read_bytes()).hexdigest()
    python = Python.model_validate(
        {
            "format": 1,
            "tag": "cp313",
            "version": "3.13.9",
            "build": {"x86_64": "debian-amd64-python3.13", "aarch64": "debian-amd64-python3.13"},
            "source": [{"url": f"file:{archive.name}", "sha256": sha256}],
            "headers": [MACOS, WINDOWS],
        }
    )
    return replace(real, pythons={"cp313": python})


def test_an_sdk_of_macos_has_the_headers_with_its_own_pyconfig(fake: Catalog, at: Settings) -> None:
    sdk = pysdk.sdk("cp313", fake.toolchains["macosx_11_0_arm64"], fake, at)
    assert (sdk.include / "cpython" / "more.h").is_file()
    config = (sdk.include / "pyconfig.h").read_text("utf-8").splitlines()
    assert config == [
        "#ifndef GUARD", "#define GUARD", "#define HAVE_A 1", "#define SIZEOF_B 8", "/* c */", "/* #undef HAVE_C */",
        "#endif",
    ]  # fmt: skip
    assert sorted(p.name for p in sdk.root.iterdir()) == ["include", "sysconfig"]
    assert (sdk.version, sdk.short, sdk.library) == ("3.13.9", "3.13", "python313")
    assert sdk.digest == pysdk.digest("cp313", fake.toolchains["macosx_11_0_arm64"], fake)


def test_an_sdk_of_windows_has_import_libraries(fake: Catalog, at: Settings, monkeypatch: pytest.MonkeyPatch) -> None:
    made = {}
    monkeypatch.setattr(toolchain, "materialise", lambda *_args, **_kwargs: None)

    def make(library: str, text: str, folder: Path, *_args: object, **_kwargs: object) -> None:
        made[library] = pysdk_imports.exported(text)
        (folder / f"{library}.lib").touch()

    monkeypatch.setattr(pysdk_imports, "make", make)
    sdk = pysdk.sdk("cp313", fake.toolchains["win_amd64"], fake, at)
    assert made == {"python313": {"Py_Start": False, "Py_More": True}, "python3": {"Py_Start": False}}
    assert (sdk.root / "lib" / "python313.lib").is_file()
    assert "Version: 3.13\n" in (sdk.root / "lib" / "pkgconfig" / "python-3.13.pc").read_text("utf-8")


def test_an_sdk_appears_whole_or_not_at_all(fake: Catalog, at: Settings, monkeypatch: pytest.MonkeyPatch) -> None:
    def fails(*_args: object, **_kwargs: object) -> None:
        raise UnreachableError("no compiler")

    monkeypatch.setattr(toolchain, "materialise", fails)
    with pytest.raises(UnreachableError):
        pysdk.sdk("cp313", fake.toolchains["win_amd64"], fake, at)
    assert [place for place in (at.cache / "sdk").iterdir() if place.suffix != ".lock"] == []


def test_a_platform_without_headers_is_said(fake: Catalog, at: Settings) -> None:
    with pytest.raises(MissingToolError, match="no Python SDK for cp313 on musllinux_1_2_x86_64"):
        pysdk.sdk("cp313", fake.toolchains["musllinux_1_2_x86_64"], fake, at)


def test_digests_come_from_the_files_alone(real: Catalog, monkeypatch: pytest.MonkeyPatch) -> None:
    """Planning fetches nothing."""

    def fetches(*_args: object, **_kwargs: object) -> None:
        raise AssertionError("planning must not fetch")

    monkeypatch.setattr(pysdk_headers, "obtain", fetches)
    digests = {
        (tag, platform): pysdk.digest(tag, chain, real)
        for tag in ("cp311", "cp313", "cp314")
        for platform, chain in real.toolchains.items()
        if real.pythons[tag].headers_for(platform)
    }
    assert len(set(digests.values())) == len(digests)
    assert {platform for tag, platform in digests if tag == "cp313"} == set(real.toolchains)


def test_a_digest_changes_with_what_it_describes(fake: Catalog) -> None:
    chain = fake.toolchains["macosx_11_0_arm64"]
    python = fake.pythons["cp313"]
    old = pysdk.digest("cp313", chain, fake)
    changed = python.headers[0].model_copy(update={"ones": ("HAVE_A", "HAVE_C")})
    other = replace(fake, pythons={"cp313": python.model_copy(update={"headers": (changed,)})})
    assert pysdk.digest("cp313", chain, other) != old
    pins = python.source[0].model_copy(update={"sha256": "0" * 64})
    other = replace(fake, pythons={"cp313": python.model_copy(update={"source": (pins,)})})
    assert pysdk.digest("cp313", chain, other) != old
    elsewhere = python.source[0].model_copy(update={"url": "https://example.org/x.tar.xz"})
    other = replace(fake, pythons={"cp313": python.model_copy(update={"source": (elsewhere,)})})
    assert pysdk.digest("cp313", chain, other) == old
    other = replace(fake, pythons={"cp313": python.model_copy(update={"source_version": "3.13.0"})})
    assert pysdk.digest("cp313", chain, other) != old


def test_packages_and_source_may_be_two_versions(real: Catalog) -> None:
    python = real.pythons["cp314"]
    versions = {
        platform: python.version_of(entry) for platform in real.toolchains if (entry := python.headers_for(platform))
    }
    assert versions.keys() == real.toolchains.keys()
    assert versions["manylinux_2_17_x86_64"] == python.version != python.source_version
    assert versions["win_arm64"] == versions["macosx_11_0_arm64"] == python.source_version


def test_headers_that_nothing_pins_are_said(real: Catalog) -> None:
    entry = Headers.model_validate(
        {"platform": ["x"], "sysroot": "debian-arm64", "package": "no-such", "include": "i", "pyconfig": "p"}
    )
    with pytest.raises(SourceError, match="pins no no-such"):
        pysdk_headers.locations(real.pythons["cp313"], entry, real)


def test_faults_of_the_files_are_found(real: Catalog) -> None:
    python = real.pythons["cp313"].model_copy(
        update={"version": "3.12.1", "source_version": "3.12.2", "build": {"x86_64": "nowhere"}}
    )
    said = [str(fault) for fault in check({"cp313": python}, real.sysroots)]
    assert any("3.12.1 is no cp313" in line for line in said)
    assert any("source_version" in line and "3.12.2 is no cp313" in line for line in said)
    assert any("no sysroot 'nowhere'" in line for line in said)
    assert check(real.pythons, real.sysroots) == []


def test_exports_are_read_from_declarations() -> None:
    text = """
    PyAPI_FUNC(PyObject *) PyOne(int /* a comment; with PyAPI_FUNC(int) PyNot( */);
    PyAPI_FUNC(const char *(*)(void)) PyTwo(void);
    Py_DEPRECATED(3.2) PyAPI_FUNC(void) _Py_NO_RETURN PyThree(void);
    PyAPI_DATA(PyTypeObject) PyFour_Type;
    PyAPI_DATA(const unsigned char) _Py_five[256];
    PyAPI_DATA(int) (*PySix)(void);
    PyAPI_DATA(PyObject *) _PySeven_declared_as_data(int);
    PyAPI_FUNC(int) pthread_create(void);
    #define PyArg_Eight _PyArg_Eight_SizeT
    """
    data = {"PyFour_Type", "_Py_five", "PySix"}
    functions = {"PyOne", "PyTwo", "PyThree", "_PySeven_declared_as_data", "_PyArg_Eight_SizeT"}
    assert pysdk_imports.exported(text) == dict.fromkeys(data, True) | dict.fromkeys(functions, False)
    assert pysdk_imports.definition("x.dll", {"b": True, "a": False}) == "LIBRARY x.dll\nEXPORTS\n  a\n  b DATA\n"


def test_names_of_extension_modules_are_the_platforms(real: Catalog) -> None:
    expected = {
        "manylinux_2_17_i686": ".cpython-313-i386-linux-gnu.so",
        "manylinux_2_17_ppc64le": ".cpython-313-powerpc64le-linux-gnu.so",
        "musllinux_1_2_aarch64": ".cpython-313-aarch64-linux-musl.so",
        "win32": ".cp313-win32.pyd",
        "win_arm64": ".cp313-win_arm64.pyd",
        "macosx_10_13_x86_64": ".cpython-313-darwin.so",
    }
    python = Flavour(version="3.13.5")
    for platform, suffix in expected.items():
        data = pysdk_sysconfig.sysconfig_data(python, real.toolchains[platform])
        assert data["EXT_SUFFIX"] == suffix
        assert data["Py_ENABLE_SHARED"] == 0
    found: dict[str, dict[str, object]] = {}
    exec(pysdk_sysconfig.text(pysdk_sysconfig.sysconfig_data(python, real.toolchains["win32"])), found)
    assert found["build_time_vars"]["SIZEOF_VOID_P"] == 4
