"""Alerts pushed to a FHIR R4 server, each change as one bundle of PUTs; or, as to a subscriber, as
PUTs one by one (https://hl7.org/fhir/R4/subscription.html#2.46.7.1)."""

from __future__ import annotations

import base64
import ssl
from typing import Any

import httpx
import msgspec

from connectors.contract import Alert
from connectors.sinks import fhir, http
from connectors.sinks.links import link
from connectors.sinks.notice import Notice, RefusedError, UnavailableError
from connectors.sinks.settings import FhirReceiver

_JSON = "application/fhir+json"


class FhirServer:
    """`Sink` for a FHIR server."""

    def __init__(
        self,
        settings: FhirReceiver,
        authorization: str,
        links: str,
        authority: str,
        preferred: tuple[str, ...],
        tls: ssl.SSLContext,
    ) -> None:
        self._settings, self._links = settings, links
        self._authority, self._preferred = authority, preferred
        self._headers = {"content-type": _JSON, "accept": _JSON}
        if authorization:
            self._headers["authorization"] = authorization
        self._client = httpx.AsyncClient(timeout=settings.timeout_s, verify=tls, trust_env=False)

    async def send(self, notice: Notice) -> None:
        """POST a bundle, or PUT each resource. Raises `UnavailableError`, `RefusedError`.

        One resource that fails makes all of them go again: the same content under the same id.
        """
        resources = [r for alert in notice.alerts for r in self._resources(notice, alert)]
        if self._settings.bundle == "rest-hook":
            await self._put(resources)
            return
        body = msgspec.json.encode(
            fhir.bundle(resources, self._settings.url, self._settings.bundle)
        )
        url, timeout_s = self._settings.url, self._settings.timeout_s
        batch = self._settings.bundle == "batch"
        answer = await http.send(
            self._client, url, body, self._headers, timeout_s, needs_answer=batch
        )
        if batch:
            _check_entries(answer)

    async def _put(self, resources: list[fhir.Resource]) -> None:
        for resource in resources:
            url = f"{self._settings.url.rstrip('/')}/{fhir.place(resource)}"
            body = msgspec.json.encode(resource)
            timeout_s = self._settings.timeout_s
            await http.send(self._client, url, body, self._headers, timeout_s, method="PUT")

    async def close(self) -> None:
        """Close the connections."""
        await self._client.aclose()

    def _resources(self, notice: Notice, alert: Alert) -> list[fhir.Resource]:
        subject = self._subject(notice, alert)
        told = fhir.communication(alert, subject, link=link(self._links, alert), test=notice.test)
        if notice.test:  # no patient, so nothing for a chart
            return [{k: v for k, v in told.items() if k not in ("subject", "about")}]
        return [fhir.risk_assessment(alert, subject), fhir.flag(alert, subject), told]

    def _subject(self, notice: Notice, alert: Alert) -> fhir.Resource:
        identity = notice.people.get(alert.patient)
        if identity is None or not identity.identifiers:
            return fhir.pseudonymous(alert.patient, self._authority)
        order = {kind: place for place, kind in enumerate(self._preferred)}
        best = min(identity.identifiers, key=lambda i: (order.get(i.type, len(order)), i))
        return fhir.identified(best)


def authorization(settings: FhirReceiver, token: str, password: str) -> str:
    """The header that the settings ask for; "" for none."""
    if token:
        return f"Bearer {token}"
    if settings.user:
        both = f"{settings.user}:{password}".encode()
        return f"Basic {base64.b64encode(both).decode()}"
    return ""


def _check_entries(answer: bytes) -> None:
    """A batch is answered entry by entry; the worst of them counts."""
    try:
        entries: list[dict[str, Any]] = msgspec.json.decode(answer)["entry"]
        statuses = [int(str(entry["response"]["status"])[:3]) for entry in entries]
    except (msgspec.MsgspecError, KeyError, TypeError, ValueError):
        raise UnavailableError("its answer to the batch cannot be read") from None
    worst = max(statuses, default=200)
    if worst >= 500:
        raise UnavailableError(f"answered {worst} for an entry of the batch")
    if worst >= 400:
        raise RefusedError(f"answered {worst} for an entry of the batch")
