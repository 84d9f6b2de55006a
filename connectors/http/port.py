"""Requests, from their headers to their answers: senders on one side, the log on the other.

Memory is bounded: at most `max_requests` bodies are held, from their first byte until the broker
has confirmed them; of all others uvicorn reads 64 KB and waits. A broker that is slow or away shows
as answers that come late, and after `answer_timeout_s` as 503: the sender sends it again, and what
arrives twice changes nothing. While scoring is behind, answers are held back for a while
(`connectors.admission`).
"""

from __future__ import annotations

import asyncio
import logging
import time
from functools import partial

import msgspec
from starlette.applications import Starlette
from starlette.exceptions import HTTPException
from starlette.requests import Request as HttpRequest
from starlette.responses import Response
from starlette.routing import Route

from connectors import metrics
from connectors.admission import Admission
from connectors.http import body as bodies
from connectors.http.answers import FHIR_JSON, Answer, Refused, later, response
from connectors.http.capability import RESOURCES, statement
from connectors.http.intake import HEAD_BYTES, Entry, Intake, Request
from connectors.http.kinds import BED, FHIR, NOTICE, STOW, VCF, Kind, kind_of
from connectors.http.senders import Senders
from connectors.kafka import AppendError, Log
from connectors.settings import HttpSettings

_log = logging.getLogger("tocsin.http")

_AGAIN_S = 30  # after which a sender is to send again


def application(
    log: Log, settings: HttpSettings, intake: Intake, senders: Senders, admission: Admission
) -> Starlette:
    """What is taken in where."""
    port = _Port(log, settings, intake, senders, admission)

    def post(path: str, *kinds: Kind, name: str = "") -> Route:
        methods = ["PUT"] if path.endswith("/{id}") else ["POST"]
        return Route(path, partial(port.receive, kinds, name), methods=methods, name=path)

    routes = [
        Route("/fhir/metadata", port.describe, methods=["GET"]),
        post("/fhir", FHIR),
        post("/fhir/", FHIR),
        post("/fhir/$process-message", FHIR, name="Bundle"),
        post("/fhir/Bundle", FHIR, name="Bundle"),
        *(post(f"/fhir/{kind}", FHIR, name=kind) for kind in RESOURCES),
        *(post(f"/fhir/{kind}/{{id}}", FHIR, name=kind) for kind in RESOURCES),
        post("/dicom-web/studies", NOTICE, STOW),
        post("/dicom-web/studies/{study}", NOTICE, STOW),
        post("/vcf", VCF),
        post("/bed", BED),
    ]
    return Starlette(routes=routes, exception_handlers={HTTPException: _no_such_place})


async def _no_such_place(request: HttpRequest, error: Exception) -> Response:
    status = error.status_code if isinstance(error, HTTPException) else 500
    detail = "nothing is taken in here: see docs/http.md"
    as_fhir = request.url.path.startswith("/fhir")
    allow = getattr(error, "headers", None) or {}
    answer = Answer(status, detail, "no_such_place", tuple(allow.items()))
    return response(answer, as_fhir=as_fhir)


