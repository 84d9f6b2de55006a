"""Where an alert can be looked at, and how it is called in words."""

from __future__ import annotations

from urllib.parse import quote

from connectors.contract import Alert


def link(template: str, alert: Alert) -> str:
    """The address of an alert; "" when none is set."""
    parts = {"{alert_id}": alert.alert_id, "{patient}": alert.patient}
    for name, value in parts.items():
        template = template.replace(name, quote(value, safe=""))
    return template


def risk_in_words(risk: str) -> str:
    """`glioma-survival` → "glioma survival"; on one line, whatever it holds."""
    return " ".join(risk.replace("-", " ").replace("_", " ").split())


def headline(alert: Alert, *, test: bool = False) -> str:
    """One line without patient data: `Critical deterioration risk: firing (above threshold)`."""
    risk, reason = risk_in_words(alert.risk), alert.reason.replace("_", " ")
    text = f"{alert.severity.capitalize()} {risk} risk: {alert.state} ({reason})"
    return f"TEST, no patient: {text}" if test else text
