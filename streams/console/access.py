"""The one table of what each page and each route needs. What is not in it does not exist."""

from __future__ import annotations

from typing import Final

from streams.roles import Role

PAGES: Final[dict[str, Role]] = {
    "/": Role.READER,
    "/patients": Role.READER,
    "/patient/{pseudonym}": Role.READER,
    "/patient": Role.CLINICIAN,  # by a hospital's number
    "/alert/{alert_id}": Role.READER,
    "/wall": Role.READER,
    "/quarantine": Role.OPERATOR,
    "/quarantine/{item}": Role.OPERATOR,
    "/thresholds": Role.READER,
    "/thresholds/{version}": Role.READER,
    "/backtest": Role.OPERATOR,
    "/quality": Role.READER,
    "/deliveries": Role.OPERATOR,
}
ROUTES: Final[dict[str, Role]] = {
    "GET /api/v1/alerts": Role.READER,
    "GET /api/v1/alerts/{alert_id}": Role.READER,
    "GET /api/v1/scores": Role.READER,
    "GET /api/v1/events": Role.READER,
    "GET /api/v1/patients": Role.READER,
    "GET /api/v1/patients/{pseudonym}": Role.READER,
    "GET /api/v1/pseudonym": Role.CLINICIAN,
    "GET /api/v1/quarantine": Role.OPERATOR,
    "GET /api/v1/quarantine/{item}": Role.OPERATOR,
    "POST /api/v1/quarantine/{item}/mend": Role.OPERATOR,
    "POST /api/v1/quarantine/{item}/redrive": Role.OPERATOR,
    "POST /api/v1/quarantine/{item}/discard": Role.OPERATOR,
    "POST /api/v1/feedback": Role.CLINICIAN,
    "GET /api/v1/feedback/{id}": Role.CLINICIAN,
    "GET /api/v1/policy": Role.READER,
    "GET /api/v1/policy/versions": Role.READER,
    "GET /api/v1/policy/versions/{version}": Role.READER,
    "POST /api/v1/policy/check": Role.OPERATOR,
    "POST /api/v1/policy/versions": Role.OPERATOR,
    "POST /api/v1/policy/versions/{version}/approve": Role.APPROVER,
    "POST /api/v1/policy/versions/{version}/reject": Role.APPROVER,
    "POST /api/v1/policy/versions/{version}/activate": Role.APPROVER,
    "POST /api/v1/policy/versions/{version}/roll-back": Role.OPERATOR,
    "GET /api/v1/health": Role.READER,
    "GET /api/v1/schemas": Role.READER,
    "GET /api/v1/schemas/{name}": Role.READER,
}
FHIR: Final[dict[str, Role]] = {
    "GET /fhir/R4/metadata": Role.READER,
    "GET /fhir/R4/RiskAssessment": Role.READER,
    "GET /fhir/R4/RiskAssessment/{id}": Role.READER,
    "GET /fhir/R4/Flag": Role.READER,
    "GET /fhir/R4/Flag/{id}": Role.READER,
    "GET /fhir/R4/Subscription": Role.OPERATOR,
    "GET /fhir/R4/Subscription/{id}": Role.OPERATOR,
}
# In the bar, for those who may open them.
LINKS: Final = (
    ("Alerts", "/"),
    ("Patients", "/patients"),
    ("Quality", "/quality"),
    ("Thresholds", "/thresholds"),
    ("Back-test", "/backtest"),
    ("Deliveries", "/deliveries"),
    ("Quarantine", "/quarantine"),
)
