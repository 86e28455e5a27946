"""Sysroots: packages side by side in a directory, whole or not at all; nothing hostile leaves it."""

from __future__ import annotations

import tarfile
import threading
from pathlib import Path

import pytest
from debs import deb, file, settings, special, sysroot

from farm.errors import SourceError, UnreachableError
from farm.model.recipe_source import Location
from farm.model.sysroot import Package
from farm.sysroot import chosen, materialise, present, renew
from farm.sysroot.place import place


def _in(root: Path, name: str) -> Path:
    return root / "toolchains" / "sysroots" / f"{name}.deb"


def test_packages_are_merged_into_one_system(tmp_path: Path) -> None:
    """As on a system whose /usr is merged, whatever directory a package names; absolute links stay inside."""
    libc = deb(
        _in(tmp_path, "libc"),
        special("./lib", tarfile.DIRTYPE),
        file("./lib/x86/libc.so.6", b"libc", 0o4755),
        special("./lib64/ld.so", tarfile.SYMTYPE, "/lib/x86/libc.so.6"),
        file("./usr/share/doc/libc/copyright"),
    )
    python = deb(
        _in(tmp_path, "python"),
        file("./usr/lib/x86/libpython.so", b"python"),
        file("./usr/bin/python", b"#!", 0o755),
        special("./usr/bin/python3", tarfile.LNKTYPE, "./usr/bin/python"),
        special("./lib", tarfile.SYMTYPE, "usr/lib"),
        compression="gz",
    )
    pinned = sysroot(tmp_path, libc, python, drop=["usr/share/*"], links={"usr/lib/a/b": "usr/bin/python"})
    assert not present(pinned, settings(tmp_path))
    root = materialise(pinned, settings(tmp_path))
    assert (root / "lib64" / "ld.so").read_bytes() == b"libc"
    assert (root / "lib").readlink() == Path("usr/lib")
    assert {p.name for p in (root / "lib" / "x86").iterdir()} == {"libc.so.6", "libpython.so"}
    assert (root / "usr/bin/python3").read_bytes() == b"#!"
    assert (root / "usr/bin/python3").stat().st_mode & 0o100
    assert (root / "usr/lib/a/b").readlink() == Path("../../bin/python")
    assert not (root / "usr" / "share").exists()
    assert not (root / "usr/lib/x86/libc.so.6").stat().st_mode & 0o6000
    assert set(chosen(root)) == {"libc.deb", "python.deb"}
    assert materialise(pinned, settings(tmp_path)) == root


HOSTILE = [
    ([file("/etc/passwd")], "leaves the directory"),
    ([file("./../x")], "leaves the directory"),
    ([file("./usr/../../x")], "leaves the directory"),
    ([special("./dev/null", tarfile.CHRTYPE)], "device"),
    ([special("./dev/sda", tarfile.BLKTYPE)], "device"),
    ([special("./run/p", tarfile.FIFOTYPE)], "device"),
    ([special("./usr/x", tarfile.SYMTYPE, "../../etc")], "outside the tree"),
    ([special("./usr/x", tarfile.SYMTYPE, "/../etc")], "outside the tree"),
    ([special("./usr/x", tarfile.LNKTYPE, "/etc/passwd")], "outside the tree"),
    ([special("./usr/x", tarfile.LNKTYPE, "../etc/passwd")], "outside the tree"),
    ([special("./usr/x", tarfile.SYMTYPE, "y"), file("./usr/x/z")], "symbolic link"),
    (
        [special("./a/b/up", tarfile.SYMTYPE, "../.."), special("./z", tarfile.SYMTYPE, "a/b/up/../etc")],
        "leads outside the tree",
    ),
    ([special("./usr/a", tarfile.SYMTYPE, "b"), special("./usr/b", tarfile.SYMTYPE, "a")], "leads outside the tree"),
]


@pytest.mark.parametrize(("members", "expected"), HOSTILE)
def test_hostile_packages_are_refused_and_leave_nothing(
    members: list[tuple[tarfile.TarInfo, bytes]], expected: str, tmp_path: Path
) -> None:
    pinned = sysroot(tmp_path, deb(_in(tmp_path, "evil"), *members))
    with pytest.raises(SourceError, match=expected):
        materialise(pinned, settings(tmp_path))
    left = sorted(p.name for p in (tmp_path / "cache" / "sysroots").iterdir())
    assert left == [f"{place(pinned, settings(tmp_path)).name}.lock"]
    assert not present(pinned, settings(tmp_path))


