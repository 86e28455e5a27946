"""From a rework to the tasks of a cascade: what is missing is built first, what is urgent comes first."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
import wheel_factory
from plans import PLATFORM, digest, make_plan

from farm.cascade import affected
from farm.cascade.draft import Known, Request, draft, part
from farm.errors import BinaryFormatError, PlanError
from farm.index.contents import IndexFile
from farm.index.generations import Index
from farm.model.cascade import CascadeKind, Draft, Scope
from farm.model.plan import Plan
from farm.model.rework import Rework, Task, Verb
from farm.wheel.pack import pack

OLD = make_plan({"gmp": (), "mpfr": ("gmp",), "mpc": ("gmp", "mpfr")}, salt="old")
NEW = make_plan({"gmp": (), "mpfr": ("gmp",), "mpc": ("gmp", "mpfr")}, salt="new")


def task(verb: Verb, name: str, *requires: str, seconds: float | None = None, natives: bool = False) -> Task:
    step = f"{name}@1.0/{PLATFORM}"
    key = NEW.by_id()[step].key if verb is Verb.BUILD else digest(f"{verb}{name}")
    given = {"gmp": "1.0"} if natives else {}
    return Task(
        id=f"{verb} {step}", verb=verb, step=step, key=key, why="so", seconds=seconds, natives=given,
        requires=tuple(f"{one}@1.0/{PLATFORM}" for one in requires),
    )  # fmt: skip


def made(
    *tasks: Task,
    stored: set[str] | None = None,
    kind: CascadeKind = CascadeKind.BUMP,
    suites: tuple[str, ...] = (),
) -> Draft:
    keys = {step.key for step in OLD.steps} if stored is None else stored
    known = Known(stored=keys.__contains__, durations={f"mpc/{PLATFORM}": 50.0})
    rework = Rework(tasks=tasks, untouched=0, verdicts={})
    request = Request(kind=kind, what="x", channel="staging", scope=Scope(suites=suites))
    return draft(request, rework, before=OLD, after=NEW, known=known, catalog="c", earlier="b", base=3)


def told(found: Draft) -> list[str]:
    return [one.task.id.partition("@")[0] for one in found.tasks]


def test_what_is_needed_and_not_stored_is_built_first() -> None:
    found = made(task(Verb.BUILD, "mpc"))
    assert told(found) == ["build gmp", "build mpfr", "build mpc"]
    (gmp, mpfr, mpc) = (one.task for one in found.tasks)
    assert (gmp.why, mpfr.requires, set(mpc.requires)) == ("its wheel is not stored", (gmp.id,), {gmp.id, mpfr.id})
    assert {step.recipe for step in found.steps} == {"gmp", "mpfr", "mpc"}
    everything = {step.key for step in NEW.steps}
    assert told(made(task(Verb.BUILD, "mpc"), stored=everything)) == ["build mpc"]


def test_what_goes_into_a_task() -> None:
    old, new = OLD.by_id(), NEW.by_id()
    gmp, mpc = f"gmp@1.0/{PLATFORM}", f"mpc@1.0/{PLATFORM}"
    found = made(
        task(Verb.BUILD, "gmp"),
        task(Verb.REBIND, "mpc", "build gmp", natives=True),
        task(Verb.TEST, "mpc", "rebind mpc", natives=True),
    )
    assert [one.source for one in found.tasks] == [new[gmp].key, old[mpc].key, digest("rebindmpc")]
    assert found.saved == 50.0


def test_a_wheel_that_is_gone_is_built_instead_of_rebound() -> None:
    stored = {step.key for step in NEW.steps if step.recipe != "mpc"}
    found = made(
        task(Verb.REBIND, "mpc", natives=True), task(Verb.TEST, "mpc", "rebind mpc", natives=True), stored=stored
    )
    assert told(found) == ["build mpc", "test mpc"]
    assert found.tasks[0].task.why == "so; the wheel to rebind is not stored"
    assert found.tasks[1].task.requires == (found.tasks[0].task.id,)
    assert found.tasks[1].source == found.tasks[0].task.key


def test_the_longest_chain_comes_first() -> None:
    everything = {step.key for step in NEW.steps}
    found = made(
        task(Verb.TEST, "gmp", seconds=5), task(Verb.BUILD, "mpfr", seconds=100),
        task(Verb.TEST, "mpc", "build mpfr", seconds=10), stored=everything,
    )  # fmt: skip
    ranks = {one.task.id.partition("@")[0]: one.rank for one in found.tasks}
    assert sorted(ranks, key=ranks.__getitem__) == ["build mpfr", "test mpc", "test gmp"]


def test_security_goes_first_unless_said_otherwise() -> None:
    assert made(task(Verb.BUILD, "gmp"), kind=CascadeKind.SECURITY).priority > made(task(Verb.BUILD, "gmp")).priority


def test_a_test_with_more_suites_is_another_one() -> None:
    found = [made(task(Verb.TEST, "gmp"), task(Verb.BUILD, "mpfr"), suites=suites) for suites in ((), ("upstream",))]
    smoke, more = ({one.task.verb: one.task.key for one in each.tasks} for each in found)
    assert smoke[Verb.BUILD] == more[Verb.BUILD]
    assert smoke[Verb.TEST] != more[Verb.TEST]


def test_a_rework_that_does_not_fit_is_refused() -> None:
    with pytest.raises(PlanError, match="requires build zlib@"):
        made(task(Verb.BUILD, "gmp", "build zlib"))
    with pytest.raises(PlanError, match="in a circle"):
        made(task(Verb.TEST, "gmp", "test mpfr"), task(Verb.TEST, "mpfr", "test gmp"))
    with pytest.raises(PlanError, match="which the plan does not have"):
        draft(
            Request(kind=CascadeKind.BUMP, what="x", channel="staging"),
            Rework(tasks=(task(Verb.BUILD, "gmp"),), untouched=0, verdicts={}),
            before=OLD, after=Plan(steps=()), catalog="c", earlier="b", base=0,
            known=Known(stored=lambda key: True, durations={}),
        )  # fmt: skip


def test_what_is_there_counts_as_the_plan_before() -> None:
    keys = {step.key for step in NEW.steps if step.recipe != "mpfr"}
    assert [step.recipe for step in part(NEW, keys.__contains__).steps] == ["gmp"], "mpc's requirement is not there"


def sbom(tmp_path: Path, filename: str, *purls: str, text: str = "") -> Path:
    tree = wheel_factory.make_tree(tmp_path / f"tree-{filename}", filename)
    folder = tree / f"{filename.split('-')[0]}-{filename.split('-')[1]}.dist-info/sboms"
    folder.mkdir()
    document = {"metadata": {"component": {"purl": purls[0]}}, "components": [{"purl": purl} for purl in purls[1:]]}
    (folder / "farm.cdx.json").write_text(text or json.dumps(document))
    return pack(tree, filename, tmp_path, epoch_seconds=1_700_000_000)


def test_who_holds_a_component(tmp_path: Path) -> None:
    index = Index(tmp_path / "index")
    native = sbom(tmp_path, "native_gmp-1.0-py3-none-any.whl", "pkg:pypi/native-gmp@1.0", "pkg:generic/gmp@6.2.1")
    user = sbom(tmp_path, "gmpy2-1.0-py3-none-any.whl", "pkg:pypi/gmpy2@1.0", "pkg:pypi/native-gmp@1.0")
    both = sbom(tmp_path, "static-1.0-py3-none-any.whl", "pkg:pypi/static@1.0", "pkg:generic/gmp@6.2.1?x=y")
    files = index.files_in(index.publish("staging", [IndexFile(path=path) for path in (native, user, both)]))

    def holders(purl: str) -> list[str]:
        return sorted(one.project for one in affected.affected(files, index.root, affected.parse(purl)))

    assert holders("pkg:generic/gmp@6.2.1") == ["native-gmp", "static"]
    assert holders("pkg:generic/gmp") == ["native-gmp", "static"]
    assert holders("pkg:generic/gmp@6.3.0") == []
    assert holders("pkg:pypi/gmpy2") == ["gmpy2"]
    assert holders("pkg:pypi/native-gmp") == ["native-gmp"], "who only needs it at run time does not hold it"


def test_sboms_of_others_are_searched_to_the_bottom_whatever_they_hold(tmp_path: Path) -> None:
    deep = {"name": "bundle", "components": [{"purl": "pkg:generic/gmp@6.2.1"}, "odd"]}
    document = {"metadata": [], "components": [{"purl": "gmp 6"}, {"purl": 7}, None, deep]}
    index = Index(tmp_path / "index")
    wheel = sbom(tmp_path, "other-1.0-py3-none-any.whl", "", text=json.dumps(document))
    files = index.files_in(index.publish("staging", [IndexFile(path=wheel)]))
    (found,) = affected.affected(files, index.root, affected.parse("pkg:generic/gmp"))
    assert (found.project, found.component) == ("other", "pkg:generic/gmp@6.2.1")


def test_an_sbom_that_cannot_be_read_is_no_silence(tmp_path: Path) -> None:
    index = Index(tmp_path / "index")
    for name, text in (("bad", "[1]"), ("deep", "[" * 200_000)):
        bad = sbom(tmp_path, f"{name}-1.0-py3-none-any.whl", "", text=text)
        files = index.files_in(index.publish(name, [IndexFile(path=bad)]))
        with pytest.raises(BinaryFormatError, match="is no SBOM"):
            list(affected.affected(files, index.root, affected.parse("pkg:generic/gmp")))
