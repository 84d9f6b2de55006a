"""`/sign-in`: the way to the issuer and back, and out again."""

from __future__ import annotations

import asyncio
import hashlib
import logging
from collections import deque
from typing import Final

import msgspec
from fastapi import APIRouter, Request, Response
from fastapi.responses import RedirectResponse
from starlette.requests import HTTPConnection

from connectors.clock import Clock
from streams.console.people import Person
from streams.console.ports import Audit, Unavailable
from streams.console.sign_in.development import WARNING, is_development
from streams.console.sign_in.issuer import Begun, Claims, Issuer, SignInError, roles_of
from streams.console.sign_in.notice import notice
from streams.console.sign_in.sessions import Sessions
from streams.console.sign_in.store import Store
from streams.settings import OidcSettings

log = logging.getLogger("tocsin.console")

_BEGUN_S: Final = 600  # so long may somebody take at the issuer
_MOST_BEGUN: Final = 5_000
_NOT_UNDER_WAY: Final = "This sign-in is not under way (any more): sign in again."
_NO_ROLE: Final = (
    "Your account has no role here, or no name that can be written down. Ask whoever runs Tocsin, "
    "and sign in again."
)


class OidcSignIn:
    """`guard.SignIn` by OpenID Connect. `url` is the console's own address, as browsers know it."""

    def __init__(
        self, settings: OidcSettings, url: str, audit: Audit, clock: Clock, store: Store
    ) -> None:
        self._settings = settings
        self._url = url.rstrip("/")
        self._secure = self._url.startswith("https:")
        self._cookie = "__Host-tocsin-session" if self._secure else "tocsin-session"
        self._begun_cookie = "__Host-tocsin-begun" if self._secure else "tocsin-begun"
        self._issuer = Issuer(settings)
        self._audit = audit
        self._clock = clock
        self._sessions = Sessions(store, clock, settings.session_hours * 3_600)
        self._store = store
        self._begun: deque[str] = deque()  # states of this console, oldest first
        self.warning = WARNING if is_development(settings) else ""

    # ── who asks ────────────────────────────────────────────────────────────────────────────

    async def person(self, connection: HTTPConnection) -> Person | None:
        """By the browser's session; below `/api/` and `/fhir/` by a bearer token too."""
        kind, _, token = connection.headers.get("authorization", "").partition(" ")
        if kind.lower() == "bearer" and connection.url.path.startswith(("/api/", "/fhir/")):
            return await self._bearer(token.strip())
        cookie = connection.cookies.get(self._cookie, "")
        return await self._sessions.person(cookie) if cookie else None

    async def lives(self, person: Person) -> bool:
        """Is the person's sign-in still good?"""
        return await self._sessions.lives(person)

    async def _bearer(self, token: str) -> Person | None:
        try:
            claims = await asyncio.to_thread(self._issuer.bearer, token)
        except SignInError:
            return None
        return self._person(claims)

    def _person(self, claims: Claims) -> Person | None:
        roles = roles_of(claims, self._settings)
        who = self._who(claims)
        name = str(claims.get("name") or claims.get("preferred_username") or who)
        return Person(who, roles, name) if roles and who else None

    def _who(self, claims: Claims) -> str:
        return str(claims.get(self._settings.who_claim) or "")

    # ── the way in and out ──────────────────────────────────────────────────────────────────

    def router(self) -> APIRouter:
        """The addresses below `/sign-in`."""
        router = APIRouter(include_in_schema=False)
        router.add_api_route("/sign-in", self._begin, methods=["GET"], response_class=Response)
        router.add_api_route("/sign-in/back", self._back, methods=["GET"], response_class=Response)
        router.add_api_route("/sign-in/out", self._out, methods=["POST"], response_class=Response)
        router.add_api_route("/sign-in/bye", self._bye, methods=["GET"], response_class=Response)
        return router

    async def _begin(self, next: str = "/") -> Response:
        try:
            begun = await asyncio.to_thread(self._issuer.begin, self._redirect)
            await self._remember(begun, within(next))
        except SignInError as error:
            return notice(503, "Sign-in", str(error))
        except Unavailable as error:
            return notice(503, "Sign-in", _sentence(error))
        answer = RedirectResponse(begun.url, 303)
        self._set(answer, self._begun_cookie, begun.state, _BEGUN_S)
        return answer

    async def _back(self, request: Request, state: str = "") -> Response:
        try:
            waiting = await self._under_way(state, request.cookies.get(self._begun_cookie, ""))
            if waiting is None:
                return notice(400, "Sign-in", _NOT_UNDER_WAY)
            came_back = f"{self._redirect}?{request.url.query}"
            claims = await asyncio.to_thread(
                self._issuer.finish, waiting.begun, self._redirect, came_back
            )
            person = self._person(claims)
            await self._note("signed_in" if person else "sign_in_refused", claims, person)
            if person is None:
                return notice(403, "Sign-in", _NO_ROLE)
            token = await self._sessions.begin(person)
        except SignInError as error:
            return notice(403, "Sign-in", str(error))
        except Unavailable as error:
            return notice(503, "Sign-in", _sentence(error))
        answer = RedirectResponse(waiting.wanted, 303)
        self._set(answer, self._cookie, token, int(self._settings.session_hours * 3_600))
        answer.delete_cookie(self._begun_cookie, secure=self._secure, httponly=True)
        return answer

    async def _out(self, request: Request) -> Response:
        try:
            person = await self._sessions.end(request.cookies.get(self._cookie, ""))
        except Unavailable as error:  # nobody is told that they are signed out when they are not
            return notice(503, "Not signed out", _sentence(error))
        if person is not None:
            try:
                await self._audit.note("signed_out", person.subject, {})
            except Unavailable:
                log.error("a sign-out could not be written to the audit")
        answer = RedirectResponse("/sign-in/bye", 303)
        answer.delete_cookie(self._cookie, secure=self._secure, httponly=True)
        return answer

    async def _bye(self) -> Response:
        return notice(200, "Signed out", "You are signed out of this console.")

    async def _note(self, event: str, claims: Claims, person: Person | None) -> None:
        roles = sorted(person.roles) if person else []
        await self._audit.note(event, self._who(claims) or str(claims["sub"]), {"roles": roles})

    def _set(self, answer: Response, name: str, value: str, lifetime_s: int) -> None:
        # Lax: a link from the EHR's pages brings the session along, a form of theirs does not.
        answer.set_cookie(
            name,
            value,
            max_age=lifetime_s,
            path="/",
            secure=self._secure,
            httponly=True,
            samesite="lax",
        )

    @property
    def _redirect(self) -> str:
        return f"{self._url}/sign-in/back"

    # ── sign-ins under way, which may come back to another console ──────────────────────────

    async def _remember(self, begun: Begun, wanted: str) -> None:
        waiting = _Waiting(begun, wanted, self._clock() + _BEGUN_S)
        await self._store.put(_begun_key(begun.state), msgspec.json.encode(waiting), _BEGUN_S)
        self._begun.append(begun.state)
        while len(self._begun) > _MOST_BEGUN:  # whoever asks again and again fills no store
            await self._store.take(_begun_key(self._begun.popleft()))

    async def _under_way(self, state: str, cookie: str) -> _Waiting | None:
        raw = await self._store.take(_begun_key(state))
        if raw is None or cookie != state:
            return None
        waiting = msgspec.json.decode(raw, type=_Waiting)
        return waiting if waiting.until > self._clock() else None


class _Waiting(msgspec.Struct, frozen=True):
    """A sign-in that a browser was sent away for, as it is stored."""

    begun: Begun
    wanted: str
    until: float  # epoch seconds


def _begun_key(state: str) -> str:
    return f"begun:{hashlib.sha256(state.encode()).hexdigest()}"


def _sentence(error: Exception) -> str:
    said = str(error)
    return f"{said[:1].upper()}{said[1:]}: try again in a moment."


def within(address: str) -> str:
    """An address of this console, whatever somebody wrote into a link."""
    fine = address.startswith("/") and not address.startswith(("//", "/\\"))
    return address if fine and address.isprintable() else "/"
