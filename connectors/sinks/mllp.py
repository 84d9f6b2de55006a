"""Alerts sent over MLLP, and what the other side reports back on the same connection."""

from __future__ import annotations

import asyncio
import ssl

from connectors.mllp.client import Answer, Heard, MllpClient, MllpUnreachableError
from connectors.sinks.hl7 import Addresses, messages
from connectors.sinks.notice import Notice, RefusedError, UnavailableError
from connectors.sinks.settings import MllpReceiver


class MllpSink:
    """`Sink` for an HL7 v2 system. One connection, made again when it is lost."""

    def __init__(
        self,
        settings: MllpReceiver,
        addresses: Addresses,
        tls: ssl.SSLContext | None,
        heard: Heard | None = None,
    ) -> None:
        self._settings, self._addresses, self._tls = settings, addresses, tls
        self._heard = heard
        self._client: MllpClient | None = None

    async def send(self, notice: Notice) -> None:
        """Send a message for each alert. Raises `UnavailableError`, `RefusedError`."""
        for raw in messages(notice, self._settings.message, self._addresses):
            _judge(await self._ask(raw))

    async def close(self) -> None:
        """Close the connection."""
        client, self._client = self._client, None
        if client is not None:
            await client.close()

    async def _ask(self, raw: bytes) -> Answer:
        client = self._client = self._client or self._new_client()
        try:
            async with asyncio.timeout(self._settings.timeout_s):
                await client.connect()
                return await client.send(raw)
        except TimeoutError:
            problem = "no acknowledgement in time"
        except ssl.SSLCertVerificationError as error:
            problem = f"its certificate is not trusted: {error.verify_message}"
        except ssl.SSLError as error:
            problem = f"TLS failed: {error.reason or 'no handshake'}"
        except MllpUnreachableError:
            problem = "cannot be reached"
        except asyncio.CancelledError:
            task = asyncio.current_task()
            if task is None or task.cancelling():
                raise
            problem = "the connection was given up"  # another message waited for too long
        await self._give_up(client)
        raise UnavailableError(problem)

    async def _give_up(self, client: MllpClient) -> None:
        if self._client is client:
            self._client = None
            await client.close()

    def _new_client(self) -> MllpClient:
        s = self._settings
        return MllpClient(
            s.host,
            s.port,
            window=s.parallel,
            tls=self._tls,
            patience_s=s.timeout_s,
            heard=self._heard,
        )


def _judge(answer: Answer) -> None:
    """AE and CE refuse the content; AR and CR may pass (HL7 v2.5.1 section 2.9.2.2)."""
    if answer.accepted:
        return
    if answer.code.endswith("R"):
        raise UnavailableError(f"answered {answer.code}")
    raise RefusedError(f"answered {answer.code}")
