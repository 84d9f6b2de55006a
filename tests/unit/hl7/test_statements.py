"""Diagnoses, allergies, problems, documents, orders and medication: facts in any order."""

from __future__ import annotations

from itertools import permutations

import pytest

from connectors.facts import AnyFact, Medication, Observation, Order, Statement
from connectors.hl7.batch import split
from connectors.identity import IdentityKey
from connectors.interpret import interpret
from connectors.interpretation import Profile
from connectors.wire import WireMessage
from models.record import PatientRecord
from tests.unit.hl7.reading import HEARD, lines, read

PID = "PID|1||42^^^HOSP^MR"


def at(hour: int, kind: str, *segments: str) -> bytes:
    head = f"MSH|^~\\&|APP|HOSP|||20260101{hour:02}0000+0000||{kind}|{kind}{hour}|P|2.5.1"
    return "\r".join([head, PID, *segments, ""]).encode()


def standing(messages: list[bytes], kind: type[AnyFact]) -> list[AnyFact]:
    """What stands after those messages, the same in every order."""
    outcomes = []
    for order in permutations(messages):
        record = PatientRecord()
        for raw in [*order, order[0]]:
            found = read(raw)
            assert found.outcome == "facts", (found.reason, found.issues)
            record.fold_facts(found.facts)
        outcomes.append((record.digest(), record))
    assert len({digest for digest, _ in outcomes}) == 1
    facts = outcomes[0][1].facts.values()
    return [f for f in facts if isinstance(f, kind) and not f.removed]


DG1 = "DG1|1||I21.9^Acute myocardial infarction^I10||20260101|F" + "|" * 14
IAM = "IAM|1|DA|P^Penicillin^L|SV||{}|7^HOSP"
PRB = "PRB|{}|20260101{}0000+0000|44054006^Diabetes^SCT|P1^HOSP"


def test_a_diagnosis_and_its_deletion() -> None:
    said = at(1, "BAR^P01", DG1 + "D9^HOSP|A")
    (fact,) = standing([said, at(2, "ADT^A31", DG1 + "D9^HOSP|U")], Statement)
    assert isinstance(fact, Statement)
    assert (fact.kind, fact.code, fact.system, fact.status) == ("diagnosis", "I21.9", "I10", "F")
    assert standing([said, at(3, "BAR^P05", DG1 + "D9^HOSP|D")], Statement) == []


def test_an_allergy_and_its_deletion() -> None:
    said, gone = (at(h, "ADT^A60", IAM.format(c)) for h, c in ((1, "A"), (2, "D")))
    assert [f.code for f in standing([said], Statement) if isinstance(f, Statement)] == ["P"]
    assert standing([said, gone], Statement) == []
    assert len(standing([said, gone, at(3, "ADT^A60", IAM.format("A"))], Statement)) == 1


def test_a_problem_and_its_deletion() -> None:
    said, gone = (at(h, f"PPR^PC{h}", PRB.format(c, f"0{h}")) for h, c in ((1, "AD"), (3, "DE")))
    assert len(standing([said], Statement)) == 1
    assert standing([said, gone], Statement) == []


def test_a_diagnosis_in_words_alone_is_no_text_in_a_fact() -> None:
    (fact,) = standing([at(1, "BAR^P01", "DG1|1|||Broken heart of Jane||A")], Statement)
    assert isinstance(fact, Statement)
    assert (fact.system, fact.name) == ("text", "")
    assert "Jane" not in fact.code


def test_a_document_says_that_it_is_there_and_never_what_it_says() -> None:
    txa = "TXA|1|DS|TX|202601010900+0000||||||||D1^HOSP|||||AU||{}"
    obx = "OBX|1|TX|11506-3^Note^LN||Jane is unwell||||||F"
    told = at(1, "MDM^T02", txa.format("AV"), obx)
    (fact,) = standing([told], Statement)
    assert isinstance(fact, Statement)
    assert (fact.kind, fact.code, fact.status) == ("document", "DS", "AU")
    assert b"Jane" not in str(read(told).facts).encode()
    assert standing([told, at(2, "MDM^T11", txa.format("CA"))], Statement) == []
    assert standing([told, at(2, "MDM^T11", txa.format(""))], Statement) == []


