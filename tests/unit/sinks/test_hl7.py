"""HL7 v2 out: read back by another parser, and judged by another library's tables."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import hl7
import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from connectors.contract import Alert, AlertReason, AlertState, Severity
from connectors.hl7.conformance import explain
from connectors.sinks.hl7 import Addresses, oru, pcd04
from connectors.sinks.notice import Notice
from tests.unit.sinks.alerts import (
    ALERT_ID,
    PATIENT,
    PERSON,
    SCORE,
    alert,
    ended,
    notice,
    withdrawn,
)

TO = Addresses(("TOCSIN", "WARD"), ("AM", "HOSP"), "TOCSIN", "https://t/{alert_id}", ("MR",))


def parsed(raw: bytes) -> Any:
    """By python-hl7."""
    return hl7.parse(raw.decode())


def facets(message: Any) -> dict[str, tuple[str, str]]:
    """OBX-4's last number → (code in OBX-3, OBX-5)."""
    return {
        str(obx[4]).rpartition(".")[2]: (str(obx[3]).split("^")[0], str(obx[5]))
        for obx in message.segments("OBX")
    }


# What hl7apy's tables lack: CWE is a value type of v2.6; PH, PM and SP in OBX-8 are IHE's; table
# 0396 lets a site call its own codes 99 and three letters or more, and knows UCUM.
LACKING = {
    "OBX-2 has a value outside its table.",
    "OBX-8 has a value outside its table.",
    "OBR-4, CE-3 has a value outside its table.",
    "OBX-3, CE-3 has a value outside its table.",
    "OBX-6, CE-3 has a value outside its table.",
}


def findings(raw: bytes) -> set[str]:
    """Of hl7apy, which has no structure of ORU_R40: it is that of ORU_R01 (HL7 v2.8, 7.3)."""
    return set(explain(raw.replace(b"ORU^R40^ORU_R40", b"ORU^R01^ORU_R01"))) - LACKING


any_alert = st.builds(
    alert,
    revision=st.integers(1, 9_999),
    state=st.sampled_from(AlertState),
    reason=st.sampled_from(AlertReason),
    severity=st.sampled_from(Severity),
    ward=st.text("AZ|^~\\&\r\nü", max_size=6),
    risk=st.text("abc-|^~\\&é", min_size=1, max_size=8),
)


@pytest.mark.parametrize("write", [pcd04, oru])
@settings(deadline=None, max_examples=60)
@given(one=any_alert, told=st.booleans())
def test_no_value_breaks_out_of_its_field(
    write: Callable[[Notice, Alert, Addresses], bytes], one: Alert, told: bool
) -> None:
    """Delimiters and line ends in a ward's or a risk's name stay text."""
    raw = write(notice(one, told=told), one, TO)
    message = parsed(raw)
    names = [str(segment[0]) for segment in message]
    assert names[:4] == ["MSH", "PID", "PV1", "OBR"]
    assert set(names[4:]) == {"OBX"}
    assert raw == write(notice(one, told=told), one, TO)


@pytest.mark.parametrize("write", [pcd04, oru])
@pytest.mark.parametrize("people", [{}, {PATIENT: PERSON}])
@pytest.mark.parametrize("one", [alert(), ended(), withdrawn()], ids=lambda a: str(a.state))
def test_hl7apy_finds_nothing_wrong(
    write: Callable[[Notice, Alert, Addresses], bytes], people: Any, one: Alert
) -> None:
    """With the structure and the tables of the message's version."""
    raw = write(notice(one, told=one.revision > 1, people=people), one, TO)
    assert findings(raw) == set()


def test_hl7apy_would_find_something() -> None:
    """The check itself can fail."""
    raw = pcd04(notice(), alert(), TO).replace(b"OBR|1|", b"ZZZ|1|")
    assert findings(raw) != set()


def test_a_new_alert_is_a_start() -> None:
    """The facets of IHE ACM."""
    message = parsed(pcd04(notice(), alert(), TO))
    assert str(message.segment("MSH")[9]) == "ORU^R40^ORU_R40"
    assert str(message.segment("MSH")[12]) == "2.6"
    assert "IHE_PCD_ACM_001" in str(message.segment("MSH")[21])
    obr = message.segment("OBR")
    assert str(obr[3]) == f"{ALERT_ID}^TOCSIN"
    assert str(obr[4]) == "196616^MDC_EVT_ALARM^MDC"
    assert facets(message) == {
        "1": ("196616", "deterioration^deterioration risk^99TOCSIN"),
        "2": ("68480", "TOCSIN^Tocsin risk monitor^99TOCSIN"),
        "3": ("68481", "start"),
        "4": ("68482", "active"),
        "5": ("68483", "enabled"),
        "6": ("68484", "PH"),
        "7": ("68485", "SP"),
        "8": (
            "68546",
            f"Critical deterioration risk: firing (above threshold), 43 % https://t/{ALERT_ID}",
        ),
    }


