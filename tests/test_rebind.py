"""`farm rebind`: a built dependent needs another ABI epoch and nothing else changed, or nothing is written."""

from __future__ import annotations

import hashlib
import io
import json
import struct
import subprocess
import sys
import zipfile
from dataclasses import replace
from pathlib import Path

import pefile
import pytest
import rebind_fixtures as rf
import toy
import wheel_fixtures as wf
from elf_fixtures import shared
from elftools.elf.dynamic import DynamicSection
from elftools.elf.elffile import ELFFile
from macholib.MachO import MachO
from rebind_fixtures import CASES, ELF, MACHO, PE, Case
from test_binary_macho import fat

from farm import cli
from farm.binary import formats
from farm.binary.macho_signature import signature_fault
from farm.binary.pe_file import PeFile
from farm.errors import BinaryFormatError, FarmError, GateError, UsageError
from farm.gates.audit import audit_wheel, policy_for_tag, with_libraries
from farm.model.rebound import Rebound
from farm.repair import natives, rename
from farm.repair.move import Move
from farm.repair.rebind import raised, rebind, rebound
from farm.repair.repair import repair
from farm.wheel import record


@pytest.fixture(params=list(CASES.values()), ids=list(CASES))
def case(request: pytest.FixtureRequest) -> Case:
    assert isinstance(request.param, Case)
    return request.param


def to(path: Path) -> dict[str, Path]:
    return {"t": path}


# --- what it does


def test_only_what_must_change_does(tmp_path: Path, case: Case) -> None:
    old = case.dependent(tmp_path)
    native = case.native(tmp_path, 2)
    done = rebound(old, to(native), tmp_path / "out")
    record.verify(done.wheel)
    before, after = rf.content(old), rf.content(done.wheel)
    info = "dep-1.0.dist-info"
    assert {m for m in after if after[m] != before.get(m)} == {
        case.member,
        "dep/_native_libs.py",
        *(f"{info}/{f}" for f in ("METADATA", "WHEEL", "RECORD", "rebound.json", "sboms/native-libraries.cdx.json")),
    }
    assert before.keys() <= after.keys()
    tag = f"0r01.{hashlib.sha256(after[f'{info}/rebound.json']).hexdigest()[:8]}"
    assert done.wheel.name == old.name.replace("dep-1.0-", f"dep-1.0-{tag}-")
    assert done.moved == {case.shared_name(1): case.shared_name(2)}
    assert done.requirements == ("native-t>=2!2.0,<3!0",) if case is ELF else ("native-t>=2!2.5,<3!0",)
    assert f"Requires-Dist: {done.requirements[0]}\n".encode() in after[f"{info}/METADATA"]
    assert b"native-t>=1" not in after[f"{info}/METADATA"]
    assert b"'2!2.%d', '3!0')" % (0 if case is ELF else 5) in after["dep/_native_libs.py"]
    assert f"\nBuild: {tag}\n".encode() in after[f"{info}/WHEEL"]
    linkage = formats.read_bytes(after[case.member], case.member)
    origin = formats.read_bytes(before[case.member], case.member)
    assert linkage is not None
    assert origin is not None
    assert linkage.needed == tuple(name.replace("nf01", "nf02") for name in origin.needed)
    assert linkage.runpath == origin.runpath
    strict = with_libraries(replace(policy_for_tag(case.tag), strict=True), natives=[native])
    assert audit_wheel(done.wheel, policy=strict) == done.findings == ()


def test_who_made_it_of_what_is_in_the_wheel(tmp_path: Path) -> None:
    old, native = ELF.dependent(tmp_path), ELF.native(tmp_path, 2)
    once = rebind(old, to(native), tmp_path / "out")
    third = ELF.native(tmp_path, 3)
    twice = rebind(once, {"native-t": third}, tmp_path / "out")
    assert twice.name.startswith("dep-1.0-0r02.")
    history = Rebound.model_validate_json(rf.content(twice)["dep-1.0.dist-info/rebound.json"]).rebound
    assert [step.wheel.filename for step in history] == [old.name, once.name]
    assert [step.moved for step in history] == [{"libt-nf01.so": "libt-nf02.so"}, {"libt-nf02.so": "libt-nf03.so"}]
    assert history[1].natives["native-t"].filename == third.name
    assert len(history[0].wheel.sha256) == 64


