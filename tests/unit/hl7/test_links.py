"""Merges, moves, cancels and leave as messages: every order ends in the one right state."""

from __future__ import annotations

import random
from itertools import permutations

import pytest

from connectors.facts import Link, LinkKind, MessageFacts
from models.patient import Patient, settle
from models.record import Presence
from tests.unit.hl7.reading import HEARD, KEY, SENT, read

HOUR = 3_600.0
X, Y, Z = "PID|1||X^^^HOSP^MR", "PID|1||Y^^^HOSP^MR", "PID|1||Z^^^HOSP^MR"


def name(pid: str) -> str:
    return read(message("ADT^A08", 0, pid)).pseudonym


def message(kind: str, hour: int, *segments: str) -> bytes:
    """A message sent `hour` hours after eight o'clock."""
    at = f"20260101{8 + hour:02}0000+0000"
    head = f"MSH|^~\\&|ADT|HOSP|||{at}||{kind}|{kind}{hour}|P|2.5.1"
    return "\r".join([head, f"EVN||{at}", *segments, ""]).encode()


def visit(number: str, account: str = "", ward: str = "W1") -> str:
    return f"PV1|1|I|{ward}^1^1{'|' * 16}{number}"


def result(pid: str, hour: int, value: float, order: str, number: str = "V1") -> bytes:
    obx = f"OBX|1|NM|8867-4^HR^LN||{value}|/min|||||F|||20260101{8 + hour:02}0000+0000"
    obr = f"OBR|1||{order}^LAB|1^Vitals^L"
    return message("ORU^R01", hour, pid, visit(number), obr, obx)


def fold(messages: list[bytes]) -> dict[str, Patient]:
    patients: dict[str, Patient] = {}
    told = []
    for raw in messages:
        found = read(raw)
        assert found.outcome == "facts", (found.reason, found.issues, raw)
        told += [
            MessageFacts(patient=a.pseudonym, sent=found.sent, heard=HEARD, wire="", facts=a.facts)
            for a in found.patients
        ]
    for _ in settle(patients, told):
        pass
    return patients


def in_every_order(messages: list[bytes]) -> dict[str, Patient]:
    chance = random.Random(11)
    orders = list(permutations(messages))
    expected = fold(messages)
    digests = {n: (p.digest(), p.record.digest()) for n, p in expected.items()}
    for order in chance.sample(orders, min(720, len(orders))):
        repeated = [*order, chance.choice(order), chance.choice(order)]
        found = {n: (p.digest(), p.record.digest()) for n, p in fold(repeated).items()}
        assert found == digests
    return expected


def values(patient: Patient) -> list[object]:
    return [o.value for o in patient.record.series("8867-4")]


ADMITTED_X = message("ADT^A01", 0, X, visit("V1"))
X1, X2, Y1 = result(X, 1, 81.0, "F1"), result(X, 2, 82.0, "F2"), result(Y, 3, 99.0, "F3", "V2")
MERGE = message("ADT^A40", 4, Y, "MRG|X^^^HOSP^MR")


def test_a_merge_carries_everything_to_the_survivor() -> None:
    found = in_every_order([ADMITTED_X, X1, X2, Y1, MERGE])
    x, y = found[name(X)], found[name(Y)]
    assert values(y) == [81.0, 82.0, 99.0]
    assert (values(x), x.record.merged_into) == ([], y.name)
    assert x.record.presence(SENT) is Presence.MERGED
    assert [s.start for s in y.record.stays()] == [SENT - 4 * HOUR]


@pytest.mark.parametrize("event", ["A18", "A30", "A34", "A36", "A39", "A40", "A43", "A46", "A47"])
def test_every_merge_event_links_both_ends(event: str) -> None:
    found = read(message(f"ADT^{event}", 4, Y, "MRG|X^^^HOSP^MR"))
    links = {a.pseudonym: f for a in found.patients for f in a.facts if isinstance(f, Link)}
    assert {(n, f.kind, f.other) for n, f in links.items()} == {
        (name(Y), LinkKind.FROM, name(X)),
        (name(X), LinkKind.INTO, name(Y)),
    }
    numbers = {
        i.number for n, known in found.identities() if n == name(Y) for i in known.identifiers
    }
    assert numbers == {"X", "Y"}


