"""Imaging studies in HL7: every announcement, in any order, is one study at one stage."""

from __future__ import annotations

from itertools import permutations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from connectors.facts import Observation, Order, Stage, StudyEvent
from models.record import PatientRecord
from models.studies import rejected_imaging, studies
from tests.unit.hl7.reading import lines, read

PID = "PID|1||42^^^HOSP^MR"
UID = "1.2.840.999.7"
OBX = f"OBX|1|ST|113014^DICOM Study^DCM||{UID}||||||O"


def told(hour: int, kind: str, orc: str, status: str = "", *more: str, uid: str = OBX) -> bytes:
    at = f"20260101{hour:02}0000+0000"
    obr = f"OBR|1|P1|A77^RIS|MRBRAIN^MR brain^L{'|' * 14}A77||||{at}||MR|{status}"
    return lines(PID, f"ORC|{orc}", obr, uid, *more, kind=kind)


def event(raw: bytes) -> StudyEvent:
    (found,) = (f for f in read(raw).facts if isinstance(f, StudyEvent))
    return found


@pytest.mark.parametrize(
    ("kind", "orc", "status", "stage"),
    [
        ("OMI^O23", "NW|P1|A77^RIS||SC", "", Stage.ORDERED),
        ("OMG^O19", "SC|P1|A77^RIS||IP", "", Stage.IN_PROGRESS),
        ("OMG^O19", "SC|P1|A77^RIS||CM", "R", Stage.AVAILABLE),
        ("OMG^O19", "SC|P1|A77^RIS||CM", "X", Stage.REJECTED),
        ("ORM^O01", "CA|P1|A77^RIS", "", Stage.REJECTED),
        ("ORU^R01", "RE", "F", Stage.REPORTED),
        ("ORU^R01", "RE", "C", Stage.CORRECTED),
    ],
)
def test_what_each_message_says_of_a_study(kind: str, orc: str, status: str, stage: Stage) -> None:
    found = event(told(8, kind, orc, status))
    assert (found.stage, found.modality, found.code) == (stage, "MR", "MRBRAIN")
    assert found.study and found.accession


@pytest.mark.parametrize(
    "named",
    [
        OBX,
        f"OBX|1|ST|110180^Study Instance UID^DCM||{UID}||||||O",
        f"IPC|A77|P|{UID}|S|MR",
        f"ZDS|{UID}^RIS^Application^DICOM",
    ],
)
def test_every_way_to_name_a_study_names_the_same(named: str) -> None:
    assert event(told(8, "OMI^O23", "SC|P1|A77||CM", uid=named)).study == (
        event(told(9, "OMI^O23", "SC|P1|A77||CM")).study
    )


def test_the_uid_is_in_no_fact() -> None:
    found = read(told(8, "ORU^R01", "RE", "F", "OBX|2|NM|1^Size^L||7|mm|||||F")).facts
    assert UID not in str(found)
    assert [o.code for o in found if isinstance(o, Observation)] == ["1"]


def test_an_order_without_a_study_is_an_order_alone() -> None:
    found = read(lines(PID, "ORC|NW|P1|F1^L", "OBR|1|P1|F1^L|1^X^L", kind="ORM^O01")).facts
    assert [type(f) for f in found] == [Order]


def test_a_study_counts_once_and_a_rejection_ends_it_in_any_order() -> None:
    messages = (
        told(8, "OMI^O23", "NW|P1|A77^RIS||SC"),
        told(9, "OMG^O19", "SC|P1|A77^RIS||IP"),
        told(10, "OMG^O19", "SC|P1|A77^RIS||CM", "R"),
        told(11, "OMG^O19", "SC|P1|A77^RIS||CM", "R"),
        told(12, "ORU^R01", "RE", "F"),
    )
    for more, stage in (
        ((), Stage.REPORTED),
        ((told(13, "OMG^O19", "SC|P1|A77||CM", "X"),), Stage.REJECTED),
    ):
        digests = set()
        for order in permutations((*messages, *more)):
            record = PatientRecord()
            for raw in (*order, order[0]):
                record.fold_facts(read(raw).facts)
            digests.add(record.digest())
        (study,) = studies(f for f in record.facts.values() if isinstance(f, StudyEvent))
        assert (len(digests), study.stage) == (1, stage)


def announced(stage: Stage, at: int, study: str, accession: str, removed: bool) -> StudyEvent:
    return StudyEvent(
        id=f"{study}{accession}{stage}", rank=(1, float(at), 0, "c"), stage=stage, time=float(at),
        study=study, accession=accession, removed=removed,
    )  # fmt: skip


@given(
    st.lists(
        st.builds(
            announced,
            st.sampled_from(Stage),
            st.integers(0, 3),
            st.sampled_from(["s", "t", ""]),
            st.sampled_from(["a", "b"]),
            st.booleans(),
        ),
        max_size=8,
    ),
    st.randoms(),
)
def test_any_announcements_in_any_order(events: list[StudyEvent], chance: object) -> None:
    shuffled = sorted(events, key=lambda _: chance.random())  # type: ignore[attr-defined]
    assert studies(events) == studies([*shuffled, *shuffled])
    standing = [e for e in events if not e.removed]
    assert rejected_imaging(events, []) >= {
        e.study for e in standing if e.stage is Stage.REJECTED and e.study
    }


def _report(order: str, uid: str, size: int) -> tuple[str, ...]:
    return (
        f"OBR|1||{order}^RIS|CT^CT^L{'|' * 21}F",
        f"OBX|1|ST|113014^DICOM Study^DCM||{uid}||||||O",
        f"OBX|2|NM|21889-1^Size^LN||{size}|mm|||||F|||20260101080000+0000",
    )


def test_a_message_may_report_two_studies_and_each_value_belongs_to_one() -> None:
    found = read(lines(PID, *_report("A", "1.2.1", 7), *_report("B", "1.2.2", 9))).facts
    events = [f for f in found if isinstance(f, StudyEvent)]
    values = {f.value: f.study for f in found if isinstance(f, Observation)}
    assert len({e.study for e in events}) == 2
    assert [values[7.0], values[9.0]] == [e.study for e in events]


def test_values_of_a_rejected_study_do_not_count() -> None:
    """Whatever comes first: the measurement, or that its study is rejected."""
    rejected = told(10, "OMG^O19", "SC|P1|A77^RIS||CM", "X", uid=f"IPC|A77|P|{UID}|S|MR")
    measured = lines(PID, *_report("A77", UID, 7))
    before = PatientRecord()
    before.fold_facts(read(measured).facts)
    assert [v.value for v in before.series("21889-1")] == [7.0]
    for messages in permutations((measured, rejected)):
        record = PatientRecord()
        for raw in messages:
            record.fold_facts(read(raw).facts)
        assert record.series("21889-1") == []
