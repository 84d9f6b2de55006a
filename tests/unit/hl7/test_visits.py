"""ADT A01–A04, A08, A11 and A13, and what else a message says of the person."""

from __future__ import annotations

import pytest

from connectors.facts import EncounterEvent, PersonDetail
from connectors.hl7.interpret import Interpretation
from tests.unit.hl7.reading import SENT, lines, read

HOUR = 3_600.0
PID = "PID|1||42^^^HOSP^MR"
EVN = "EVN||202601011100+0000||||202601011000+0000"  # recorded an hour ago, occurred two ago


def pv1(admitted: str = "", discharged: str = "", visit: str = "V1") -> str:
    return f"PV1|1|E|ED^^3{'|' * 16}{visit}{'|' * 25}{admitted}|{discharged}"


def events(found: Interpretation) -> list[tuple[str, float, bool, tuple[int, float, int]]]:
    """Event, hours after MSH-7, removed, and the rank with its time likewise."""
    return [
        (
            f.event,
            (f.time - SENT) / HOUR,
            f.removed,
            (f.rank[0], (f.rank[1] - SENT) / HOUR, f.rank[2]),
        )
        for f in found.facts
        if isinstance(f, EncounterEvent)
    ]


@pytest.mark.parametrize(("event", "what"), [("A01", "admitted"), ("A04", "registered")])
def test_a_beginning_is_dated_by_pv1_44_else_evn_6_else_evn_2_else_msh_7(
    event: str, what: str
) -> None:
    kind = f"ADT^{event}"
    for evn, admitted, hours, recorded in (
        (EVN, "202601010900+0000", -3.0, -1.0),
        (EVN, "", -2.0, -1.0),
        ("EVN||202601011100+0000", "", -1.0, -1.0),
        ("EVN|", "", 0.0, 0.0),
    ):
        found = read(lines(evn, PID, pv1(admitted), kind=kind))
        assert events(found) == [(what, hours, False, (1, recorded, 0))]


def test_a_transfer_places_the_patient_at_its_own_time() -> None:
    found = read(lines(EVN, PID, pv1(), kind="ADT^A02"))
    assert events(found) == [("located", -2.0, False, (1, -1.0, 0))]
    (fact,) = (f for f in found.facts if isinstance(f, EncounterEvent))
    assert (fact.ward, fact.bed, fact.patient_class) == ("ED", "3", "E")


def test_a_discharge_is_dated_by_pv1_45() -> None:
    found = read(lines(EVN, PID, pv1(discharged="202601011030+0000"), kind="ADT^A03"))
    assert events(found) == [("discharged", -1.5, False, (1, -1.0, 0))]


@pytest.mark.parametrize(("event", "cancelled"), [("A11", "admitted"), ("A13", "discharged")])
def test_a_cancellation_is_the_event_removed(event: str, cancelled: str) -> None:
    inpatient = pv1().replace("PV1|1|E", "PV1|1|I")
    found = read(lines(EVN, PID, inpatient, kind=f"ADT^{event}"))
    assert events(found) == [(cancelled, -2.0, True, (1, -1.0, 1))]


def test_cancelling_an_emergency_visit_cancels_its_registration_too() -> None:
    found = read(lines(EVN, PID, pv1(), kind="ADT^A11"))
    assert [(event, removed) for event, _, removed, _ in events(found)] == [
        ("admitted", True),
        ("registered", True),
    ]


@pytest.mark.parametrize(
    ("event", "what"), [("A12", "located"), ("A52", "left"), ("A53", "returned")]
)
def test_a_cancelled_movement_is_found_by_its_own_time(event: str, what: str) -> None:
    done = {"A12": "A02", "A52": "A21", "A53": "A22"}[event]
    first = read(lines("EVN||202601011000+0000", PID, pv1(), kind=f"ADT^{done}"))
    undone = read(lines(EVN, PID, pv1(), kind=f"ADT^{event}"))
    assert [f.id for f in first.facts if isinstance(f, EncounterEvent)] == [
        f.id for f in undone.facts if isinstance(f, EncounterEvent)
    ]
    assert events(undone)[0][:3] == (what, -2.0, True)


