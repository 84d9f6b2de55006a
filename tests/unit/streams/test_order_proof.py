"""Order proof: raw messages in every permutation, with repetitions, end in one state and alert.

Each sequence is HL7 as a hospital sends it. Every permutation goes through the mapping, the fold,
the handing on of facts between patients, the score and the alert rule.
"""

from __future__ import annotations

import random
from itertools import permutations

import pytest

from connectors.contract import AlertState, LogPosition
from connectors.facts import FactRecord, MessageFacts, Stage, StudyEvent
from connectors.hl7.interpret import interpret
from connectors.identity import IdentityKey
from connectors.interpretation import Profile
from models.patient import Patient
from streams.engine import Engine
from streams.state import PatientState
from tests.unit.streams.timeline import HEART_RATE, HeartRateRisk

KEY = IdentityKey(bytes(32))
HEARD = 1_767_312_000.0
X, Y, Z = (f"PID|1||{n}^^^HOSP^MR" for n in "XYZ")
Told = bytes | MessageFacts


def clock(minute: int) -> str:
    return f"20260101{12 + minute // 60:02}{minute % 60:02}00+0000"


def message(kind: str, minute: int, *segments: str, occurred: int | None = None) -> bytes:
    evn = f"EVN||{clock(minute)}" + (f"||||{clock(occurred)}" if occurred is not None else "")
    head = f"MSH|^~\\&|APP|HOSP|||{clock(minute)}||{kind}|{kind}{minute}|P|2.5.1"
    return "\r".join([head, evn, *segments, ""]).encode()


def visit(number: str = "V1", ward: str = "W1") -> str:
    return f"PV1|1|I|{ward}^1^1{'|' * 16}{number}"


def hr(
    minute: int,
    value: float | str,
    order: str,
    *,
    pid: str = X,
    status: str = "F",
    seen: int | None = None,
    number: str = "V1",
) -> bytes:
    """A heart rate; at 110 and more the test risk fires, below 96 it clears."""
    at = clock(minute if seen is None else seen)
    obx = f"OBX|1|NM|{HEART_RATE}^HR^LN||{value}|/min|||||{status}|||{at}"
    obr = f"OBR|1||{order}^LAB|1^Vitals^L|||{at}"
    return message("ORU^R01", minute, pid, visit(number), obr, obx)


A01 = message("ADT^A01", 0, X, visit())
A01_Y = message("ADT^A01", 1, Y, visit("V2", "W2"))
MERGE = message("ADT^A40", 30, Y, "MRG|X^^^HOSP^MR")
UNMERGE = message("ADT^A37", 40, Y, "PV1|1|I", X, "PV1|1|I")


def study(minute: int, stage: Stage) -> MessageFacts:
    at = 1_767_268_800.0 + minute * 60.0  # noon of the clock above
    fact = StudyEvent(
        id=f"s1-{stage}", rank=(1, at, 0, str(minute)), stage=stage, time=at, study="s1"
    )
    patient = interpret(A01, HEARD, KEY, Profile()).pseudonym
    return MessageFacts(patient=patient, sent=at, heard=at, wire="", facts=[fact])


