"""Every error of the API is a problem in JSON (RFC 9457), whoever raised it."""

from __future__ import annotations

from collections.abc import Mapping
from http import HTTPStatus
from typing import Any

import msgspec
from fastapi import FastAPI, Request, Response
from fastapi.exceptions import RequestValidationError
from starlette.exceptions import HTTPException

from streams.console.ports import Unavailable
from streams.errors import UserError
from streams.feedback_desk import NotConfirmedError

MEDIA_TYPE = "application/problem+json"
NO_STORE = {"cache-control": "no-store"}
_RETRY_S = 5


class Wrong(msgspec.Struct, frozen=True, kw_only=True):
    """One thing that is wrong with a request."""

    where: str  # e.g. "query.limit"
    what: str


class Problem(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """RFC 9457 problem details."""

    title: str
    status: int
    detail: str
    instance: str
    errors: list[Wrong] = []


class ProblemError(Exception):
    """Ends a request with a problem."""

    def __init__(
        self,
        status: int,
        title: str,
        detail: str,
        errors: list[Wrong] | None = None,
        headers: Mapping[str, str] | None = None,
    ) -> None:
        super().__init__(detail)
        self.headers = headers
        self.status = status
        self.title = title
        self.errors = errors or []


def answer(problem: ProblemError, path: str, headers: Mapping[str, str] | None = None) -> Response:
    """The problem as a response; below `/fhir/` as that standard has errors."""
    if path.startswith("/fhir/"):
        return _outcome(problem, headers or {})
    body = Problem(
        title=problem.title,
        status=problem.status,
        detail=str(problem),
        instance=path,
        errors=problem.errors,
    )
    every = {**NO_STORE, **(headers or {})}
    return Response(msgspec.json.encode(body), problem.status, every, media_type=MEDIA_TYPE)


def _outcome(problem: ProblemError, headers: Mapping[str, str]) -> Response:
    codes = {401: "login", 403: "forbidden", 404: "not-found", 405: "not-supported"}
    code = codes.get(problem.status, "transient" if problem.status >= 500 else "invalid")
    texts = [str(problem), *(f"{wrong.where}: {wrong.what}" for wrong in problem.errors)]
    issue = {"severity": "error", "code": code, "diagnostics": " ".join(texts)}
    body = {"resourceType": "OperationOutcome", "issue": [issue]}
    every = {**NO_STORE, **headers}
    media_type = "application/fhir+json"
    return Response(msgspec.json.encode(body), problem.status, every, media_type=media_type)


def add_handlers(application: FastAPI, default: Any) -> None:
    """Problems for `/api/` and `/fhir/`; everything else goes to `default(request, error)`."""

    @application.exception_handler(ProblemError)
    async def problem(request: Request, error: ProblemError) -> Response:
        return answer(error, request.url.path, error.headers)

    @application.exception_handler(Unavailable)
    async def unavailable(request: Request, error: Unavailable) -> Response:
        found = ProblemError(503, "Not available now", f"{error}.".replace("..", "."))
        return answer(found, request.url.path, {"retry-after": str(_RETRY_S)})

    @application.exception_handler(NotConfirmedError)
    async def not_confirmed(request: Request, error: NotConfirmedError) -> Response:
        found = ProblemError(503, "Not confirmed", str(error))
        return answer(found, request.url.path, {"retry-after": str(_RETRY_S)})

    @application.exception_handler(UserError)
    async def refused(request: Request, error: UserError) -> Response:
        return answer(ProblemError(409, "Refused", str(error)), request.url.path)

    @application.exception_handler(RequestValidationError)
    async def invalid(request: Request, error: RequestValidationError) -> Response:
        wrong = [
            Wrong(where=".".join(str(part) for part in e["loc"]), what=str(e["msg"]))
            for e in error.errors()
        ]
        detail = "The request is not what the API's description asks for."
        return answer(ProblemError(422, "Not valid", detail, wrong), request.url.path)

    @application.exception_handler(HTTPException)
    async def http(request: Request, error: HTTPException) -> Response:
        if not is_api(request.url.path):
            response: Response = await default(request, error)
            return response
        title = HTTPStatus(error.status_code).phrase
        found = ProblemError(error.status_code, title, str(error.detail))
        return answer(found, request.url.path, error.headers)


def is_api(path: str) -> bool:
    """Does a program ask, and not a browser?"""
    return path.startswith(("/api/", "/fhir/"))
