"""What the care team does with an alert. The contract of `tocsin.feedback`.

One JSON record for each action, keyed by patient. The sequencer writes each into the patient's
partition of `tocsin.facts`: from there on an action has its place among the facts, and every
recomputation sees it at that place. Times are UTC epoch seconds.
"""

from __future__ import annotations

from enum import StrEnum
from typing import Annotated

import msgspec

Moment = Annotated[float, msgspec.Meta(ge=0.0, lt=253_402_300_800.0)]
Name = Annotated[str, msgspec.Meta(min_length=1, max_length=200)]
LONGEST_COMMENT = 1_000


class Action(StrEnum):
    """What was done. Each member's comment is its documentation."""

    ACKNOWLEDGE = "acknowledge"  # somebody takes care: no escalation any more
    SNOOZE = "snooze"  # quiet until a time, unless it gets worse
    DISMISS = "dismiss"  # ends the alert by hand, with a reason
    HAND_OVER = "hand_over"  # it is somebody else's now, who has to acknowledge
    COMMENT = "comment"  # words for the others, changes nothing else
    OUTCOME = "outcome"  # what became of the patient: ends the alert, or is noted after its end


class DismissReason(StrEnum):
    """Why an alert was ended by hand. Each member's comment is its documentation."""

    ALREADY_TREATED = "already_treated"  # the team knew, and treats it
    EXPECTED = "expected"  # usual for this patient, or after this operation
    WRONG_DATA = "wrong_data"  # an artefact, or a value that is not the patient's
    GOALS_OF_CARE = "goals_of_care"  # no more treatment is wanted
    NOT_RELEVANT = "not_relevant"  # true, and nobody would act on it
    OTHER = "other"  # as the comment says


class Outcome(StrEnum):
    """What became of the patient. Each member's comment is its documentation."""

    EVENT = "event"  # what the risk asks about has happened
    AVERTED = "averted"  # the alert was right, and treatment kept it from happening
    NO_EVENT = "no_event"  # it did not happen
    UNKNOWN = "unknown"  # nobody can tell


RIGHT = frozenset({Outcome.EVENT, Outcome.AVERTED})  # the alert was right
WRONG = frozenset({Outcome.NO_EVENT})


class Feedback(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """One action of one person on one alert."""

    id: Name  # of the click: a repetition changes nothing
    patient: Name  # keyed pseudonym
    alert_id: Name
    risk: Name
    revision: Annotated[int, msgspec.Meta(ge=1)]  # the one that was seen
    action: Action
    at: Moment  # the sender's clock
    who: Name
    until: Moment | None = None  # snooze: when it ends
    reason: DismissReason | None = None  # dismiss
    to: Annotated[str, msgspec.Meta(max_length=200)] = ""  # hand over: to whom
    comment: Annotated[str, msgspec.Meta(max_length=LONGEST_COMMENT)] = ""
    outcome: Outcome | None = None
    heard: Moment = 0.0  # set by the sequencer: Tocsin's clock
    trace: str = ""


_needs = {
    Action.SNOOZE: "until",
    Action.DISMISS: "reason",
    Action.HAND_OVER: "to",
    Action.COMMENT: "comment",
    Action.OUTCOME: "outcome",
}
_decoder = msgspec.json.Decoder(Feedback)
encode = msgspec.json.Encoder().encode


def decode(raw: bytes) -> Feedback:
    """Raises `msgspec.MsgspecError` for bytes outside the contract."""
    try:
        feedback = _decoder.decode(raw)
    except (RecursionError, UnicodeDecodeError) as error:
        raise msgspec.DecodeError(f"not a record of feedback: {type(error).__name__}") from None
    problem = lacking(feedback)
    if problem:
        raise msgspec.ValidationError(problem)
    return feedback


def lacking(feedback: Feedback) -> str:
    """What an action needs and does not say, in words; "" when it is complete."""
    needed = _needs.get(feedback.action, "action")
    said = getattr(feedback, needed)
    if not (said.strip() if isinstance(said, str) else said):
        return f"{feedback.action} needs `{needed}`"
    if feedback.reason is DismissReason.OTHER and not feedback.comment.strip():
        return "dismiss as `other` needs `comment`"
    return ""
