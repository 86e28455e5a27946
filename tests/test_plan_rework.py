"""What a change needs: what is built, what is rebound, what is only tested, and why."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest
from catalog_builder import PLATFORM, dependent, library
from hypothesis import given, settings
from hypothesis import strategies as st
from reworks import abi, imports, key_of, lost, move, planned, releases, values

from farm.abi.compare import compare
from farm.model.abi import Abi, AbiChange, AbiMember, AbiType, ChangeKind, Verdict
from farm.model.plan import Plan
from farm.model.rework import Rework, Task, Verb
from farm.plan.cost import cost
from farm.plan.planner import plan
from farm.plan.reach import Facts, Imports
from farm.plan.rework import questions, rework
from farm.plan.rules import all_rules
from farm.plan.values import Wanted

D = f"d@1.0/{PLATFORM}/cp311"


def gmp(*versions: str, **epochs: int) -> dict[str, Any]:
    return library("gmp", release=releases(*versions, epochs={name.replace("v", ""): n for name, n in epochs.items()}))


def made(found: Rework) -> dict[str, Task]:
    return {task.id: task for task in found.tasks}


def verbs(found: Rework) -> dict[str, set[str]]:
    """Recipe@release -> what is done to it, for plans of one platform and Python."""
    done: dict[str, set[str]] = {}
    for task in found.tasks:
        done.setdefault(task.step.partition("/")[0], set()).add(task.verb.value)
    return done


BREAKS = AbiChange(
    library="gmp",
    kind=ChangeKind.TYPE,
    subject="struct odd",
    verdict=Verdict.BREAKING,
    text="was 1 bytes, is 2",
)
CONSTANT = AbiChange(
    library="",
    kind=ChangeKind.CONSTANT,
    subject="gmp.h",
    verdict=Verdict.COMPATIBLE,
    text="GMP_FLAG was 1, is 2",
)
BREAK = (gmp("6"), gmp("6", "7", v7=2))
OTHERS = (library("mpfr", host=["gmp"]), dependent("d", host=["gmp"]), library("zlib"))


def broken(*others: dict[str, Any]) -> tuple[Plan, Plan]:
    """gmp 7 breaks the ABI of gmp 6."""
    return planned(BREAK[0], *others), planned(BREAK[1], *others)


def facts(before: Plan, **more: Any) -> Facts:
    """gmp 7 has lost `mpz_gone`; d imports `mpz_add`."""
    known = {
        "differences": lost("gmp", "6", "7", "mpz_gone"),
        "imports": {key_of(before, "d"): imports("mpz_add", "malloc", needs=["gmp"])},
    }
    return Facts(**{**known, **more})


def test_a_compatible_release_is_built_and_all_that_uses_the_library_is_tested_with_it() -> None:
    before, after = planned(gmp("6.2"), *OTHERS), planned(gmp("6.2", "6.3"), *OTHERS)
    found = rework(before, after, Facts(differences=lost("gmp", "6.2", "6.3")))
    assert verbs(found) == {"gmp@6.3": {"build", "test"}, "mpfr@1.0": {"test"}, "d@1.0": {"test"}}
    test = made(found)[f"test {D}"]
    assert test.why == "it runs with gmp 6.3, was 6.2"
    assert test.natives == {"gmp": "6.3"}
    assert test.requires == (f"build gmp@6.3/{PLATFORM}",)
    assert made(found)[f"build gmp@6.3/{PLATFORM}"].why == "release.version changed from 6.2 to 6.3"
    assert found.verdicts == {"gmp@6.2 -> gmp@6.3": "identical"}
    assert found.untouched == 2, "zlib and gmp 6.2"
    asked = questions(before, after)
    assert (asked.wheels, asked.moves, asked.abis) == ((), (move("gmp", "6.2", "6.3"),), ())


def test_a_break_rebinds_what_imports_nothing_that_changed() -> None:
    before, after = broken(*OTHERS)
    found = rework(before, after, facts(before))
    assert verbs(found) == {
        "gmp@7": {"build", "test"},
        "mpfr@1.0": {"build", "test"},
        "d@1.0": {"rebind", "test"},
    }
    rebind = made(found)[f"rebind {D}"]
    assert rebind.why == "gmp moves from 6 to 7, another ABI epoch, and it imports nothing that changed"
    assert rebind.natives == {"gmp": "7"}
    assert rebind.requires == (f"build gmp@7/{PLATFORM}",)
    assert set(made(found)[f"test {D}"].requires) == {f"rebind {D}", f"build gmp@7/{PLATFORM}"}
    assert "native wheels are not rebound" in made(found)[f"build mpfr@1.0/{PLATFORM}"].why
    assert found.verdicts == {"gmp@6 -> gmp@7": "breaking"}
    asked = questions(before, after)
    assert [step.id for step in asked.wheels] == [D]
    assert asked.moves == (move("gmp", "6", "7"),)


@pytest.mark.parametrize(
    ("known", "why"),
    [
        ({"imports": "mpz_gone"}, "imports mpz_gone; in gmp 7 mpz_gone is gone"),
        ({"imports": {}}, "gmp moves from 6 to 7, another ABI epoch; what its wheel imports is not known"),
        ({"differences": {}}, "what changed from gmp 6 to 7 is not known"),
        (
            {"differences": {move("gmp", "6", "7"): compare(abi("gmp", "6", {}, typed=False), abi("gmp", "7", {}))}},
            "the types of gmp in gmp 7 could not be compared",
        ),
    ],
)
def test_a_break_builds_what_it_reaches_and_what_nobody_knows(known: dict[str, Any], why: str) -> None:
    before, after = broken(*OTHERS)
    if known.get("imports") == "mpz_gone":
        known = {"imports": {key_of(before, "d"): imports("mpz_gone", needs=["gmp"])}}
    found = rework(before, after, facts(before, **known))
    assert verbs(found)["d@1.0"] == {"build", "test"}
    assert made(found)[f"build {D}"].why == why


def test_symbols_that_a_format_binds_to_another_library_are_not_of_this_one() -> None:
    before, after = broken(*OTHERS)
    elsewhere = Imports(needs=frozenset({"gmp"}), bound={"zlib": frozenset({"mpz_gone"}), "gmp": frozenset({"a"})})
    found = rework(before, after, facts(before, imports={key_of(before, "d"): elsewhere}))
    assert verbs(found)["d@1.0"] == {"rebind", "test"}


def test_what_changed_below_a_library_that_moves_builds_what_links_to_that() -> None:
    """mpfr moves to another epoch, and gmp below it is built with another flag: that is no matter of epochs."""
    other_flag = {**gmp("6"), "build": {**gmp("6")["build"], "cflags": ["-DOTHER"]}}
    others = (
        library("mpfr", host=["gmp"]),
        library("mpfr", host=["gmp"], release=releases("1.0", "2.0", epochs={"2.0": 2})),
    )
    d = dependent("d", host=["mpfr"])
    before, after = planned(gmp("6"), others[0], d), planned(other_flag, others[1], d)
    known = Facts(
        differences=lost("mpfr", "1.0", "2.0", "mpfr_gone"),
        imports={key_of(before, "d"): imports("mpfr_add", needs=["mpfr"])},
    )
    found = rework(before, after, known)
    assert verbs(found)["d@1.0"] == {"build", "test"}
    assert made(found)[f"build {D}"].why == "requires gmp: build.cflags was added: -DOTHER"
    alone = rework(before, planned(gmp("6"), others[1], d), known)
    assert verbs(alone)["d@1.0"] == {"rebind", "test"}


@pytest.mark.parametrize(
    ("change", "why"),
    [
        (
            {"changes": (BREAKS,)},
            "which symbols it concerns is not known: in gmp 7 struct odd was 1 bytes, is 2",
        ),
        (
            {"changes": (), "unknown": frozenset({"mpz_add"})},
            "imports mpz_add, of which no type is known that could be compared with gmp 7",
        ),
        ({"changes": (), "unknown": frozenset({"mpz_other"})}, ""),
        (
            {"changes": (CONSTANT,)},
            "it may have been compiled with another constant: in gmp 7 gmp.h GMP_FLAG was 1, is 2",
        ),
    ],
)
def test_a_break_reaches_what_nobody_can_rule_out(change: dict[str, Any], why: str) -> None:
    before, after = broken(*OTHERS)
    differences = {at: replace(known, **change) for at, known in lost("gmp", "6", "7").items()}
    found = rework(before, after, facts(before, differences=differences))
    assert verbs(found)["d@1.0"] == ({"build", "test"} if why else {"rebind", "test"})
    assert not why or made(found)[f"build {D}"].why == why


STRUCT = {"struct mpz": 16}
TAKES = {"mpz_add": ["struct mpz *"]}
GROWN = {
    move("gmp", "6", "7"): compare(abi("gmp", "6", TAKES, STRUCT), abi("gmp", "7", TAKES, {"struct mpz": 24})),
}
MPFR = abi("mpfr", "1.0", {"mpfr_set_z": ["struct mpz *"], "mpfr_add": ["struct mpfr *"]}, {"struct mpfr": 32})


@pytest.mark.parametrize(
    ("used", "known", "why"),
    [
        ("mpz_add", MPFR, "imports mpz_add; in gmp 7 struct mpz member x was `char[16]`, is `char[24]`"),
        ("mpfr_set_z", MPFR, "imports mpfr_set_z of mpfr, which takes struct mpz; that changed in gmp"),
        ("mpfr_add", None, "whether mpfr 1.0 passes on types of gmp that changed is not known"),
        ("mpfr_add", MPFR, ""),
    ],
)
def test_a_type_that_changed_reaches_who_hands_it_to_a_third_library(used: str, known: Any, why: str) -> None:
    """d imports nothing of gmp that changed, but its code knows the old layout of what it gives to mpfr."""
    before, after = broken(library("mpfr", host=["gmp"]), dependent("d", host=["gmp", "mpfr"]))
    row = ("mpfr", "1.0", PLATFORM)
    assert questions(before, after).abis == (row,)
    wheel = {key_of(before, "d"): imports(used, needs=["gmp", "mpfr"])}
    found = rework(before, after, Facts(differences=GROWN, imports=wheel, abis={row: known} if known else {}))
    if why:
        assert made(found)[f"build {D}"].why == why
    else:
        assert verbs(found)["d@1.0"] == {"rebind", "test"}
        assert set(made(found)[f"rebind {D}"].requires) == {f"build gmp@7/{PLATFORM}", f"build mpfr@1.0/{PLATFORM}"}


def held(*members: str) -> AbiType:
    return AbiType(size=32, members=tuple(AbiMember(name=f"m{i}", type=type_) for i, type_ in enumerate(members)))


def with_types(known: Abi, **types: AbiType) -> Abi:
    (name, library), *_ = known.libraries.items()
    layouts = {f"struct {name}": type_ for name, type_ in types.items()}
    return replace(known, libraries={name: replace(library, types={**library.types, **layouts})})


LONGER = {
    move("gmp", "6", "7"): compare(
        abi("gmp", "6", {"mpz_add": ["long int"], "mpz_odd": ["int"]}),
        abi("gmp", "7", {"mpz_add": ["long long int"], "mpz_odd": ["int"]}),
    )
}
HOLDER = with_types(abi("gmp", "6", {**TAKES, "mpq_add": ["struct mpq *"]}, STRUCT), mpq=held("struct mpz"))
HELD = {move("gmp", "6", "7"): compare(HOLDER, with_types(HOLDER, mpz=held("char[24]")))}
MPFR_Q = abi("mpfr", "1.0", {"mpfr_set_q": ["struct mpq *"], "mpfr_add": ["struct mpfr *"]}, {"struct mpfr": 32})
MPC = abi("mpc", "1.0", {"mpc_set": ["struct mpfr *"], "mpc_add": ["struct mpc *"]})


@pytest.mark.parametrize(
    ("difference", "mpfr", "used", "why"),
    [
        pytest.param(HELD, MPFR_Q, "mpfr_set_q", "mpfr_set_q of mpfr, which takes struct mpq", id="held in another"),
        pytest.param(HELD, MPFR_Q, "mpfr_add", "", id="what was always opaque"),
        pytest.param(
            GROWN,
            with_types(MPFR, mpfr=held("struct mpz")),
            "mpc_set",
            "mpc_set of mpc, which takes struct mpfr",
            id="by way of two",
        ),
        pytest.param(
            LONGER,
            abi("mpfr", "1.0", {"mpfr_set": ["long int"], "mpfr_add": ["int"]}),
            "mpfr_set",
            "mpfr_set of mpfr, which takes long int",
            id="a number",
        ),
        pytest.param(
            LONGER, abi("mpfr", "1.0", {"mpfr_set": ["long int"], "mpfr_add": ["int"]}), "mpfr_add", "", id="another"
        ),
        pytest.param(
            LONGER,
            with_types(MPFR, mpfr=held("long int *")),
            "mpc_set",
            "mpc_set of mpc, which takes struct mpfr",
            id="a number in a struct",
        ),
        pytest.param(
            GROWN,
            replace(MPFR, libraries={"mpfr": replace(MPFR.libraries["mpfr"], functions={})}),
            "mpfr_set_z",
            "mpfr_set_z of mpfr, which may take types",
            id="a function without a type",
        ),
    ],
)
def test_what_leads_to_a_type_that_changed_is_handed_on_as_well(
    difference: Any, mpfr: Abi, used: str, why: str
) -> None:
    """The third library sees what it does not declare as opaque; the wheel's own code knows what is in it."""
    others = (library("mpfr", host=["gmp"]), library("mpc", host=["gmp", "mpfr"]))
    before, after = broken(*others, dependent("d", host=["gmp", "mpc"]))
    wheel = {key_of(before, "d"): imports(used, needs=["gmp", "mpfr", "mpc"])}
    known = {("mpfr", "1.0", PLATFORM): mpfr, ("mpc", "1.0", PLATFORM): MPC}
    tasks = made(rework(before, after, Facts(differences=difference, imports=wheel, abis=known)))
    assert (f"build {D}" in tasks) == bool(why)
    assert not why or why in tasks[f"build {D}"].why


