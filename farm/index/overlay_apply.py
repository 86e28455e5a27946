"""What a channel offers, from what was published and the overlays it holds.

A wheel that overlays change is repacked: METADATA, WHEEL and RECORD are new, every other member keeps its packed bytes.
The same wheel and the same overlays give the same file on every machine. The original stays beside it, yanked: who asks
for it by its hash still gets it, nobody else does (docs/decisions/005-metadata-overlays.md).
"""

from __future__ import annotations

import hashlib
import logging
import shutil
from collections.abc import Iterable, Mapping
from dataclasses import replace as changed
from datetime import datetime
from pathlib import Path

from farm.errors import IndexFormatError, OverlayError
from farm.index import overlay_edit, overlay_file, pool
from farm.index.contents import Contents, Correction, IndexFile, PublishedFile, SignedOverlay, rfc3339
from farm.index.overlay import Overlay
from farm.model.shown import some
from farm.store.files import make_dirs, temporary_name
from farm.wheel import edit, metadata, names
from farm.wheel.metadata import Headers

_log = logging.getLogger(__name__)
_DIGITS = 8  # of the hash in a corrected wheel's build tag


def applied(root: Path, published: Contents, *, moment: datetime) -> Contents:
    """What is offered at a moment, from files as they were published; missing repacked wheels are made and added to
    the pool below `root`. What has expired is forgotten. Only called under the index's lock.

    Raises OverlayError for overlays that contradict each other, BinaryFormatError for a wheel that cannot be repacked.
    """
    held = {name: o for name, o in published.overlays.items() if read(o).expires > moment}
    files, corrections = dict(published.files), {}
    for filename, chosen in _chosen(published, active(held)).items():
        original = published.files[filename]
        old = _metadata(root, original)
        overlays = [overlay for overlay in chosen if _changes(overlay, old, filename)]
        if not overlays:
            continue
        made = _corrected(root, published, original, overlay_edit.edited(old, overlays, filename), moment)
        corrections[made.filename] = Correction(
            original=original, corrected=made, overlays=tuple(overlay.name for overlay in overlays)
        )
        files[made.filename] = made
        # Also whoever pins the version is to get no wheel that its Requires-Python has been found to exclude.
        reason = original.yanked or f"metadata corrected by {', '.join(o.name for o in overlays)}: {overlays[0].reason}"
        files[filename] = changed(original, yanked=reason, requires_python=made.requires_python)
    new_contents = changed(published, files=files, overlays=held, corrections=corrections)
    _say_what_is_idle(published, new_contents)
    return new_contents


def read(held: SignedOverlay) -> Overlay:
    """The overlay in its document. Raises OverlayError."""
    return overlay_file.parse(held.document.encode(), f"overlay {held.name}")


def active(overlays: Mapping[str, SignedOverlay]) -> dict[str, Overlay]:
    """Those that nobody has ended, read, by name."""
    return {name: read(overlays[name]) for name in sorted(overlays) if not overlays[name].ended}


def affected(root: Path, published: Contents, overlay: Overlay) -> tuple[str, ...]:
    """The published files that an overlay alone would change. Raises OverlayError if it selects none, or changes
    nothing in those it selects."""
    where = f"overlay {overlay.name}"
    of_project = [file for file in published.files.values() if file.project == overlay.project]
    if not of_project:
        raise OverlayError(
            f"the channel has no project {overlay.project!r}", where=where, fix="write the name as its page has it"
        )
    chosen = [file for file in of_project if overlay.selects(file.filename, file.version)]
    if not chosen:
        wanted = overlay.versions or ", ".join(overlay.files)
        raise OverlayError(
            f"no file of {overlay.project} is {wanted}; there are {_some(file.filename for file in of_project)}",
            where=where,
            fix="select published versions (`versions`) or name published files (`files`)",
        )
    changing = tuple(file.filename for file in chosen if _changes(overlay, _metadata(root, file), file.filename))
    if not changing:
        raise OverlayError(
            f"changes nothing in {_some(file.filename for file in chosen)}: what it asks for is there, or what it "
            "names is not required",
            where=where,
            fix="look at the METADATA of these wheels; `add` makes new requirements",
        )
    return changing


