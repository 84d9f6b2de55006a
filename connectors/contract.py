"""What Tocsin tells the world: records of `tocsin.scores`, `tocsin.alerts`, `tocsin.quarantine`.

Times are ISO 8601 UTC text. Log-odds and log-likelihood ratios are natural logarithms, rounded to
six decimals, so that `baseline + Σ llr = log_odds` holds on the printed figures.
"""

from __future__ import annotations

from enum import StrEnum
from typing import Any

import msgspec

from connectors.configuration import ConfigEvent
from connectors.feedback import Action, Feedback


class Contribution(msgspec.Struct, frozen=True, kw_only=True, gc=False):
    """What one feature adds to its modality's evidence."""

    feature: str  # "Heart rate, last value"
    value: float | str | None
    unit: str
    contribution: float  # share of the llr
    as_of: str | None = None  # when the value was true of the patient


class Evidence(msgspec.Struct, frozen=True, kw_only=True, gc=False):
    """One modality's weight of evidence."""

    modality: str
    llr: float
    as_of: str  # newest datum that it rests on
    staleness_s: float
    top: list[Contribution]


class WhatIf(msgspec.Struct, frozen=True, kw_only=True, gc=False):
    """What the probability would be if a result that is pending said so."""

    datum: str
    answer: str
    probability: float


class SetAside(msgspec.Struct, frozen=True, kw_only=True, gc=False):
    """A newest result that was not used, or that silences the model."""

    feature: str
    value: float | None = None  # None: not a number
    unit: str = ""
    as_of: str
    reason: str  # as `models.units.Rejection`, or why the model is silent


class Missing(msgspec.Struct, frozen=True, kw_only=True, gc=False):
    """What is not known."""

    modalities: list[str]  # absent altogether
    next_datum: str | None  # the datum that would move the score most
    expected_change: float | None = None  # in log-odds, expected absolute change
    features: list[str] = []  # variables of present modalities never seen in this stay
    feeds_down: list[str] = []  # feeds of this patient that are silent although they should speak
    what_if: list[WhatIf] = []  # answers of a pending result that the risk turns on
    # Of measurements what was measured before still stands; of answers in words nothing does.
    set_aside: list[SetAside] = []


class FallBack(msgspec.Struct, frozen=True, kw_only=True, gc=False):
    """A rule answers because the risk's own model does not; the score's figures are the rule's."""

    risk: str  # the rule: as a risk of its own it has this name, and a card
    version: str  # of its thresholds
    model: str  # digest of the rule's bundle
    reason: str  # why the model abstained
    # Probability at which the risk's own model would raise what the rule's triggers raise: alerts
    # compare this one with the threshold.
    as_if: float


class LogPosition(msgspec.Struct, frozen=True, kw_only=True, gc=False):
    """The record of `tocsin.facts` that caused this."""

    topic: str
    partition: int
    offset: int


class Score(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True, gc=False):
    """One rescoring of one patient for one risk."""

    patient: str
    risk: str
    as_of: str
    probability: float | None
    log_odds: float | None
    interval: tuple[float, float] | None  # of the probability, 90 %
    abstained: str | None
    baseline: float
    evidence: list[Evidence]
    missing: Missing
    model: str
    config: str
    log: LogPosition
    caused_by: list[str]
    trace: str
    ward: str = ""
    fall_back: FallBack | None = None  # a rule answers in the model's place
    shadow: bool = False  # of a bundle on trial: it is recorded, and nobody is told of it

    @property
    def silence(self) -> str:
        """Why the risk's own model gave no answer, whether or not a rule did; "": it answered."""
        return self.abstained or (self.fall_back.reason if self.fall_back else "")


class AlertState(StrEnum):
    """Where an alert is in its life."""

    PENDING = "pending"
    FIRING = "firing"
    ACKNOWLEDGED = "acknowledged"
    SNOOZED = "snoozed"
    ESCALATED = "escalated"
    RESOLVED = "resolved"
    WITHDRAWN = "withdrawn"


