"""A source package of Debian, as apt on this machine is configured to reach it: from the signed index of `unstable`,
where new releases come first."""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass

from farm.errors import FarmError
from farm.fetch import apt
from farm.model.recipe_upkeep import Watch
from farm.store.files import file_lock
from farm.watch import versions
from farm.watch.values import Answer, Asking, Offer, Silence

UNSTABLE = ("unstable",)
EVERY_SUITE = ("unstable", "testing", "stable", "oldstable")

_AT_ONCE = 2000  # names on one command line
_FIELD = re.compile(r"([A-Z][\w-]*):[ \t]*(.*)")
_POOL = re.compile(r"pool/main/[a-z0-9]+/([a-z0-9][a-z0-9+.-]*)")
_CHECKSUM = re.compile(r"\s*([0-9a-f]{64}) (\d+) (\S+)")
ORIGINAL = re.compile(r"[^_]+_(?P<version>[^_]+?)\.orig(?P<part>-[A-Za-z0-9-]+)?\.tar\.[a-z0-9]+")


@dataclass(frozen=True, slots=True, kw_only=True)
class Tarball:
    """One original tarball of a source package: `location` as a recipe writes it, `part` the name of an additional
    one, `size` in bytes. The hash is the signed index's."""

    location: str
    version: str
    part: str
    size: int
    sha256: str


class Debian:
    """Asks for all source packages at once."""

    def ask(self, watches: Sequence[Watch], asking: Asking) -> Mapping[Watch, Answer]:
        """The releases of each source package."""
        try:
            known = tarballs([watch.at for watch in watches], asking)
        except FarmError as error:
            why = f"{error.what} ({error.fix})" if error.fix else error.what
            return dict.fromkeys(watches, Silence(why=why))
        return {watch: _answer(watch.at, known.get(watch.at, ())) for watch in watches}


def _answer(source: str, files: Iterable[Tarball]) -> Answer:
    offers: list[Offer] = []
    for file in files:
        version = versions.of_debian(file.version)
        offers += versions.offer(str(version), version)
    return versions.ordered(offers) or Silence(
        why=f"Debian's {UNSTABLE[0]} has no release of a source package {source!r}", reached=True
    )


def tarballs(
    sources: Sequence[str], asking: Asking, *, suites: Sequence[str] = UNSTABLE
) -> dict[str, tuple[Tarball, ...]]:
    """Source package -> its original tarballs in the suites.

    The index is kept in the cache and fetched again only if it changed. Raises MissingToolError, UnreachableError.
    """
    place = asking.cache / "apt" / f"sources-{'-'.join(suites)}"
    place.mkdir(parents=True, exist_ok=True)
    shown: list[str] = []
    with file_lock(place / "farm.lock"):
        own = apt.configure(place, suites, kind="deb-src")
        own.update(accept_expired=asking.accept_expired, cancel=asking.cancel)
        for start in range(0, len(sources), _AT_ONCE):
            names = sources[start : start + _AT_ONCE]
            shown.append(own.cache("showsrc", "--only-source", "--", *names, cancel=asking.cancel))
    found: defaultdict[str, dict[str, Tarball]] = defaultdict(dict)
    for stanza in "\n\n".join(shown).split("\n\n"):
        for source, tarball in _parse(stanza):
            found[source][tarball.location] = tarball
    return {source: tuple(files.values()) for source, files in found.items()}


def _parse(stanza: str) -> Iterator[tuple[str, Tarball]]:
    """The tarballs of one stanza of a Sources file (deb-src-control(5))."""
    fields: defaultdict[str, list[str]] = defaultdict(list)
    key = ""
    for line in stanza.splitlines():
        match = _FIELD.match(line)
        key = match[1] if match else key
        fields[key].append(match[2] if match else line)
    directory = _POOL.fullmatch("".join(fields["Directory"]))
    if directory is None:
        return
    source = "".join(fields["Package"])
    for line in fields["Checksums-Sha256"]:
        checksum = _CHECKSUM.fullmatch(line)
        name = ORIGINAL.fullmatch(checksum[3]) if checksum else None
        if checksum is None or name is None:
            continue
        own = checksum[3].partition("_")[0] == directory[1]
        yield (
            source,
            Tarball(
                location=f"debian:{checksum[3]}" if own else f"debian:{directory[1]}/{checksum[3]}",
                version=name["version"],
                part=name["part"] or "",
                size=int(checksum[2]),
                sha256=checksum[1],
            ),
        )