def check_none_lost(old: Contents, new: Contents, *, channel: str, moment: datetime) -> None:
    """Raises OverlayError if a channel that holds `old` would lose a correction that `new` never had."""
    unknown = active({name: held for name, held in old.overlays.items() if name not in new.overlays})
    if lost := [name for name, overlay in unknown.items() if overlay.expires > moment]:
        raise OverlayError(
            f"its metadata overlays {', '.join(lost)} are not in what is promoted and would be lost",
            where=f"channel {channel!r}",
            fix="add them to the channel that is promoted from (`farm index overlay show NAME --export DIR`), "
            "remove them, or promote with --drop-overlays",
        )


def _chosen(published: Contents, overlays: Mapping[str, Overlay]) -> dict[str, list[Overlay]]:
    """File name -> the overlays that select it, both sorted."""
    projects = published.projects() if overlays else {}
    found: dict[str, list[Overlay]] = {}
    for overlay in overlays.values():
        for file in projects.get(overlay.project, ()):
            if overlay.selects(file.filename, file.version):
                found.setdefault(file.filename, []).append(overlay)
    return {name: found[name] for name in sorted(found)}


def _metadata(root: Path, original: PublishedFile) -> Headers:
    """The METADATA of a published wheel, which lies beside it."""
    place = root / f"{original.location}.metadata"
    try:
        content = place.read_bytes()
    except FileNotFoundError:
        content = b""
    if hashlib.sha256(content).hexdigest() != original.metadata_sha256:
        raise IndexFormatError(
            "is missing or damaged", where=str(place), fix="publish the wheel again (`farm index build WHEEL`)"
        )
    return metadata.parse_metadata(content, names.parse(original.filename), original.filename)


def _changes(overlay: Overlay, old: Headers, where: str) -> bool:
    return overlay_edit.edited(old, [overlay], where) != old


def corrected_name(original: PublishedFile, metadata_sha256: str) -> str:
    """The file name of a repacked wheel: the build tag goes up by a part that is made of its content.

    ``x-1.0-py3-none-any.whl`` -> ``x-1.0-0.3fa9c2d1-py3-none-any.whl``; build ``2`` -> ``2.3fa9c2d1``. So a name means
    one content, installers prefer it to the original, and a later rebuild with a higher number still wins.
    """
    name = names.parse(original.filename)
    digest = hashlib.sha256(f"{original.sha256} {metadata_sha256}".encode()).hexdigest()
    return name.with_build(f"{name.build or '0'}.{digest[:_DIGITS]}").filename


def _corrected(
    root: Path, published: Contents, original: PublishedFile, new: Headers, moment: datetime
) -> PublishedFile:
    """The repacked wheel, as it is offered: the one that is there, or a new one."""
    content = new.format()
    metadata_sha256 = hashlib.sha256(content).hexdigest()
    filename = corrected_name(original, metadata_sha256)
    known = published.corrections.get(filename)
    if known is not None and (root / known.corrected.location).is_file():
        return changed(known.corrected, yanked=original.yanked)
    made = _repack(root, original, content, filename, moment)
    there = published.files.get(filename, made)
    if there.sha256 != made.sha256:
        raise IndexFormatError(
            "a wheel of this name and other content was published",
            where=filename,
            fix="yank it, or build it again with a higher build tag: the name is that of a corrected wheel",
        )
    return changed(made, yanked=original.yanked)


def _repack(root: Path, original: PublishedFile, new: bytes, filename: str, moment: datetime) -> PublishedFile:
    changes = edit.WheelEdits(build=names.parse(filename).build, metadata=new)
    scratch = root / temporary_name(".overlay@")  # of a form that the next writer removes if this one is killed
    make_dirs(scratch)
    try:
        wheel = edit.edit(root / original.location, scratch, changes)
        wheel.chmod(0o444)  # so that the pool links it
        candidate = pool.inspect(IndexFile(path=wheel), uploaded=rfc3339(moment))
        pool.add(root, candidate)
    finally:
        shutil.rmtree(scratch, ignore_errors=True)
    return candidate.published


def _say_what_is_idle(old: Contents, new: Contents) -> None:
    """A new release may need an overlay no more; somebody should take it off."""
    before = {name for correction in old.corrections.values() for name in correction.overlays}
    now = {name for correction in new.corrections.values() for name in correction.overlays}
    for name in sorted((before - now) & active(new.overlays).keys()):
        _log.warning("metadata overlay %s matches no file of the channel any more", name)


def _some(texts: Iterable[str]) -> str:
    return some(sorted(texts), 3)
