"""Source archives: what is unpacked, and what is refused."""

from __future__ import annotations

import os
import shutil
import subprocess
import tarfile
import zipfile
from pathlib import Path

import pytest
from build_factory import member, tar_of, tarball
from disks import small_disk

from farm.errors import SourceError, StoreError
from farm.fetch import download
from farm.fetch.archives import unpack
from farm.fetch.guard import Limits
from farm.fetch.trees import newest_time


def test_the_single_top_directory_is_stripped_and_times_are_kept(tmp_path: Path) -> None:
    tarball(tmp_path / "a.tar.gz", {"a.c": "x", "sub/b.c": "y"})
    unpack(tmp_path / "a.tar.gz", tmp_path / "out")
    assert (tmp_path / "out" / "sub" / "b.c").read_text() == "y"
    assert newest_time(tmp_path / "out") == 1_600_000_000


@pytest.mark.parametrize("program", ["xz", "bzip2", "zstd"])
def test_other_compressions(tmp_path: Path, program: str) -> None:
    if shutil.which(program) is None:
        pytest.skip(f"no {program}")
    suffix = {"xz": "xz", "bzip2": "bz2", "zstd": "zst"}[program]
    with tarfile.open(tmp_path / f"a.tar.{suffix}.plain", "w") as tar:
        info = member("top/file")
        info.size = 0
        tar.addfile(info)
    packed = tmp_path / f"a.tar.{suffix}"
    with packed.open("wb") as out:
        subprocess.run([program, "-c", f"{packed}.plain"], stdout=out, check=True)
    unpack(packed, tmp_path / "out")
    assert (tmp_path / "out" / "file").exists()


def test_links_inside_the_tree_are_kept(tmp_path: Path) -> None:
    archive = tar_of(
        tmp_path / "a.tar.gz",
        (member("t/real"), b"content"),
        (member("t/sub/soft", kind=tarfile.SYMTYPE, link="../real"), b""),
        (member("t/hard", kind=tarfile.LNKTYPE, link="t/real"), b""),
    )
    unpack(archive, tmp_path / "out")
    assert (tmp_path / "out/sub/soft").read_bytes() == (tmp_path / "out/hard").read_bytes() == b"content"
    (tmp_path / "out/hard").write_bytes(b"changed")  # a copy: no link that a build writes through
    assert (tmp_path / "out/real").read_bytes() == b"content"


def timed(name: str, mtime: str, *, kind: bytes = tarfile.REGTYPE) -> tarfile.TarInfo:
    info = member(name, kind=kind)
    info.pax_headers = {"mtime": mtime}
    return info


HOSTILE = {
    "absolute": (member("/etc/farm"),),
    "parent": (member("t/../../evil"),),
    "backslash": (member("t\\..\\..\\evil"),),
    "device": (member("t/null", kind=tarfile.CHRTYPE),),
    "pipe": (member("t/pipe", kind=tarfile.FIFOTYPE),),
    "symlink out": (member("t/x"), member("t/link", kind=tarfile.SYMTYPE, link="../../outside")),
    "symlink absolute": (member("t/link", kind=tarfile.SYMTYPE, link="/etc/passwd"),),
    "symlink out and back": (member("t/a/link", kind=tarfile.SYMTYPE, link="../../../t/x"),),
    "hardlink out": (member("t/x"), member("t/link", kind=tarfile.LNKTYPE, link="../../../etc/passwd")),
    "hardlink to a symlink": (
        member("t/s", kind=tarfile.SYMTYPE, link="x"),
        member("t/link", kind=tarfile.LNKTYPE, link="t/s"),
    ),
    "hardlink to the tree itself": (member("t/x"), member("t/link", kind=tarfile.LNKTYPE, link=".")),
    "hardlink to nothing": (member("t/x"), member("t/link", kind=tarfile.LNKTYPE, link="")),
    "symlink out by way of another": (
        member("t/a/b/up", kind=tarfile.SYMTYPE, link="../.."),
        member("t/link", kind=tarfile.SYMTYPE, link="a/b/up/../x"),
    ),
    "time that no file can have": (member("t/x"), timed("t/late", "1e300")),
    "time of a directory": (timed("t/late", "1e300", kind=tarfile.DIRTYPE),),
    "write through a symlink": (
        member("t/d", kind=tarfile.DIRTYPE),
        member("t/link", kind=tarfile.SYMTYPE, link="d"),
        member("t/link/file"),
    ),
}