def test_a_cancelled_transfer_without_a_time_says_where_the_patient_is() -> None:
    found = read(lines("EVN||202601011100+0000", PID, pv1(), kind="ADT^A12"))
    assert events(found) == [("located", -1.0, False, (1, -1.0, 0))]


def test_an_update_repeats_times_below_the_rank_of_the_events_themselves() -> None:
    repeated = pv1("202601010900+0000", "202601011130+0000")
    found = read(lines(EVN, PID, repeated, kind="ADT^A08"))
    assert events(found) == [
        ("located", -2.0, False, (1, -1.0, 0)),
        ("admitted", -3.0, False, (0, -1.0, 0)),
        ("discharged", -0.5, False, (0, -1.0, 0)),
    ]


def test_a_visit_is_known_by_pv1_19_else_pid_18_else_not_at_all() -> None:
    account = PID + "|" * 15 + "ACC7"
    visits = []
    for pid, visit in ((PID, "V1"), (account, "V1"), (account, ""), (PID, "")):
        found = read(lines(EVN, pid, pv1(visit=visit), kind="ADT^A01"))
        visits += [f.visit for f in found.facts if isinstance(f, EncounterEvent)]
    assert visits[0] == visits[1] != visits[2]
    assert visits[3] == ""


@pytest.mark.parametrize("event", ["A01", "A02", "A03", "A04", "A11", "A13"])
def test_an_event_without_pv1_goes_to_quarantine(event: str) -> None:
    found = read(lines(EVN, PID + "||||1956", kind=f"ADT^{event}"))
    assert (found.outcome, found.reason, found.facts) == ("quarantine", "no_visit_event", [])


def test_an_update_without_pv1_is_about_the_person() -> None:
    found = read(lines(EVN, PID + "||||1956|F", kind="ADT^A08"))
    assert found.outcome == "facts"
    assert {f.field for f in found.facts if isinstance(f, PersonDetail)} == {"birth_year", "sex"}


def test_an_impossible_time_of_the_event_goes_to_quarantine() -> None:
    found = read(lines(EVN, PID, pv1("20260230"), kind="ADT^A01"))
    assert (found.outcome, found.reason) == ("quarantine", "bad_time")
    assert [i.location for i in found.issues] == ["PV1-44"]


def test_before_v23_the_event_may_stand_in_evn_1() -> None:
    found = read(lines("EVN|A01|202601011100+0000", PID, pv1(), kind="ADT"))
    assert (found.outcome, found.message_type) == ("facts", "ADT^A01")


@pytest.mark.parametrize(
    ("fields", "kind", "expected"),
    [
        ("20260101090000+0000|Y", "ADT^A03", (SENT - 3 * HOUR, False)),
        ("|Y", "ADT^A03", (SENT, False)),
        ("|N", "ADT^A03", (None, True)),
        ('""|', "ADT^A03", (None, True)),
        ('|""', "ADT^A03", (None, True)),
        ("|", "ADT^A03", None),
        ("20260101090000+0000|Y", "ORU^R01", (SENT - 3 * HOUR, False)),
        ("|N", "ORU^R01", None),  # a copy, and often an old one
    ],
)
def test_a_death_is_reported_by_anyone_and_taken_back_by_the_patient_administration(
    fields: str, kind: str, expected: tuple[float | None, bool] | None
) -> None:
    found = read(lines(EVN, PID + "|" * 26 + fields, pv1(), kind=kind))
    said = [(f.value, f.removed) for f in found.facts if isinstance(f, PersonDetail)]
    assert said == ([] if expected is None else [expected])


def test_height_and_weight_in_an_admission_are_observations() -> None:
    found = read(lines(EVN, PID, pv1(), "OBX|1|NM|29463-7^Weight^LN||82|kg|||||F", kind="ADT^A01"))
    assert [type(f).__name__ for f in found.facts] == ["EncounterEvent", "Observation"]