@pytest.mark.parametrize("case", [ELF, PE, MACHO], ids=["elf", "pe", "macho"])
def test_the_same_bytes_again_and_the_old_ones_on_the_way_back(tmp_path: Path, case: Case) -> None:
    old, native = case.dependent(tmp_path), case.native(tmp_path, 2)
    first, second = (rebind(old, to(native), tmp_path / out) for out in ("a", "b"))
    assert first.read_bytes() == second.read_bytes()
    back = rebind(first, to(tmp_path / "one" / f"native_t-1!1.5-py3-none-{case.tag}.whl"), tmp_path / "back")
    assert rf.content(back)[case.member] == rf.content(old)[case.member]
    assert rf.content(back)["dep-1.0.dist-info/METADATA"] == rf.content(old)["dep-1.0.dist-info/METADATA"]


def test_a_rebound_wheel_needs_no_repair(tmp_path: Path) -> None:
    native = ELF.native(tmp_path, 2)
    done = rebind(ELF.dependent(tmp_path), to(native), tmp_path / "out")
    assert not repair(done, tmp_path / "again", natives.load([native])).changed


@pytest.mark.parametrize(
    ("build", "expected"),
    [
        ("", "0r01"),
        ("2", "2r01"),
        ("0r01.0123abcd", "0r02"),
        ("2r09.ffffffff", "2r10"),
        ("1foo", "1foor01"),
        ("0.89abcdef", "0.89abcdefr01"),  # a wheel whose metadata was corrected
    ],
)
def test_build_tags_rise_below_the_next_revision(build: str, expected: str) -> None:
    """As `packaging` compares them, so pip does; a recipe's next revision still wins."""
    from packaging.utils import parse_wheel_filename

    def order(tag: str) -> object:
        return parse_wheel_filename(f"dep-1.0-{tag}-py3-none-any.whl" if tag else "dep-1.0-py3-none-any.whl")[2]

    found = raised(build, b"what was done", "dep.whl")
    assert found == f"{expected}.{hashlib.sha256(b'what was done').hexdigest()[:8]}"
    assert found != raised(build, b"something else", "dep.whl")
    assert order(build) < order(found) < order(str(int(build[:1] or 0) + 1))  # type: ignore[operator]


def test_the_hundredth_time_is_refused() -> None:
    with pytest.raises(GateError, match="rebound 99 times"):
        raised("0r99.00000000", b"", "dep.whl")


# --- in pip's and the loader's eyes


@pytest.mark.parametrize("installer", ["pip", "uv"])
def test_installers_prefer_it_and_it_runs_with_the_new_library(tmp_path: Path, installer: str) -> None:
    """Both wheels of the dependent and both native wheels are to be had: they take the newest that fit together."""
    one, two = toy.toy(tmp_path / "1", "1.1"), toy.toy(tmp_path / "2", "2.0", epoch=2)
    raw = toy.dependent(tmp_path, "toy_mul(toy_add(1, 2), 14)", *toy.linked(one))
    old = repair(raw, tmp_path / "built", natives.load([one.wheel])).wheel
    new = rebind(old, {"toy": two.wheel}, tmp_path / "built")
    env = toy.environment(tmp_path / "env")
    links = [word for folder in (old.parent, one.wheel.parent, two.wheel.parent) for word in ("--find-links", folder)]
    command = {
        "pip": ["pip", "--python", env.python, "install", "-q"],
        "uv": ["uv", "pip", "install", "-q", "--no-config", "--python", env.python],
    }[installer]
    words = [sys.executable, "-m", *command, "--no-index", *links, "tiny"]
    subprocess.run([str(word) for word in words], check=True, timeout=120)
    ran = env.run(toy.PROOF)
    assert ran.stderr == ""
    assert ran.stdout.split() == ["42", "1", "libtoy-nf02.so"]
    (installed,) = env.root.glob("lib/python*/site-packages/tiny-1.0.dist-info")
    assert "Build: 0r01." in (installed / "WHEEL").read_text()
    wrong = toy.environment(tmp_path / "wrong")
    wrong.pip(new, one.wheel)
    refused = wrong.run("import tiny")
    assert "tiny 1.0 needs native-toy>=2!" in refused.stderr