@pytest.mark.parametrize("case", HOSTILE)
def test_hostile_archives_are_refused_by_archive_and_member(tmp_path: Path, case: str) -> None:
    members = HOSTILE[case]
    archive = tar_of(tmp_path / "bad-1.0.tar.gz", *((m, b"") for m in members))
    with pytest.raises(SourceError) as caught:
        unpack(archive, tmp_path / "box" / "out")
    assert "bad-1.0.tar.gz" in str(caught.value)
    assert members[-1].name.rpartition("/")[2].rpartition("\\")[2] in str(caught.value)
    assert not list((tmp_path / "box" / "out").iterdir()), "something was left behind"
    assert sorted(p.name for p in tmp_path.iterdir()) == ["bad-1.0.tar.gz", "box"]


def test_a_link_that_leaves_only_after_the_top_directory_is_stripped(tmp_path: Path) -> None:
    archive = tar_of(
        tmp_path / "a.tar.gz", (member("t/x"), b""), (member("t/l", kind=tarfile.SYMTYPE, link="../t/x"), b"")
    )
    with pytest.raises(SourceError, match="outside the tree"):
        unpack(archive, tmp_path / "out")


def test_set_user_id_is_dropped(tmp_path: Path) -> None:
    archive = tar_of(tmp_path / "a.tar.gz", (member("t/su", mode=0o6777), b"#!/bin/sh\n"))
    unpack(archive, tmp_path / "out")
    assert (tmp_path / "out/su").stat().st_mode & 0o7777 == 0o755


def test_size_and_count_limits(tmp_path: Path) -> None:
    tarball(tmp_path / "big.tar.gz", {"zeros": "0" * 1_000_000, "b": "", "c": ""})
    with pytest.raises(SourceError, match="zeros: unpacks to more than 1000 bytes"):
        unpack(tmp_path / "big.tar.gz", tmp_path / "out", limits=Limits(size=1000))
    with pytest.raises(SourceError, match="more than 2 members"):
        unpack(tmp_path / "big.tar.gz", tmp_path / "out2", limits=Limits(members=2))


def test_hard_links_take_room_as_any_content_does(tmp_path: Path) -> None:
    links = [(member(f"t/again{n}", kind=tarfile.LNKTYPE, link="t/zeros"), b"") for n in range(3)]
    archive = tar_of(tmp_path / "a.tar.gz", (member("t/zeros"), b"0" * 1000), *links)
    with pytest.raises(SourceError, match="again2: unpacks to more than 3000 bytes"):
        unpack(archive, tmp_path / "out", limits=Limits(size=3000))
    unpack(archive, tmp_path / "out2", limits=Limits(size=4000))


@pytest.mark.parametrize("cut", [0.0, 0.3, 0.9])
def test_a_cut_archive_names_itself(tmp_path: Path, cut: float) -> None:
    path = tmp_path / "cut.tar.gz"
    tarball(path, {f"f{i}": os.urandom(2000).hex() for i in range(20)})
    path.write_bytes(path.read_bytes()[: int(path.stat().st_size * cut)])
    with pytest.raises(SourceError, match=r"cut\.tar\.gz: damaged archive, at or after member"):
        unpack(path, tmp_path / "out")


