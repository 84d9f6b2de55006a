"""Exactly one outcome for each message, with a reason that a machine can read."""

from __future__ import annotations

import pytest

from connectors.hl7.interpret import Profile
from connectors.hl7.routing import NO_FACTS, ROUTES
from connectors.quarantine import Reason
from tests.unit.hl7.reading import HEARD, SENT, lines, observed, read, result

PID = "PID|1||42^^^HOSP^MR"
OBX = "OBX|1|NM|2823-3^Potassium^LN||4.1|mmol/L|||||F"


@pytest.mark.parametrize(
    ("raw", "reason"),
    [
        (b"", "empty_frame"),
        (b"\r\n \0", "empty_frame"),
        (b"hello", "not_hl7"),
        (b"\x00\xff\xfe binary", "not_hl7"),
        (b"MSH", "bad_header"),
        (b"MSH|^~\\&|A|B|||2026||", "bad_header"),
        (lines("PID|1||42", kind=""), "bad_header"),
        (lines("PID|1||42", "MSH|^~\\&|A"), "bad_header"),
        (lines("/* stray */"), "foreign_line"),
        (lines(PID, kind="ADT^A40"), "no_patient"),
        (lines(PID, "MRG|", kind="ADT^A40"), "no_patient"),
        (lines(PID, "MRG|43^^^HOSP^MR", kind="ADT^A45"), "no_visit_event"),
        (lines(PID, kind="ADT^A37"), "no_patient"),
        (lines(PID, kind="ADT^A24"), "no_patient"),
        (lines(PID, kind="MDM^T02"), "no_code"),
        (lines(PID, kind="ZZZ^Z01"), "unsupported_type"),
        (lines(PID, OBX, "DSC|more"), "unsupported_type"),
        (lines(OBX), "no_patient"),
        (lines("PID|1||", OBX), "no_patient"),
        (lines('PID|1||""^^^HOSP^MR~^^^HOSP^PI', OBX), "no_patient"),
    ],
)
def test_what_cannot_be_understood_goes_to_quarantine(raw: bytes, reason: str) -> None:
    found = read(raw)
    assert (found.outcome, found.reason, found.facts) == ("quarantine", reason, [])
    assert found.issues[0].reason == Reason(reason)


@pytest.mark.parametrize(
    ("kind", "reason"),
    [
        ("ACK", "ack"),
        ("ACK^R01^ACK", "ack"),
        ("QRY^A19", "query"),
        ("QBP^Q22", "query"),
        ("RSP^K22", "query"),
        ("SIU^S12", "scheduling"),
        ("MFN^M02", "master_file"),
        ("NMD^N02", "network"),
        ("ADT^A20", "beds"),
        ("ADT^A54", "staff"),
        ("BAR^P02", "money"),
    ],
)
def test_traffic_without_clinical_content_gives_no_facts(kind: str, reason: str) -> None:
    found = read(lines("MSA|AA|1", kind=kind))
    assert (found.outcome, found.reason, found.issues) == ("no_facts", reason, [])


def test_a_mapped_message_with_nothing_in_it_gives_no_facts() -> None:
    found = read(lines(PID))
    assert (found.outcome, found.reason) == ("no_facts", "nothing_mapped")
    assert found.pseudonym.startswith("p-")


def test_no_type_is_both_mapped_and_without_facts() -> None:
    assert {kind.split("^")[0] for kind in ROUTES}.isdisjoint(NO_FACTS)


def test_the_same_patient_twice_in_one_message_is_one_patient() -> None:
    found = read(lines(PID, OBX, "PID|2||7^^^X^SS~42^^^HOSP^MR"))
    assert (found.outcome, len(observed(found))) == ("facts", 1)


def test_two_patients_in_one_message_get_their_own_results() -> None:
    raw = lines(PID, OBX, "PID|2||43^^^HOSP^MR", OBX.replace("4.1", "5.9"))
    one, other = read(raw).patients
    assert one.pseudonym != other.pseudonym
    values = [[f.value for f in about.facts if hasattr(f, "value")] for about in (one, other)]
    assert values == [[4.1], [5.9]]


def test_preferred_identifier_types_choose_the_patient() -> None:
    raw = lines("PID|1||7^^^X^SS~42^^^HOSP^PI~43^^^HOSP^MR", OBX)
    both = {read(raw, profile=Profile(preferred_types=(t,))).pseudonym for t in ("PI", "MR", "ZZ")}
    assert len(both) == 3
    assert read(raw).pseudonym == read(lines("PID|1||43^^^HOSP^MR", OBX)).pseudonym


