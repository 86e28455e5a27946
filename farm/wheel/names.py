"""Wheel file names (the binary distribution format, PEP 427 as amended), parsed with `packaging`; what tags imply."""

from __future__ import annotations

from dataclasses import dataclass, replace

from packaging.tags import parse_tag
from packaging.utils import (
    InvalidWheelFilename,
    NormalizedName,
    canonicalize_name,
    canonicalize_version,
    parse_wheel_filename,
)
from packaging.version import Version

from farm.errors import BinaryFormatError


@dataclass(frozen=True, slots=True, kw_only=True)
class WheelName:
    """The parts of a wheel's file name, as written.

    `distribution` and `version` are escaped as in the file name (``native_gmp``, ``10!6.3.0``); `build` is empty or
    starts with digits; `python`, `abi` and `platform` may be compressed sets (``py2.py3``).
    """

    distribution: str
    version: str
    build: str = ""
    python: str
    abi: str
    platform: str

    @property
    def filename(self) -> str:
        """The wheel's file name (PEP 427)."""
        build = (self.build,) if self.build else ()
        return "-".join((self.distribution, self.version, *build, self.tag)) + ".whl"

    @property
    def tag(self) -> str:
        """The compressed tag: ``py3-none-manylinux_2_17_x86_64``."""
        return f"{self.python}-{self.abi}-{self.platform}"

    @property
    def tags(self) -> tuple[str, ...]:
        """The expanded tags, as the WHEEL file lists them, sorted."""
        return tuple(sorted(str(tag) for tag in parse_tag(self.tag)))

    @property
    def dist_info(self) -> str:
        """The name of its ``.dist-info`` directory."""
        return f"{self.distribution}-{self.version}.dist-info"

    @property
    def data(self) -> str:
        """The name of its ``.data`` directory."""
        return f"{self.distribution}-{self.version}.data"

    @property
    def project(self) -> NormalizedName:
        """The normalised project name (PEP 503): ``native-gmp``."""
        return canonicalize_name(self.distribution)

    @property
    def parsed_version(self) -> Version:
        """The version as a value that compares."""
        return Version(self.version)

    def with_tag(self, tag: str) -> WheelName:
        """The same wheel under another compressed tag. Raises BinaryFormatError if it has not three parts."""
        parts = tag.split("-")
        if len(parts) != 3:
            raise BinaryFormatError(
                f"{tag!r} is not a tag of the form python-abi-platform",
                where=self.filename,
                fix="write it like cp311-cp311-manylinux_2_17_x86_64",
            )
        changed = replace(self, python=parts[0], abi=parts[1], platform=parts[2])
        return parse(changed.filename)

    def with_build(self, build: str) -> WheelName:
        """The same wheel under another build tag; empty removes it."""
        return parse(replace(self, build=build).filename)

    def is_dist_info(self, folder: str) -> bool:
        """True if `folder` is this wheel's ``.dist-info`` directory in any spelling that installers accept."""
        name, dash, version = folder.removesuffix(".dist-info").partition("-")
        return (
            folder.endswith(".dist-info")
            and bool(dash)
            and canonicalize_name(name) == self.project
            and canonicalize_version(version) == canonicalize_version(self.version)
        )


def parse(filename: str) -> WheelName:
    """Split a wheel's file name. Raises BinaryFormatError if it is not one."""
    if "/" in filename or "\\" in filename or not filename.isprintable():
        raise BinaryFormatError(
            "is not a plain file name",
            where=repr(filename),
            fix="give the wheel's own file name, without directories or control characters",
        )
    try:
        parse_wheel_filename(filename)
    except InvalidWheelFilename as error:
        raise BinaryFormatError(
            f"is not the file name of a wheel: {error}",
            where=filename,
            fix="name it {distribution}-{version}(-{build})-{python}-{abi}-{platform}.whl",
        ) from error
    parts = filename.removesuffix(".whl").split("-")
    build = parts.pop(2) if len(parts) == 6 else ""
    return WheelName(
        distribution=parts[0], version=parts[1], build=build, python=parts[2], abi=parts[3], platform=parts[4]
    )


def musl_libc(arch: str) -> str:
    """The name of musl's libc on users' machines, by the architecture of a wheel tag."""
    return f"libc.musl-{ {'i686': 'x86', 'armv7l': 'armv7'}.get(arch, arch) }.so.1"


def installed(member: str) -> str | None:
    """Where a member of a wheel lies below the site directory; None for scripts, headers and data, which go elsewhere.

    As for installers, any top directory that is called ``*.data`` is one of schemes.
    """
    top, _, rest = member.partition("/")
    if not top.endswith(".data") or not rest:
        return member
    scheme, _, inside = rest.partition("/")
    return inside if scheme in ("purelib", "platlib") and inside else None
