"""Alerts posted to a web service, signed (`connectors.sinks.signature`)."""

from __future__ import annotations

import ssl

import httpx
import msgspec

from connectors.clock import Clock, iso
from connectors.sinks import http, signature
from connectors.sinks.links import link
from connectors.sinks.notice import Notice, short
from connectors.sinks.settings import WebhookReceiver


class Webhook:
    """`Sink` for a web service. The body is the same for every attempt, the time is not."""

    def __init__(
        self,
        settings: WebhookReceiver,
        keys: list[bytes],
        links: str,
        clock: Clock,
        tls: ssl.SSLContext,
    ) -> None:
        self._url, self._keys, self._links, self._clock = settings.url, keys, links, clock
        self._timeout_s = settings.timeout_s
        self._client = httpx.AsyncClient(timeout=settings.timeout_s, verify=tls, trust_env=False)

    async def send(self, notice: Notice) -> None:
        """POST. Raises `UnavailableError`, `RefusedError`."""
        body = payload(notice, self._links)
        signed = signature.headers(self._keys, f"msg_{short(notice.key)}", int(self._clock()), body)
        headers = {"content-type": "application/json", **signed}
        await http.send(self._client, self._url, body, headers, self._timeout_s)

    async def close(self) -> None:
        """Close the connections."""
        await self._client.aclose()


def payload(notice: Notice, links: str) -> bytes:
    """`type`, `timestamp` and `data`, as the specification recommends."""
    one = notice.alerts[0]
    kind = f"alert.{one.state}" if len(notice.alerts) == 1 else "alerts.changed"
    data = {
        "receiver": notice.receiver,
        "test": notice.test,
        "reminder": notice.repeat,
        "alerts": list(notice.alerts),
        "links": {a.alert_id: link(links, a) for a in notice.alerts} if links else {},
    }
    return msgspec.json.encode({"type": kind, "timestamp": iso(notice.at), "data": data})