def test_old_versions_send_the_number_in_pid_2() -> None:
    found = read(lines("PID|1|42^^^HOSP^MR", OBX))
    assert found.pseudonym == read(lines(PID, OBX)).pseudonym


def test_a_header_time_that_is_none_or_ahead_is_replaced_by_the_clock_and_told() -> None:
    for text, reason in (("20260230", "bad_time"), ("20270101", "time_in_future"), ("", None)):
        raw = lines(PID, OBX + "|||202601011100+0000").replace(
            b"20260101120000+0000", text.encode()
        )
        found = read(raw)
        assert (found.outcome, found.sent) == ("facts", HEARD)
        expected = [(reason, "MSH-7")] if reason else []
        assert [(i.reason, i.location) for i in found.issues] == expected


def test_an_observation_without_any_time_is_refused() -> None:
    raw = lines(PID, OBX).replace(b"20260101120000+0000", b"")
    assert read(raw).reason == "no_time"
    assert observed(read(lines(PID, OBX)))[0].time == SENT  # MSH-7


def test_an_order_time_that_is_none_refuses_only_what_it_dates() -> None:
    order = "OBR|1||F1^LAB|1^Panel^L|||20260230"
    found = read(result(OBX, OBX + "|||202601011100+0000", order=order))
    assert [o.time for o in observed(found)] == [SENT - 3_600.0]
    assert [(i.reason, i.location) for i in found.issues] == [("bad_time", "OBX[1]")]


def test_a_status_time_that_is_none_is_told_and_the_message_time_counts() -> None:
    order = "OBR|1||F1^LAB|1^Panel^L|||202601011100+0000" + "|" * 15 + "never"
    found = read(result(OBX, order=order))
    assert [o.rank[1] for o in observed(found)] == [SENT]
    assert [(i.reason, i.location) for i in found.issues] == [("bad_time", "OBR[1]-22")]


def test_a_report_sent_line_by_line_is_one_text() -> None:
    lines_of_text = [f"OBX|{n}|TX|11^Report^L||{text}||||||F" for n, text in enumerate("abc")]
    assert [o.value for o in observed(read(result(*lines_of_text)))] == ["a\nb\nc"]


def test_two_numbers_for_one_observation_are_told() -> None:
    found = read(result(OBX, OBX, OBX.replace("4.1", "4.2")))
    assert [o.value for o in observed(found)] == [4.1]
    assert [(i.reason, i.location) for i in found.issues] == [("ambiguous", "OBX[3]-5")]


def test_a_deletion_with_its_replacement_leaves_the_replacement() -> None:
    deleted = "OBX|1||2823-3^Potassium^LN||||||||D"
    for segments in ((deleted, OBX), (OBX, deleted)):
        (fact,) = observed(read(result(*segments)))
        assert (fact.value, fact.removed, fact.rank[2]) == (4.1, False, 1)


def test_issues_never_repeat_what_the_message_says() -> None:
    secret = "Zanzibar"
    raw = lines(
        f"PID|1||42^^^HOSP^MR||{secret}||{secret}|F" + "|" * 21 + secret,
        f"OBR|1||F1|1^Panel|||{secret}" + "|" * 15 + secret,
        f"OBX|1|NM|11^A^L||{secret}||||||F|||20260101",
        f"OBX|2|{secret}|12^A^L||5||||||F|||20260101",
        f"OBX|3|NM|13^A^L||5||||||{secret}|||20260101",
        f"OBX|4|NM|14^A^L||5||||||F|||{secret}",
        "OBX|5|NM|15^A^L||5||||||F|||20260101",
    )
    found = read(raw)
    assert len(found.issues) == 7
    assert not any(secret in f"{i.detail}{i.location}" for i in found.issues)


def test_facts_hold_no_identifier() -> None:
    from connectors.facts import encode  # noqa: PLC0415

    raw = lines(
        "PID|1||4711^^^HOSP^MR||Zanzibar^Jo||19560412|F" + "|" * 10 + "ACC99",
        "PV1|1|I|W3" + "|" * 16 + "VISIT88",
        "OBR|1|PLACER77|FILLER66|1^Panel|||20260101",
        OBX,
    )
    for kind in (b"ORU^R01", b"ADT^A01"):
        text = b"".join(encode(f) for f in read(raw.replace(b"ORU^R01", kind)).facts).decode()
        for secret in ("4711", "Zanzibar", "0412", "ACC99", "VISIT88", "PLACER77", "FILLER66"):
            assert secret not in text
