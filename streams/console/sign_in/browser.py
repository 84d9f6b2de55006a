"""`/sign-in`: the way to the issuer and back, and out again."""

from __future__ import annotations

import asyncio
from typing import Final

from fastapi import APIRouter, Request, Response
from fastapi.responses import RedirectResponse
from starlette.requests import HTTPConnection

from connectors.clock import Clock
from streams.console.people import Person
from streams.console.ports import Audit, Unavailable
from streams.console.sign_in.issuer import Begun, Claims, Issuer, SignInError, roles_of
from streams.console.sign_in.notice import notice
from streams.console.sign_in.sessions import Sessions
from streams.settings import OidcSettings

_BEGUN_S: Final = 600  # so long may somebody take at the issuer
_MOST_BEGUN: Final = 5_000
_NO_ROLE: Final = (
    "Your account has no role here, or no name that can be written down. Ask whoever runs Tocsin, "
    "and sign in again."
)


class OidcSignIn:
    """`guard.SignIn` by OpenID Connect. `url` is the console's own address, as browsers know it."""

    def __init__(self, settings: OidcSettings, url: str, audit: Audit, clock: Clock) -> None:
        self._settings = settings
        self._url = url.rstrip("/")
        self._secure = self._url.startswith("https:")
        self._cookie = "__Host-tocsin-session" if self._secure else "tocsin-session"
        self._begun_cookie = "__Host-tocsin-begun" if self._secure else "tocsin-begun"
        self._issuer = Issuer(settings)
        self._audit = audit
        self._clock = clock
        self._sessions = Sessions(clock, settings.session_hours * 3_600)
        self._begun: dict[str, tuple[Begun, str, float]] = {}  # by state: with next, and until
        self.warning = ""

    # ── who asks ────────────────────────────────────────────────────────────────────────────

    async def person(self, connection: HTTPConnection) -> Person | None:
        """By the browser's session; below `/api/` and `/fhir/` by a bearer token too."""
        kind, _, token = connection.headers.get("authorization", "").partition(" ")
        if kind.lower() == "bearer" and connection.url.path.startswith(("/api/", "/fhir/")):
            return await self._bearer(token.strip())
        cookie = connection.cookies.get(self._cookie, "")
        return self._sessions.person(cookie) if cookie else None

    def lives(self, person: Person) -> bool:
        """Is the person's sign-in still good?"""
        return self._sessions.lives(person)

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
        except SignInError as error:
            return notice(503, "Sign-in", str(error))
        self._forget_old()
        self._begun[begun.state] = (begun, within(next), self._clock() + _BEGUN_S)
        answer = RedirectResponse(begun.url, 303)
        self._set(answer, self._begun_cookie, begun.state, _BEGUN_S)
        return answer

    async def _back(self, request: Request, state: str = "") -> Response:
        begun, wanted, until = self._begun.pop(state, (None, "/", 0.0))
        same = request.cookies.get(self._begun_cookie) == state
        if begun is None or until < self._clock() or not same:
            return notice(
                400, "Sign-in", "This sign-in is not under way (any more): sign in again."
            )
        try:
            came_back = f"{self._redirect}?{request.url.query}"
            claims = await asyncio.to_thread(self._issuer.finish, begun, self._redirect, came_back)
            person = self._person(claims)
            await self._note("signed_in" if person else "sign_in_refused", claims, person)
        except (SignInError, Unavailable) as error:
            return notice(403, "Sign-in", str(error))
        if person is None:
            return notice(403, "Sign-in", _NO_ROLE)
        answer = RedirectResponse(wanted, 303)
        lifetime = int(self._settings.session_hours * 3_600)
        self._set(answer, self._cookie, self._sessions.begin(person), lifetime)
        answer.delete_cookie(self._begun_cookie, secure=self._secure, httponly=True)
        return answer

    async def _out(self, request: Request) -> Response:
        self._sessions.end(request.cookies.get(self._cookie, ""))
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

    def _forget_old(self) -> None:
        if len(self._begun) >= _MOST_BEGUN:
            now = self._clock()
            alive = {state: b for state, b in self._begun.items() if b[2] > now}
            self._begun = dict(list(alive.items())[len(alive) // 2 :])


def within(address: str) -> str:
    """An address of this console, whatever somebody wrote into a link."""
    fine = address.startswith("/") and not address.startswith(("//", "/\\"))
    return address if fine and address.isprintable() else "/"