OPEN = frozenset(
    {
        AlertState.PENDING,
        AlertState.FIRING,
        AlertState.ACKNOWLEDGED,
        AlertState.SNOOZED,
        AlertState.ESCALATED,
    }
)
ENDED = frozenset({AlertState.RESOLVED, AlertState.WITHDRAWN})


class AlertReason(StrEnum):
    """Why an alert changed."""

    # It begins, or calls anew
    ABOVE_THRESHOLD = "above_threshold"  # the score rose above the firing threshold
    AWAITING_CONFIRMATION = "awaiting_confirmation"  # above it, and not confirmed yet
    CONFIRMED = "confirmed"  # enough scores, or enough time, above the firing threshold
    WORSENED = "worsened"  # more severe than what was acknowledged, snoozed or dismissed
    SNOOZE_ENDED = "snooze_ended"  # the time is over, and it is still above the threshold
    RELEASED = "released"  # what held it back has ended
    UNACKNOWLEDGED = "unacknowledged"  # nobody acknowledged in time: the next in line is called
    HANDED_OVER = "handed_over"  # somebody else is called, and has to acknowledge
    # It belongs to a call of another risk of the patient (`groups` of the policy): no second call
    JOINED = "joined"  # somebody is being called: they are told of this as well
    COVERED = "covered"  # somebody has acknowledged that call a short time ago
    PARTED = "parted"  # that call is over, or less severe: this one goes on by itself
    # It is held back: nobody is called
    INHIBITED = "inhibited"  # by what is known of the patient, as the policy says
    SILENCED = "silenced"  # by a silence of the policy
    QUIET_HOURS = "quiet_hours"  # a warning in quiet hours: it waits for their end
    SHADOW = "shadow"  # the policy is on trial here: nobody is called
    # It goes on
    SCORE_CHANGED = "score_changed"  # severity changed
    AMENDED = "amended"  # late or corrected data moved its beginning
    ACKNOWLEDGED = "acknowledged"  # somebody takes care
    SNOOZED = "snoozed"  # quiet until a time
    COMMENTED = "commented"  # words were added
    UNWATCHED = "unwatched"  # the model gives no answer any more (`score.abstained`): it stays open
    WATCHED_AGAIN = "watched_again"  # the model answers again
    # It ends
    BELOW_THRESHOLD = "below_threshold"  # the score fell below the clearing threshold
    DISCHARGED = "discharged"  # the patient has left the hospital
    STAY_CANCELLED = "stay_cancelled"  # the admission never was
    DATA_CHANGED = "data_changed"  # a correction or late datum took the ground away
    DATA_EXPIRED = "data_expired"  # nothing recent enough to stand on
    QUESTION_OVER = "question_over"  # the time that the question is about has passed
    DIED = "died"  # the patient has died
    MERGED = "merged"  # the patient goes on under another identity, with alerts of their own
    DISMISSED = "dismissed"  # by hand, with a reason
    OUTCOME = "outcome"  # somebody said what became of the patient
    THRESHOLD_CHANGED = "threshold_changed"  # by the thresholds in force now it would not be
    MODEL_CHANGED = "model_changed"  # by the model in use now it would not be


class Severity(StrEnum):
    """How urgent."""

    WARNING = "warning"
    CRITICAL = "critical"


class Threshold(msgspec.Struct, frozen=True, kw_only=True):
    """The probability at which an alert fires, and the configuration that says so."""

    value: float
    version: str