def test_what_only_follows_a_library_that_is_built_anew_is_built() -> None:
    before, after = broken(library("mpfr", host=["gmp"]), dependent("d", host=["mpfr"]))
    wheel = {key_of(before, "d"): imports("mpfr_add", needs=["mpfr"])}
    found = rework(before, after, facts(before, imports=wheel, abis={("mpfr", "1.0", PLATFORM): MPFR}))
    assert verbs(found)["d@1.0"] == {"build", "test"}
    assert "does not link to that itself" in made(found)[f"build {D}"].why


def test_another_input_that_changed_is_named_and_never_rebound() -> None:
    before, _ = broken(*OTHERS)
    patched = dependent("d", host=["gmp"], build={"system": "pep517", "cflags": ["-O3"]})
    after = planned(BREAK[1], OTHERS[0], patched, OTHERS[2])
    found = rework(before, after, facts(before))
    assert made(found)[f"build {D}"].why == "build.cflags was added: -O3"


def test_a_patched_library_builds_its_dependents_with_the_input_that_changed_below() -> None:
    before = planned(gmp("6"), *OTHERS)
    flags = {"system": "autotools", "args": ["--disable-shared"], "cflags": ["-fPIC"]}
    after = planned(gmp("6") | {"build": flags}, *OTHERS)
    found = rework(before, after, Facts())
    assert verbs(found) == {name: {"build", "test"} for name in ("gmp@6", "mpfr@1.0", "d@1.0")}
    assert made(found)[f"build {D}"].why == "requires gmp: build.cflags was added: -fPIC"


