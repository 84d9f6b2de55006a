"""The console's process: pages and REST edge on one port, in the caller's event loop."""

from __future__ import annotations

import asyncio
import contextlib
import hashlib
from collections.abc import Callable
from pathlib import Path

from fastapi import FastAPI
from fastapi.responses import FileResponse
from nicegui import ui

from connectors import serving
from connectors.clock import wall_clock
from connectors.loopback import host_of
from models.units import warm
from streams.console import listening
from streams.console.api.build import add_api
from streams.console.board import Board
from streams.console.deliveries_room import DeliveriesRoom
from streams.console.desks import Desks
from streams.console.fhir_subscriptions import subscriptions
from streams.console.frame import Console
from streams.console.guard import Demonstration, Guard, SignIn
from streams.console.links import add_links
from streams.console.lists import Lists
from streams.console.pages import add_pages
from streams.console.palette import css_variables
from streams.console.policy_room import PolicyRoom
from streams.console.ports import Feed, Names, Reader
from streams.console.presence import Presence
from streams.console.quarantine_room import QuarantineRoom
from streams.console.room import Room
from streams.console.security import OwnPagesOnly, SafeHeaders
from streams.console.sign_in.browser import OidcSignIn
from streams.console.sign_in.store import MemoryStore
from streams.console.times import HospitalTime
from streams.console.trials import Trials
from streams.settings import ConsoleSettings, SettingsError

FEED_DOWN_S = 30.0  # three ticks of the log's clock at the default `sequencer.tick_s`
NONE = Desks()
_CSS = Path(__file__).parent / "static" / "console.css"
_RECONNECT_S = 5.0  # also how fast a dead connection is noticed
_SHUTDOWN_S = 3


async def serve(
    settings: ConsoleSettings,
    reader: Reader,
    names: Names,
    feed: Feed,
    *,
    on_ready: Callable[[str], None],
    stop: asyncio.Event,
    desks: Desks = NONE,
    time_zone: str = "UTC",
    feed_down_s: float = FEED_DOWN_S,
) -> None:
    """Serve until `stop` is set; `on_ready` is called with the address once pages are answered.

    NiceGUI keeps its pages in the process, so a process serves one console. Raises
    `SettingsError` for an address that may not or cannot be used and for an unknown time zone.
    """
    listening.check(settings)
    listener = listening.listen(settings)
    with contextlib.closing(listener):
        times = _times(time_zone)
        await asyncio.to_thread(warm)  # unit conversions must not stop the event loop later
        board = Board(reader, feed, feed_down_s=feed_down_s)
        url = serving.address(settings.host, listener, settings.tls)
        console = Console(
            board=board,
            lists=Lists(board),
            reader=reader,
            names=names,
            times=times,
            presence=Presence(),
            sign_in=_sign_in(settings, url, desks),
            clock=wall_clock,
            feedback=desks.feedback,
            quarantine=QuarantineRoom(desks.quarantine) if desks.quarantine else None,
            deliveries=_deliveries(desks),
            url=settings.url or url,
            authority=desks.authority,
            subscriptions=subscriptions(desks.receivers),
            drift=Room(desks.drift.report) if desks.drift else None,
            trials=Trials(desks.backtest) if desks.backtest else None,
            policy=PolicyRoom(desks.policy, desks.shipped) if desks.policy else None,
        )
        config = _config(_application(console, desks, settings), settings)
        async with asyncio.TaskGroup() as tasks:
            following = tasks.create_task(board.run())
            try:
                await serving.serve(config, listener, on_ready=lambda: on_ready(url), stop=stop)
            except serving.NotStartedError:
                sentence = "The console stopped while it was starting; see its log."
                raise SettingsError(sentence) from None
            following.cancel()


def _times(zone: str) -> HospitalTime:
    try:
        return HospitalTime(zone)
    except ValueError as error:
        raise SettingsError(f"The console cannot show times: {error}") from None


def _config(application: FastAPI, settings: ConsoleSettings) -> serving.ServerConfig:
    return serving.configured(
        application,
        settings.tls,
        timeout_graceful_shutdown=_SHUTDOWN_S,
        ws_per_message_deflate=False,  # patches are small, and each page would compress its own
    )


def _application(console: Console, desks: Desks, settings: ConsoleSettings) -> FastAPI:
    application = FastAPI(title="Tocsin", version="1", openapi_url=None)
    add_api(application, console, desks.events)
    add_links(application, console)
    if isinstance(console.sign_in, OidcSignIn):
        application.include_router(console.sign_in.router())
    _add_style(application)
    add_pages(console)
    ui.run_with(
        application,
        title="Tocsin",
        favicon=_FAVICON,
        language="en-GB",
        reconnect_timeout=_RECONNECT_S,
        tailwind=False,
        show_welcome_message=False,
    )
    application.add_middleware(Guard, sign_in=console.sign_in)
    application.add_middleware(SafeHeaders)
    application.add_middleware(OwnPagesOnly, names=_own_names(settings))
    return application


def _sign_in(settings: ConsoleSettings, url: str, desks: Desks) -> SignIn:
    if not settings.oidc.issuer:
        return Demonstration()
    if desks.audit is None:
        raise SettingsError("A console with a sign-in needs an audit log.")
    store = desks.sign_ins or MemoryStore(wall_clock)
    return OidcSignIn(settings.oidc, settings.url or url, desks.audit, wall_clock, store)


def _deliveries(desks: Desks) -> DeliveriesRoom | None:
    letters = desks.dead_letters
    return DeliveriesRoom(letters, desks.standings, wall_clock) if letters else None


def _own_names(settings: ConsoleSettings) -> frozenset[str]:
    """The hosts under which browsers may ask, beside this machine's own."""
    return frozenset({settings.host, host_of(settings.url)} - {""})


def _add_style(application: FastAPI) -> None:
    digest = hashlib.sha256(_CSS.read_bytes()).hexdigest()[:12]

    @application.get("/console.css", include_in_schema=False)
    def style() -> FileResponse:
        return FileResponse(_CSS, media_type="text/css")

    ui.add_head_html(
        f'<style>{css_variables()}</style><link rel="stylesheet" href="/console.css?{digest}">',
        shared=True,
    )


_FAVICON = (
    '<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 24 24"><path fill="#12304a" d="M12 2a7 7 '
    '0 0 0-7 7v5l-2 3v1h18v-1l-2-3V9a7 7 0 0 0-7-7Zm-3 18a3 3 0 0 0 6 0Z"/></svg>'
)
