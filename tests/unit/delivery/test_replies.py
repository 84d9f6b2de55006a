"""Reports that come back: into feedback, into quarantine, or nowhere; and how they are answered."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest

from connectors import contract, feedback, topics
from connectors.feedback import Action, DismissReason, Feedback
from connectors.kafka import AppendError, Confirmed, Headers
from connectors.quarantine import Reason
from streams.delivery.dispatcher import Record
from streams.delivery.replies import Replies
from tests.unit.delivery.fakes import FakeLedger
from tests.unit.sinks.alerts import ALERT_ID, PATIENT, alert
from tests.unit.sinks.test_pcd05 import report

AT = 1_767_268_800.0


class KeyedLog:
    """Confirms at once, or never for a while."""

    def __init__(self) -> None:
        self.records: list[tuple[str, str | None, bytes]] = []
        self.away = False

    def append(
        self,
        topic: str,
        value: bytes,
        headers: Headers,
        confirmed: Confirmed,
        *,
        key: str | None = None,
    ) -> None:
        loop = asyncio.get_running_loop()
        if self.away:
            loop.call_soon(confirmed, AppendError("away"))
            return
        self.records.append((topic, key, value))
        loop.call_soon(confirmed, None)

    def actions(self) -> list[Feedback]:
        return [feedback.decode(v) for t, _, v in self.records if t == topics.FEEDBACK]

    def quarantined(self) -> list[str]:
        found = [v for t, _, v in self.records if t == topics.QUARANTINE]
        return [contract.decode_quarantined(v).reason for v in found]


@pytest.fixture
def log() -> KeyedLog:
    return KeyedLog()


@pytest.fixture
async def replies(log: KeyedLog) -> Replies:
    """Of a ledger that knows one alert, in its third revision."""
    ledger = FakeLedger()
    await ledger.note(alert(revision=3), ["pager"])
    return Replies(ledger, log, lambda: AT)


def said(status: str, **more: Any) -> bytes:
    return report(f"ST|1^S^L|1|{status}", **more)


async def test_an_acceptance_acknowledges_what_was_seen(replies: Replies, log: KeyedLog) -> None:
    """The revision in the report, not the newest one; keyed by patient."""
    assert await replies.take(said("Accepted"), "AM|HOSP")
    (action,) = log.actions()
    assert (action.action, action.alert_id, action.revision) == (Action.ACKNOWLEDGE, ALERT_ID, 2)
    assert (action.who, action.patient, action.at) == ("N17", PATIENT, AT)
    assert log.records[0][1] == PATIENT


@pytest.mark.parametrize(
    ("status", "action", "reason"),
    [
        ("AcceptedNotRelevant", Action.DISMISS, DismissReason.NOT_RELEVANT),
        ("AcceptedFalse", Action.DISMISS, DismissReason.OTHER),
        ("Rejected", Action.COMMENT, None),
        ("Undeliverable", Action.COMMENT, None),
    ],
)
async def test_every_decision_becomes_an_action(
    replies: Replies, log: KeyedLog, status: str, action: Action, reason: DismissReason | None
) -> None:
    """With the words of the report."""
    await replies.take(said(status), "AM|HOSP")
    (one,) = log.actions()
    assert (one.action, one.reason) == (action, reason)
    assert status in one.comment


async def test_a_repeated_report_is_the_same_click(replies: Replies, log: KeyedLog) -> None:
    """So it counts once."""
    for _ in range(2):
        await replies.take(said("Accepted"), "AM|HOSP")
    assert len({a.id for a in log.actions()}) == 1


async def test_a_step_of_delivery_is_nobodys_action(replies: Replies, log: KeyedLog) -> None:
    """Delivered is not taken."""
    assert await replies.take(said("Delivered"), "AM|HOSP")
    assert log.records == []


@pytest.mark.parametrize(
    ("raw", "reason"),
    [
        (said("Accepted", filler="f" * 24), Reason.UNKNOWN_ALERT),
        (said("Accepted", filler="x"), Reason.BAD_VALUE),
        (said("Launched"), Reason.UNKNOWN_STATUS),
        (b"\x00\xff", Reason.NOT_HL7),
    ],
)
async def test_what_cannot_be_taken_goes_to_quarantine(
    replies: Replies, log: KeyedLog, raw: bytes, reason: Reason
) -> None:
    """And nothing of it becomes an action."""
    await replies.take(raw, "AM|HOSP")
    assert log.quarantined() == [reason]
    assert log.actions() == []


async def test_a_broker_that_is_away_is_waited_for(
    replies: Replies, log: KeyedLog, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The report is not answered meanwhile."""
    monkeypatch.setattr("streams.delivery.replies.RETRY_S", 0.01)
    log.away = True
    taking = asyncio.create_task(replies.take(said("Accepted"), "AM|HOSP"))
    await asyncio.sleep(0.05)
    assert not taking.done()
    log.away = False
    await taking
    assert len(log.actions()) == 1


@pytest.mark.parametrize(
    ("raw", "answers"),
    [
        (said("Accepted"), [b"MSA|CA|77"]),
        (said("Launched"), [b"MSA|CA|77"]),
        (b"MSH|^~\\&|AM|H|T|W|2026||ORA^R41^ORA_R41|78|P|2.6\rMSA|AA|T1\r", []),
        (b"MSH|^~\\&|AM|H|T|W|2026||ACK^R40^ACK|79|P|2.6|||AL\rMSA|CA|T1\r", []),
        (b"not HL7 at all", []),
    ],
)
async def test_a_report_is_answered_and_an_acknowledgement_never(
    replies: Replies, log: KeyedLog, raw: bytes, answers: list[bytes]
) -> None:
    """On the connection that it came on, once what follows is in the log."""
    sent: list[bytes] = []
    replies.heard(raw, sent.append)
    async with asyncio.timeout(60):
        while len(sent) < len(answers):  # noqa: ASYNC110  # it answers in a task of its own
            await asyncio.sleep(0.005)
    await asyncio.sleep(0.05)  # what is too much would come now
    assert [any(a in s for s in sent) for a in answers] == [True] * len(answers)
    assert len(sent) == len(answers)


@pytest.mark.parametrize(
    ("raw", "actions", "reasons"),
    [
        (said("Accepted"), 1, []),
        (said("Accepted", kind="ORU^R01^ORU_R01"), 0, []),
        (said("Launched"), 0, [Reason.UNKNOWN_STATUS]),
        (b"ORA", 0, []),
    ],
)
async def test_only_reports_in_the_wire_log_concern_us(
    replies: Replies, log: KeyedLog, raw: bytes, actions: int, reasons: list[Reason]
) -> None:
    """Everything else there is the sequencer's, and quarantine items name the place."""
    await replies.take_from_log(Record(topics.WIRE_HL7, 2, 7, AT, raw))
    assert len(log.actions()) == actions
    assert log.quarantined() == reasons
    for topic, _, value in log.records:
        if topic == topics.QUARANTINE:
            assert contract.decode_quarantined(value).wire == f"{topics.WIRE_HL7}/2/7"
