"""Merges, unmerges, moves and links: what belongs to whom, in whatever order it was learnt."""

from __future__ import annotations

import random
from itertools import permutations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from connectors.facts import (
    AnyFact,
    EncounterEvent,
    Link,
    LinkKind,
    MessageFacts,
    Observation,
    Part,
    PersonDetail,
)
from models.patient import Patient
from models.record import Presence


def message(patient: str, sent: float, *facts: AnyFact) -> MessageFacts:
    return MessageFacts(patient=patient, sent=sent, heard=sent, wire="", facts=list(facts))


def value(name: str, changed: float, number: float, visit: str = "", **more: object) -> Observation:
    return Observation(
        id=name,
        rank=(1, changed, int(bool(more.get("removed"))), "c"),
        code="hr",
        system="LN",
        time=10.0,
        status="F",
        value=number,
        visit=visit,
        removed=bool(more.get("removed")),
    )


def event(visit: str, kind: str, time: float, account: str = "") -> EncounterEvent:
    return EncounterEvent(
        id=f"{visit}/{kind}",
        rank=(1, time, 0, "c"),
        visit=visit,
        event=kind,
        time=time,
        account=account,
        ward="W",
    )


def link(
    loser: str, survivor: str, at: float, *, removed: bool = False, kind: str = "into", **scope: str
) -> list[MessageFacts]:
    """Both ends' messages."""
    visit, account = scope.get("visit", ""), scope.get("account", "")
    name = f"{visit}:{account}"
    same = kind == "same"
    ends = [
        (loser, survivor, LinkKind.SAME if same else LinkKind.INTO),
        (survivor, loser, LinkKind.SAME if same else LinkKind.FROM),
    ]
    return [
        message(
            here,
            at,
            Link(
                id=f"link:{there}:{name}",
                rank=(1, at, 0, "c"),
                removed=removed,
                kind=which,
                other=there,
                visit=visit,
                account=account,
                renamed=scope.get("renamed", ""),
            ),
        )
        for here, there, which in ends
        if here != there or which is LinkKind.INTO
    ]


def run(messages: list[MessageFacts], chance: random.Random) -> dict[str, Patient]:
    """Deliver messages; what patients hand on comes later, interleaved by chance and repeated.

    Each sender's messages to one patient stay in order, as a partition of the log keeps them.
    """
    patients: dict[str, Patient] = {}
    lines: dict[tuple[str, str], list[MessageFacts]] = {("", ""): list(messages)}
    versions: dict[str, int] = {}
    for _ in range(20_000):
        if not lines:
            return patients
        name = chance.choice(sorted(lines))
        line = lines[name]
        told = line.pop(0)
        if not line:
            del lines[name]
        patient = patients.setdefault(told.patient, Patient(told.patient))
        versions[told.patient] = versions.get(told.patient, 0) + 1
        handed = patient.fold(told, versions[told.patient]).handed_on
        repeated = handed + handed if chance.random() < 0.3 else handed
        for one in repeated:
            lines.setdefault((told.patient, one.patient), []).append(one)
    raise AssertionError("patients never stop handing on facts")


def outcome(patients: dict[str, Patient]) -> object:
    return {
        name: (p.digest(), p.record.digest(), p.record.merged_into)
        for name, p in sorted(patients.items())
    }


def values(patient: Patient) -> list[float | str | None]:
    return sorted(o.value for o in patient.record.series("hr"))  # type: ignore[type-var]


A40 = link("x", "y", 100.0)
A37 = link("x", "y", 200.0, removed=True)
X1, X2, Y1 = (
    message("x", 50.0, value("x1", 50.0, 1.0, "vx"), event("vx", "admitted", 5.0, "acc")),
    message("x", 150.0, value("x2", 150.0, 2.0)),
    message("y", 60.0, value("y1", 60.0, 3.0), PersonDetail(
        id="person:sex", rank=(1, 60.0, 0, "c"), field="sex", value="F")),
)  # fmt: skip
X_SEX = message(
    "x", 140.0, PersonDetail(id="person:sex", rank=(1, 140.0, 0, "c"), field="sex", value="M")
)


def every_order(messages: list[MessageFacts]) -> dict[str, Patient]:
    """The one outcome of every permutation, with repetitions."""
    chance = random.Random(7)
    found: dict[str, Patient] | None = None
    orders = list(permutations(messages))
    for order in chance.sample(orders, min(len(orders), 720)):
        repeated = list(order)
        repeated.insert(chance.randrange(len(order) + 1), chance.choice(order))
        patients = run(repeated, chance)
        if found is None:
            found = patients
        assert outcome(patients) == outcome(found), [m.patient for m in order]
    assert found is not None
    return found


def test_a_merge_takes_all_facts_along_and_leaves_nothing_behind() -> None:
    found = every_order([X1, X2, Y1, X_SEX, *A40])
    x, y = found["x"], found["y"]
    assert values(y) == [1.0, 2.0, 3.0]
    assert (values(x), x.record.merged_into) == ([], "y")
    assert x.record.presence(300.0) is Presence.MERGED
    assert y.record.presence(300.0) is Presence.PRESENT
    assert y.record.person("sex") == "F"  # the survivor's own word counts


def test_an_unmerge_takes_away_what_the_merge_brought() -> None:
    found = every_order([X1, X2, Y1, *A40, *A37])
    assert values(found["y"]) == [3.0]
    assert (values(found["x"]), found["x"].record.merged_into) == ([1.0, 2.0], "")


def test_merges_in_a_chain_and_one_undone() -> None:
    chain = [X1, Y1, *A40, *link("y", "z", 120.0)]
    found = every_order(chain)
    assert values(found["z"]) == [1.0, 3.0]
    assert [values(found[n]) for n in "xy"] == [[], []]


