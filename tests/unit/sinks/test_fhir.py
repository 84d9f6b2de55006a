"""FHIR resources, checked against the definitions of R4 as `fhir.resources` ships them.

Its R4B package defines Bundle, RiskAssessment, Flag and Communication as R4 does; R4B changed other
resources (http://hl7.org/fhir/R4B/diff.html).
"""

from __future__ import annotations

from typing import Any

import msgspec
import pytest
from fhir.resources.R4B.bundle import Bundle
from fhir.resources.R4B.communication import Communication
from fhir.resources.R4B.flag import Flag
from fhir.resources.R4B.riskassessment import RiskAssessment
from hypothesis import given, settings
from hypothesis import strategies as st

from connectors.contract import Alert, AlertReason, AlertState, Severity
from connectors.identity import Identifier
from connectors.sinks import fhir
from tests.unit.sinks.alerts import SCORE, alert, ended, withdrawn

SUBJECT = fhir.pseudonymous(alert().patient, "TOCSIN")

probabilities = st.none() | st.floats(0, 1)
alerts = st.builds(
    alert,
    revision=st.integers(1, 1_000_000),
    state=st.sampled_from(AlertState),
    reason=st.sampled_from(AlertReason),
    severity=st.sampled_from(Severity),
    risk=st.sampled_from(["deterioration", "glioma-survival", "sepsis"]),
    score=st.builds(
        lambda p, interval: msgspec.structs.replace(SCORE, probability=p, interval=interval),
        probabilities,
        st.none() | st.tuples(st.floats(0, 0.5), st.floats(0.5, 1)),
    ),
)


@settings(deadline=None, max_examples=60)
@given(alerts, st.sampled_from(["transaction", "batch"]))
def test_whatever_the_alert_the_bundle_is_valid(one: Alert, kind: str) -> None:
    """Every state, reason, probability and interval."""
    resources = [
        fhir.risk_assessment(one, SUBJECT),
        fhir.flag(one, SUBJECT),
        fhir.communication(one, SUBJECT, link="https://t/a"),
    ]
    bundle = fhir.bundle(resources, "https://fhir/r4/", kind)
    Bundle.model_validate_json(msgspec.json.encode(bundle))
    for kind_, resource in zip((RiskAssessment, Flag, Communication), resources, strict=True):
        kind_.model_validate_json(msgspec.json.encode(resource))
    for entry in bundle["entry"]:
        assert len(entry["resource"]["id"]) <= 64
        assert entry["fullUrl"] == f"https://fhir/r4/{entry['request']['url']}"


def test_what_is_not_fhir_is_noticed() -> None:
    """The check itself can fail."""
    broken: dict[str, Any] = {**fhir.flag(alert(), SUBJECT), "status": 7, "statuss": "active"}
    with pytest.raises(ValueError, match="statuss"):
        Flag.model_validate_json(msgspec.json.encode(broken))


@given(alerts)
def test_probabilities_are_percentages(one: Alert) -> None:
    """R4 says so: at most 100, and the interval as a Range in percent."""
    for prediction in fhir.risk_assessment(one, SUBJECT).get("prediction", []):
        assert ("probabilityDecimal" in prediction) != ("probabilityRange" in prediction)
        assert 0 <= prediction.get("probabilityDecimal", 0) <= 100
        if "probabilityRange" in prediction:
            low, high = (prediction["probabilityRange"][k]["value"] for k in ("low", "high"))
            assert 0 <= low <= high <= 100


def test_the_estimate_is_the_score_in_percent() -> None:
    """43.12, from 0.4312."""
    estimate, interval = fhir.risk_assessment(alert(), SUBJECT)["prediction"]
    assert estimate["probabilityDecimal"] == 43.12
    assert interval["probabilityRange"]["low"]["value"] == 31.0
    assert interval["probabilityRange"]["high"]["value"] == 56.01


def test_an_abstention_has_no_prediction() -> None:
    """Rather than one of nothing."""
    silent = msgspec.structs.replace(
        SCORE, probability=None, interval=None, evidence=[], abstained="stale_data"
    )
    found = fhir.risk_assessment(alert(score=silent), SUBJECT)
    assert "prediction" not in found
    assert found["note"] == [{"text": "no estimate: stale data"}]


@pytest.mark.parametrize(
    ("one", "assessment", "flag"),
    [
        (alert(), "final", "active"),
        (alert(revision=3, state=AlertState.ACKNOWLEDGED), "amended", "active"),
        (ended(), "amended", "inactive"),
        (withdrawn(), "entered-in-error", "entered-in-error"),
    ],
)
def test_the_status_follows_the_alert(one: Alert, assessment: str, flag: str) -> None:
    """What is withdrawn must not stay in a chart."""
    assert fhir.risk_assessment(one, SUBJECT)["status"] == assessment
    assert fhir.flag(one, SUBJECT)["status"] == flag
    assert ("end" in fhir.flag(one, SUBJECT)["period"]) == (flag != "active")


def test_state_is_replaced_and_communications_are_added() -> None:
    """The ids of two revisions."""
    first, second = alert(), ended()
    assert fhir.flag(first, SUBJECT)["id"] == fhir.flag(second, SUBJECT)["id"]
    told = [fhir.communication(a, SUBJECT)["id"] for a in (first, second)]
    assert len(set(told)) == 2


@pytest.mark.parametrize(
    ("authority", "system"),
    [
        ("HOSP", "urn:tocsin:authority:HOSP"),
        ("1.2.3.4", "urn:oid:1.2.3.4"),
        ("https://hosp/mrn", "https://hosp/mrn"),
        ("", "urn:tocsin:authority:unknown"),
    ],
)
def test_an_identifier_keeps_its_authority(authority: str, system: str) -> None:
    """A bare number would be compared with others'."""
    subject = fhir.identified(Identifier(authority, "MR", "4711"))
    assert subject["identifier"]["system"] == system
    assert subject["identifier"]["value"] == "4711"
    Flag.model_validate_json(msgspec.json.encode(fhir.flag(alert(), subject)))