def test_a_merge_takes_the_facts_under_every_prior_number() -> None:
    z1 = result(Z, 2, 70.0, "F4", "V3")
    both = message("ADT^A40", 4, Y, "MRG|X^^^HOSP^MR~Z^^^HOSP^MR")
    found = in_every_order([X1, z1, Y1, both])
    assert values(found[name(Y)]) == [81.0, 70.0, 99.0]
    assert {found[name(p)].record.merged_into for p in (X, Z)} == {name(Y)}
    unmerge = message("ADT^A37", 5, Y, "PID|1||X^^^HOSP^MR~Z^^^HOSP^MR")
    found = in_every_order([X1, z1, Y1, both, unmerge])
    assert [values(found[name(p)]) for p in (X, Y, Z)] == [[81.0], [99.0], [70.0]]


def test_a_moved_visit_is_found_under_every_prior_number() -> None:
    move = message("ADT^A45", 4, Y, "MRG|Z^^^HOSP^MR~X^^^HOSP^MR||||V1", visit("V1"))
    found = in_every_order([X1, Y1, move])
    assert (values(found[name(X)]), values(found[name(Y)])) == ([], [81.0, 99.0])


def test_an_unmerge_gives_everything_back() -> None:
    unmerge = message("ADT^A37", 5, Y, "PV1|1|I", X, "PV1|1|I")
    found = in_every_order([ADMITTED_X, X1, Y1, MERGE, unmerge])
    assert (values(found[name(X)]), values(found[name(Y)])) == ([81.0], [99.0])
    assert found[name(X)].record.merged_into == ""


def test_linked_numbers_each_see_the_facts_of_both() -> None:
    """A24: one person, both numbers stay in use. A37 parts them."""
    linked = message("ADT^A24", 4, Y, X)
    found = in_every_order([ADMITTED_X, X1, Y1, linked])
    x, y = found[name(X)], found[name(Y)]
    assert values(x) == values(y) == [81.0, 99.0]
    assert (x.record.merged_into, y.record.merged_into) == ("", "")
    parted = in_every_order([X1, Y1, linked, message("ADT^A37", 5, X, Y)])
    assert (values(parted[name(X)]), values(parted[name(Y)])) == ([81.0], [99.0])


def test_a_link_does_not_mix_up_who_is_who() -> None:
    """Each number keeps its own person's identity: linking joins evidence, not demographics."""
    found = read(message("ADT^A24", 4, Y + "||DOE^Y", X + "||DOE^X"))
    assert {n: (i.given, len(i.identifiers)) for n, i in found.identities()} == {
        name(Y): ("Y", 1),
        name(X): ("X", 1),
    }


def test_a_patient_linked_with_themselves_stays() -> None:
    same = read(message("ADT^A24", 4, X, X))
    assert (same.outcome, same.reason) == ("no_facts", "nothing_mapped")


def test_two_pairs_in_one_merge() -> None:
    both = message("ADT^A40", 4, Z, "MRG|X^^^HOSP^MR", Z, "MRG|Y^^^HOSP^MR")
    found = in_every_order([X1, Y1, both])
    assert values(found[name(Z)]) == [81.0, 99.0]


def test_a_patient_merged_into_themselves_stays() -> None:
    found = in_every_order([X1, X2, message("ADT^A08", 4, X + "||||19500101", visit("V1"))])
    same = read(message("ADT^A40", 4, X + "||||19500101", "MRG|X^^^HOSP^MR"))
    assert not any(isinstance(f, Link) for f in same.facts)
    assert values(found[name(X)]) == [81.0, 82.0]


def test_a_moved_visit_takes_its_results_to_the_right_patient() -> None:
    other = result(X, 2, 70.0, "F9", "V8")
    move = message("ADT^A45", 4, Y, "MRG|X^^^HOSP^MR||||V1", visit("V1"))
    found = in_every_order([ADMITTED_X, X1, other, Y1, move])
    assert (values(found[name(X)]), values(found[name(Y)])) == ([70.0], [81.0, 99.0])
    assert [s.visit for s in found[name(X)].record.stays()] == []