def test_an_update_names_the_start_that_it_belongs_to() -> None:
    """OBR-29, and a filler number of its own."""
    one = alert(revision=3, state=AlertState.ACKNOWLEDGED, severity=Severity.WARNING)
    message = parsed(pcd04(notice(one, told=True), one, TO))
    assert str(message.segment("OBR")[3]) == f"{ALERT_ID}.3^TOCSIN"
    assert str(message.segment("OBR")[29]) == f"^{ALERT_ID}&TOCSIN"
    found = facets(message)
    assert found["3"][1] == "update"
    assert found["5"][1] == "alert-acknowledged"
    assert found["6"][1] == "PM"


def test_what_joins_a_call_that_sounds_already_makes_no_sound_of_its_own() -> None:
    """It is shown as active; once it calls by itself, it sounds."""
    joined = alert(reason=AlertReason.JOINED, calls=False, joined="f" * 24)
    found = facets(parsed(pcd04(notice(joined), joined, TO)))
    assert (found["4"][1], found["5"][1]) == ("active", "audio-paused")
    parted = alert(revision=2, reason=AlertReason.PARTED)
    assert facets(parsed(pcd04(notice(parted, told=True), parted, TO)))["5"][1] == "enabled"


@pytest.mark.parametrize("one", [ended(), withdrawn()])
def test_an_end_is_an_end(one: Alert) -> None:
    """Whether resolved or withdrawn: no alarm sounds any more."""
    message = parsed(pcd04(notice(one, told=True), one, TO))
    assert facets(message)["3"][1] == "end"
    assert facets(message)["4"][1] == "inactive"
    assert str(message.segment("OBR")[8]) == "20260101140000+0000"


def test_a_pseudonym_goes_out_with_our_own_authority() -> None:
    """And no name."""
    message = parsed(pcd04(notice(), alert(), TO))
    assert str(message.segment("PID")[3]) == f"{PATIENT}^^^TOCSIN^PI"
    assert str(message.segment("PID")[5]) == "^^^^^^S"


def test_a_person_goes_out_only_when_handed_over() -> None:
    """With the preferred identifier first."""
    message = parsed(oru(notice(people={PATIENT: PERSON}), alert(), TO))
    pid = message.segment("PID")
    assert str(pid[3]) == r"4711^^^HOSP^MR~V\F\9^^^1.2.3.4^AN"
    assert str(pid[5]) == r"O'Neil\S\x^Ada^^^^^L"
    assert PATIENT not in str(message)


def test_the_score_is_an_observation_in_percent() -> None:
    """With its interval."""
    obx = parsed(oru(notice(), alert(), TO)).segments("OBX")
    assert [str(s[5]) for s in obx[:2]] == ["43.12", "^31^-^56.01"]
    assert str(obx[0][6]) == "%^%^UCUM"
    assert {str(s[11]) for s in obx} == {"F"}


def test_a_later_revision_corrects_and_a_withdrawal_deletes() -> None:
    """OBX-11, for the same order number."""
    later = parsed(oru(notice(alert(revision=2), told=True), alert(revision=2), TO))
    assert {str(s[11]) for s in later.segments("OBX")} == {"C"}
    gone = parsed(oru(notice(withdrawn(), told=True), withdrawn(), TO))
    assert {str(s[11]) for s in gone.segments("OBX")} == {"D"}
    assert str(later.segment("OBR")[3]) == str(gone.segment("OBR")[3])


def test_an_abstention_says_that_there_is_no_value() -> None:
    """OBX-11 X, and OBX-5 empty."""
    silent = alert(score=msgspec.structs.replace(SCORE, probability=None, interval=None))
    first = parsed(oru(notice(silent), silent, TO)).segments("OBX")[0]
    assert (str(first[5]), str(first[11])) == ("", "X")


def test_the_control_id_is_that_of_what_is_told() -> None:
    """The same again for every attempt, another for another revision, receiver or reminder."""
    ids = [
        str(parsed(pcd04(n, n.alerts[0], TO)).segment("MSH")[10])
        for n in (
            notice(),
            notice(at=notice().at + 60),
            notice(alert(revision=2)),
            notice(receiver="other"),
            notice(repeat=1),
        )
    ]
    assert ids[0] == ids[1]
    assert len(set(ids)) == 4
    brief = str(parsed(oru(notice(), alert(), TO)).segment("MSH")[10])
    assert len(brief) <= 20  # v2.5.1 allows no more


def test_a_sender_may_be_named_by_its_eui64() -> None:
    """As IHE PCD wants MSH-3."""
    to = TO._replace(sender=("TOCSIN^ACDE48234567ABCD^EUI-64", "A|B"))
    header = parsed(pcd04(notice(), alert(), to)).segment("MSH")
    assert str(header[3]) == "TOCSIN^ACDE48234567ABCD^EUI-64"
    assert str(header[4]) == r"A\F\B"
    assert str(header[11]) == "P"


def test_a_test_is_marked_for_training() -> None:
    """MSH-11 T, and the words say so."""
    message = parsed(pcd04(notice(test=True), alert(), TO))
    assert str(message.segment("MSH")[11]) == "T"
    assert facets(message)["8"][1].startswith("TEST, no patient")
