"""What Tocsin tells the world: records of `tocsin.scores`, `tocsin.alerts`, `tocsin.quarantine`.

Times are ISO 8601 UTC text. Log-odds and log-likelihood ratios are natural logarithms, rounded to
six decimals, so that `baseline + Σ llr = log_odds` holds on the printed figures.
"""

from __future__ import annotations

from enum import StrEnum
from typing import Any

import msgspec


class Contribution(msgspec.Struct, frozen=True, kw_only=True):
    """What one feature adds to its modality's evidence."""

    feature: str  # "Heart rate, last value"
    value: float | str | None
    unit: str
    contribution: float  # share of the llr
    as_of: str | None = None  # when the value was true of the patient


class Evidence(msgspec.Struct, frozen=True, kw_only=True):
    """One modality's weight of evidence."""

    modality: str
    llr: float
    as_of: str  # newest datum that it rests on
    staleness_s: float
    top: list[Contribution]


class Missing(msgspec.Struct, frozen=True, kw_only=True):
    """What is not known."""

    modalities: list[str]  # absent altogether
    next_datum: str | None  # the datum that would move the score most
    expected_change: float | None = None  # in log-odds, expected absolute change
    features: list[str] = []  # variables of present modalities never seen in this stay
    feeds_down: list[str] = []  # feeds of this patient that are silent although they should speak


class LogPosition(msgspec.Struct, frozen=True, kw_only=True):
    """The record of `tocsin.facts` that caused this."""

    topic: str
    partition: int
    offset: int


class Score(msgspec.Struct, frozen=True, kw_only=True):
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


class AlertState(StrEnum):
    """Where an alert is in its life."""

    PENDING = "pending"
    FIRING = "firing"
    ACKNOWLEDGED = "acknowledged"
    SNOOZED = "snoozed"
    ESCALATED = "escalated"
    RESOLVED = "resolved"
    WITHDRAWN = "withdrawn"


class AlertReason(StrEnum):
    """Why an alert changed."""

    ABOVE_THRESHOLD = "above_threshold"  # the score rose above the firing threshold
    SCORE_CHANGED = "score_changed"  # still firing, and severity changed
    BELOW_THRESHOLD = "below_threshold"  # the score fell below the clearing threshold
    DISCHARGED = "discharged"  # the patient has left the hospital
    STAY_CANCELLED = "stay_cancelled"  # the admission never was
    DATA_CHANGED = "data_changed"  # a correction or late datum took the ground away
    DATA_EXPIRED = "data_expired"  # nothing recent enough to stand on
    DIED = "died"  # the patient has died
    MERGED = "merged"  # the patient goes on under another identity, with alerts of their own


class Severity(StrEnum):
    """How urgent."""

    WARNING = "warning"
    CRITICAL = "critical"


class Threshold(msgspec.Struct, frozen=True, kw_only=True):
    """The probability at which an alert fires, and the configuration that says so."""

    value: float
    version: str


class Alert(msgspec.Struct, frozen=True, kw_only=True):
    """One change of one alert. Consumers keep the highest revision of each `alert_id`."""

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


def json_schemas() -> dict[str, dict[str, Any]]:
    """JSON Schema of every record that leaves Tocsin, by topic suffix."""
    return {
        "scores": msgspec.json.schema(Score),
        "alerts": msgspec.json.schema(Alert),
        "quarantine": msgspec.json.schema(Quarantined),
    }
