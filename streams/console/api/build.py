"""The API put together, and its description (OpenAPI) with the records of the contract."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import msgspec
from fastapi import FastAPI
from fastapi.exception_handlers import http_exception_handler
from fastapi.openapi.utils import get_openapi
from starlette.routing import BaseRoute, Match
from starlette.types import Receive, Scope, Send

from streams.console.api import about, alerts, events, feedback, patients, policy, quarantine
from streams.console.api.page import add_page
from streams.console.api.problems import ProblemError, add_handlers, answer
from streams.console.api.routes import REF, Routes
from streams.console.fhir import add_fhir
from streams.console.frame import Console
from streams.console.ports import EventLog

_ABOUT = (
    "Alerts, scores and patients of Tocsin, by pseudonym. Errors are problems (RFC 9457). Lists "
    'come in pages: follow the `Link` header with `rel="next"`. `x-required-role` of each route is '
    "the role that it needs."
)


def add_api(application: FastAPI, console: Console, log: EventLog | None) -> None:
    """Every route of `/api/v1`, with problems for whatever goes wrong."""
    routes = Routes()
    alerts.add(routes, console.reader, console.board)
    patients.add(routes, console.reader, console.names)
    about.add(routes, console.board)
    if console.quarantine is not None:
        quarantine.add(routes, console.quarantine)
    if console.feedback is not None:
        feedback.add(routes, console.feedback, console.reader, console.board, console.clock)
    if console.policy is not None:
        policy.add(routes, console.policy)
    if log is not None:
        events.add(routes, log, console.sign_in)
    application.include_router(routes.router)
    described = _described(application, routes)
    application.openapi = lambda: described  # type: ignore[method-assign]  # FastAPI's own way
    add_page(application, described)
    add_fhir(application, console.reader, console.url, console.authority, console.subscriptions)
    known = [*routes.router.routes, *application.routes]
    application.mount("/api", _Nothing(known))
    application.mount("/fhir", _Nothing(known))
    add_handlers(application, http_exception_handler)


class _Nothing:
    """Whatever else is asked below `/api` or `/fhir`, by whatever method: a problem, not a page."""

    def __init__(self, routes: Sequence[BaseRoute]) -> None:
        self._routes = routes

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        allowed = self._allowed(scope)
        problem = ProblemError(
            404, "Nothing here", "The API's description is at /api/v1/openapi.json."
        )
        if allowed:
            headers = {"allow": allowed}
            problem = ProblemError(405, "Not allowed", f"Allowed: {allowed}.", headers=headers)
        await answer(problem, scope["path"], problem.headers)(scope, receive, send)

    def _allowed(self, scope: Scope) -> str:
        plain = {"type": "http", "path": scope["path"], "method": scope["method"], "root_path": ""}
        found: set[str] = set()
        for route in self._routes:
            match, _ = route.matches(dict(plain))
            if match is not Match.NONE:
                found |= set(getattr(route, "methods", ()))
        return ", ".join(sorted(found))


def _described(application: FastAPI, routes: Routes) -> dict[str, Any]:
    described = get_openapi(
        title="Tocsin",
        version="1",
        summary="A streaming risk monitor for hospitals",
        description=_ABOUT,
        routes=application.routes,
        license_info={"name": "Apache-2.0", "identifier": "Apache-2.0"},
    )
    _, components = msgspec.json.schema_components(routes.types, ref_template=REF)
    schemas = described.setdefault("components", {}).setdefault("schemas", {})
    for name in ("HTTPValidationError", "ValidationError"):
        schemas.pop(name, None)
    schemas |= components
    described["components"]["securitySchemes"] = {
        "bearer": {
            "type": "http",
            "scheme": "bearer",
            "bearerFormat": "JWT",
            "description": "A token of the OpenID Connect issuer that `console.oidc` names.",
        },
        "session": {
            "type": "apiKey",
            "in": "cookie",
            "name": "tocsin-session",
            "description": "Set by the sign-in with a browser.",
        },
    }
    described["security"] = [{"bearer": []}, {"session": []}]
    return described
