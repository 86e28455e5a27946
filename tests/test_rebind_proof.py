"""What proves that a dependent may be rebound: every import has a home afterwards. Pure values, no files."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
import wheel_fixtures as wf

from farm.errors import GateError
from farm.model.binary import BinaryFormat, Linkage, Symbol
from farm.model.native import NativeManifest
from farm.repair import rebind_proof
from farm.repair.graft import Binary
from farm.repair.move import Move
from farm.repair.natives import Natives
from farm.wheel.native_libraries import KnownLibrary

NEW = "libt-nf02.so"


def symbols(*names: str, weak: bool = False) -> tuple[Symbol, ...]:
    return tuple(Symbol(name=name, weak=weak) for name in names)


def elf(*needed: str, imports: tuple[Symbol, ...] = (), exports: tuple[Symbol, ...] = ()) -> Linkage:
    return Linkage(
        format=BinaryFormat.ELF, arch="x86_64", bits=64, needed=needed, imports=imports, exports=exports
    )  # fmt: skip


def known(shared_name: str, linkage: Linkage, name: str = "t") -> KnownLibrary:
    library = {"link_name": name, "shared_name": shared_name, "path": f"lib/{shared_name}"}
    values = wf.manifest(version="2!2.0", abi_epoch=2, library=[library], name=name, distribution=f"native-{name}")
    manifest = NativeManifest.model_validate_json(json.dumps(values))
    return KnownLibrary(
        manifest=manifest, library=manifest.library[0], directory=f"native_{name}/lib", origin="", read=lambda: linkage
    )


def binary(member: str, linkage: Linkage) -> Binary:
    return Binary(member=member, place=member, linkage=linkage)


def lost(*binaries: Binary, more: tuple[KnownLibrary, ...] = (), arch: str = "x86_64") -> str:
    """What the refusal says; empty if there is none. The new library has `t_one` and `t_two`."""
    natives = Natives((known(NEW, elf(exports=symbols("t_one", "t_two"))), *more))
    move = Move(
        old="libt-nf01.so", new=NEW, distribution="native-t", version="2!2.0", origin=Path("native_t.whl"), library=b""
    )
    try:
        rebind_proof.prove(binaries, {move.old: move}, natives, arch, "dep.whl")
    except GateError as error:
        return error.what
    return ""


def module(*needed: str, imports: tuple[Symbol, ...]) -> Binary:
    return binary("dep/x.so", elf("libt-nf01.so", *needed, imports=imports))


def test_what_the_library_has_and_what_everybody_gets() -> None:
    ordinary = symbols("t_one", "PyLong_FromLong", "_Py_Dealloc", "_GLOBAL_OFFSET_TABLE_", "dlsym")
    libc = Symbol(name="malloc", version="GLIBC_2.2.5", library="libc.so.6")
    assert lost(module("libc.so.6", imports=(*ordinary, libc, *symbols("__gmon_start__", weak=True)))) == ""


def test_what_it_has_no_longer_is_named_and_counted() -> None:
    told = lost(module(imports=symbols("t_one", *(f"gone_{i}" for i in range(7)))))
    assert told.startswith(
        "dep/x.so imports gone_0, gone_1, gone_2, gone_3, gone_4 and 2 more, which it would not find"
    )
    assert "libt-nf02.so (native-t 2!2.0)" in told
    assert "gone" in lost(module(imports=symbols("gone", weak=True)))


def test_a_library_that_cannot_be_looked_into_proves_nothing() -> None:
    assert "glDraw" in lost(module("libGL.so.1", imports=symbols("glDraw")))


def test_on_musl_the_names_of_its_libc_are_known() -> None:
    libc = "libc.musl-x86_64.so.1"
    assert lost(module(libc, imports=symbols("t_two", "malloc", "qsort"))) == ""
    assert "imports t_gone," in lost(module(libc, imports=symbols("malloc", "t_gone")))
    assert "imports malloc," in lost(module(imports=symbols("malloc")))


def test_other_natives_and_libraries_of_the_wheel_are_asked_too() -> None:
    other = known("libu-nf02.so", elf(exports=symbols("u_one")), name="u")
    own = binary("dep.libs/libown.so", elf("libt-nf01.so", imports=symbols("t_two"), exports=symbols("own")))
    assert lost(module("libu-nf02.so", "libown.so", imports=symbols("u_one", "own", "t_one")), own, more=(other,)) == ""
    assert "imports u_one," in lost(module(imports=symbols("u_one")), more=(other,))


def test_who_gets_at_it_through_another_library_is_asked_too() -> None:
    """It names only a library of its own wheel, and takes what that one loads."""
    own = binary("dep.libs/libown.so", elf("libt-nf01.so", imports=symbols("t_one")))
    user = binary("dep/y.so", elf("libown.so", imports=symbols("t_two")))
    assert lost(own, user) == ""
    user = binary("dep/y.so", elf("libown.so", imports=symbols("t_three")))
    assert lost(own, user).startswith("dep/y.so imports t_three,")


def test_who_has_nothing_to_do_with_it_is_not_asked() -> None:
    assert lost(binary("dep/z.so", elf("libX11.so.6", imports=symbols("XOpenDisplay")))) == ""


@pytest.mark.parametrize(("version", "told"), [("T_2", ""), ("T_1", "t_one@T_1")])
def test_versions_must_be_there(version: str, told: str) -> None:
    library = known(NEW, elf(exports=(Symbol(name="t_one", version="T_2"),)))
    user = module(imports=(Symbol(name="t_one", version=version, library="libt-nf01.so"),))
    move = Move(
        old="libt-nf01.so", new=NEW, distribution="native-t", version="2!2.0", origin=Path("native_t.whl"), library=b""
    )
    if not told:
        rebind_proof.prove((user,), {move.old: move}, Natives((library,)), "x86_64", "dep.whl")
        return
    with pytest.raises(GateError, match=told):
        rebind_proof.prove((user,), {move.old: move}, Natives((library,)), "x86_64", "dep.whl")


def test_imports_by_number_prove_nothing() -> None:
    new = Linkage(format=BinaryFormat.PE, arch="x86_64", bits=64, exports=symbols("t_one"))
    user = Linkage(
        format=BinaryFormat.PE, arch="x86_64", bits=64, needed=("T-nf01.dll",),
        imports=(Symbol(name="#7", library="T-nf01.dll"),),
    )  # fmt: skip
    move = Move(
        old="t-nf01.dll",
        new="t-nf02.dll",
        distribution="native-t",
        version="2!2.0",
        origin=Path("native_t.whl"),
        library=b"",
    )
    with pytest.raises(GateError, match="imports #7"):
        rebind_proof.prove(
            (binary("dep/x.pyd", user),), {move.old: move}, Natives((known("t-nf02.dll", new),)), "amd64", "dep.whl"
        )
