"""What the FHIR side of the port can do: its CapabilityStatement (FHIR R4, `GET /fhir/metadata`).

Clients such as HAPI's ask for it before they send anything.
"""

from __future__ import annotations

from typing import Any, Final

RESOURCES: Final = ("ImagingStudy", "DiagnosticReport")
_SINCE: Final = "2026-11-25"  # of the statement: it changes when what is below does


def statement() -> dict[str, Any]:
    """Create and update of what is read, and messages; nothing can be asked for."""
    interactions = [{"code": "create"}, {"code": "update"}]
    return {
        "resourceType": "CapabilityStatement",
        "status": "active",
        "date": _SINCE,
        "kind": "instance",
        "software": {"name": "Tocsin"},
        "implementation": {"description": "Takes in imaging studies and genomics reports"},
        "fhirVersion": "4.0.1",
        "format": ["json"],
        "rest": [
            {
                "mode": "server",
                "resource": [{"type": kind, "interaction": interactions} for kind in RESOURCES],
                "interaction": [{"code": "transaction"}, {"code": "batch"}],
            }
        ],
        "messaging": [{"documentation": "POST /fhir/$process-message"}],
    }
