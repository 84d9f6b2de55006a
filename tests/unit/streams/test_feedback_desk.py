"""An action is in the log for good before anybody is told that it was taken."""

from __future__ import annotations

import asyncio

import pytest

from connectors import feedback, topics
from connectors.contract import Alert
from connectors.feedback import Action, DismissReason, Outcome
from connectors.kafka import AppendError, Confirmed, Headers
from streams.errors import UserError
from streams.feedback_desk import FeedbackDesk, NotConfirmedError
from tests.acceptance.console.fake_hospital import FakeHospital


class ListLog:
    """`connectors.kafka.KafkaLog` in memory."""

    def __init__(self, error: AppendError | None = None, *, away: bool = False) -> None:
        self.records: list[tuple[str, bytes, str | None]] = []
        self.error, self.away = error, away
        self.waiting: list[Confirmed] = []

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
            self.waiting.append(confirmed)
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


async def test_a_log_that_refuses_is_said(alert: Alert) -> None:
    """It is not there, and will not be."""
    desk = FeedbackDesk(ListLog(AppendError("no")), lambda: 1_800_000_000.0)
    with pytest.raises(UserError, match="was not recorded") as said:
        await desk.acknowledge(alert, who="n")
    assert not isinstance(said.value, NotConfirmedError)


async def test_a_silent_log_may_still_take_the_action(alert: Alert) -> None:
    """Nobody is told that it is lost; a later confirmation harms nobody."""
    log = ListLog(away=True)
    desk = FeedbackDesk(log, lambda: 1_800_000_000.0, patience_s=0.01)
    with pytest.raises(NotConfirmedError, match="still being sent; doing it again counts once"):
        await desk.acknowledge(alert, who="n", click="c-1")
    (late,) = log.waiting
    late(None)
    log.away = False
    assert (await desk.acknowledge(alert, who="n", click="c-1")).id == "c-1"


@pytest.mark.parametrize("blank", ["", "  ", "\t\n", "\u00a0"])
async def test_blanks_say_nothing(alert: Alert, blank: str) -> None:
    """An alert handed over to "  " would be nobody's."""
    log = ListLog()
    desk = FeedbackDesk(log, lambda: 1_800_000_000.0)
    for taken in (
        lambda: desk.hand_over(alert, blank, who="n"),
        lambda: desk.comment(alert, blank, who="n"),
        lambda: desk.dismiss(alert, DismissReason.OTHER, who="n", comment=blank),
    ):
        with pytest.raises(UserError, match="needs"):
            await taken()
    assert log.records == []
