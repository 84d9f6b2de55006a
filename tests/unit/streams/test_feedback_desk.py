"""An action is in the log for good before anybody is told that it was taken."""

from __future__ import annotations

import asyncio

import pytest

from connectors import feedback, topics
from connectors.contract import Alert
from connectors.feedback import Action, DismissReason, Outcome
from connectors.kafka import AppendError, Confirmed, Headers
from streams import feedback_desk
from streams.errors import UserError
from streams.feedback_desk import FeedbackDesk
from tests.acceptance.console.fake_hospital import FakeHospital


class ListLog:
    """`connectors.kafka.KafkaLog` in memory."""

    def __init__(self, error: AppendError | None = None, *, away: bool = False) -> None:
        self.records: list[tuple[str, bytes, str | None]] = []
        self.error, self.away = error, away

    def append(
        self,
        topic: str,
        value: bytes,
        headers: Headers,
        confirmed: Confirmed,
        *,
        key: str | None = None,
    ) -> None:
        if self.away:
            return
        self.records.append((topic, value, key))
        asyncio.get_running_loop().call_soon(confirmed, self.error)


@pytest.fixture
def alert() -> Alert:
    hospital = FakeHospital(1)
    return hospital.alert(next(iter(hospital.scores)))


async def test_each_action_is_written_under_its_patient(alert: Alert) -> None:
    log = ListLog()
    desk = FeedbackDesk(log, lambda: 1_800_000_000.0)
    await desk.acknowledge(alert, who="n")
    await desk.snooze(alert, 1_800_000_600.0, who="n")
    await desk.dismiss(alert, DismissReason.EXPECTED, who="n")
    await desk.hand_over(alert, "registrar", who="n")
    await desk.comment(alert, "seen", who="n")
    await desk.outcome(alert, Outcome.NO_EVENT, who="n")
    read = [feedback.decode(value) for _, value, _ in log.records]
    assert [one.action for one in read] == list(Action)
    assert {(topic, key) for topic, _, key in log.records} == {(topics.FEEDBACK, alert.patient)}
    assert len({one.id for one in read}) == 6
    assert {(one.alert_id, one.revision) for one in read} == {(alert.alert_id, alert.revision)}


async def test_a_click_that_is_sent_again_keeps_its_id(alert: Alert) -> None:
    log = ListLog()
    desk = FeedbackDesk(log, lambda: 1_800_000_000.0)
    for _ in range(2):
        await desk.acknowledge(alert, who="n", click="c-1")
    assert {feedback.decode(value).id for _, value, _ in log.records} == {"c-1"}


async def test_an_incomplete_action_is_refused_and_not_written(alert: Alert) -> None:
    log = ListLog()
    desk = FeedbackDesk(log, lambda: 1_800_000_000.0)
    with pytest.raises(UserError, match="needs `comment`"):
        await desk.dismiss(alert, DismissReason.OTHER, who="n")
    with pytest.raises(UserError, match="cannot be taken"):
        await desk.comment(alert, "x" * 2_000, who="n")
    assert not log.records


async def test_a_log_that_refuses_or_is_away_is_said(
    alert: Alert, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(feedback_desk, "PATIENCE_S", 0.01)
    for log in (ListLog(AppendError("no")), ListLog(away=True)):
        with pytest.raises(UserError, match="was not recorded"):
            await FeedbackDesk(log, lambda: 1_800_000_000.0).acknowledge(alert, who="n")
