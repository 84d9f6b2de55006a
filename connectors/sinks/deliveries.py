"""Records of `tocsin.deliveries`: what became of telling one receiver of one alert revision."""

from __future__ import annotations

from enum import StrEnum
from typing import Any

import msgspec

from connectors.contract import Alert, AlertState


class Outcome(StrEnum):
    """What happened. Each member's comment is its documentation."""

    DELIVERED = "delivered"  # the receiver has it
    SUPERSEDED = "superseded"  # a newer revision of the alert was told instead
    DEAD = "dead"  # given up: somebody has to look
    RETRIED = "retried"  # somebody asked for another try of a dead letter
    DISCARDED = "discarded"  # somebody decided that a dead letter is not needed


class DeadReason(StrEnum):
    """Why an alert could not be told. Each member's comment is its documentation."""

    REFUSED = "refused"  # the receiver does not want it: another attempt would end the same way
    GAVE_UP = "gave_up"  # the receiver could not be reached for `give_up_after_s`
    QUEUE_FULL = "queue_full"  # more alerts than `queue` waited, and this was the oldest
    UNKNOWN_RECEIVER = "unknown_receiver"  # the routing names a receiver that the settings do not
    FAILED = "failed"  # an error in Tocsin itself; the log of `tocsin sinks` has it


class Delivery(msgspec.Struct, frozen=True, kw_only=True):
    """One step of telling. Holds a pseudonym, never a name."""

    id: str  # the same for every step of telling this revision to this receiver
    receiver: str
    alert_id: str
    revision: int
    patient: str
    risk: str
    state: AlertState
    outcome: Outcome
    at: str  # by the clock of `tocsin sinks`
    reason: str = ""  # of a dead letter: `DeadReason`
    detail: str = ""  # in words, without secrets and patient data
    attempts: int = 0
    repeat: int = 0  # a reminder: which
    identity: bool = False  # the receiver was given the patient's identity
    who: str = ""  # asked for a retry, or discarded
    why: str = ""
    alert: Alert | None = None  # of dead letters and retries: what has to be told


encode = msgspec.json.Encoder().encode
decode = msgspec.json.Decoder(Delivery).decode


def json_schema() -> dict[str, Any]:
    """JSON Schema of a record of `tocsin.deliveries`."""
    return msgspec.json.schema(Delivery)