def test_a_chain_whose_first_link_is_undone() -> None:
    messages = [X1, Y1, *A40, *link("y", "z", 120.0), A37[0], A37[1]]
    chance = random.Random(3)
    first = outcome(run(messages, chance))
    for _ in range(300):
        order = chance.sample(messages, len(messages))
        found = run(order, chance)
        assert outcome(found) == first
    assert (values(found["z"]), values(found["x"])) == ([3.0], [1.0])


def test_a_merge_the_other_way_round_later_reverses_the_first() -> None:
    found = every_order([X1, Y1, *A40, *link("y", "x", 130.0)])
    assert (values(found["x"]), values(found["y"])) == ([1.0, 3.0], [])
    assert found["x"].record.merged_into == ""


def test_a_moved_visit_takes_its_results_along() -> None:
    found = every_order([X1, X2, Y1, *link("x", "y", 100.0, visit="vx")])
    assert (values(found["y"]), values(found["x"])) == ([1.0, 3.0], [2.0])
    assert [s.visit for s in found["y"].record.stays()] == ["vx"]
    assert found["x"].record.stays() == []


def test_a_moved_account_takes_its_visits_along() -> None:
    found = every_order([X1, X2, Y1, *link("x", "y", 100.0, account="acc")])
    assert (values(found["y"]), values(found["x"])) == ([1.0, 3.0], [2.0])


def test_a_correction_without_a_visit_follows_its_result() -> None:
    correction = message("x", 170.0, value("x1", 170.0, 9.0))
    found = every_order([X1, correction, *link("x", "y", 100.0, visit="vx")])
    assert (values(found["y"]), values(found["x"])) == ([9.0], [])


def test_a_renumbered_visit_is_one_visit() -> None:
    later = message("x", 180.0, event("vnew", "discharged", 90.0))
    found = every_order([X1, later, *link("x", "x", 100.0, visit="vx", renamed="vnew")])
    stays = found["x"].record.stays()
    assert [(s.visit, s.start, s.end) for s in stays] == [("vnew", 5.0, 90.0)]


def test_linked_patients_see_each_other_s_facts_and_both_stay() -> None:
    found = every_order([X1, Y1, *link("x", "y", 100.0, kind="same")])
    assert values(found["x"]) == values(found["y"]) == [1.0, 3.0]
    assert found["x"].record.merged_into == found["y"].record.merged_into == ""


def test_in_a_ring_of_merges_nobody_is_lost() -> None:
    ring = [X1, Y1, *A40, *link("y", "z", 110.0), *link("z", "x", 120.0)]
    chance = random.Random(5)
    first = outcome(run(ring, chance))
    for _ in range(200):
        found = run(chance.sample(ring, len(ring)), chance)
        assert outcome(found) == first
    assert all(values(found[n]) == [1.0, 3.0] for n in "xyz")
    assert all(found[n].record.merged_into == "" for n in "xyz")


def test_late_repetitions_from_before_an_unmerge_are_void() -> None:
    x, y = Patient("x"), Patient("y")
    handed = [*x.fold(X1, 1).handed_on, *x.fold(A40[0], 2).handed_on]
    gone = x.fold(A37[0], 3).handed_on
    for told in [*handed, *gone, *handed]:
        y.fold(told, 1)
    assert values(y) == []


NAMES = ("x", "y", "z")


@st.composite
def stories(draw: st.DrawFn) -> list[MessageFacts]:
    out: list[MessageFacts] = []
    for number in range(draw(st.integers(3, 9))):
        at = 100.0 + number
        here, there = draw(st.permutations(NAMES))[:2]
        what = draw(st.sampled_from(["value", "value", "remove", "merge", "undo", "move", "same"]))
        visit = draw(st.sampled_from(["", "v1", "v2"]))
        order = draw(st.sampled_from(["o1", "o2", "o3"]))
        if what == "value":
            out.append(message(here, at, value(f"{here}{order}", at, float(number), visit)))
        elif what == "remove":
            out.append(message(here, at, value(f"{here}{order}", at, 0.0, removed=True)))
        elif what == "merge":
            out += link(here, there, at)
        elif what == "undo":
            out += link(here, there, at, removed=True)
        elif what == "move":
            out += link(here, there, at, visit=visit or "v1")
        else:
            out += link(here, there, at, kind="same")
    return out


@settings(max_examples=300, deadline=None)
@given(stories(), st.integers(0, 1_000))
def test_any_story_ends_the_same_in_any_order(story: list[MessageFacts], seed: int) -> None:
    chance = random.Random(seed)
    one = outcome(run(story, chance))
    other = outcome(run(chance.sample(story, len(story)), chance))
    assert one == other


@settings(max_examples=100, deadline=None)
@given(stories(), st.integers(0, 1_000))
def test_a_restored_patient_goes_on_where_it_was(story: list[MessageFacts], seed: int) -> None:
    patients = run(story, random.Random(seed))
    for name, patient in patients.items():
        again = Patient(name)
        again.restore(patient.clock, patient.own.values(), patient.parts)
        assert again.canonical() == patient.canonical()
        assert again.record.digest() == patient.record.digest()
        assert again.record.merged_into == patient.record.merged_into


@pytest.mark.parametrize("withdrawn", [False, True])
def test_parts_of_unknown_patients_are_harmless(withdrawn: bool) -> None:
    y = Patient("y")
    part = Part(path=("q",), version=1, withdrawn=withdrawn)
    told = MessageFacts(patient="y", sent=1.0, heard=1.0, wire="", part=part)
    assert y.fold(told, 1).handed_on == []