def test_a_newest_release_that_is_built_anew_is_tested_with_what_was_built_against_an_older_one() -> None:
    def with_newest(**more: Any) -> Plan:
        old, new = releases("6.2", "6.3")
        return planned(library("gmp", release=[old, {**new, **more}]), *OTHERS)

    found = rework(with_newest(), with_newest(revision=1), Facts())
    assert verbs(found) == {"gmp@6.3": {"build", "test"}, "mpfr@1.0": {"test"}, "d@1.0": {"test"}}
    assert made(found)[f"test {D}"].why == ("it runs with gmp 6.3, which is built anew (release.revision was added: 1)")


def test_a_new_toolchain_builds_all_of_its_platform() -> None:
    before = planned(gmp("6"), *OTHERS)
    after = planned(gmp("6"), *OTHERS, flags={"c": ["-O2", "-g0"]})
    found = rework(before, after, Facts())
    assert {task.step for task in found.tasks if task.verb is Verb.BUILD} == {step.id for step in after.steps}
    assert found.untouched == 0
    assert all("toolchain.flags.c" in task.why for task in found.tasks if task.verb is Verb.BUILD)


def test_a_dependent_that_stays_in_its_epoch_is_not_touched() -> None:
    stays = dependent("d", host=["gmp<7"])
    before = planned(gmp("6"), stays)
    after = planned(BREAK[1], stays)
    assert verbs(rework(before, after, Facts())) == {"gmp@7": {"build", "test"}}


