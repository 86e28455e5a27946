"""Channels as generations: a publish writes a new immutable directory beside the old ones, then flips one link.

::

    index/files/<aa>/<sha256>/<wheel>, <wheel>.metadata     shared by all generations
    index/staging@000012/simple/<project>/index.html, index.json
    index/staging@000012/generation.json, files.json
    index/staging -> staging@000012                         the channel: one symbolic link, replaced in one step

Whoever is killed at any moment leaves the channel at the old or the new generation. Writers wait for each other on a
file lock that the kernel releases when they die; readers need no lock. docs/index.md says more.
"""

from __future__ import annotations

import shutil
from collections.abc import Callable, Collection, Iterable
from contextlib import AbstractContextManager
from dataclasses import replace as changed
from datetime import UTC, datetime

from farm.errors import IndexFormatError
from farm.index import pages, pool
from farm.index.contents import ACTIVE, STATUSES, Contents, IndexFile, ProjectStatus, rfc3339
from farm.index.generation import Generation, describe, generation_name
from farm.index.reading import IndexReader, check_channel
from farm.index.simple import PAGES_VERSION
from farm.store.files import disk_errors, file_lock, fsync_dir, make_dirs, temporary_name


class Index(IndexReader):
    """The channels below `root`, and the operations on them; safe for many processes at once.

    Each change makes one new generation, or none if nothing changes. Metadata overlays that a channel holds
    (`farm.index.overlays`) are applied again with each; names of corrected wheels stand for their originals.
    """

    def publish(
        self,
        channel: str,
        files: Iterable[IndexFile],
        *,
        comment: str = "",
        now: datetime | None = None,
        replace: bool = False,
        onto: Contents | None = None,
        dropped: Collection[str] = (),
    ) -> Generation:
        """Add wheels to a channel and return the generation that is served then. With `onto` they are added to that
        instead of what the channel offers; files that are called as in `dropped` are offered no more.

        Every wheel is verified first (RECORD, METADATA, what it requires); one bad wheel and nothing is published. A
        file that is there with other content is an error: publish it under a higher build tag or revision, or say
        `replace`. Raises BinaryFormatError, IndexFormatError, StoreError (disk).
        """
        moment = now or datetime.now(UTC)
        uploaded = rfc3339(moment)
        found = [pool.accept(file, uploaded=uploaded) for file in files]
        pool.check_unique(found)

        def add(old: Contents) -> Contents:
            start = old if onto is None else onto.as_published()
            merged = {name: file for name, file in start.files.items() if name not in dropped}
            for candidate in found:
                new = candidate.published
                made = start.corrections.get(new.filename)
                if made is not None and made.corrected.sha256 == new.sha256:
                    continue  # made by an overlay, and offered for as long as that holds
                there = merged.get(new.filename)
                if there is not None and there.sha256 == new.sha256:
                    new = there
                elif there is not None and not replace:
                    raise IndexFormatError(
                        f"channel {channel!r} has {new.filename} with other content (sha256 {there.sha256[:12]}, "
                        f"not {new.sha256[:12]})",
                        where=str(candidate.source),
                        fix="raise the recipe's `revision` or the wheel's build tag, or publish with --replace",
                    )
                pool.add(self.root, candidate)
                merged[new.filename] = new
            return changed(start, files=merged)

        return self.change(channel, add, comment=comment, now=moment)

    def remove(
        self, channel: str, filenames: Collection[str], *, comment: str = "", now: datetime | None = None
    ) -> Generation:
        """Offer files no more; older generations still do."""

        def drop(old: Contents) -> Contents:
            gone = old.published_names(filenames, channel)
            return changed(old, files={name: file for name, file in old.files.items() if name not in gone})

        return self.change(channel, drop, comment=comment, now=now)

    def yank(
        self, channel: str, filenames: Collection[str], reason: str | None, *, now: datetime | None = None
    ) -> Generation:
        """Mark files as yanked with a reason (PEP 592); None takes it back."""

        def mark(old: Contents) -> Contents:
            marked = {name: changed(old.files[name], yanked=reason) for name in old.published_names(filenames, channel)}
            return changed(old, files={**old.files, **marked})

        verb = "unyank" if reason is None else "yank"
        return self.change(channel, mark, comment=f"{verb} {', '.join(sorted(filenames))}", now=now)

    def set_status(
        self, channel: str, project: str, status: ProjectStatus, *, now: datetime | None = None
    ) -> Generation:
        """Set a project's status (PEP 792)."""
        if status.status not in STATUSES:
            raise IndexFormatError(
                f"{status.status!r} is no status of a project", where=project, fix=f"use one of {', '.join(STATUSES)}"
            )

        def mark(old: Contents) -> Contents:
            if project not in {file.project for file in old.files.values()}:
                raise IndexFormatError(
                    f"channel {channel!r} has no project {project!r}",
                    where=str(self.root),
                    fix="look at the files.json of its generation",
                )
            others = {name: value for name, value in old.statuses.items() if name != project}
            return changed(old, statuses=others if status == ACTIVE else {**others, project: status})

        return self.change(channel, mark, comment=f"{project} is {status.status}", now=now)

    def promote(
        self,
        generation: Generation,
        channel: str,
        *,
        comment: str = "",
        now: datetime | None = None,
        instead_of: int | None = None,
        drop_overlays: bool = False,
    ) -> Generation:
        """Make `channel` hold exactly what another channel's generation holds, overlays and all.

        Raises ChannelMovedError if it serves another generation than `instead_of` (0: none), OverlayError if it would
        lose overlays that the other one never had, unless `drop_overlays`.
        """
        wanted = self.contents(generation)

        def take(old: Contents) -> Contents:
            if old.overlays and not drop_overlays:
                from farm.index import overlay_apply

                overlay_apply.check_none_lost(old, wanted, channel=channel, moment=now or datetime.now(UTC))
            return wanted

        comment = comment or f"promoted from {generation.name}"
        return self.change(channel, take, comment=comment, now=now, exact=True, instead_of=instead_of)

    def rebuild(self, channel: str, *, now: datetime | None = None) -> Generation:
        """Render all pages anew from the same content, as a new generation."""
        return self.change(channel, lambda old: old, comment="pages rendered anew", now=now, exact=True, force=True)

    def rollback(self, channel: str, number: int, *, instead_of: int | None = None) -> Generation:
        """Serve an older (or newer) generation that is kept. The next publish continues from there. Raises
        ChannelMovedError if another one than `instead_of` is served."""
        with disk_errors(self.root), self.locked():
            self.check_served(channel, instead_of)
            generation = self.generation(channel, number)
            self._flip(generation)
            return generation

    def prune(self, channel: str, *, keep: int) -> tuple[Generation, ...]:
        """Remove all but the newest `keep` generations, never the one that is served nor the newest; then the files
        that no generation of any channel offers. Returns what was removed."""
        with disk_errors(self.root), self.locked():
            pool.clean(self.root)
            numbers = self.numbers(channel)
            kept = {*numbers[max(0, len(numbers) - max(keep, 1)) :], self.current_number(channel)}
            gone = tuple(self.generation(channel, number) for number in numbers if number not in kept)
            for generation in gone:
                trash = self.root / temporary_name(f".{generation.name}")
                self.path(generation).rename(trash)
                shutil.rmtree(trash)
            pool.sweep(self.root, self.live())
            return gone

    def drop(self, channel: str) -> None:
        """Remove a channel with all its generations. What other channels offer stays. Removing twice is safe."""
        check_channel(channel)
        with disk_errors(self.root), self.locked():
            pool.clean(self.root)
            (self.root / channel).unlink(missing_ok=True)
            for number in self.numbers(channel):
                trash = self.root / temporary_name(f".{channel}@")
                (self.root / generation_name(channel, number)).rename(trash)
                shutil.rmtree(trash)
            pool.sweep(self.root, self.live())

    def change(
        self,
        channel: str,
        change: Callable[[Contents], Contents],
        *,
        comment: str,
        now: datetime | None = None,
        exact: bool = False,
        force: bool = False,
        instead_of: int | None = None,
    ) -> Generation:
        """One new generation under the lock, if `change` changes something, and the flip to it.

        `change` gets the files as they were published, and overlays are applied to what it returns; with `exact` it
        gets what is offered and returns what is to be offered. `force` makes a generation in any case.
        """
        check_channel(channel)
        moment = now or datetime.now(UTC)
        with disk_errors(self.root), self.locked():
            pool.clean(self.root)
            self.check_served(channel, instead_of)
            parent = self.current(channel)
            old = self.contents(parent) if parent else Contents()
            new = change(old) if exact else self._with_overlays(change(old.as_published()), moment)
            if parent is not None and new == old and not force:
                return parent
            generation = describe(
                old,
                new,
                channel=channel,
                number=max(self.numbers(channel), default=0) + 1,
                parent=parent.number if parent else 0,
                created=rfc3339(moment),
                comment=comment,
                pages=PAGES_VERSION,
            )
            reuse = self.path(parent) if parent and parent.pages == PAGES_VERSION and not force else None
            temporary = self.root / temporary_name(f".{generation.name}")
            try:
                pages.write(temporary, generation, new, reuse=reuse, old=old)
                temporary.rename(self.path(generation))
            except BaseException:  # on a full disk each byte counts; what a killed writer leaves the next one removes
                shutil.rmtree(temporary, ignore_errors=True)
                raise
            fsync_dir(self.root)
            self._flip(generation)
            return generation

    def _with_overlays(self, published: Contents, moment: datetime) -> Contents:
        if not published.overlays:
            return changed(published, corrections={})
        from farm.index import overlay_apply  # most channels need none of it

        return overlay_apply.applied(self.root, published, moment=moment)

    def _flip(self, generation: Generation) -> None:
        link = self.root / generation.channel
        if link.exists() and not link.is_symlink():
            raise IndexFormatError("is in the way of the channel's link", where=str(link), fix="move it away")
        temporary = self.root / temporary_name(f".{generation.channel}@")
        temporary.symlink_to(generation.name)
        temporary.replace(link)
        fsync_dir(self.root)

    def locked(self) -> AbstractContextManager[None]:
        """Nobody else changes any channel meanwhile."""
        make_dirs(self.root)
        return file_lock(self.root / ".lock")
