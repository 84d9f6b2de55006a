"""Actions by the API: what is refused before it gets into the log."""

from __future__ import annotations

from typing import Any

import pytest

from connectors.contract import Alert, Answer, FeedbackAnswer
from connectors.feedback import Action
from streams.console.api import feedback
from streams.console.board import Board
from streams.feedback_desk import FeedbackDesk
from tests.acceptance.console.fake_hospital import FakeHospital
from tests.unit.console.api import client
from tests.unit.streams.test_feedback_desk import ListLog

NOW = 1_800_000_000.0


class Ward:
    """A hospital with one alert, the log, and the API on both."""

    def __init__(self) -> None:
        self.hospital, self.log = FakeHospital(1), ListLog()
        self.alert: Alert = self.hospital.alert(self.hospital.pseudonyms[0])
        self.board = Board(self.hospital, self.hospital, feed_down_s=30)
        desk = FeedbackDesk(self.log, lambda: NOW)
        self.client = client(
            lambda routes: feedback.add(routes, desk, self.hospital, self.board, lambda: NOW)
        )

    async def act(self, who: str = "ada", **more: Any) -> tuple[int, dict[str, Any]]:
        body = {"id": "c1", "alert_id": self.alert.alert_id, "revision": 1, **more}
        sent = await self.client.post("/api/v1/feedback", json=body, headers={"x-test-person": who})
        return sent.status_code, sent.json()


@pytest.mark.parametrize("ahead", [0.0, -60.0])
async def test_a_snooze_that_ends_in_the_past_is_not_written(ahead: float) -> None:
    ward = Ward()
    status, problem = await ward.act(action="snooze", until=NOW + ahead)
    assert (status, problem["errors"]) == (422, [{"where": "body.until", "what": "is past"}])
    assert ward.log.records == []
    assert (await ward.act(action="snooze", until=NOW + 60.0))[0] == 202


def answered(alert: Alert, who: str, answer: Answer) -> FeedbackAnswer:
    return FeedbackAnswer(
        event="feedback",
        id="c1",
        who=who,
        at="2027-01-15T08:00:00.000Z",
        patient=alert.patient,
        alert_id=alert.alert_id,
        action=Action.ACKNOWLEDGE,
        answer=answer,
        state=alert.state,
        revision=alert.revision,
    )


async def test_an_id_belongs_to_whoever_used_it_first() -> None:
    """Somebody else is refused, and hides nothing when the console heard of it too late."""
    ward = Ward()
    ward.board.take(answered(ward.alert, "ada", Answer.DONE))
    status, problem = await ward.act("ben", action="acknowledge")
    assert (status, ward.log.records) == (409, [])
    assert "take a new one" in problem["detail"]
    assert (await ward.act("ada", action="acknowledge"))[0] == 202
    ward.board.take(answered(ward.alert, "ben", Answer.REPEATED))
    found = (await ward.client.get("/api/v1/feedback/c1")).json()
    assert (found["who"], found["answer"]) == ("ada", "done")
