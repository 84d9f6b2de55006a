"""Where the console agrees to listen."""

from __future__ import annotations

import asyncio
import socket
from collections.abc import Callable
from pathlib import Path
from typing import cast

import pytest
from nicegui.client import Client
from pydantic import SecretStr

from connectors.loopback import host_of, is_loopback
from connectors.settings import TlsServer
from streams.console import presence
from streams.console.app import serve
from streams.console.sign_in import development
from streams.settings import ConsoleSettings, OidcSettings, SettingsError
from tests.acceptance.console.fake_hospital import FakeHospital


async def refused(settings: ConsoleSettings, **more: str) -> str:
    """The sentence with which `serve` declines."""
    hospital = FakeHospital(1)
    with pytest.raises(SettingsError) as error:
        await serve(
            settings,
            hospital,
            hospital,
            hospital,
            on_ready=lambda url: None,
            stop=asyncio.Event(),
            **more,  # type: ignore[arg-type]
        )
    return str(error.value)


EVERYWHERE = "0.0.0.0"  # noqa: S104 - to see it refused


@pytest.mark.parametrize("host", [EVERYWHERE, "::", "192.0.2.7", "console.example"])
async def test_without_sign_in_it_stays_on_this_machine(host: str) -> None:
    """Any other address is refused before a socket is opened, with what to do."""
    sentence = await refused(ConsoleSettings(host=host))
    assert f"console.host is {host}" in sentence
    assert "Set it to 127.0.0.1" in sentence


async def test_a_sign_in_without_passwords_stays_on_this_machine() -> None:
    """With TLS and everything else that a console elsewhere needs."""
    oidc = OidcSettings(
        issuer="http://127.0.0.1:8790",
        client_id=development.CLIENT,
        client_secret=SecretStr(development.SECRET),
    )
    sentence = await refused(ConsoleSettings(host="192.0.2.7", oidc=oidc))
    assert "has no passwords (tocsin issuer)" in sentence


async def test_a_used_port_is_one_sentence() -> None:
    """It names the address and the way out."""
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = taken.getsockname()[1]
        sentence = await refused(ConsoleSettings(port=port))
    assert sentence.startswith(f"The console cannot listen on 127.0.0.1:{port}: ")
    assert "Set console.port to a free port" in sentence


async def test_an_unknown_time_zone_is_one_sentence() -> None:
    """With an example."""
    assert "Europe/Vienna" in await refused(ConsoleSettings(), time_zone="Vienna")


async def test_a_certificate_that_cannot_be_read_is_one_sentence(tmp_path: Path) -> None:
    """Missing, or no certificate at all."""
    broken = tmp_path / "broken.pem"
    broken.write_text("no certificate")
    for certificate in (tmp_path / "none.pem", broken):
        tls = TlsServer(certificate=certificate, key=certificate)
        sentence = await refused(ConsoleSettings(tls=tls))
        assert sentence.startswith("console.tls cannot be used: ")
        assert "Give PEM files" in sentence


class FakeClient:
    """What `Presence` uses of a page's client."""

    def __init__(self, name: str) -> None:
        self.id = name
        self.has_socket_connection = True
        self.on_connect = self._keep
        self.on_disconnect = self._keep
        self.handlers: list[Callable[[], None]] = []

    def _keep(self, handler: Callable[[], None]) -> None:
        self.handlers.append(handler)


def test_open_pages_are_counted_once_each(monkeypatch: pytest.MonkeyPatch) -> None:
    """A second connection of one page is the same page; the last to go ends it."""
    counted: list[int] = []

    class Gauge:
        def add(self, step: int) -> None:
            counted.append(step)

    monkeypatch.setattr(presence, "gauge", lambda name: Gauge())
    pages, client = presence.Presence(), FakeClient("a")
    pages.watch(cast(Client, client))
    came, left = client.handlers
    came()
    came()
    left()  # an old connection is reaped, a new one lives
    assert (pages.count, counted) == (1, [1])
    client.has_socket_connection = False
    left()
    left()
    assert (pages.count, counted) == (0, [1, -1])


def test_loopback_is_recognised_by_address() -> None:
    """Names that only look like it are not."""
    assert all(is_loopback(h) for h in ("localhost", "127.0.0.1", "127.8.8.8", "::1"))
    assert not any(is_loopback(h) for h in (EVERYWHERE, "127.0.0.1.example", "localhost.example"))
    assert host_of("[::1]:8080") == "::1"
    assert host_of("127.0.0.1:8080") == "127.0.0.1"
    assert host_of("") == ""
