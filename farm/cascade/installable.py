"""Can everything that a generation offers be installed, with nothing but what it offers?

`resolvelib` (the resolver that pip is built on) is asked for each file and each platform and Python that takes it, in
this process and from the METADATA files of the index. A question costs about a millisecond where `pip --dry-run` costs
a second, so all of them are asked; and pip judges markers by the Python that runs it, whatever `--python-version` says.
A test holds the answers against pip's own.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any

from packaging.markers import UndefinedComparison, UndefinedEnvironmentName
from packaging.requirements import InvalidRequirement, Requirement
from packaging.specifiers import InvalidSpecifier
from packaging.tags import Tag
from packaging.utils import canonicalize_name, parse_wheel_filename
from packaging.version import Version
from resolvelib import AbstractProvider, BaseReporter, ResolutionImpossible, ResolutionTooDeep, Resolver

from farm.cascade.targets import Target
from farm.index.contents import Contents, PublishedFile
from farm.model import pypa

OURS = "native-"  # projects that come from the farm alone: nothing else may stand for them
_ROUNDS = 5000


@dataclass(frozen=True, slots=True, kw_only=True)
class Problem:
    """A file that a target takes and cannot be installed there, and why."""

    filename: str
    target: str
    why: str

    def __str__(self) -> str:
        return f"{self.filename} on {self.target}: {self.why}"


@dataclass(frozen=True, slots=True, kw_only=True)
class Answer:
    """`asked` counts questions, `outside` are projects that are required and not offered here."""

    asked: int = 0
    problems: tuple[Problem, ...] = ()
    outside: tuple[str, ...] = ()


@dataclass(frozen=True)
class _File:
    published: PublishedFile
    version: Version
    build: tuple[()] | tuple[int, str]
    tags: frozenset[Tag]
    read: Callable[[PublishedFile], Sequence[str]] = field(repr=False)

    @cached_property
    def requires(self) -> tuple[Requirement, ...]:
        return tuple(pypa.requirement(line) for line in self.read(self.published))


def check(
    contents: Contents,
    wanted: Iterable[Target],
    requires: Callable[[PublishedFile], Sequence[str]],
    *,
    apart: Mapping[str, frozenset[str]] | None = None,
) -> Answer:
    """Ask of every file that is offered whether each target which takes it can install it.

    `requires` gives the Requires-Dist lines of a file. What a project needs that is not offered at all counts as had
    from elsewhere, and is listed, but for the farm's own native packages. `apart`: project -> files that must not be
    installed with what is offered of it.
    """
    offered = _offered(contents, requires)
    problems: list[Problem] = []
    outside: set[str] = set()
    asked = 0
    seen: set[tuple[str, str]] = set()  # a wheel that takes any Python and needs nothing is asked for once a platform
    for target in wanted:
        for project, files in offered.items():
            for chosen in _best(files, target):
                once = (chosen.published.filename, target.platform if project.startswith(OURS) else str(target))
                if once in seen:
                    continue
                seen.add(once)
                asked += 1
                why = _impossible(project, chosen, offered, target, outside, (apart or {}).get(project, frozenset()))
                if why:
                    problems.append(Problem(filename=chosen.published.filename, target=str(target), why=why))
    return Answer(asked=asked, problems=tuple(problems), outside=tuple(sorted(outside)))


def _offered(contents: Contents, requires: Callable[[PublishedFile], Sequence[str]]) -> dict[str, tuple[_File, ...]]:
    found: dict[str, list[_File]] = {}
    for published in contents.files.values():
        if published.yanked is None and contents.status(published.project).status != "quarantined":
            _, version, build, tags = parse_wheel_filename(published.filename)
            one = _File(published=published, version=version, build=build, tags=tags, read=requires)
            found.setdefault(canonicalize_name(published.project), []).append(one)
    return {project: tuple(files) for project, files in found.items()}


def _best(files: Sequence[_File], target: Target) -> list[_File]:
    """What an installer takes of each version on a target, the newest version first."""
    chosen: dict[Version, tuple[tuple[Any, ...], _File]] = {}
    for file in files:
        ranks = [target.tags[tag] for tag in file.tags if tag in target.tags]
        if not ranks or not _takes_python(file.published.requires_python, target.python):
            continue
        order = (-min(ranks), file.build)
        if file.version not in chosen or order > chosen[file.version][0]:
            chosen[file.version] = (order, file)
    return [chosen[version][1] for version in sorted(chosen, reverse=True)]


def _takes_python(specifier: str, python: str) -> bool:
    try:
        return pypa.specifiers(specifier).contains(f"{python}.0", prereleases=True)
    except InvalidSpecifier:
        return True


def _impossible(
    project: str,
    file: _File,
    offered: Mapping[str, tuple[_File, ...]],
    target: Target,
    outside: set[str],
    apart: frozenset[str],
) -> str:
    """Why a file cannot be installed on a target, or must not be; empty if it can."""
    provider = _Provider(offered, target, outside, pinned={project: file})
    try:
        wanted = pypa.requirement(f"{project}=={file.published.version}")
        found = Resolver(provider, BaseReporter()).resolve([wanted], max_rounds=_ROUNDS)
    except ResolutionImpossible as error:
        causes = sorted({str(cause.requirement) for cause in error.causes})
        return f"cannot be met together here: {', '.join(causes)}"
    except ResolutionTooDeep:
        return "no answer was found: its requirements are too tangled"
    except (InvalidRequirement, UndefinedComparison, UndefinedEnvironmentName) as error:
        return f"its METADATA is wrong: {error}"
    names = (one.published.filename for one in found.mapping.values() if isinstance(one, _File))
    bad = sorted(apart.intersection(names))
    return f"is fenced, yet its bounds admit {bad[0]}: tighten them, `farm index overlay --help`" if bad else ""


class _Provider(AbstractProvider[Requirement, Any, str]):
    """What resolvelib asks. A candidate is a `_File`, or a project's name where it comes from elsewhere."""

    def __init__(
        self, offered: Mapping[str, tuple[_File, ...]], target: Target, outside: set[str], pinned: Mapping[str, _File]
    ) -> None:
        self._offered = offered
        self._target = target
        self._outside = outside
        self._pinned = pinned

    def identify(self, requirement_or_candidate: Any) -> str:
        """A project's name."""
        if isinstance(requirement_or_candidate, Requirement):
            return canonicalize_name(requirement_or_candidate.name)
        if isinstance(requirement_or_candidate, _File):
            return canonicalize_name(requirement_or_candidate.published.project)
        return str(requirement_or_candidate)

    def get_preference(
        self, identifier: str, resolutions: Any, candidates: Any, information: Any, backtrack_causes: Any
    ) -> Any:
        """In the order of names: the answer does not depend on it."""
        del resolutions, candidates, information, backtrack_causes
        return identifier

    def find_matches(self, identifier: str, requirements: Any, incompatibilities: Any) -> Any:
        """The candidates that meet all requirements, the newest first."""
        if identifier not in self._offered:
            if identifier.startswith(OURS):
                return []
            self._outside.add(identifier)
            return [identifier]
        pinned = self._pinned.get(identifier)
        wanted = list(requirements[identifier])
        bad = list(incompatibilities[identifier])
        files = [pinned] if pinned is not None else _best(self._offered[identifier], self._target)
        return [f for f in files if f not in bad and all(self.is_satisfied_by(r, f) for r in wanted)]

    def is_satisfied_by(self, requirement: Requirement, candidate: Any) -> bool:
        """Whether a version is in the bounds."""
        if not isinstance(candidate, _File):
            return True
        return requirement.specifier.contains(candidate.version, prereleases=True)

    def get_dependencies(self, candidate: Any) -> Iterable[Requirement]:
        """What a file requires on the target, without extras."""
        if not isinstance(candidate, _File):
            return []
        markers = self._target.markers
        return [r for r in candidate.requires if r.marker is None or r.marker.evaluate(markers)]
