"""A project of the package index, as pip on this machine is configured to reach it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from html.parser import HTMLParser
from urllib.parse import unquote, urlsplit

from packaging.utils import InvalidSdistFilename, canonicalize_name, parse_sdist_filename

from farm.errors import FarmError
from farm.fetch import page
from farm.fetch.download import CannotReachError
from farm.fetch.locations import CannotResolveError, Project, pypi_project
from farm.model import json_text
from farm.model.recipe_upkeep import Watch
from farm.watch import versions
from farm.watch.each import ask_each
from farm.watch.values import Answer, Asking, Offer, Silence

_KINDS = "application/vnd.pypi.simple.v1+json, application/vnd.pypi.simple.v1+html;q=0.2, text/html;q=0.1"  # PEP 691


class Pypi:
    """Only sdists count: the farm builds from source. Yanked ones (PEP 592) do not."""

    def ask(self, watches: Sequence[Watch], asking: Asking) -> Mapping[Watch, Answer]:
        """The releases of each project."""
        return ask_each(watches, _ask, asking)


def _ask(watch: Watch, asking: Asking) -> Answer:
    name = canonicalize_name(watch.at)
    try:
        project = pypi_project(name, cancel=asking.cancel)
    except CannotResolveError as error:
        return Silence(why=str(error))
    except FarmError as error:
        return Silence(why=error.what)
    found = offers(name, project, yanked(project))
    return found or Silence(why=f"the index has no sdist of {name}", reached=True)


def offers(name: str, project: Project, withdrawn: frozenset[str]) -> tuple[Offer, ...]:
    """The releases of a project that have an sdist which is not in `withdrawn`, oldest first."""
    seen: list[Offer] = []
    for file in project.files:
        if file in withdrawn:
            continue
        try:
            owner, version = parse_sdist_filename(file)
        except InvalidSdistFilename:
            continue
        if owner == name and not version.epoch and not version.local:
            seen.append(Offer(version=version, text=str(version)))
    return versions.ordered(seen)


def yanked(project: Project) -> frozenset[str]:
    """The files that the project's pages mark as yanked. pip does not tell, so the pages that it found are read again;
    one that cannot be (it wants a password, which pip keeps to itself) marks nothing."""
    found: set[str] = set()
    for address in project.pages:
        if urlsplit(address).scheme in ("https", "http") and "*" not in urlsplit(address).netloc:
            try:
                found |= _yanked_on(page.read(address, accept=_KINDS))
            except CannotReachError:
                continue
    return frozenset(found)


def _yanked_on(text: str) -> set[str]:
    if text.lstrip().startswith("{"):
        try:
            files = json_text.loads(text)["files"]
            return {str(file["filename"]) for file in files if file.get("yanked")}
        except (ValueError, KeyError, TypeError, AttributeError):
            return set()
    reader = _Links()
    reader.feed(text)
    return reader.yanked


class _Links(HTMLParser):
    def __init__(self) -> None:
        super().__init__()
        self.yanked: set[str] = set()

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        values = dict(attrs)
        if tag == "a" and "data-yanked" in values:
            self.yanked.add(unquote(urlsplit(values.get("href") or "").path).rpartition("/")[2])
