"""An alert as FHIR R4 resources: RiskAssessment, Flag and Communication. Pure functions.

Ids follow from the alert's, so that writing a resource twice changes nothing. RiskAssessment and
Flag say what is true now; each revision has a Communication of its own.
https://hl7.org/fhir/R4/riskassessment.html, flag.html, communication.html
"""

from __future__ import annotations

import re
from typing import Any, Final

from connectors.contract import ENDED, Alert, AlertState, Evidence, Score, Severity
from connectors.identity import Identifier
from connectors.sinks.links import headline, risk_in_words

Resource = dict[str, Any]

_OID = re.compile(r"[0-2](\.(0|[1-9][0-9]*))+")
_V2_0203 = "http://terminology.hl7.org/CodeSystem/v2-0203"
_RISK_PROBABILITY = "http://terminology.hl7.org/CodeSystem/risk-probability"
_FLAG_CATEGORY = "http://terminology.hl7.org/CodeSystem/flag-category"
_COMMUNICATION_CATEGORY = "http://terminology.hl7.org/CodeSystem/communication-category"
_RISK: Final = "urn:tocsin:risk"
_ALERT: Final = "urn:tocsin:alert"

_PRIORITY = {Severity.WARNING: "urgent", Severity.CRITICAL: "stat"}
_QUALITATIVE = {
    Severity.WARNING: ("moderate", "Moderate likelihood"),
    Severity.CRITICAL: ("high", "High likelihood"),
}


def pseudonymous(patient: str, authority: str) -> Resource:
    """A reference to a patient whom only this installation can name."""
    return _patient({"system": f"urn:tocsin:pseudonym:{authority}", "value": patient})


def identified(identifier: Identifier) -> Resource:
    """A reference to a patient by an identifier of the hospital."""
    kind = [{"coding": [{"system": _V2_0203, "code": identifier.type}]}] if identifier.type else []
    named = {"system": _system(identifier.authority), "value": identifier.number}
    return _patient({**({"type": kind[0]} if kind else {}), **named})


def _patient(identifier: Resource) -> Resource:
    return {"type": "Patient", "identifier": identifier}


def _system(authority: str) -> str:
    if _OID.fullmatch(authority):
        return f"urn:oid:{authority}"
    return authority if ":" in authority else f"urn:tocsin:authority:{authority or 'unknown'}"


def risk_assessment(alert: Alert, subject: Resource) -> Resource:
    """The score behind the alert. Probabilities are percentages, at most 100."""
    score = alert.score
    found: Resource = {
        "resourceType": "RiskAssessment",
        "id": _id(alert),
        "identifier": [{"system": _ALERT, "value": alert.alert_id}],
        "status": _status(alert),
        "method": {"text": f"Tocsin {alert.risk}, model {score.model}"},
        "code": _risk(alert),
        "subject": subject,
        "occurrenceDateTime": score.as_of,
        "note": [{"text": text} for text in (*_silence(score), *map(_evidence, score.evidence))],
    }
    if score.probability is not None:
        found["prediction"] = _predictions(alert, score.probability)
    return _without_empty(found)


def _predictions(alert: Alert, probability: float) -> list[Resource]:
    code, display = _QUALITATIVE[alert.severity]
    outcome = {"text": f"{risk_in_words(alert.risk).capitalize()}"}
    estimate: Resource = {
        "outcome": outcome,
        "probabilityDecimal": _percent(probability),
        "qualitativeRisk": {
            "coding": [{"system": _RISK_PROBABILITY, "code": code, "display": display}]
        },
        "rationale": f"estimate; an alert is raised from {_percent(alert.threshold.value)} % on",
    }
    if alert.score.interval is None:
        return [estimate]
    low, high = (
        {"value": _percent(p), "unit": "%", "system": "http://unitsofmeasure.org", "code": "%"}
        for p in alert.score.interval
    )
    span = {"low": low, "high": high}
    return [
        estimate,
        {"outcome": outcome, "probabilityRange": span, "rationale": "90 % interval"},
    ]


def flag(alert: Alert, subject: Resource) -> Resource:
    """What a chart shows beside the patient's name while the alert is open."""
    period = {"start": alert.since}
    if alert.state in ENDED:
        period["end"] = max(alert.at, alert.since)
    status = "inactive" if alert.state in ENDED else "active"
    return {
        "resourceType": "Flag",
        "id": _id(alert),
        "identifier": [{"system": _ALERT, "value": alert.alert_id}],
        "status": "entered-in-error" if alert.state is AlertState.WITHDRAWN else status,
        "category": [{"coding": [{"system": _FLAG_CATEGORY, "code": "clinical"}]}],
        "code": {**_risk(alert), "text": headline(alert)},
        "subject": subject,
        "period": period,
    }


def communication(
    alert: Alert, subject: Resource, *, link: str = "", test: bool = False
) -> Resource:
    """That somebody was told of this revision."""
    texts = [headline(alert, test=test), *([link] if link else [])]
    return {
        "resourceType": "Communication",
        "id": f"{_id(alert)}-{alert.revision}",
        "identifier": [{"system": _ALERT, "value": f"{alert.alert_id}/{alert.revision}"}],
        "status": "completed",
        "category": [{"coding": [{"system": _COMMUNICATION_CATEGORY, "code": "alert"}]}],
        "priority": _PRIORITY[alert.severity],
        "subject": subject,
        "about": [
            {"reference": f"RiskAssessment/{_id(alert)}"},
            {"reference": f"Flag/{_id(alert)}"},
        ],
        "sent": alert.at,
        "payload": [{"contentString": text} for text in texts],
    }


def bundle(resources: list[Resource], base: str, kind: str = "transaction") -> Resource:
    """A bundle that creates or replaces each resource on the server at `base`."""
    root = base.rstrip("/")
    return {
        "resourceType": "Bundle",
        "type": kind,
        "entry": [
            {
                "fullUrl": f"{root}/{place(resource)}",
                "resource": resource,
                "request": {"method": "PUT", "url": place(resource)},
            }
            for resource in resources
        ],
    }


def place(resource: Resource) -> str:
    """Where it is on a server: type and id."""
    return f"{resource['resourceType']}/{resource['id']}"


def _id(alert: Alert) -> str:
    return f"tocsin-{alert.alert_id}"[:60]  # 64 with "-" and a revision


def _status(alert: Alert) -> str:
    if alert.state is AlertState.WITHDRAWN:
        return "entered-in-error"
    return "final" if alert.revision == 1 else "amended"


def _risk(alert: Alert) -> Resource:
    name = risk_in_words(alert.risk)
    return {"coding": [{"system": _RISK, "code": alert.risk, "display": name}], "text": name}


def _percent(probability: float) -> float:
    return round(100 * min(1.0, max(0.0, probability)), 4)


def _evidence(evidence: Evidence) -> str:
    top = ", ".join(
        f"{c.feature}{'' if c.value is None else f' {c.value} {c.unit}'.rstrip()} "
        f"({c.contribution:+.2f})"
        for c in evidence.top
    )
    return f"{evidence.modality}: {evidence.llr:+.2f}{f' = {top}' if top else ''}"


def _silence(score: Score) -> list[str]:
    """Why there is no estimate, or who gives it in the model's place."""
    reason = score.silence.replace("_", " ")
    if score.probability is None:
        return [f"no estimate: {reason or 'no reason given'}"]
    rule = score.fall_back
    return [f"estimate by {rule.risk}; the model gives none: {reason}"] if rule else []


def _without_empty(resource: Resource) -> Resource:
    return {key: value for key, value in resource.items() if value not in ([], {}, "")}
