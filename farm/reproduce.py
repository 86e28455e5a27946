"""Build a stored step once more, elsewhere, and compare: is its wheel what its inputs make of it?"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import replace

from farm.catalog.values import Catalog
from farm.model.artifact import Artifact
from farm.model.plan import Step
from farm.pipeline import Pipeline
from farm.process import Cancel
from farm.settings import Settings
from farm.store.artifacts import Store
from farm.store.home import work_dir
from farm.wheel.compare import differences

ELSEWHERE = "a/home/of/another/length"


def reproduce(
    step: Step,
    stored: Artifact,
    deps: Mapping[str, Artifact],
    *,
    catalog: Catalog,
    store: Store,
    settings: Settings,
    cancel: Cancel,
    report_phase: Callable[[str], None],
) -> tuple[str, ...]:
    """What differs between the stored wheel and a second build of its step; empty if they are the same, byte for byte.

    The second build has a home of its own, at a path of another length, and with it a compiler cache of its own: it
    really compiles. `deps` are the stored artifacts of what the step requires, by step id. The second wheel is not
    kept. Raises what a build of the step raises.
    """
    with work_dir(settings.work, "reproduce") as scratch:
        there = replace(settings, home=scratch / ELSEWHERE, ledger_url="")
        second = Store(there.store)
        copies = {id_: second.put(artifact.key, store.path(artifact)) for id_, artifact in deps.items()}
        built = Pipeline(catalog=catalog, store=second, settings=there)(step, copies, cancel, report_phase)
        return differences(store.path(stored), second.path(built))
