"""A shared directory: a second disk, or a file server that all machines mount.

Needs what POSIX promises of rename and link, which NFS keeps: a name appears at once, and of two links to one name only
one succeeds.
"""

from __future__ import annotations

import contextlib
import os
from collections.abc import Callable, Iterator
from pathlib import Path

from farm.errors import StoreError
from farm.store.files import copy_new, disk_errors, fsync_dir, make_dirs, scan, temporary_name, write_new
from farm.store.remote.protocol import Entry

_TMP = "tmp"


class DirectoryRemote:
    """A Remote in a directory, which must exist: an unmounted disk must not look like an empty store."""

    writable = True

    def __init__(self, root: Path) -> None:
        self.root = root
        self.id = str(root)

    def read(self, name: str) -> bytes | None:
        """See Remote."""
        with self._errors():
            try:
                return (self.root / name).read_bytes()
            except (FileNotFoundError, NotADirectoryError):
                return None

    def download(self, name: str, target: Path, *, most: int) -> bool:
        """See Remote. `most` does not count: who fills a directory here can fill the disk anyway."""
        del most
        with self._errors():
            target.unlink(missing_ok=True)
            try:
                copy_new(self.root / name, target)
            except FileNotFoundError:
                if (self.root / name).exists():
                    raise
                return False
            return True

    def look(self, name: str) -> Entry | None:
        """See Remote."""
        with self._errors():
            try:
                facts = (self.root / name).stat()
            except (FileNotFoundError, NotADirectoryError):
                return None
            return Entry(name=name, size=facts.st_size, modified=facts.st_mtime)

    def create(self, name: str, data: bytes) -> bool:
        """See Remote."""
        with self._errors(), self._new() as temporary:
            write_new(temporary, data, mode=0o644)
            try:
                self._put_in_place(name, lambda place: os.link(temporary, place))
            except FileExistsError:
                return False
            return True

    def write(self, name: str, data: bytes) -> None:
        """See Remote."""
        with self._errors(), self._new() as temporary:
            write_new(temporary, data, mode=0o644)
            self._put_in_place(name, temporary.replace)

    def upload(self, name: str, source: Path, sha256: str) -> None:
        """See Remote. What was written is what is hashed: a file that changed meanwhile is refused."""
        with self._errors(), self._new() as temporary:
            written, _ = copy_new(source, temporary)
            if written != sha256:
                raise StoreError(f"changed while it was read: its sha256 is not {sha256[:12]}", where=str(source))
            self._put_in_place(name, temporary.replace)

    def entries(self, prefix: str) -> Iterator[Entry]:
        """See Remote."""
        with self._errors():
            yield from self._below(prefix.rstrip("/"))

    def remove(self, name: str) -> None:
        """See Remote."""
        with self._errors():
            (self.root / name).unlink(missing_ok=True)
            with contextlib.suppress(OSError):  # others are in it, or it is gone
                (self.root / name).parent.rmdir()

    def leftovers(self, older_than: float) -> Iterator[Entry]:
        """Files of writers that were killed."""
        with self._errors():
            for entry in scan(self.root / _TMP):
                facts = entry.stat(follow_symlinks=False)
                if facts.st_mtime < older_than:
                    name = str(Path(entry.path).relative_to(self.root))
                    yield Entry(name=name, size=facts.st_size, modified=facts.st_mtime)

    def remove_leftover(self, entry: Entry) -> None:
        """See Remote."""
        with self._errors():
            (self.root / entry.name).unlink(missing_ok=True)

    def _below(self, prefix: str) -> Iterator[Entry]:
        for entry in scan(self.root / prefix):
            name = f"{prefix}/{entry.name}"
            if entry.is_dir(follow_symlinks=False):
                yield from self._below(name)
            elif not entry.name.startswith("."):
                with contextlib.suppress(FileNotFoundError):  # removed meanwhile
                    facts = entry.stat(follow_symlinks=False)
                    yield Entry(name=name, size=facts.st_size, modified=facts.st_mtime)

    def _put_in_place(self, name: str, place: Callable[[Path], object]) -> None:
        """Give a finished file its name. Its folder may be removed by `remove` just now."""
        for last in (False, False, True):
            make_dirs((self.root / name).parent)
            try:
                place(self.root / name)
                break
            except FileNotFoundError:
                if last:
                    raise
        fsync_dir((self.root / name).parent)

    @contextlib.contextmanager
    def _new(self) -> Iterator[Path]:
        """A name for a file that nobody sees, and that is gone in the end."""
        make_dirs(self.root / _TMP)
        temporary = self.root / _TMP / temporary_name("new")
        try:
            yield temporary
        finally:
            temporary.unlink(missing_ok=True)

    @contextlib.contextmanager
    def _errors(self) -> Iterator[None]:
        if not self.root.is_dir():
            raise StoreError(
                "the shared store's directory does not exist",
                where=self.id,
                fix="mount it, or create it once: an empty directory is an empty store",
            )
        with disk_errors(self.root):
            yield
