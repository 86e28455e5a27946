"""Writing the directory of a generation: pages of changed projects are rendered, all others are hard links."""

from __future__ import annotations

import os
import shutil
from collections.abc import Callable
from pathlib import Path

from farm.index import simple
from farm.index.contents import Contents
from farm.index.generation import Generation

_FEW = 100  # files that are worth an fsync each; more are cheaper to sync with everything else


def write(target: Path, generation: Generation, contents: Contents, *, reuse: Path | None, old: Contents) -> None:
    """Make `target`, durably. `reuse` is the directory of the generation that holds `old`, if its pages may be used."""
    written = _Written()
    (target / "simple").mkdir(parents=True)
    projects, before = contents.projects(), old.projects()
    source = None if reuse is None else reuse / "simple"
    same_list = source if projects.keys() == before.keys() else None
    _pair(
        target / "simple",
        same_list,
        (lambda: simple.root_html(projects), lambda: simple.root_json(projects)),
        written,
    )
    for project, files in projects.items():
        folder = target / "simple" / project
        folder.mkdir()
        status = contents.status(project)
        same = before.get(project) == files and old.status(project) == status
        _pair(
            folder,
            source / project if source is not None and same else None,
            (
                lambda p=project, f=files, s=status: simple.project_html(p, f, s),  # type: ignore[misc]
                lambda p=project, f=files, s=status: simple.project_json(p, f, s),  # type: ignore[misc]
            ),
            written,
        )
    written.write(target / "files.json", contents.dump())
    written.write(target / "generation.json", generation.dump())
    written.sync(target)


class _Written:
    """The files that were written (not linked), to make them durable together."""

    def __init__(self) -> None:
        self.paths: list[Path] = []

    def write(self, path: Path, content: bytes) -> None:
        """Write a new file, to be made durable by `sync`."""
        handle = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o644)
        with os.fdopen(handle, "wb") as stream:
            stream.write(content)
        self.paths.append(path)

    def sync(self, target: Path) -> None:
        """Make all that was written durable, with the directories that hold it."""
        folders = {target, target / "simple", *(path.parent for path in self.paths)}
        if len(self.paths) > _FEW:
            os.sync()
            return
        for path in (*self.paths, *folders):
            handle = os.open(path, os.O_RDONLY)
            try:
                os.fsync(handle)
            finally:
                os.close(handle)


def _pair(
    folder: Path, source: Path | None, render: tuple[Callable[[], bytes], Callable[[], bytes]], written: _Written
) -> None:
    for name, make in zip(("index.html", "index.json"), render, strict=True):
        if source is None or not _link(source / name, folder / name):
            written.write(folder / name, make())


def _link(source: Path, target: Path) -> bool:
    """False if the page has to be rendered: the old one is not there. Copied where no link can be made."""
    try:
        os.link(source, target)
    except FileNotFoundError:
        return False
    except OSError:
        try:
            shutil.copyfile(source, target)
        except FileNotFoundError:
            return False
    return True
