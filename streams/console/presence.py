"""How many pages are open."""

from __future__ import annotations

from nicegui.client import Client

from connectors.metrics import gauge


class Presence:
    """Counts pages with a living connection in `tocsin_console_clients`."""

    def __init__(self) -> None:
        self._open: set[str] = set()

    @property
    def count(self) -> int:
        """Pages that are connected now."""
        return len(self._open)

    def watch(self, client: Client) -> None:
        """Count this page while it is connected."""
        client.on_connect(lambda: self._came(client.id))
        client.on_disconnect(lambda: self._left(client))

    def _came(self, client_id: str) -> None:
        if client_id not in self._open:
            self._open.add(client_id)
            gauge("tocsin_console_clients").add(1)

    def _left(self, client: Client) -> None:
        if not client.has_socket_connection and client.id in self._open:
            self._open.discard(client.id)
            gauge("tocsin_console_clients").add(-1)