def test_two_visits_moved_in_one_message_keep_their_own_new_numbers() -> None:
    pairs = ("MRG|X^^^HOSP^MR||||V1", visit("N1"), "MRG|Z^^^HOSP^MR||||V2", visit("N2"))
    together = read(message("ADT^A45", 4, Y, *pairs))
    first = read(message("ADT^A45", 4, Y, *pairs[:2]))
    second = read(message("ADT^A45", 4, Y, *pairs[2:]))
    links = {f.id: f for f in together.facts if isinstance(f, Link)}
    expected = [f for f in [*first.facts, *second.facts] if isinstance(f, Link)]
    assert [links[f.id].renamed for f in expected] == [f.renamed for f in expected]
    assert len({f.renamed for f in expected}) == 2


def test_a_moved_account_takes_its_visits_along() -> None:
    account = X + "|" * 15 + "A1"
    admitted = message("ADT^A01", 0, account, visit("V1"))
    move = message("ADT^A44", 4, Y + "|" * 15 + "A1", "MRG|X^^^HOSP^MR||A1")
    found = in_every_order([admitted, X1, Y1, move])
    assert (values(found[name(X)]), values(found[name(Y)])) == ([], [81.0, 99.0])


def test_a_renumbered_visit_is_one_stay() -> None:
    renumber = message("ADT^A50", 4, X, "MRG|X^^^HOSP^MR||||V1", visit("V7"))
    discharged = message("ADT^A03", 6, X, visit("V7"))
    found = in_every_order([ADMITTED_X, X1, renumber, discharged])
    stays = found[name(X)].record.stays()
    assert [(s.start, s.end) for s in stays] == [(SENT - 4 * HOUR, SENT + 2 * HOUR)]


def test_a_stay_begins_in_the_emergency_department() -> None:
    registered = message("ADT^A04", 0, X, visit("V1", ward="ED"))
    admitted = message("ADT^A01", 2, X, visit("V1"))
    found = in_every_order([registered, admitted, X1])
    (stay,) = found[name(X)].record.stays()
    assert (stay.start, stay.ward) == (SENT - 4 * HOUR, "W1")


def test_leave_and_its_cancellation() -> None:
    left = message("ADT^A21", 2, X, visit("V1"))
    at = "20260101100000+0000"
    undone = message("ADT^A52", 3, X, visit("V1")).replace(b"EVN||20260101110000+0000",
        f"EVN||20260101110000+0000||||{at}".encode())  # fmt: skip
    away = in_every_order([ADMITTED_X, left])[name(X)].record
    assert away.presence(SENT) is Presence.ON_LEAVE
    back = in_every_order([ADMITTED_X, left, undone])[name(X)].record
    assert back.presence(SENT) is Presence.PRESENT
    returned = message("ADT^A22", 3, X, visit("V1"))
    again = in_every_order([ADMITTED_X, left, returned])[name(X)].record
    assert again.stays()[0].leaves == ((SENT - 2 * HOUR, SENT - HOUR),)


def test_an_announced_admission_is_no_presence_until_it_happens() -> None:
    planned = message("ADT^A05", 0, X, visit("V1"))

    record = fold([planned])[name(X)].record
    assert record.presence(SENT) is Presence.NOT_YET
    cancelled = message("ADT^A38", 1, X, visit("V1"))
    assert fold([cancelled, planned])[name(X)].record.presence(SENT) is Presence.CANCELLED


def test_swapped_beds() -> None:
    swap = message("ADT^A17", 2, X, visit("V1", ward="W2"), Y, visit("V2", ward="W1"))
    admitted_y = message("ADT^A01", 0, Y, visit("V2", ward="W2"))
    found = in_every_order([ADMITTED_X, admitted_y, swap])
    wards = [found[name(p)].record.stays()[0].ward for p in (X, Y)]
    assert wards == ["W2", "W1"]


def test_a_deleted_person_s_details_are_forgotten_and_results_stay() -> None:
    deleted = message("ADT^A29", 5, X)
    details = message("ADT^A31", 2, X + "||||19500101|F")
    record = in_every_order([X1, X2, details, deleted])[name(X)].record
    assert (record.person("sex"), record.person("birth_year")) == (None, None)
    assert values(fold([X1, X2, details, deleted])[name(X)]) == [81.0, 82.0]


def test_the_key_hides_visit_and_account_numbers() -> None:
    found = read(message("ADT^A45", 4, Y, "MRG|X^^^HOSP^MR||||V1", visit("V1")))
    (link,) = {f.visit for f in found.facts if isinstance(f, Link)}
    assert link == KEY.reference("visit", "VN", "HOSP", "V1")[:16]