def test_a_damaged_zip_member_is_named(tmp_path: Path) -> None:
    path = tmp_path / "a.zip"
    with zipfile.ZipFile(path, "w") as bundle:
        bundle.writestr("t/a.c", "int a;" * 100)
    path.write_bytes(path.read_bytes().replace(b"int a;int a;", b"int b;int b;", 1))
    with pytest.raises(SourceError, match=r"a\.zip: damaged archive, at or after member t/a\.c"):
        unpack(path, tmp_path / "out")


def test_a_zip_with_a_symlink_is_refused(tmp_path: Path) -> None:
    with zipfile.ZipFile(tmp_path / "a.zip", "w") as bundle:
        info = zipfile.ZipInfo("t/link")
        info.external_attr = 0o120777 << 16
        bundle.writestr(info, "/etc/passwd")
    with pytest.raises(SourceError, match="special file"):
        unpack(tmp_path / "a.zip", tmp_path / "out")


def test_no_archive_at_all(tmp_path: Path) -> None:
    (tmp_path / "page.html").write_text("<html>")
    with pytest.raises(SourceError, match="not an archive"):
        unpack(tmp_path / "page.html", tmp_path / "out")
    (tmp_path / "page.tar.gz").write_text("<html>")
    with pytest.raises(SourceError, match="damaged"):
        unpack(tmp_path / "page.tar.gz", tmp_path / "out")


def test_links_that_lead_in_a_ring_are_refused(tmp_path: Path) -> None:
    ring = (member("t/a", kind=tarfile.SYMTYPE, link="b"), member("t/b", kind=tarfile.SYMTYPE, link="a"))
    archive = tar_of(tmp_path / "a.tar.gz", *((info, b"") for info in ring))
    with pytest.raises(SourceError, match="in a ring"):
        unpack(archive, tmp_path / "out")


def test_a_name_that_is_no_text_can_be_said_everywhere(tmp_path: Path) -> None:
    archive = tar_of(tmp_path / "a.tar.gz", (member("t/\udcff\x1b[31m", kind=tarfile.CHRTYPE), b""))
    with pytest.raises(SourceError) as caught:
        unpack(archive, tmp_path / "out")
    assert r"t/\udcff\x1b[31m" in str(caught.value).encode().decode()


def test_headers_larger_than_memory_are_refused(tmp_path: Path) -> None:
    info = tarfile.TarInfo("././@LongLink")
    info.type, info.size = tarfile.GNUTYPE_LONGNAME, 1 << 40
    (tmp_path / "a.tar").write_bytes(
        member("t/x").tobuf(tarfile.GNU_FORMAT) + info.tobuf(tarfile.GNU_FORMAT) + bytes(4096)
    )
    with pytest.raises(SourceError, match="a header of 1099511627776 bytes"):
        unpack(tmp_path / "a.tar", tmp_path / "out")


def test_a_zstd_bomb_is_stopped_while_it_unpacks(tmp_path: Path) -> None:
    if shutil.which("zstd") is None:
        pytest.skip("no zstd")
    with (tmp_path / "a.tar.zst").open("wb") as out:
        subprocess.run(["zstd", "-c"], input=bytes(30_000_000), stdout=out, check=True)
    with pytest.raises(SourceError, match="unpacks to more than"):
        unpack(tmp_path / "a.tar.zst", tmp_path / "out", limits=Limits(size=1000, members=10))


def test_a_full_disk_is_no_fault_of_the_archive(tmp_path: Path) -> None:
    tarball(tmp_path / "a.tar.gz", {"zeros": "0" * 3_000_000})
    with small_disk(tmp_path / "disk", "1m") as disk, pytest.raises(StoreError, match="no space left"):
        unpack(tmp_path / "a.tar.gz", disk / "out")


def test_a_full_cache_is_no_fault_of_the_network(tmp_path: Path) -> None:
    (tmp_path / "file").write_bytes(bytes(3_000_000))
    with small_disk(tmp_path / "disk", "1m") as disk, pytest.raises(StoreError, match="no space left"):
        download.fetch((tmp_path / "file").as_uri(), "0" * 64, "file", disk)