def test_tasks_that_passed_once_are_known_by_their_keys() -> None:
    before, after = broken(*OTHERS)
    first = made(rework(before, after, facts(before)))
    later = planned(gmp("6", "7", "8", v7=2, v8=2), *OTHERS)
    again = made(rework(before, later, facts(before)))
    assert first[f"rebind {D}"].key == again[f"rebind {D}"].key, "it is rebound to the same release"
    assert first[f"test {D}"].key != again[f"test {D}"].key, "it is tested with a newer one"
    assert again[f"test {D}"].natives == {"gmp": "8"}
    assert len({task.key for task in first.values()}) == len(first)


def test_cost_of_tasks_and_of_the_chain_that_no_machine_makes_shorter() -> None:
    before, after = broken(*OTHERS)
    seconds = {(Verb.BUILD, f"gmp/{PLATFORM}"): 100.0, (Verb.BUILD, f"mpfr/{PLATFORM}"): 50.0}
    found = rework(before, after, facts(before, seconds=seconds))
    sums = cost(found.tasks)
    assert (sums.seconds, sums.critical, sums.unknown) == (150.0, 150.0, 4)
    assert sums.path[:2] == (f"build gmp@7/{PLATFORM}", f"build mpfr@1.0/{PLATFORM}")
    assert (sums.at_least(1), sums.at_least(8)) == (150.0, 150.0)
    assert cost(()).critical == 0.0


