"""What a hospital sends that holds alerts back: from the HL7 message to who is called."""

from __future__ import annotations

import pytest

from connectors.contract import AlertReason, AlertState
from connectors.facts import MessageFacts
from tests.unit.hl7.reading import read
from tests.unit.streams.timeline import HEART_RATE
from tests.unit.streams.ward import Ward

INHIBITS = (
    "inhibitions:\n"
    "- {name: palliative care, codes: [{code: Z51.5, system: I10}]}\n"
    "- {name: no resuscitation, codes: [{code: DNR}, {code: '304253006', system: SCT}]}\n"
    "- {name: in theatre, located: ['OR*']}\n"
)
PID = "PID|1||42^^^HOSP^MR"
DG1 = "DG1|1||Z51.5^Palliative care^I10||20260101110000+0000|W" + "|" * 14 + "D1^HOSP|{}"
DNR = "OBR|1|9^EHR||304253006^Not for resuscitation^SCT"
P, F = AlertState.PENDING, AlertState.FIRING


def message(minute: float, kind: str, *segments: str, visit: str = "V1", ward: str = "W1") -> bytes:
    at = f"202601011{2 + int(minute) // 60}{int(minute) % 60:02}00+0000"
    head = f"MSH|^~\\&|EHR|HOSP|||{at}||{kind}|{kind}{minute}|P|2.5.1"
    pv1 = f"PV1|1|I|{ward}^^1" + "|" * 16 + f"{visit}^^^HOSP^VN"
    return "\r".join([head, f"EVN||{at}", PID, pv1, *segments, ""]).encode()


def heart_rate(minute: float, value: float, **where: str) -> bytes:
    at = f"202601011{2 + int(minute) // 60}{int(minute) % 60:02}00+0000"
    obr = f"OBR|1||F{minute}^MON|VITALS^Vitals^L|||{at}"
    obx = f"OBX|1|NM|{HEART_RATE}^Heart rate^LN||{value}|/min|||||F|||{at}"
    return message(minute, "ORU^R01", obr, obx, **where)


class Hospital(Ward):
    """A ward that is told messages as they stand on the wire."""

    async def hear(self, *messages: bytes) -> None:
        for raw in messages:
            found = read(raw)
            assert found.outcome == "facts", (found.reason, found.issues)
            heard = MessageFacts(
                patient="p-1",
                sent=found.sent,
                heard=found.sent,
                wire="",
                facts=found.facts,
                control_id=found.control_id,
                source="EHR",
                message_type=found.message_type,
            )
            await self.say(heard)


async def firing() -> Hospital:
    ward = Hospital()
    await ward.policy(INHIBITS)
    await ward.hear(message(0, "ADT^A01"), heart_rate(1, 110.0))
    assert ward.last.state is F
    return ward


def pd1(directives: str) -> str:
    return "PD1" + "|" * 15 + directives


@pytest.mark.parametrize(
    ("said", "taken_back", "name"),
    [
        (
            message(2, "ADT^A08", DG1.format("A")),
            message(3, "BAR^P05", DG1.format("D")),
            "palliative care",
        ),
        (
            message(2, "OMG^O19", "ORC|NW|9^EHR", DNR),
            message(3, "OMG^O19", "ORC|DC|9^EHR", DNR),
            "no resuscitation",
        ),
        (
            message(2, "ADT^A08", pd1("LW~DNR^Do not resuscitate^HL70435")),
            message(3, "ADT^A08", pd1("LW")),
            "no resuscitation",
        ),
        (
            message(2, "ADT^A31", pd1("DNR")),
            message(3, "ADT^A31", pd1('""')),
            "no resuscitation",
        ),
        (message(2, "ADT^A02", ward="OR3"), message(3, "ADT^A02"), "in theatre"),
    ],
    ids=["diagnosis", "order", "directives", "directive", "place"],
)
async def test_it_holds_the_alert_back_until_it_is_taken_back(
    said: bytes, taken_back: bytes, name: str
) -> None:
    ward = await firing()
    await ward.hear(said)
    assert (ward.last.state, ward.last.reason) == (P, AlertReason.INHIBITED)
    assert ward.last.held_by == name
    await ward.hear(taken_back)
    assert (ward.last.state, ward.last.reason, ward.last.calls) == (F, AlertReason.RELEASED, True)


async def test_an_order_of_an_earlier_visit_holds_nothing_back() -> None:
    ward = Hospital()
    await ward.policy(INHIBITS)
    await ward.hear(
        message(0, "ADT^A01"),
        message(1, "OMG^O19", "ORC|NW|9^EHR", DNR),
        message(2, "ADT^A03"),
        message(10, "ADT^A01", visit="V2"),
        heart_rate(11, 110.0, visit="V2"),
    )
    assert (ward.last.state, ward.last.calls) == (F, True)


async def test_a_directive_goes_with_the_patient() -> None:
    ward = Hospital()
    await ward.policy(INHIBITS)
    await ward.hear(
        message(0, "ADT^A01", pd1("DNR")),
        message(2, "ADT^A03"),
        message(10, "ADT^A01", visit="V2"),
        heart_rate(11, 110.0, visit="V2"),
    )
    assert (ward.last.state, ward.last.held_by) == (P, "no resuscitation")


async def test_no_directive_and_a_message_without_one_hold_nothing_back() -> None:
    ward = await firing()
    await ward.hear(message(2, "ADT^A08", pd1("N^No directive^HL70435")))
    assert ward.last.state is F
    await ward.hear(message(3, "ADT^A08", pd1("DNR")), message(4, "ADT^A08"))
    assert ward.last.state is P  # the newest says nothing of directives
