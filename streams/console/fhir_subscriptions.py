"""Who is told by FHIR, as R4 Subscriptions: to be read, not to be made.

An address that patients' data are sent to is set up by whoever runs Tocsin (`sinks.receivers`, kind
`fhir`, `bundle = "rest-hook"`), and not by whoever may read. Headers, and what an address may hide
in its query, are not shown. https://hl7.org/fhir/R4/subscription.html
"""

from __future__ import annotations

from collections.abc import Mapping
from urllib.parse import urlsplit, urlunsplit

from connectors.sinks.fhir import Resource
from connectors.sinks.settings import FhirReceiver, Receiver

KINDS = ("RiskAssessment", "Flag", "Communication")


def subscriptions(receivers: Mapping[str, Receiver]) -> list[Resource]:
    """One for each receiver and kind of resource: R4 has one query in each."""
    return [
        {
            "resourceType": "Subscription",
            "id": f"{name}-{kind.lower()}"[-64:],
            "status": "active",
            "reason": f"The receiver {name} of tocsin sinks; its routes say of which alerts",
            "criteria": f"{kind}?",
            "channel": {
                "type": "rest-hook",
                "endpoint": _plain(receiver.url),
                "payload": "application/fhir+json",
            },
        }
        for name, receiver in sorted(receivers.items())
        if isinstance(receiver, FhirReceiver) and receiver.bundle == "rest-hook"
        for kind in KINDS
    ]


def _plain(address: str) -> str:
    parts = urlsplit(address)
    return urlunsplit((parts.scheme, parts.netloc, parts.path, "", ""))