def test_other_readers_see_the_new_dll(tmp_path: Path) -> None:
    done = rebind(PE.dependent(tmp_path), to(PE.native(tmp_path, 2)), tmp_path / "out")
    module = pefile.PE(data=rf.content(done)[PE.member])
    imported = {entry.dll.decode(): [i.name for i in entry.imports] for entry in module.DIRECTORY_ENTRY_IMPORT}
    assert imported["t-nf02.dll"] == [b"t_function_1", b"t_function_11"]
    assert "t-nf01.dll" not in imported


def test_other_readers_see_the_new_dylib_with_its_versions_and_the_signature_is_right(tmp_path: Path) -> None:
    done = rebind(MACHO.dependent(tmp_path), to(MACHO.native(tmp_path, 2)), tmp_path / "out")
    module = tmp_path / "x.so"
    module.write_bytes(rf.content(done)[MACHO.member])
    (header,) = MachO(str(module)).headers
    loads = {
        data.rstrip(b"\0"): dylib for load, dylib, data in header.commands if load.get_cmd_name() == "LC_LOAD_DYLIB"
    }
    loaded = loads[b"@rpath/libt-nf02.dylib"]
    assert (str(loaded.compatibility_version), str(loaded.current_version)) == ("2.0.0", "2.1.0")
    assert signature_fault(module.read_bytes(), "x.so") == ""
    linkage = formats.read_file(module)
    assert linkage is not None
    assert linkage.signed