@pytest.mark.parametrize(
    ("control", "status", "expected"),
    [("NW", "", "SC"), ("CA", "", "CA"), ("SC", "IP", "IP"), ("SC", "CM", "CM"), ("DC", "", "DC")],
)
def test_the_state_of_an_order(control: str, status: str, expected: str) -> None:
    orc = f"ORC|{control}|P1|F1^LAB||{status}||||202601010900+0000"
    obr = "OBR|1|P1|F1^LAB|24331-1^Lipids^LN"
    found = [f for f in read(at(9, "ORM^O01", orc, obr)).facts if isinstance(f, Order)]
    assert [(f.status, f.code) for f in found] == [(expected, "24331-1")]


def test_the_newest_message_about_an_order_counts() -> None:
    obr = "OBR|1|P1|F1^LAB|24331-1^Lipids^LN"
    told = [
        at(h, "OML^O21", f"ORC|{c}|P1|F1^LAB||||||202601010{h}00+0000", obr)
        for h, c in ((1, "NW"), (2, "HD"), (3, "CA"))
    ]
    (fact,) = standing(told, Order)
    assert isinstance(fact, Order)
    assert fact.status == "CA"


def test_a_vaccination_given_corrected_and_deleted() -> None:
    orc = "ORC|RE||I7^CLINIC||||||20260101{}0000+0000"
    rxa = "RXA|0|1|20260101||08^HepB^CVX|{}|mL^^UCUM|" + "|" * 12 + "CP|{}"
    route = "RXR|IM^Intramuscular^HL70162"
    given = at(1, "VXU^V04", orc.format("01"), rxa.format("1.0", "A"), route)
    updated = at(2, "VXU^V04", orc.format("02"), rxa.format("0.5", "U"), route)
    gone = at(3, "VXU^V04", orc.format("03"), rxa.format("0.5", "D"), route)
    (fact,) = standing([given, updated], Medication)
    assert isinstance(fact, Medication)
    assert (fact.event, fact.code, fact.dose, fact.unit, fact.route, fact.status) == (
        "given", "08", 0.5, "mL", "IM", "CP",
    )  # fmt: skip
    assert standing([given, updated, gone], Medication) == []


@pytest.mark.parametrize(
    ("amount", "unit", "dose"),
    [("999", "", None), ("999", "mg", 999.0), ("0.5", "", 0.5), ("", "", None)],
)
def test_an_amount_that_nobody_recorded_is_no_dose(
    amount: str, unit: str, dose: float | None
) -> None:
    rxa = f"RXA|0|1|20260101||08^HepB^CVX|{amount}|{unit}"
    (fact,) = standing([at(1, "VXU^V04", "ORC|RE||I7^CLINIC", rxa)], Medication)
    assert isinstance(fact, Medication)
    assert fact.dose == dose


def test_each_dose_that_is_to_be_given_is_one() -> None:
    """RGV: two doses of one order; the second is cancelled."""

    def dose(counter: int, control: str, hour: int) -> bytes:
        rxg = f"RXG|{counter}||^Q6H|1191^Aspirin^RXNORM|{100 * counter}||mg"
        return at(hour, "RGV^O15", f"ORC|{control}|R7^EHR", rxg)

    first, second = dose(1, "NW", 1), dose(2, "NW", 2)
    found = [f for f in standing([first, second], Medication) if isinstance(f, Medication)]
    assert sorted((f.event, f.code, f.dose, f.unit) for f in found) == [
        ("ordered", "1191", 100.0, "mg"),
        ("ordered", "1191", 200.0, "mg"),
    ]
    (left,) = standing([first, second, dose(2, "DC", 3)], Medication)
    assert isinstance(left, Medication)
    assert left.dose == 100.0


