"""What an alert manager reports back, well and badly."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from connectors.quarantine import Reason
from connectors.sinks.hl7 import pcd04
from connectors.sinks.pcd05 import Did, NotAReportError, read, why
from tests.unit.sinks.alerts import ALERT_ID, alert, notice
from tests.unit.sinks.test_hl7 import TO


def report(
    status: str = "ST|68487^X^MDC|1.0.0.0.1|Accepted",
    *,
    filler: str = f"{ALERT_ID}.2^TOCSIN",
    parent: str = "",
    kind: str = "ORA^R41^ORA_R41",
    person: str = "PRT|1|UC||AAP|N17^Smith^Ann",
    charset: str = "",
    answers: str = "T1",
) -> bytes:
    """A PCD-05 message."""
    obr = f"OBR|1||{filler}|196616^MDC_EVT_ALARM^MDC" + "|" * 25 + parent
    lines = [
        f"MSH|^~\\&|AM|HOSP|TOCSIN|WARD|20260101120500+0000||{kind}|77|P|2.6|||AL|NE||{charset}",
        f"MSA|AA|{answers}",
        obr if filler else "",
        person,
        f"OBX|1|{status}||||||F" if status else "",
    ]
    return "".join(f"{line}\r" for line in lines if line).encode()


def test_who_took_an_alert_is_read() -> None:
    """The alert, the revision seen, the person."""
    (one,) = read(report())
    assert (one.alert_id, one.revision, one.did) == (ALERT_ID, 2, Did.ACKNOWLEDGE)
    assert one.who == "N17"
    assert one.id == "AM|HOSP|77|0"


@pytest.mark.parametrize(
    ("said", "did", "reason"),
    [
        ("Accepted", Did.ACKNOWLEDGE, ""),
        ("ACCEPTED", Did.ACKNOWLEDGE, ""),
        ("AcceptedPositive", Did.ACKNOWLEDGE, "true_positive"),
        ("Accepted Positive", Did.ACKNOWLEDGE, "true_positive"),
        ("AcceptedNotRelevant", Did.DISMISS, "not_relevant"),
        ("AcceptedFalse", Did.DISMISS, "false_positive"),
        ("alert-acknowledged", Did.ACKNOWLEDGE, ""),
        ("Rejected", Did.COMMENT, "declined"),
        ("Undeliverable", Did.COMMENT, "could not be delivered"),
        *(
            (said, None, "")
            for said in (
                "Received",
                "Delivered",
                "Read",
                "Cancelled",
                "CancelledOther",
                "CallbackStart",
                "CallbackEnd",
                "CompletedReceived",
                "enabled",
                "audio-paused",
                "audio-off",
                "alarm-paused",
                "alarm-off",
            )
        ),
    ],
)
def test_every_status_means_something(said: str, did: Did | None, reason: str) -> None:
    """In whatever case and spacing; a step on the way and a state of the sound decide nothing."""
    (one,) = read(report(f"ST|1^S^L|1|{said}"))
    assert (one.did, why(one)) == (did, reason)


@pytest.mark.parametrize("number", ["68483", "68167"])
def test_the_facet_of_inactivation_is_read_as_well(number: str) -> None:
    """As devices say it, under today's number or the one before."""
    facet = f"ST|{number}^MDC_ATTR_ALARM_INACTIVATION_STATE^MDC|1.0.0.0.5|alert-acknowledged"
    (one,) = read(report(facet, person=""))
    assert one.did is Did.ACKNOWLEDGE
    assert one.who == "AM|HOSP"


def test_the_parent_names_the_alert_where_the_filler_is_the_managers_own() -> None:
    """OBR-29."""
    (one,) = read(report(filler="888^AM", parent=f"^{ALERT_ID}&TOCSIN"))
    assert (one.alert_id, one.revision) == (ALERT_ID, None)


def test_hl7_names_the_acknowledging_person_alone() -> None:
    """v2.8: MSA and PRT, no OBR; MSA-2 is the control id of what was sent."""
    raw = report("", filler="", answers=f"{ALERT_ID}.4.T{'0' * 19}")
    (one,) = read(raw)
    assert (one.alert_id, one.revision, one.did) == (ALERT_ID, 4, Did.ACKNOWLEDGE)
    assert one.who == "N17"
    witness = "PRT|1|UC||WIT|N17^Smith^Ann"  # a witness decides nothing
    assert read(report("", filler="", person=witness, answers=f"{ALERT_ID}.4")) == []


def test_the_same_thing_said_twice_counts_once() -> None:
    """As PRT and as OBX; where they differ, the OBX is what happened."""
    assert len(read(report())) == 1
    (one,) = read(report("ST|1^S^L|1|Rejected"))
    assert one.did is Did.COMMENT


def test_the_control_id_of_an_alert_names_it() -> None:
    """So that an answer to it is enough."""
    sent = pcd04(notice(alert(revision=7)), alert(revision=7), TO)
    answered = sent.split(b"\r")[0].split(b"|")[9].decode()
    (one,) = read(report("", filler="", answers=answered))
    assert (one.alert_id, one.revision) == (ALERT_ID, 7)


def test_a_plain_acknowledgement_reports_nothing() -> None:
    """ORA^R41 with MSA alone."""
    plain = b"MSH|^~\\&|AM|HOSP|TOCSIN|WARD|2026||ORA^R41^ORA_R41|78|P|2.6\rMSA|AA|T1\r"
    assert read(plain) == []


@pytest.mark.parametrize(
    ("raw", "reason"),
    [
        (report(filler="888^AM"), Reason.BAD_VALUE),
        (report("ST|1^S^L|1|Launched"), Reason.UNKNOWN_STATUS),
        (report(kind="ORU^R01^ORU_R01"), Reason.UNSUPPORTED_TYPE),
        (report(charset="KLINGON"), Reason.UNSUPPORTED_CHARSET),
        (report().replace(b"Smith", b"Sm\xefth"), Reason.BAD_CHARSET),
        (report() + b"not a segment\r", Reason.FOREIGN_LINE),
        (b"", Reason.NOT_HL7),
        (b"hello", Reason.NOT_HL7),
    ],
)
def test_what_cannot_be_read_says_why(raw: bytes, reason: Reason) -> None:
    """With a reason of the catalogue."""
    with pytest.raises(NotAReportError) as caught:
        read(raw)
    assert caught.value.reason is reason


@given(st.binary(max_size=300) | st.integers(0, len(report())).map(lambda n: report()[:n]))
def test_any_bytes_are_read_or_refused(raw: bytes) -> None:
    """Never anything else."""
    try:
        read(raw)
    except NotAReportError as error:
        assert error.detail