class _Port:
    """Takes requests, one by one, as many at a time as may be held."""

    def __init__(
        self,
        log: Log,
        settings: HttpSettings,
        intake: Intake,
        senders: Senders,
        admission: Admission,
    ) -> None:
        self._log, self._settings, self._admission = log, settings, admission
        self._intake, self._senders = intake, senders
        self._slots = asyncio.Semaphore(settings.max_requests)

    async def describe(self, request: HttpRequest) -> Response:
        """What can be sent, for FHIR clients that ask first."""
        try:
            self._senders.source_of(request)
        except Refused as refused:
            return response(refused.answer, as_fhir=True)
        return Response(msgspec.json.encode(statement()), media_type=FHIR_JSON)

    async def receive(self, kinds: tuple[Kind, ...], name: str, request: HttpRequest) -> Response:
        """One request, from its headers to its answer."""
        begun = time.perf_counter()
        kind = kind_of(kinds, request.headers.get("content-type", ""))
        try:
            answer, slowed = await self._answer(kinds, kind, name, request)
            if slowed is not None and self._admission.behind:
                await self._admission.turn(slowed)  # the body is let go of by now
        except Refused as refused:
            answer = refused.answer
        except bodies.CutOffError:
            answer = Answer(400, "the body was cut off", "truncated")  # nobody reads this
        labels = {"kind": kind.name, "status": str(answer.status)}
        metrics.counter("tocsin_http_requests").add(1, labels)
        metrics.histogram("tocsin_http_answer_seconds").record(time.perf_counter() - begun)
        return response(answer, as_fhir=kind.is_fhir)

    async def _answer(
        self, kinds: tuple[Kind, ...], kind: Kind, name: str, request: HttpRequest
    ) -> tuple[Answer, str | None]:
        """The answer, and of what waits in the log to be scored, whose it is."""
        source = self._senders.source_of(request)
        content_type = request.headers.get("content-type", "")
        self._intake.admit(kinds, content_type, source)
        slot = await self._slot()
        try:
            settings = self._settings
            body = await bodies.read(
                request, settings.max_body_bytes, settings.body_timeout_s, HEAD_BYTES
            )
            metrics.counter("tocsin_http_bytes").add(len(body.raw))
            said = dict(request.query_params)
            received = Request(
                kind,
                request.path_params.get("study", "") or name,
                content_type,
                source,
                request.headers.get("subject", "") or said.get("subject", ""),
                said,
                request.headers.get("traceparent", ""),
                body.raw,
            )
            entry = self._entry(received, body.size)
        except BaseException:
            slot.give_back()
            raise
        answer, logged = await self._confirmed(entry, received, slot)
        return answer, source if logged else None

    def _entry(self, received: Request, size: int) -> Entry:
        limit = self._settings.max_body_bytes
        if size > limit:
            return self._intake.too_large(received, size, f"http.max_body_bytes ({limit:,})")
        return self._intake.take(received)

    async def _slot(self) -> _Slot:
        try:
            async with asyncio.timeout(self._settings.answer_timeout_s):
                await self._slots.acquire()
        except TimeoutError:
            detail = "others wait for the broker, too: send it again"
            raise Refused(later(_AGAIN_S, detail, "busy")) from None
        return _Slot(self._slots)

    async def _confirmed(self, entry: Entry, received: Request, slot: _Slot) -> tuple[Answer, bool]:
        """The entry's answer, when the broker has its record, and whether that is a message.
        Raises `Refused`."""
        end = asyncio.get_running_loop().time() + self._settings.answer_timeout_s
        error = await self._appended(entry, slot, end)
        if error is not None and error.too_large and entry.reason is None:
            size = len(received.body)
            entry = self._intake.too_large(received, size, "the broker takes")
            error = await self._appended(entry, slot, end)
        if error is not None:
            _log.error("a record could not be appended: %s", error)
            raise Refused(later(_AGAIN_S, "it could not be logged: send it again", "broker"))
        if entry.reason is not None:
            metrics.counter("tocsin_quarantined").add(1, {"reason": entry.reason})
            return entry.answer, False
        self._admission.logged()
        return entry.answer, True

    async def _appended(self, entry: Entry, slot: _Slot, end: float) -> AppendError | None:
        """The fate of a record. Its slot is given back when that is known, however late.

        Only one that was too large as it came keeps it, while somebody still waits to have it
        recorded as that.
        """
        known: asyncio.Future[AppendError | None] = asyncio.get_running_loop().create_future()
        waited_for = True

        def confirmed(error: AppendError | None) -> None:
            follows = error is not None and error.too_large and entry.reason is None
            if not (follows and waited_for):
                slot.give_back()
            if not known.done():
                known.set_result(error)

        self._log.append(entry.topic, entry.value, entry.headers, confirmed)
        try:
            async with asyncio.timeout_at(end):
                return await asyncio.shield(known)
        except TimeoutError:
            waited_for = False
            detail = "the broker has not confirmed it yet: send it again"
            raise Refused(later(_AGAIN_S, detail, "broker")) from None
        except asyncio.CancelledError:
            waited_for = False
            raise


class _Slot:
    """The right to hold one body."""

    def __init__(self, slots: asyncio.Semaphore) -> None:
        self._slots: asyncio.Semaphore | None = slots
        metrics.gauge("tocsin_http_waiting").add(1)

    def give_back(self) -> None:
        """Once; again changes nothing."""
        if self._slots is not None:
            self._slots.release()
            self._slots = None
            metrics.gauge("tocsin_http_waiting").add(-1)
