"""`/api/v1`: records of the contract as they are, without names."""

from __future__ import annotations

from typing import Any

import msgspec
from fastapi import APIRouter, Request, Response

from streams.console.ports import PatientView, Reader, Unavailable

_NO_STORE = {"cache-control": "no-store"}


def router(reader: Reader) -> APIRouter:
    """Alerts, and one patient."""
    api = APIRouter(prefix="/api/v1", tags=["console"])

    @api.get("/alerts", response_class=Response)
    async def alerts(request: Request) -> Response:
        """The newest revision of each alert that is open or ended in the last 24 hours."""
        try:
            return _json(await reader.alerts())
        except Unavailable as reason:
            return problem(503, "Not available now", str(reason), request.url.path)

    @api.get("/patients/{pseudonym}", response_class=Response)
    async def patient(pseudonym: str, request: Request) -> Response:
        """One patient's record (canonical facts), scores with their history, and alerts."""
        try:
            view = await reader.patient(pseudonym)
        except Unavailable as reason:
            return problem(503, "Not available now", str(reason), request.url.path)
        if view is None:
            return problem(
                404, "No such patient", "No patient has this pseudonym.", request.url.path
            )
        return _json(_patient(pseudonym, view))

    return api


def _patient(pseudonym: str, view: PatientView) -> dict[str, Any]:
    return {
        "patient": pseudonym,
        "record": msgspec.Raw(view.record.canonical()),
        "scores": view.scores,
        "history": view.history,
        "alerts": sorted(view.alerts, key=lambda a: (a.alert_id, a.revision)),
        "thresholds": view.thresholds,
    }


def _json(value: object, status: int = 200) -> Response:
    body = msgspec.json.encode(value)
    return Response(body, status, media_type="application/json", headers=_NO_STORE)


def problem(status: int, title: str, detail: str, instance: str) -> Response:
    """RFC 9457 problem details."""
    body = {"title": title, "status": status, "detail": detail, "instance": instance}
    content = msgspec.json.encode(body)
    return Response(content, status, media_type="application/problem+json", headers=_NO_STORE)
