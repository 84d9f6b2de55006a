"""Records that stand as examples in the API's description. A test checks them."""

from __future__ import annotations

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

PATIENT = "p-lvm7mq6vub5z6qqqwbl4jduwsu"
ALERT_ID = "a-5c1d3f0e7b9a4d21"
AT = "2026-11-23T14:05:00.000Z"
THRESHOLD = Threshold(value=0.3, version="shipped-1")
SCORE = Score(
    patient=PATIENT,
    risk="deterioration",
    as_of=AT,
    probability=0.4305,
    log_odds=-0.28,
    interval=(0.35, 0.52),
    abstained=None,
    baseline=-1.82,
    evidence=[
        Evidence(
            modality="ehr",
            llr=1.54,
            as_of=AT,
            staleness_s=0.0,
            top=[
                Contribution(
                    feature="Lactate, last value",
                    value=4.2,
                    unit="mmol/L",
                    contribution=1.54,
                    as_of=AT,
                )
            ],
        )
    ],
    missing=Missing(modalities=[], next_datum="Bilirubin", expected_change=0.31),
    model="sha256:9f2c",
    config="shipped-1",
    log=LogPosition(topic="tocsin.facts", partition=3, offset=1871),
    caused_by=["1f0c2b7d9e3a4c58"],
    trace="4bf92f3577b34da6a3ce929d0e0e4736",
)
ALERT = Alert(
    alert_id=ALERT_ID,
    revision=1,
    patient=PATIENT,
    risk="deterioration",
    episode="1",
    state=AlertState.FIRING,
    reason=AlertReason.ABOVE_THRESHOLD,
    since=AT,
    at=AT,
    severity=Severity.WARNING,
    threshold=THRESHOLD,
    score=SCORE,
    ward="4A",
    bed="12",
)