def test_links_between_packages_do_not_lead_out(tmp_path: Path) -> None:
    """A later package cannot write through the link of an earlier one."""
    first = deb(_in(tmp_path, "first"), special("./usr/x", tarfile.SYMTYPE, "y"))
    second = deb(_in(tmp_path, "second"), file("./usr/x/file"))
    with pytest.raises(SourceError, match="its directory is a symbolic link"):
        materialise(sysroot(tmp_path, first, second), settings(tmp_path))


def test_wrong_hash_damage_and_missing_pins_are_told(tmp_path: Path) -> None:
    good = deb(_in(tmp_path, "good"), file("./usr/x"))
    pinned = sysroot(tmp_path, good)
    good.write_bytes(good.read_bytes() + b"\n")
    with pytest.raises(SourceError, match="wrong hash"):
        materialise(pinned, settings(tmp_path))
    cut = deb(_in(tmp_path, "cut"), file("./usr/x", b"x" * 1000))
    cut.write_bytes(cut.read_bytes()[:-50])
    with pytest.raises(SourceError, match="damaged"):
        materialise(sysroot(tmp_path, cut), settings(tmp_path))
    _in(tmp_path, "none").write_bytes(b"no package")
    with pytest.raises(SourceError, match="no Debian package"):
        materialise(sysroot(tmp_path, _in(tmp_path, "none")), settings(tmp_path))
    with pytest.raises(SourceError, match="--update"):
        materialise(sysroot(tmp_path, package=[Package(name="libc6")]), settings(tmp_path))


def test_package_that_is_gone_names_the_command_and_alternatives_are_tried(tmp_path: Path) -> None:
    good = deb(_in(tmp_path, "good"), file("./usr/x"))
    pinned = sysroot(tmp_path, good)
    gone = Location(url="file:gone.deb", sha256="0" * 64)
    only = pinned.model_copy(update={"package": (Package(name="good", location=(gone,)),)})
    with pytest.raises(UnreachableError, match="farm toolchain sysroot tiny --update"):
        materialise(only, settings(tmp_path))
    both = Package(name="good", location=(gone, *pinned.package[0].location))
    root = materialise(pinned.model_copy(update={"package": (both,)}), settings(tmp_path))
    assert chosen(root) == {"good.deb": pinned.package[0].location[0].sha256}


def test_farms_side_by_side_make_it_once(tmp_path: Path) -> None:
    pinned = sysroot(tmp_path, deb(_in(tmp_path, "good"), *(file(f"./usr/{i}") for i in range(200))))
    found: list[Path] = []
    threads = [threading.Thread(target=lambda: found.append(materialise(pinned, settings(tmp_path)))) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(found) == 4
    assert len(set(found)) == 1
    assert len(list((found[0] / "usr").iterdir())) == 200


SHOWN = """\
Package: libc6
Architecture: arm64
Version: 2.36-9
Depends: libgcc-s1
Filename: pool/main/g/glibc/libc6_2.36-9_arm64.deb
SHA256: {new}

Package: tzdata
Architecture: all
Filename: pool/main/t/tzdata/tzdata_1_all.deb
SHA256: {new}
"""


def test_new_pins_come_first_and_the_head_of_the_file_stays(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    new, old = "1" * 64, Location(url="debian:glibc/libc6_2.36-8_arm64.deb", sha256="2" * 64)
    packages = (Package(name="libc6", location=(old,)), Package(name="tzdata"))
    pinned = sysroot(tmp_path, architecture="arm64", package=packages)
    monkeypatch.setattr(renew, "_ask", lambda suite, wanted, *_: renew._parse(SHOWN.format(new=new), suite, wanted))
    renewed = renew.renew(pinned, settings(tmp_path))
    assert renewed.changed == ("libc6", "tzdata")
    text = renew.render(renewed.sysroot, '# why\nname = "tiny"\n\n[[package]]\nname = "libc6"\n')
    assert text.startswith('# why\nname = "tiny"\n\n[[package]]\nname = "libc6"\nlocation = [\n')
    assert [at.url for at in renewed.sysroot.package[0].location] == [
        "debian:glibc/libc6_2.36-9_arm64.deb",
        "debian:glibc/libc6_2.36-8_arm64.deb",
    ]
    assert renew.renew(renewed.sysroot, settings(tmp_path)).changed == ()


def test_package_that_the_suite_does_not_have_is_named(tmp_path: Path) -> None:
    with pytest.raises(SourceError, match="bookworm has no package libfoo"):
        renew._parse(SHOWN.format(new="1" * 64), "bookworm", [("libfoo", "arm64"), ("libc6", "arm64")])