class Acted(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """What somebody did with an alert (`tocsin.feedback`)."""

    id: str
    who: str
    action: Action
    at: str
    until: str = ""
    reason: str = ""
    to: str = ""
    comment: str = ""
    outcome: str = ""


class Moved(msgspec.Struct, frozen=True, kw_only=True):
    """A feature whose contribution is another one than at the score before."""

    feature: str
    value: float | str | None
    unit: str
    before: float | None  # contribution then; None: it was not among the strongest
    after: float | None  # contribution now; None: it is no longer among the strongest


class Alert(msgspec.Struct, frozen=True, kw_only=True):
    """One change of one alert. Consumers keep the highest revision of each `alert_id`.

    Whoever tells people tells them of a revision that `calls`, and of the end of an alert that
    ever called (`called` > 0).
    """

    alert_id: str
    revision: int
    patient: str
    risk: str
    episode: str
    state: AlertState
    reason: AlertReason
    since: str  # when the episode began, by the patient's clock
    at: str  # when this change happened, by the patient's clock
    severity: Severity
    threshold: Threshold
    score: Score
    ward: str = ""
    bed: str = ""
    group: str = ""  # alerts of one patient and group share a call
    joined: str = ""  # the alert whose call this one belongs to; "": it has its own
    calls: bool = True  # people have to be told of this revision
    called: int = 0  # the newest revision that called or joined a call; 0: nobody was told
    held_by: str = ""  # pending: the inhibition, silence or stage that holds it back
    escalation: int = 0  # steps taken along the escalation route
    escalated_to: str = ""  # who is called by the newest of them
    acknowledged_by: str = ""
    snoozed_until: str = ""
    handed_to: str = ""
    comment_count: int = 0
    actions: list[Acted] = []  # what people did, oldest first
    why_now: list[Moved] = []  # what changed since the score before, strongest first


class Answer(StrEnum):
    """What became of somebody's action. Each member's comment is its documentation."""

    DONE = "done"  # it changed the alert
    REPEATED = "repeated"  # the same click was there before
    NOTED = "noted"  # the alert had ended: the outcome or comment is kept with it
    ENDED = "ended"  # the alert had ended: nothing to be done any more
    OUTDATED = "outdated"  # the alert has got worse since the revision that was seen: look again
    PAST = "past"  # the time that the snooze was to end at is past: nothing was changed
    UNKNOWN = "unknown"  # there is no such alert, or it has no such revision yet


class FeedbackAnswer(msgspec.Struct, frozen=True, kw_only=True):
    """A record of `tocsin.audit` for each action: what became of it."""

    event: str  # "feedback"
    id: str  # of the action
    who: str
    at: str
    patient: str
    alert_id: str
    action: Action
    answer: Answer
    state: str  # of the alert now; "" when there is none
    revision: int  # of the alert now; 0 when there is none


class Quarantined(msgspec.Struct, frozen=True, kw_only=True):
    """One message, or part of one, that could not be understood.

    The raw bytes are in `tocsin.wire.*` at `wire`, and in `raw_base64` when they never got there.
    """

    id: str
    reason: str
    detail: str  # in words, without patient data
    location: str  # "OBX[3]-5", "" for the whole message
    source: str
    received_at: str
    wire: str  # "topic/partition/offset", "" when the bytes are only here
    message_type: str = ""
    control_id: str = ""
    partial: bool = False  # the rest of the message was understood
    raw_base64: str = ""
    trace: str = ""


encode = msgspec.json.Encoder().encode
decode_score = msgspec.json.Decoder(Score).decode
decode_alert = msgspec.json.Decoder(Alert).decode
decode_quarantined = msgspec.json.Decoder(Quarantined).decode


def is_shadow(raw: bytes) -> bool:
    """Is this record of `tocsin.scores` of a bundle on trial? Without decoding it."""
    return raw.endswith(b'"shadow":true}')


def json_schemas() -> dict[str, dict[str, Any]]:
    """JSON Schema of every record that leaves Tocsin or may be sent to it, by topic suffix."""
    return {
        "scores": msgspec.json.schema(Score),
        "alerts": msgspec.json.schema(Alert),
        "config": msgspec.json.schema(ConfigEvent),
        "feedback": msgspec.json.schema(Feedback),
        "feedback-answers": msgspec.json.schema(FeedbackAnswer),
        "quarantine": msgspec.json.schema(Quarantined),
    }
