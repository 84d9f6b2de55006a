"""What a sender is told: an OperationOutcome where FHIR is spoken, else a problem (RFC 9457)."""

from __future__ import annotations

from http import HTTPStatus
from typing import Any, Final, NamedTuple

import msgspec
from starlette.responses import Response

REASONS: Final = "urn:tocsin:reason"  # code system of `reason`: docs/reference/reasons.md
FHIR_JSON: Final = "application/fhir+json"
_DICOM_JSON: Final = "application/dicom+json"
_PROBLEM: Final = "application/problem+json"
# FHIR R4 issue-type of an HTTP status.
_ISSUES: Final = {
    400: "structure",
    401: "login",
    403: "forbidden",
    404: "not-found",
    405: "not-supported",
    408: "timeout",
    413: "too-long",
    415: "not-supported",
    422: "invalid",
    503: "transient",
}
TAKEN: Final = "Taken in. What cannot be understood of it goes to quarantine with its reason."


class Answer(NamedTuple):
    """Status and why, in words and in one word; without data of the message."""

    status: int
    detail: str
    reason: str = ""
    headers: tuple[tuple[str, str], ...] = ()
    dataset: dict[str, Any] | None = None  # DICOM JSON, in place of the words


ACCEPTED: Final = Answer(202, TAKEN)


class Refused(Exception):  # noqa: N818 - an answer, not a fault
    """Stops the handling of a request, with what its sender is told."""

    def __init__(self, answer: Answer) -> None:
        super().__init__(answer.detail)
        self.answer = answer


def later(seconds: int, detail: str, reason: str) -> Answer:
    """The sender has to send it again."""
    return Answer(503, detail, reason, (("retry-after", str(seconds)),))


def response(answer: Answer, *, as_fhir: bool) -> Response:
    """As it goes out."""
    content = answer.dataset or (_outcome(answer) if as_fhir else _problem(answer))
    media = FHIR_JSON if as_fhir else (_PROBLEM if answer.status >= 400 else "application/json")
    media = _DICOM_JSON if answer.dataset else media
    headers = {"cache-control": "no-store", "x-content-type-options": "nosniff"}
    headers |= dict(answer.headers)
    return Response(msgspec.json.encode(content), answer.status, headers, media)


def _outcome(answer: Answer) -> dict[str, Any]:
    is_error = answer.status >= 400
    details: dict[str, Any] = {"text": answer.detail}
    if answer.reason:
        details["coding"] = [{"system": REASONS, "code": answer.reason}]
    issue = {
        "severity": "error" if is_error else "information",
        "code": _ISSUES.get(answer.status, "processing") if is_error else "informational",
        "details": details,
    }
    return {"resourceType": "OperationOutcome", "issue": [issue]}


def _problem(answer: Answer) -> dict[str, Any]:
    title = HTTPStatus(answer.status).phrase
    said = {"type": "about:blank", "title": title, "status": answer.status, "detail": answer.detail}
    return said | ({"reason": answer.reason} if answer.reason else {})