# Name → (messages, whose alert is open at the end).
SEQUENCES: dict[str, tuple[list[Told], str]] = {
    "a correction takes the ground away": (
        [A01, hr(5, 130, "F1"), hr(9, 80, "F1", status="C", seen=5), hr(20, 85, "F2"),
         message("ADT^A02", 12, X, visit(ward="W9"))], ""),
    "a correction brings the ground": (
        [A01, hr(5, 80, "F1"), hr(9, 130, "F1", status="C", seen=5), hr(4, 81, "F2"),
         message("ADT^A08", 12, X, visit())], "X"),
    "a deletion": (
        [A01, hr(5, 130, "F1"), hr(9, '""', "F1", status="D", seen=5), hr(6, 90, "F2"),
         hr(3, 88, "F3")], ""),
    "a result of the wrong patient, sent anew for the right one": (
        [A01, A01_Y, hr(5, 140, "F1"), hr(9, "", "F1", status="W", seen=5),
         hr(10, 140, "F1", pid=Y, seen=5, number="V2"), hr(6, 80, "F2")], "Y"),
    "preliminary, final without a value, late": (
        [A01, hr(5, 130, "F1", status="P"), hr(8, "", "F1", status="U", seen=5), hr(4, 85, "F2"),
         hr(3, 84, "F3")], "X"),
    "an admission cancelled before it": (
        [A01, hr(5, 130, "F1"), message("ADT^A11", 9, X, visit(), occurred=0), hr(6, 125, "F2"),
         message("ADT^A08", 7, X + "||||1950|F")], ""),
    "a discharge and its cancellation": (
        [A01, hr(5, 130, "F1"), message("ADT^A03", 7, X, visit()),
         message("ADT^A13", 9, X, visit(), occurred=7), hr(6, 128, "F2")], "X"),
    "a transfer cancelled, and leave": (
        [A01, hr(5, 130, "F1"), message("ADT^A02", 6, X, visit(ward="W5")),
         message("ADT^A12", 8, X, visit(), occurred=6), message("ADT^A21", 10, X, visit()),
         message("ADT^A22", 12, X, visit())], "X"),
    "registered, admitted, and the beds of two swapped": (
        [message("ADT^A04", 0, X, visit(ward="ED")), message("ADT^A01", 3, X, visit()), A01_Y,
         hr(5, 130, "F1"), message("ADT^A17", 8, X, visit(ward="W2"), Y, visit("V2", "W1"))], "X"),
    "a merge": ([A01, hr(5, 130, "F1"), A01_Y, hr(6, 80, "F2", pid=Y, seen=2, number="V2"), MERGE,
                 hr(31, 125, "F3")], "Y"),
    "a merge and its undoing": (
        [A01, hr(5, 130, "F1"), A01_Y, hr(6, 80, "F2", pid=Y, number="V2"), MERGE, UNMERGE], "X"),
    "two merges in a chain": (
        [A01, hr(5, 130, "F1"), MERGE, message("ADT^A40", 33, Z, "MRG|Y^^^HOSP^MR"),
         hr(8, 120, "F2", pid=Y, number="V2")], "Z"),
    "a visit moved to the right patient": (
        [A01, A01_Y, hr(5, 130, "F1"), hr(6, 80, "F9", number="V8"),
         message("ADT^A45", 20, Y, "MRG|X^^^HOSP^MR||||V1", visit())], "Y"),
    "a study rejected, orders and diagnoses come and go": (
        [study(1, Stage.ORDERED), study(20, Stage.AVAILABLE), study(40, Stage.REJECTED),
         hr(5, 130, "F1"), message("ORM^O01", 6, X, "ORC|CA|P1|F7^LAB", "OBR|1|P1|F7^LAB|1^L^L"),
         message("BAR^P01", 7, X, "DG1|1||I21^MI^I10||20260101|F" + "|" * 14 + "D1|D")], "X"),
    "a vaccination deleted, a problem resolved": (
        [A01, hr(5, 130, "F1"),
         message("VXU^V04", 7, X, "ORC|RE||I7^C", "RXA|0|1|20260101||08^HepB^CVX|1|mL|" + "|" * 12
                 + "CP|A"),
         message("VXU^V04", 9, X, "ORC|RE||I7^C", "RXA|0|1|20260101||08^HepB^CVX|1|mL|" + "|" * 12
                 + "CP|D"),
         message("PPR^PC1", 10, X, "PRB|AD|20260101|44054006^DM^SCT|P1"),
         message("PPR^PC3", 11, X, "PRB|DE|20260102|44054006^DM^SCT|P1")], "X"),
}  # fmt: skip


def to_facts(told: Told) -> list[MessageFacts]:
    if isinstance(told, MessageFacts):
        return [told]
    read = interpret(told, HEARD, KEY, Profile())
    assert read.outcome == "facts", (read.reason, read.issues, told)
    return [
        MessageFacts(
            patient=about.pseudonym,
            sent=read.sent,
            heard=read.sent,
            wire="",
            facts=about.facts,
            source=read.source,
        )
        for about in read.patients
    ]


def final(told: list[MessageFacts]) -> dict[str, tuple[object, ...]]:
    """State, score and open alert of each patient, after all that was handed on."""
    model = HeartRateRisk()
    engine = Engine([model])
    states: dict[str, PatientState] = {}
    queue, offset = list(told), 0
    while queue:
        one = queue.pop(0)
        states.setdefault(one.patient, PatientState(Patient(one.patient)))
        log = LogPosition(topic="tocsin.facts", partition=0, offset=offset)
        queue += engine.apply(states, FactRecord(messages=[one]), log).handed_on
        offset += 1
    found: dict[str, tuple[object, ...]] = {}
    for name, state in sorted(states.items()):
        (answer,) = model.assess([(state.record, state.now())])
        published = state.risks[model.risk].published
        last = published[-1] if published else None
        is_open = last is not None and last.state is AlertState.FIRING
        alert = (last.episode, last.severity, last.since) if last and is_open else None
        found[name] = (state.patient.digest(), answer.log_odds, answer.abstained, alert)
    return found


@pytest.mark.parametrize("name", SEQUENCES)
def test_every_permutation_ends_the_same(name: str) -> None:
    told, whose = SEQUENCES[name]
    assert 5 <= len(told) <= 7
    facts = [to_facts(one) for one in told]
    expected = final([m for one in facts for m in one])
    alerting = {patient for patient, (*_, alert) in expected.items() if alert is not None}
    assert alerting == ({KEY_OF[whose]} if whose else set())
    chance = random.Random(name)
    for order in permutations(facts):
        repeated = [*order]
        repeated.insert(chance.randrange(len(order) + 1), chance.choice(order))
        assert final([m for one in repeated for m in one]) == expected


KEY_OF = {
    n: interpret(message("ADT^A08", 0, pid, visit()), HEARD, KEY, Profile()).pseudonym
    for n, pid in zip("XYZ", (X, Y, Z), strict=True)
}
