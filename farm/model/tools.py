"""The programs of the build machine that recipes may ask for, by the names they write.

One table: the name in a recipe's `requires.tools`, the programs it stands for, the package that brings them.
"""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True, kw_only=True)
class Tool:
    """`programs` without ``?`` must be there; those with it are taken when they are."""

    programs: tuple[str, ...]
    package: str


def _tool(programs: str, package: str) -> Tool:
    return Tool(programs=tuple(programs.split()), package=package)


BASIC = {
    "coreutils": _tool(
        "[ basename cat chmod cksum comm cp cut date dd dirname echo env expr false fold head id install join ln ls "
        "md5sum mkdir mkfifo mktemp mv nl nproc od paste printf pwd readlink realpath rm rmdir seq sha1sum sha256sum "
        "sleep sort split stat sum tac tail tee test touch tr true truncate tsort uname uniq wc whoami "
        "arch? csplit? nohup? stty? timeout? yes?",
        "coreutils",
    ),
    "sh": _tool("sh bash", "bash"),
    "sed": _tool("sed", "sed"),
    "grep": _tool("grep egrep fgrep", "grep"),
    "awk": _tool("awk gawk? mawk?", "mawk"),
    "find": _tool("find xargs", "findutils"),
    "diff": _tool("diff cmp", "diffutils"),
    "tar": _tool("tar", "tar"),
    "gzip": _tool("gzip gunzip zcat?", "gzip"),
    "bzip2": _tool("bzip2", "bzip2"),
    "xz": _tool("xz", "xz-utils"),
    "file": _tool("file", "file"),
    "hostname": _tool("hostname?", "hostname"),
    "make": _tool("make", "make"),
    "patch": _tool("patch", "patch"),
    "m4": _tool("m4", "m4"),
    "nm": _tool("nm objdump? readelf?", "binutils"),
    "pkg-config": _tool("pkg-config pkgconf?", "pkg-config"),
}

EXTRA = {
    "c++": _tool("", ""),  # the toolchain has it; to name it is to have its run time ready
    "autoconf": _tool("autoconf autoheader autom4te autoreconf autoupdate? autoscan? ifnames? perl", "autoconf"),
    "automake": _tool("automake aclocal perl", "automake"),
    "libtool": _tool("libtoolize libtool?", "libtool"),
    "perl": _tool("perl", "perl"),
    "python3": _tool("python3", "python3"),
    "cmake": _tool("cmake ctest? cpack?", "cmake"),
    "ninja": _tool("ninja", "ninja-build"),
    "meson": _tool("meson ninja python3", "meson"),
    "llvm-nm": _tool("llvm-nm", "llvm"),  # reads what binutils were not made for: Mach-O, Windows on ARM
    "nasm": _tool("nasm", "nasm"),
    "yasm": _tool("yasm", "yasm"),
    "bison": _tool("bison yacc?", "bison"),
    "flex": _tool("flex lex?", "flex"),
    "gperf": _tool("gperf", "gperf"),
    "git": _tool("git", "git"),
    "gettext": _tool("msgfmt xgettext msgmerge", "gettext"),
    "texinfo": _tool("makeinfo texi2any?", "texinfo"),
    "f2c": _tool("f2c", "f2c"),
    "unzip": _tool("unzip", "unzip"),
    "zstd": _tool("zstd", "zstd"),
}

BY_SYSTEM = {"cmake": ("cmake", "ninja"), "meson": ("meson", "ninja")}
"""Tools that a build system brings along without being asked for."""