def test_inspect_shows_the_new_reference(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    done = rebind(ELF.dependent(tmp_path), to(ELF.native(tmp_path, 2)), tmp_path / "out")
    assert cli.run(["inspect", str(done)]) == 0
    shown = capsys.readouterr().out
    assert "libt-nf02.so" in shown
    assert "libt-nf01.so" not in shown


# --- files that are less usual


def move_to(library: bytes, old: str = "libt-nf01.so", new: str = "libt-nf02.so") -> dict[str, Move]:
    return {
        old: Move(
            old=old, new=new, distribution="native-t", version="2!2.0", origin=Path("native_t.whl"), library=library
        )
    }


def renamed(data: bytes, moves: dict[str, Move]) -> bytes:
    linkage = formats.read_bytes(data, "x")
    assert linkage is not None
    return rename.renamed(data, linkage, moves, "x")


def test_versions_of_symbols_are_asked_of_the_new_library() -> None:
    script = (("v.map", b"T_1 { global: *; };\n"),)
    library = shared(wf.LIBRARY_SOURCE, "-Wl,--version-script=v.map", soname="libt-nf01.so", extra=script)
    user = shared(wf.EXTENSION_SOURCE, soname="x.so", needed={"libt-nf01.so": library})
    new = renamed(user, move_to(b""))
    linkage = formats.read_bytes(new, "x")
    assert linkage is not None
    assert linkage.version_needs["libt-nf02.so"] == ("T_1",)
    assert "libt-nf01.so" not in linkage.version_needs
    assert {s.library for s in linkage.imports if s.name == "t_function_1"} == {"libt-nf02.so"}
    assert len([1 for a, b in zip(user, new, strict=True) if a != b]) in (1, 2)


def test_every_slice_of_a_fat_file_is_moved(tmp_path: Path) -> None:
    thin = [rf.content(rf.CASES[name].raw(tmp_path / name)) for name in ("macho", "macho-unsigned")]
    both = fat(*(files[MACHO.member] for files in thin))
    libraries = fat(*(rf.CASES[name].library(2, wf.LIBRARY_SOURCE) for name in ("macho", "macho-unsigned")))
    moves = move_to(libraries, "libt-nf01.dylib", "libt-nf02.dylib")
    new = renamed(both, moves)
    assert new.count(b"libt-nf02.dylib") == 2
    assert b"libt-nf01.dylib" not in new
    assert signature_fault(new, "x") == ""
    only_arm = move_to(MACHO.library(2, wf.LIBRARY_SOURCE), "libt-nf01.dylib", "libt-nf02.dylib")
    with pytest.raises(BinaryFormatError, match="is no library for x86_64"):
        renamed(both, only_arm)


def with_delayed_import(data: bytes) -> bytes:
    """The DLL's name and a descriptor of a delayed import in the room behind the section headers."""
    module = pefile.PE(data=data)
    at = module.OPTIONAL_HEADER.SizeOfHeaders - 128
    result = bytearray(data)
    assert not any(result[at : at + 128])
    result[at : at + 32] = struct.pack("<8I", 1, at + 64, 0, 0, 0, 0, 0, 0)
    result[at + 64 : at + 75] = b"T-nf01.DLL\0"
    directory = module.OPTIONAL_HEADER.DATA_DIRECTORY[13].get_file_offset()
    result[directory : directory + 8] = struct.pack("<II", at, 64)
    return bytes(result)


def test_delayed_imports_are_moved_whatever_their_case(tmp_path: Path) -> None:
    data = with_delayed_import(rf.content(PE.raw(tmp_path))[PE.member])
    new = renamed(data, move_to(b"", "t-nf01.dll", "t-nf02.dll"))
    assert new.count(b"t-nf02.dll") == 2
    assert b"nf01" not in new


def test_a_checksum_is_made_again(tmp_path: Path) -> None:
    data = bytearray(rf.content(PE.raw(tmp_path))[PE.member])
    module = pefile.PE(data=bytes(data))
    at = PeFile(bytes(data), "x").checksum_at
    assert at == module.OPTIONAL_HEADER.get_field_absolute_offset("CheckSum")
    data[at : at + 4] = module.generate_checksum().to_bytes(4, "little")
    new = renamed(bytes(data), move_to(b"", "t-nf01.dll", "t-nf02.dll"))
    assert new[at : at + 4] != data[at : at + 4]
    assert pefile.PE(data=new).verify_checksum()


@pytest.mark.parametrize(("directory", "fact"), [(4, "signed with a certificate"), (11, "bound to the addresses")])
def test_dlls_that_cannot_be_changed(tmp_path: Path, directory: int, fact: str) -> None:
    data = bytearray(rf.content(PE.raw(tmp_path))[PE.member])
    at = pefile.PE(data=bytes(data)).OPTIONAL_HEADER.DATA_DIRECTORY[directory].get_file_offset()
    data[at : at + 8] = struct.pack("<II", 64, 8)
    with pytest.raises(GateError, match=fact):
        renamed(bytes(data), move_to(b"", "t-nf01.dll", "t-nf02.dll"))


def test_names_that_share_their_bytes_are_not_renamed() -> None:
    """A linker may let a soname end where another name does."""
    library = rf.elf_library(1, wf.LIBRARY_SOURCE)
    user = bytearray(shared(wf.EXTENSION_SOURCE, soname="x.so", needed={"libt-nf01.so": library}))
    start = user.index(b"libt-nf01.so\0")
    section = ELFFile(io.BytesIO(bytes(user))).get_section_by_name(".dynamic")
    strings = ELFFile(io.BytesIO(bytes(user))).get_section_by_name(".dynstr")
    assert isinstance(section, DynamicSection)
    assert strings is not None
    table = strings["sh_offset"]
    for number, tag in enumerate(section.iter_tags()):
        if tag.entry.d_tag == "DT_SONAME":
            at = section["sh_offset"] + number * 16 + 8
            user[at : at + 8] = (start + 3 - table).to_bytes(8, "little")
    with pytest.raises(GateError, match="share their bytes"):
        renamed(bytes(user), move_to(b""))


# --- what it refuses, with nothing written


def refusal(old: Path, native: Path, out: Path) -> FarmError:
    with pytest.raises(FarmError) as caught:
        rebind(old, to(native), out)
    assert not out.exists()
    return caught.value


def test_a_symbol_that_is_gone(tmp_path: Path) -> None:
    source = wf.LIBRARY_SOURCE.replace("int t_function_1(", "int t_renamed_1(")
    error = refusal(ELF.dependent(tmp_path), ELF.native(tmp_path, 2, source), tmp_path / "out")
    assert isinstance(error, GateError)
    assert "imports t_function_1, which it would not find with libt-nf02.so (native-t 2!2.5)" in error.what
    assert "build it instead" in error.fix


@pytest.mark.parametrize("case", [PE, MACHO], ids=["pe", "macho"])
def test_a_symbol_that_its_own_library_does_not_have(tmp_path: Path, case: Case) -> None:
    """The exports of these libraries are written down by name, so here the dependent asks for another one."""
    old = case.dependent(tmp_path)
    data = rf.signed(rf.content(old)[case.member].replace(b"t_function_11\0", b"t_function_77\0"))
    old = rf.changed(old, tmp_path / "other", {case.member: data})
    error = refusal(old, case.native(tmp_path, 2), tmp_path / "out")
    assert f"imports t_function_77, which it would not find with {case.shared_name(2)}" in error.what


def test_a_version_of_a_symbol_that_is_gone(tmp_path: Path) -> None:
    def library(epoch: int, version: bytes) -> bytes:
        script = (("v.map", version + b" { global: *; };\n"),)
        name = f"libt-nf{epoch:02d}.so"
        return shared(wf.LIBRARY_SOURCE, "-Wl,--version-script=v.map", soname=name, extra=script)

    def with_library(content: bytes) -> Case:
        return replace(ELF, library=lambda _epoch, _source: content)

    old_native = with_library(library(1, b"T_1")).native(tmp_path, 1)
    user = shared(wf.EXTENSION_SOURCE, "-Wl,-rpath,$ORIGIN/../native_t/lib", soname="x.so",
                  needed={"libt-nf01.so": library(1, b"T_1")})  # fmt: skip
    raw = wf.make_wheel(tmp_path, {"dep/__init__.py": b"", wf.EXTENSION: user}, requires=())
    old = repair(raw, tmp_path / "built", natives.load([old_native])).wheel
    error = refusal(old, with_library(library(2, b"T_2")).native(tmp_path, 2), tmp_path / "out")
    assert "t_function_1@T_1" in error.what
    assert rebind(old, to(with_library(library(2, b"T_1")).native(tmp_path / "same", 2)), tmp_path / "out").is_file()


def test_a_library_whose_name_is_longer(tmp_path: Path) -> None:
    """It says that it is what `-lt` means, by another file name."""
    longer = replace(ELF, library=lambda epoch, source: shared(source, soname="libtt-nf02.so"))
    native = longer.native(
        tmp_path, 2, anchor="lib/libtt-nf02.so",
        library=[{"link_name": "t", "shared_name": "libtt-nf02.so", "path": "lib/libtt-nf02.so"}],
    )  # fmt: skip
    data = rf.content(native)
    data["native_t/lib/libtt-nf02.so"] = data.pop("native_t/lib/libt-nf02.so")
    native = wf.make_wheel(tmp_path / "n", data, filename=native.name, requires=())
    error = refusal(ELF.dependent(tmp_path), native, tmp_path / "out")
    assert isinstance(error, GateError)
    assert "a name of another length" in error.what
    assert "build it instead" in error.fix


def test_natives_that_are_none_or_not_what_they_are_called(tmp_path: Path) -> None:
    old, native = ELF.dependent(tmp_path), ELF.native(tmp_path, 2)
    out = tmp_path / "out"
    plain = {k: v for k, v in rf.content(native).items() if not k.endswith("native.json")}
    without = wf.make_wheel(tmp_path / "plain", plain, filename=native.name, requires=())
    error = refusal(old, without, out)
    assert isinstance(error, UsageError)
    assert "no native.json" in error.what
    with pytest.raises(UsageError, match="is native-t, not gmp"):
        rebind(old, {"gmp": native}, out)
    with pytest.raises(UsageError, match="does not exist"):
        rebind(old, to(tmp_path / "none.whl"), out)
    with pytest.raises(UsageError, match="does not exist"):
        rebind(tmp_path / old.name, to(native), out)
    with pytest.raises(GateError, match="no native wheel that was given brings it"):
        rebind(old, to(PE.native(tmp_path, 2)), out)
    lying = wf.make_wheel(
        tmp_path / "lying",
        rf.content(native) | {"native_t/lib/libt-nf02.so": rf.elf_library(3, wf.LIBRARY_SOURCE)},
        filename=native.name,
        requires=(),
    )
    assert isinstance(refusal(old, lying, out), BinaryFormatError)
    assert not out.exists()


def test_natives_that_do_not_fit_each_other(tmp_path: Path) -> None:
    """A second library that is still linked to the old epoch would bring it into the process."""
    one, two = toy.toy(tmp_path / "1", "1.1"), toy.toy(tmp_path / "2", "2.0", epoch=2)
    top = toy.native(
        tmp_path, "top", "1.0", toy.TOP_C, uses=(one,), requires=("native-toy>=1!1.0,<2!0",), replaces=("libtop.so.1",)
    )
    raw = toy.dependent(tmp_path, "toy_add(top_twice(20), 2)", *toy.linked(one, top))
    old = repair(raw, tmp_path / "built", natives.load([one.wheel, top.wheel])).wheel
    with pytest.raises(GateError, match=r"native-top 1!1\.0 requires native-toy>=1!1\.0,<2!0, and it would get"):
        rebind(old, {"toy": two.wheel, "top": top.wheel}, tmp_path / "out")
    with pytest.raises(GateError, match=r"needs libtop-nf01\.so, and no native wheel"):
        rebind(old, {"toy": two.wheel}, tmp_path / "out")
    assert not (tmp_path / "out").exists()


def test_wheels_that_this_farm_did_not_make(tmp_path: Path) -> None:
    native, out = ELF.native(tmp_path, 2), tmp_path / "out"
    for wheel, fact in (
        (ELF.raw(tmp_path / "raw"), "it has no sboms/native-libraries.cdx.json"),
        (ELF.native(tmp_path / "n", 1), "is a native wheel"),
    ):
        error = refusal(wheel, native, out)
        assert isinstance(error, GateError)
        assert fact in error.what
    built = rf.content(ELF.dependent(tmp_path))
    built = {k: v for k, v in built.items() if not k.endswith("METADATA")}
    assert (
        "does not require native-t"
        in refusal(wf.make_wheel(tmp_path / "bare", built, filename=wf.DEPENDENT, requires=()), native, out).what
    )


def test_names_in_other_places(tmp_path: Path) -> None:
    """Running code may open a library by its name; nobody can tell."""
    built, native, out = ELF.dependent(tmp_path), ELF.native(tmp_path, 2), tmp_path / "out"
    speaking = rf.changed(built, tmp_path / "a", {"dep/config.py": b"LIBRARY = 'libt-nf01.so'\n"})
    assert "dep/config.py names libt-nf01.so" in refusal(speaking, native, out).what
    source = wf.EXTENSION_SOURCE + 'const char *where = "libt-nf01.so";'
    opening = rf.changed(built, tmp_path / "b", {wf.EXTENSION: wf.extension(source=source)})
    assert "names libt-nf01.so in a place that is no reference" in refusal(opening, native, out).what
    another = rf.changed(built, tmp_path / "c", {"dep/config.py": b"LIBRARY = 'mylibt-nf01.so'\n"})
    assert rebind(another, to(native), tmp_path / "fine").is_file()


def test_damaged_wheels(tmp_path: Path) -> None:
    built, native, out = ELF.dependent(tmp_path), ELF.native(tmp_path, 2), tmp_path / "out"
    cut = rf.changed(built, tmp_path / "cut", {wf.EXTENSION: rf.content(built)[wf.EXTENSION][:900]})
    short = tmp_path / "short" / built.name
    short.parent.mkdir()
    short.write_bytes(built.read_bytes()[:-300])
    climbing = tmp_path / "climbing" / built.name
    climbing.parent.mkdir()
    with zipfile.ZipFile(climbing, "w") as archive:
        for name, data in (*rf.content(built).items(), ("../../evil.py", b"")):
            archive.writestr(name, data)
    story = rf.changed(built, tmp_path / "story", {"dep-1.0.dist-info/rebound.json": b'{"rebound": 7}'})
    for wheel in (cut, short, climbing, story):
        error = refusal(wheel, native, out)
        assert isinstance(error, BinaryFormatError), wheel
        assert error.where
    assert not (tmp_path / "evil.py").exists()


def test_a_native_wheel_whose_library_is_not_the_one_that_it_lists(tmp_path: Path) -> None:
    built, native, out = ELF.dependent(tmp_path), ELF.native(tmp_path, 2), tmp_path / "out"
    changed = tmp_path / "changed" / native.name
    changed.parent.mkdir()
    with zipfile.ZipFile(native) as old, zipfile.ZipFile(changed, "w") as new:
        for name in old.namelist():
            new.writestr(name, old.read(name) + (b"\0" if name.endswith(".so") else b""))
    error = refusal(built, changed, out)
    assert isinstance(error, BinaryFormatError)
    assert "RECORD" in error.what
    assert not out.exists()


def test_nothing_to_do_and_nothing_to_overwrite(tmp_path: Path) -> None:
    old, native = ELF.dependent(tmp_path), ELF.native(tmp_path, 2)
    error = refusal(old, tmp_path / "one" / f"native_t-1!1.5-py3-none-{wf.PLATFORM}.whl", tmp_path / "out")
    assert isinstance(error, UsageError)
    assert "nothing to rebind" in error.what
    done = rebind(old, to(native), tmp_path / "out")
    before = done.stat()
    with pytest.raises(UsageError, match="exists already"):
        rebind(old, to(native), tmp_path / "out")
    assert done.stat() == before
    assert [p.name for p in done.parent.iterdir()] == [done.name]


def test_the_audit_has_the_last_word(tmp_path: Path) -> None:
    """A fault that it had when it was built was allowed by its recipe; whoever holds it to a policy hears of it."""
    faulty = {"dep/lib.a": b"!<arch>\n"}
    built = rf.changed(ELF.dependent(tmp_path), tmp_path / "a", faulty)
    native = ELF.native(tmp_path, 2)
    assert rebind(built, to(native), tmp_path / "fine").is_file()
    policy = with_libraries(replace(policy_for_tag(wf.PLATFORM), strict=True), natives=[native])
    with pytest.raises(GateError, match=r"the audit refuses the rebound wheel:\n  dep/lib\.a"):
        rebound(built, to(native), tmp_path / "out", policy=policy)
    assert not (tmp_path / "out").exists()


# --- the command


def test_the_command(tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("FARM_HOME", str(tmp_path / "home"))
    old, native = ELF.dependent(tmp_path), ELF.native(tmp_path, 2)
    words = ["rebind", str(old), "--to", str(native), "-w", str(tmp_path / "out")]
    assert cli.run([*words, "--json"]) == 0
    said = json.loads(capsys.readouterr().out)
    assert said["moved"] == {"libt-nf01.so": "libt-nf02.so"}
    assert said["requires"] == ["native-t>=2!2.0,<3!0"]
    assert Path(said["wheel"]).is_file()
    assert cli.run(words) == UsageError.exit_code
    assert "exists already" in capsys.readouterr().err
    assert cli.run([*words[:-1], str(tmp_path / "more")]) == 0
    assert "libt-nf01.so -> libt-nf02.so\n  needs native-t>=2!2.0,<3!0\n" in capsys.readouterr().out
    assert cli.run([*words, "--to", str(native), str(native)]) == UsageError.exit_code
    assert "second wheel of native-t" in capsys.readouterr().err
    assert cli.run(["rebind", str(tmp_path / "no.whl"), "--to", str(native), "-w", str(tmp_path)]) == 2
    assert "there is no file" in capsys.readouterr().err
    raw = ELF.raw(tmp_path / "raw")
    assert cli.run(["rebind", str(raw), "--to", str(native), "-w", str(tmp_path / "none")]) == GateError.exit_code
    assert not (tmp_path / "home").exists(), "no store hears of it (docs/decisions/016)"
    assert not (tmp_path / "none").exists()
