"""Addresses that an EHR can open: `/patient?id=authority|type|number` and `/alert/{id}`."""

from __future__ import annotations

from urllib.parse import quote

from fastapi import FastAPI, Request, Response
from fastapi.responses import RedirectResponse

from streams.console import identifiers
from streams.console.access import PAGES
from streams.console.frame import Console
from streams.console.people import person_of
from streams.console.ports import Unavailable
from streams.console.sign_in.notice import notice

_WAIT = "A server behind the console does not answer now. Try again in a moment."


def add_links(application: FastAPI, console: Console) -> None:
    """Both lead on to the patient's page; the look-up of a number is an audit record."""

    @application.get("/patient", include_in_schema=False)
    async def by_number(request: Request, id: str = "") -> Response:
        person = person_of(request)
        if not person.may(PAGES["/patient"]):
            return notice(403, "Not for your role", f"This needs the role {PAGES['/patient']}.")
        try:
            found = await console.names.resolve(identifiers.parse(id), who=person.subject)
        except identifiers.IdentifierError as error:
            return notice(400, "No patient", str(error))
        except Unavailable:
            return notice(503, "Not available now", _WAIT)
        if found is None:
            return notice(404, "No patient", "Nobody is known by this number.")
        return RedirectResponse(f"/patient/{quote(found)}", 303)

    @application.get("/alert/{alert_id}", include_in_schema=False)
    async def by_alert(request: Request, alert_id: str) -> Response:
        if not person_of(request).may(PAGES["/alert/{alert_id}"]):
            return notice(403, "Not for your role", "This needs another role.")
        try:
            found = await console.reader.find_alert(alert_id)
        except Unavailable:
            return notice(503, "Not available now", _WAIT)
        if found is None:
            return notice(404, "No alert", "No alert is known under this address.")
        return RedirectResponse(f"/patient/{quote(found.patient)}#{quote(found.risk)}", 303)
