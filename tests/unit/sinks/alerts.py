"""Alerts and notices to tell of."""

from __future__ import annotations

from typing import Any

import msgspec

from connectors.contract import (
    Alert,
    AlertReason,
    AlertState,
    Contribution,
    Evidence,
    LogPosition,
    Missing,
    Score,
    Severity,
    Threshold,
)
from connectors.identity import Identifier, Identity
from connectors.sinks.notice import Notice

PATIENT = "p-lvm7mq6vub5z6qqqwbl4jduwsu"
ALERT_ID = "0123456789abcdef01234567"
AT = 1_767_268_800.0  # 2026-01-01 12:00:00 UTC

PERSON = Identity(
    identifiers=(Identifier("HOSP", "MR", "4711"), Identifier("1.2.3.4", "AN", "V|9")),
    family="O'Neil^x",
    given="Ada",
    birth_date="19500102",
    sex="F",
)

SCORE = Score(
    patient=PATIENT,
    risk="deterioration",
    as_of="2026-01-01T11:59:00.000Z",
    probability=0.4312,
    log_odds=-0.277,
    interval=(0.31, 0.5601),
    abstained=None,
    baseline=-1.817,
    evidence=[
        Evidence(
            modality="ehr",
            llr=1.54,
            as_of="2026-01-01T11:59:00.000Z",
            staleness_s=0.0,
            top=[
                Contribution(feature="Lactate, last", value=4.1, unit="mmol/L", contribution=0.8),
                Contribution(feature="Sex", value="F", unit="", contribution=-0.1),
                Contribution(feature="Urine", value=None, unit="mL", contribution=0.2),
            ],
        )
    ],
    missing=Missing(modalities=[], next_datum="Lactate", expected_change=0.3),
    model="m1",
    config="c1",
    log=LogPosition(topic="tocsin.facts", partition=0, offset=7),
    caused_by=["f1"],
    trace="",
)


def alert(**changes: Any) -> Alert:
    """A critical alert of a patient in the ICU that has just begun to fire."""
    base = Alert(
        alert_id=ALERT_ID,
        revision=1,
        patient=PATIENT,
        risk="deterioration",
        episode="s1-1",
        state=AlertState.FIRING,
        reason=AlertReason.ABOVE_THRESHOLD,
        since="2026-01-01T11:59:00.000Z",
        at="2026-01-01T12:00:00.000Z",
        severity=Severity.CRITICAL,
        threshold=Threshold(value=0.2, version="t1"),
        score=SCORE,
        ward="ICU",
        bed="4",
    )
    return msgspec.structs.replace(base, **changes)


def ended(revision: int = 2, **changes: Any) -> Alert:
    """The same, resolved."""
    return alert(
        revision=revision,
        state=AlertState.RESOLVED,
        reason=AlertReason.BELOW_THRESHOLD,
        at="2026-01-01T14:00:00.000Z",
        **changes,
    )


def withdrawn(revision: int = 2, **changes: Any) -> Alert:
    """The same, withdrawn."""
    return alert(
        revision=revision,
        state=AlertState.WITHDRAWN,
        reason=AlertReason.DATA_CHANGED,
        at="2026-01-01T14:00:00.000Z",
        **changes,
    )


def notice(*alerts: Alert, told: bool = False, **changes: Any) -> Notice:
    """For a receiver called `pager`."""
    chosen = alerts or (alert(),)
    before = frozenset(a.alert_id for a in chosen) if told else frozenset()
    return Notice(receiver="pager", alerts=chosen, at=AT, told_before=before)._replace(**changes)
