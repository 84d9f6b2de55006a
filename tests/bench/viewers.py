"""Many open consoles without a browser: `python -m tests.bench.viewers URL COUNT`.

Each viewer asks for the page, opens its socket, says that table and bar are shown, answers pings
and acknowledges what it got, as a page's scripts do; it draws nothing. When the input ends it
prints, viewer by viewer, when each row of the table first came (epoch seconds), and the bytes.
"""

from __future__ import annotations

import asyncio
import html
import json
import re
import sys
import time
import urllib.request
from typing import Any
from urllib.parse import urlencode
from uuid import uuid4

from websockets.asyncio.client import ClientConnection, connect

_ELEMENTS = re.compile(r"parseElements\(String\.raw`(.*?)`\)", re.DOTALL)
_CLIENT = re.compile(r"'client_id': '([^']+)'")
_ROWS = re.compile(r'\\?"key\\?":\\?"([^"\\]+)')
_ACK_S = 3.0


class Viewer:
    """One page's traffic (engine.io 4 and socket.io 5 over a web socket)."""

    def __init__(self, url: str) -> None:
        self._url = url
        self.seen: dict[str, float] = {}
        self.bytes = 0
        self.messages = 0
        self._next_id = 0

    async def watch(self, shown: asyncio.Event) -> None:
        """Until cancelled; sets `shown` with the first rows."""
        page = await asyncio.to_thread(_get, f"{self._url}/")
        client = _CLIENT.findall(page)[0]
        elements = json.loads(html.unescape(_ELEMENTS.findall(page)[0]))
        query = {"client_id": client, "next_message_id": 0, "implicit_handshake": "true"}
        query |= {"document_id": str(uuid4()), "tab_id": str(uuid4()), "EIO": 4}
        address = f"{self._url.replace('http', 'ws', 1)}/_nicegui_ws/socket.io/?"
        async with connect(address + urlencode(query | {"transport": "websocket"})) as socket:
            acking = asyncio.create_task(self._ack(socket, client))
            try:
                async for message in socket:
                    await self._take(str(message), socket, client, elements)
                    if self.seen:
                        shown.set()
            finally:
                acking.cancel()

    async def _take(
        self, message: str, socket: ClientConnection, client: str, elements: dict[str, Any]
    ) -> None:
        if message == "2":
            await socket.send("3")
        elif message.startswith("0"):
            await socket.send("40")
        elif message.startswith("40"):
            for number, element in elements.items():
                for event in element.get("events", ()):
                    if event["type"] == "ready":
                        told = {"id": int(number), "client_id": client, "args": []}
                        await self._emit(
                            socket, "event", told | {"listener_id": event["listener_id"]}
                        )
        elif message.startswith("42"):
            self._look(message)

    def _look(self, message: str) -> None:
        now = time.time()
        self.bytes += len(message)
        self.messages += 1
        self._next_id += 1
        if "upsert" in message:
            for key in _ROWS.findall(message):
                self.seen.setdefault(key, now)

    async def _ack(self, socket: ClientConnection, client: str) -> None:
        while True:
            await asyncio.sleep(_ACK_S)
            told = {"client_id": client, "next_message_id": self._next_id}
            await self._emit(socket, "ack", told)

    async def _emit(self, socket: ClientConnection, event: str, value: dict[str, Any]) -> None:
        await socket.send("42" + json.dumps([event, value]))


def _get(url: str) -> str:
    with urllib.request.urlopen(url, timeout=60) as answer:  # noqa: S310 - a loopback address
        return str(answer.read().decode())


async def main(url: str, count: int) -> None:
    """Open them one after the other, say `shown`, and go on until the input ends."""
    viewers = [Viewer(url) for _ in range(count)]
    watching = []
    for viewer in viewers:
        shown = asyncio.Event()
        watching.append(asyncio.create_task(viewer.watch(shown)))
        await asyncio.wait_for(shown.wait(), 60)
    print("shown", flush=True)  # noqa: T201 - the protocol
    await asyncio.to_thread(sys.stdin.read)
    for task in watching:
        if task.done():
            task.result()
        task.cancel()
    told = [{"seen": v.seen, "bytes": v.bytes, "messages": v.messages} for v in viewers]
    print(json.dumps(told), flush=True)  # noqa: T201


if __name__ == "__main__":
    asyncio.run(main(sys.argv[1], int(sys.argv[2])))
