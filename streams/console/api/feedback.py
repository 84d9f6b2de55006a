"""Actions of the care team, for programs that offer the buttons elsewhere."""

from __future__ import annotations

from typing import Annotated

import msgspec
from fastapi import Depends, Request, Response

from connectors.clock import Clock
from connectors.contract import Answer, FeedbackAnswer
from connectors.feedback import (
    LONGEST_COMMENT,
    Action,
    DismissReason,
    Feedback,
    Moment,
    Name,
    Outcome,
    lacking,
)
from streams.console.api import examples
from streams.console.api.problems import ProblemError, Wrong
from streams.console.api.routes import Routes, body, json, person
from streams.console.board import Board
from streams.console.people import Person
from streams.console.ports import Reader
from streams.feedback_desk import FeedbackDesk

Asker = Annotated[Person, Depends(person)]


class NewFeedback(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """An action on an alert, by whoever is signed in. The same `id` twice changes nothing."""

    id: Name  # of the click
    alert_id: Name
    revision: Annotated[int, msgspec.Meta(ge=1, le=1_000_000_000)]  # the one that was seen
    action: Action
    until: Moment | None = None  # snooze: when it ends, epoch seconds
    reason: DismissReason | None = None  # dismiss
    to: Annotated[str, msgspec.Meta(max_length=200)] = ""  # hand over: to whom
    comment: Annotated[str, msgspec.Meta(max_length=LONGEST_COMMENT)] = ""
    outcome: Outcome | None = None


_NEW = NewFeedback(
    id="7f0c1e9a5b3d", alert_id=examples.ALERT_ID, revision=1, action=Action.ACKNOWLEDGE
)
_TAKEN = Feedback(
    id="7f0c1e9a5b3d",
    patient=examples.PATIENT,
    alert_id=examples.ALERT_ID,
    risk="deterioration",
    revision=1,
    action=Action.ACKNOWLEDGE,
    at=1_795_442_760.0,
    who="ada",
)
_ANSWER = FeedbackAnswer(
    event="feedback",
    id="7f0c1e9a5b3d",
    who="ada",
    at=examples.AT,
    patient=examples.PATIENT,
    alert_id=examples.ALERT_ID,
    action=Action.ACKNOWLEDGE,
    answer=Answer.DONE,
    state="acknowledged",
    revision=2,
)


def add(routes: Routes, desk: FeedbackDesk, reader: Reader, board: Board, clock: Clock) -> None:
    """Act, and see what became of it."""

    @routes.post(
        "/api/v1/feedback",
        gives=Feedback,
        example=_TAKEN,
        status=202,
        takes=NewFeedback,
        taken=_NEW,
        problems=(404, 409, 413, 415),
    )
    async def act(request: Request, asker: Asker) -> Response:
        """Write an action into the log. What became of it shows in the alert's next revision."""
        wanted: NewFeedback = await body(request, NewFeedback)
        known = board.answers.get(wanted.id)
        if known is not None and known.who != asker.subject:
            raise ProblemError(409, "Refused", "Somebody else has used this id: take a new one.")
        alert = await reader.find_alert(wanted.alert_id)
        if alert is None:
            raise ProblemError(404, "No such alert", "No alert has this id.")
        fields = {name: getattr(wanted, name) for name in NewFeedback.__struct_fields__}
        made = Feedback(
            patient=alert.patient, risk=alert.risk, at=clock(), who=asker.subject, **fields
        )
        if problem := lacking(made):
            raise ProblemError(409, "Not complete", f"The action cannot be taken: {problem}.")
        if made.until is not None and made.until <= made.at:
            wrong = [Wrong(where="body.until", what="is past")]
            raise ProblemError(422, "Not valid", "A snooze cannot end in the past.", wrong)
        return json(await desk.send(made), 202)

    @routes.get("/api/v1/feedback/{id}", gives=FeedbackAnswer, example=_ANSWER, problems=(404,))
    async def answer(id: str) -> Response:
        """What became of an action of the last while."""
        found = board.answers.get(id)
        if found is None:
            raise ProblemError(404, "No answer", "Nothing is known (yet) of an action of this id.")
        return json(found)