def test_observations_of_two_vaccinations_of_a_day_are_told_apart_by_their_orders() -> None:
    def shot(order: str, vaccine: str, funding: str, changed: int) -> tuple[str, ...]:
        obx = f"OBX|1|CE|64994-7^Funding^LN|1|{funding}^x^HL70064||||||F|||20260101"
        rxa = f"RXA|0|1|20260101||{vaccine}^x^CVX|0.5|mL"
        return f"ORC|RE||{order}^CLINIC||||||202601010{changed}00+0000", rxa, obx

    both = at(1, "VXU^V04", *shot("I7", "08", "V01", 1), *shot("I8", "20", "V02", 1))
    assert not read(both).issues
    amended = at(2, "VXU^V04", *shot("I8", "20", "V03", 2))
    found = [o for o in standing([both, amended], Observation) if isinstance(o, Observation)]
    assert sorted(str(o.value) for o in found) == ["V01", "V03"]


def test_a_prescription_and_its_end() -> None:
    rxe = "RXE|^^^20260101|1191^Aspirin^RXNORM|100||mg"
    ordered = at(1, "RDE^O11", "ORC|NW|P5||||||||202601010100+0000", rxe)
    (fact,) = standing([ordered], Medication)
    assert isinstance(fact, Medication)
    assert (fact.event, fact.code, fact.dose, fact.unit) == ("ordered", "1191", 100.0, "mg")
    stopped = at(2, "RDE^O11", "ORC|DC|P5||||||||202601010200+0000", rxe)
    assert standing([ordered, stopped], Medication) == []


@pytest.mark.parametrize(
    "segment",
    ["DG1|1", "AL1|1|DA", "PRB|AD|2026", "RXA|0|1", "RXE|1", "TXA|1", "DG1|1||A^B^C||notatime"],
)
def test_broken_segments_are_issues_and_no_errors(segment: str) -> None:
    for kind in ("ADT^A31", "VXU^V04", "RDE^O11", "PPR^PC1", "MDM^T02"):
        found = read(lines(PID, segment, kind=kind))
        assert found.outcome in ("facts", "no_facts", "quarantine")


# ── batches ─────────────────────────────────────────────────────────────────────────────────


def record(raw: bytes) -> list[str]:
    message = WireMessage(raw, "t/0/0", HEARD, "", "")
    return [read.outcome for read in interpret(message, IdentityKey(bytes(32)), Profile())]


def test_a_batch_is_its_messages() -> None:
    one, other = at(1, "BAR^P01", DG1), at(2, "ADT^A60", IAM.format("A"))
    batch = b"FHS|^~\\&|A\rBHS|^~\\&|A\r" + one + other + b"BTS|2\rFTS|1\r"
    assert split(batch) == ([one, other], [])
    assert record(batch) == ["facts", "facts"]


@pytest.mark.parametrize(
    ("batch", "fault"),
    [
        (b"BHS|^~\\&\r%sBTS|3\r", "BTS[1]-1"),
        (b"FHS|^~\\&\rBHS|^~\\&\r%sBTS|1\rFTS|2\r", "FTS[1]-1"),
        (b"FHS|^~\\&\r%sFTS|2\r", "FTS[1]-1"),
        (b"BHS|^~\\&\r%sBTS|one\r", "BTS[1]-1"),
        (b"BHS|^~\\&\rstray\r%sBTS|1\r", "BHS"),
    ],
)
def test_a_count_that_does_not_fit_is_told_and_nothing_is_dropped(batch: bytes, fault: str) -> None:
    raw = batch % at(1, "BAR^P01", DG1)
    assert split(raw).faults == [fault]
    assert record(raw) == ["facts", "quarantine"]


def test_a_batch_without_its_header_segment_counts_as_one() -> None:
    one = at(1, "BAR^P01", DG1)
    assert split(b"FHS|^~\\&\r" + one + b"FTS|1\r") == ([one], [])
    batch = b"FHS|^~\\&\rBHS|^~\\&\r" + one + b"BTS|1\r" + one + b"BTS|1\rFTS|2\r"
    assert split(batch) == ([one, one], [])


def test_an_empty_or_broken_off_batch() -> None:
    assert record(b"BHS|^~\\&\r") == ["quarantine"]
    assert record(b"BHS|^~\\&\r" + at(1, "BAR^P01", DG1)[:-4]) == ["facts"]
    assert record(b"FHS") == ["quarantine"]