def test_what_other_rules_would_rebuild() -> None:
    chain = (
        library("mpfr", host=["gmp"]),
        library("flint", host=["mpfr"]),
        dependent("d", host=["flint"]),
        library("z"),
    )
    names = {"gmp/": 10.0, "mpfr/": 20.0, "flint/": 40.0}
    seconds = {f"{name}{PLATFORM}": value for name, value in names.items()}

    def rules(old: str, new: str) -> dict[str, list[str]]:
        before, after = planned(gmp(old), *chain), planned(gmp(old, new), *chain)
        found = all_rules(before, after, rework(before, after, Facts()), seconds)
        assert found["every input"].unknown == 1
        return {name: [id_.partition("@")[0] for id_ in rebuilt.steps] for name, rebuilt in found.items()}

    assert rules("6.2.1", "6.2.2") == {
        "ours": ["gmp"],
        "every input": ["gmp", "mpfr", "flint", "d"],
        "version pin x.y": ["gmp"],
        "version pin x": ["gmp"],
    }
    assert rules("6.2.1", "6.3.0")["version pin x.y"] == ["gmp", "mpfr"]
    assert rules("6.2.1", "6.3.0")["version pin x"] == ["gmp"]
    assert rules("6.2.1", "7.0")["version pin x"] == ["gmp", "mpfr"]


