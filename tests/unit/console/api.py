"""Routes of the API with somebody who is signed in, and no server."""

from __future__ import annotations

from collections.abc import Callable

import httpx
from fastapi import FastAPI, Request
from fastapi.exception_handlers import http_exception_handler

from streams.console.api.problems import add_handlers
from streams.console.api.routes import Routes
from streams.console.people import Person
from streams.roles import Role


def client(add: Callable[[Routes], None], subject: str = "ada") -> httpx.AsyncClient:
    """Asks the routes that `add` declares, as a person of every role."""
    routes, application = Routes(), FastAPI()
    add(routes)
    application.include_router(routes.router)
    add_handlers(application, http_exception_handler)

    @application.middleware("http")
    async def sign_in(request: Request, then: Callable) -> object:
        who = request.headers.get("x-test-person", subject)
        request.state.person = Person(who, frozenset(Role))
        return await then(request)

    transport = httpx.ASGITransport(app=application)
    return httpx.AsyncClient(transport=transport, base_url="http://console")
