"""A farm with two recipes whose cascades make real, tiny wheels. Not a test module."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import catalog_builder
import toy
from cascades import FakeHands, draft, fresh
from plans import PLATFORM

from farm import catalog
from farm.cascade.advance import Advance
from farm.cascade.hands import Deed
from farm.cascade.promote import Promoter
from farm.cascade.stage import Imported, Stager
from farm.index.contents import IndexFile
from farm.index.generations import Index
from farm.model.cascade import Cascade, CascadeTask, Draft
from farm.model.rework import Verb
from farm.process import Cancel
from farm.settings import Settings
from farm.store import frozen, home
from farm.store.artifacts import Store
from farm.store.ledger import Ledger

B, R, T = Verb.BUILD, Verb.REBIND, Verb.TEST


def wheel(out: Path, project: str, version: str, *requires: str, tag: str = "", content: str = "") -> Path:
    """A wheel with one text file. `tag` defaults to a native wheel's."""
    folder = project.replace("-", "_")
    tree = out / "trees" / f"{folder}-{version}-{abs(hash((tag, content)))}"
    (tree / folder).mkdir(parents=True, exist_ok=True)
    (tree / folder / "__init__.py").write_text(f"CONTENT = {content!r}\n")
    name = f"{folder}-{version}-{tag or f'py3-none-{PLATFORM}'}.whl"
    target = out / "wheels" / content
    target.mkdir(parents=True, exist_ok=True)
    (target / name).unlink(missing_ok=True)
    return toy.make_wheel(tree, name, target, requires=requires)


class WheelHands(FakeHands):
    """Stores a real wheel for each task; `make`: recipe -> project, version, requirements..., and `tag`."""

    def __init__(self, place: Path, store: Store, make: dict[str, tuple[str, ...]]) -> None:
        super().__init__()
        self.place, self.store, self.make = place, store, make

    def has(self, task: CascadeTask) -> bool:
        return self.store.get(task.key) is not None

    def key_of(self, task: CascadeTask) -> str:
        return task.key

    def carry_out(self, cascade: Cascade, task: CascadeTask, cancel: Cancel) -> Deed:
        deed = super().carry_out(cascade, task, cancel)
        if task.verb is not T and not deed.reason:
            project, version, *requires = self.make[task.recipe]
            tag = "" if project.startswith("native-") else f"{toy.PYTHON}-{toy.PYTHON}-{PLATFORM}"
            made = wheel(self.place, project, version, *requires, tag=tag, content=task.key[:8])
            self.store.put(task.key, made)
        return deed


@dataclass
class Farm:
    """A farm with two recipes, and what drives its cascades."""

    at: Settings
    ledger: Ledger
    store: Store
    index: Index
    hands: WheelHands
    importing: list[Imported] = field(default_factory=list)
    replanned: Draft | None = None

    @property
    def promoter(self) -> Promoter:
        stager = Stager(
            ledger=self.ledger,
            store=self.store,
            index=self.index,
            toolchains=lambda cascade: list(catalog.load_from(self.at.catalog).toolchains.values()),
            importer=lambda cascade, generation: self.importing,
        )
        return Promoter(
            settings=self.at, ledger=self.ledger, index=self.index, stager=stager,
            replan=self._replan,
        )  # fmt: skip

    def _replan(self, cascade: Cascade, after: str, before: str) -> Draft:
        assert self.replanned is not None
        return replace(self.replanned, catalog=after, before=before)

    def start(self, *names: str, salt: str = "", **more: Any) -> int:
        """A cascade that builds gmp and moves gmpy2, or what `names` says."""
        graph: dict[tuple[str, Verb], Sequence[tuple[str, Verb]]] = {}
        for name in names:
            graph[name, B if name != "gmpy2" else R] = [("gmp", B)] if name == "gmpy2" and "gmp" in names else []
        made = draft(graph, salt=salt, base=self.index.current_number("staging"), **more)
        digest = frozen.freeze(self.at, self.at.catalog)
        return self.ledger.create_cascade(replace(made, catalog=digest, before=digest)).id

    def advance(self, id_: int) -> Cascade:
        Advance(self.ledger.cascade(id_), ledger=self.ledger, hands=self.hands).to_the_end()
        return self.stage(id_)

    def stage(self, id_: int, promoter: Promoter | None = None) -> Cascade:
        """Stage what no other process is staging."""
        staged = (promoter or self.promoter).stage_in_turn(id_)
        assert staged is not None
        return staged

    def offered(self, channel: str = "staging") -> dict[str, str]:
        """File name -> sha256 of what a channel serves."""
        served = self.index.current(channel)
        return {} if served is None else {f.filename: f.sha256 for f in self.index.files_in(served)}


@contextmanager
def small(at: Settings, *, ledger: str = "", store: Store | None = None) -> Iterator[Farm]:
    """A channel that serves gmp 6.2.1 and a gmpy2 that was built against it. `ledger` is the URL of a database, else
    it is a file of its own."""
    root = at.catalog
    catalog_builder.catalog(root, catalog_builder.library("gmp"), catalog_builder.dependent("gmpy2", host=["gmp"]))
    home.prepare(at.home)
    store, index = store or Store(at.store), Index(at.index)
    make = {
        "gmp": ("native-gmp", "11!6.3.0"),
        "gmpy2": ("gmpy2", "2.2", "native-gmp>=11!6.3.0,<12!0"),
        "zlib": ("native-zlib", "1!1.3"),
    }
    old = [
        wheel(at.home, "native-gmp", "10!6.2.1", content="old"),
        wheel(
            at.home,
            "gmpy2",
            "2.2",
            "native-gmp>=10!6.2,<11!0",
            tag=f"{toy.PYTHON}-{toy.PYTHON}-{PLATFORM}",
            content="old",
        ),
    ]
    index.publish("staging", [IndexFile(path=path) for path in old])
    with Ledger.open(ledger) if ledger else fresh() as opened:
        yield Farm(at, opened, store, index, WheelHands(at.home, store, make))