# Random catalogs: recipe i may require any before it; one library gets a release, and some recipe another argument.
@st.composite
def changes(draw: st.DrawFn) -> dict[str, Any]:
    count = draw(st.integers(2, 9))
    recipes: list[dict[str, Any]] = []
    for i in range(count):
        host = [f"r{j}" for j in draw(st.lists(st.integers(0, i - 1), unique=True, max_size=3))] if i else []
        kinds = {data["name"]: data["kind"] for data in recipes}
        make = dependent if i and draw(st.booleans()) else library
        recipes.append(make(f"r{i}", host=[name for name in host if kinds[name] == "library"]))
    libraries = [data["name"] for data in recipes if data["kind"] == "library"]
    return {
        "recipes": recipes,
        "bumped": draw(st.sampled_from(libraries)),
        "breaks": draw(st.booleans()),
        "edited": draw(st.sampled_from([None, *(data["name"] for data in recipes)])),
        "gone": draw(st.sets(st.sampled_from(["a", "b", "c"]))),
        "imports": {
            data["name"]: draw(st.none() | st.sets(st.sampled_from(["a", "b", "c", "x", "y"]))) for data in recipes
        },
        "known": draw(st.booleans()),
    }


def _plans(change: dict[str, Any], *, turned: bool = False) -> tuple[Plan, Plan]:
    old, new = [], []
    for data in change["recipes"]:
        old.append(data)
        if data["name"] == change["bumped"]:
            data = {**data, "release": releases("1.0", "2.0", epochs={"2.0": 2} if change["breaks"] else {})}
        if data["name"] == change["edited"]:
            data = {**data, "build": {**data["build"], "args": ["--edited"]}}
        new.append(data)
    if turned:
        old, new = old[::-1], new[::-1]
    want = Wanted(pythons=("3.11",))
    return plan(values(*old), want), plan(values(*new), want)


def _facts(change: dict[str, Any], before: Plan) -> Facts:
    wheels = {}
    for step in before.steps:
        symbols = change["imports"][step.recipe]
        if symbols is not None:
            needs = [id_.partition("@")[0] for id_ in step.requires]
            wheels[step.key] = imports(*symbols, needs=needs)
    known = lost(change["bumped"], "1.0", "2.0", *change["gone"]) if change["known"] else {}
    abis = {(data["name"], "1.0", PLATFORM): abi(data["name"], "1.0", {}) for data in change["recipes"]}
    return Facts(imports=wheels, differences=known, abis=abis)


@given(changes())
@settings(max_examples=100, deadline=None)
def test_reworks_are_ordered_complete_and_never_too_little(change: dict[str, Any]) -> None:
    before, after = _plans(change)
    found = rework(before, after, _facts(change, before))
    place = {task.id: i for i, task in enumerate(found.tasks)}
    assert len(place) == len(found.tasks)
    assert all(place[name] < place[task.id] for task in found.tasks for name in task.requires), "requirements first"
    done = {step.id: {task.verb for task in found.tasks if task.step == step.id} for step in after.steps}
    assert found.untouched == sum(not verbs for verbs in done.values()), "nothing is both touched and untouched"
    old = {step.id: step for step in before.steps}
    edited, bumped = change["edited"], change["bumped"]
    for step in after.steps:
        cone = {step.recipe, *(id_.partition("@")[0] for id_ in step.requires)}
        makes = done[step.id] & {Verb.BUILD, Verb.REBIND}
        changed = step.id not in old or old[step.id].key != step.key
        assert len(makes) == changed, "made if and only if its key is another one"
        assert not makes or Verb.TEST in done[step.id], "what is made is tested"
        if Verb.REBIND in makes:
            symbols = change["imports"][step.recipe]
            assert edited not in cone - {bumped}, "another input changed; of the bumped one it is another release"
            assert change["breaks"]
            assert change["known"]
            assert symbols is not None
            assert not symbols & change["gone"], "it imports what changed"
        if bumped in cone - {step.recipe}:
            assert done[step.id], "all that uses the library is at least tested"
        if not cone & {edited, bumped}:
            assert not done[step.id]
    assert found == rework(before, after, _facts(change, before))
    turned = _plans(change, turned=True)
    assert found == rework(*turned, _facts(change, turned[0])), "the order of recipes does not matter"


@given(changes())
@settings(max_examples=30, deadline=None)
def test_nothing_changed_needs_nothing(change: dict[str, Any]) -> None:
    before, _ = _plans(change)
    found = rework(before, before, Facts())
    assert found == Rework(tasks=(), untouched=len(before.steps), verdicts={})
