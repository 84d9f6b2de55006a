"""HTTP in an event loop that is somebody else's: a bound socket, a server, an orderly end."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import socket
from collections.abc import Callable, Iterator
from typing import Any

import uvicorn

from connectors.settings import TlsServer
from connectors.tls import server_context

_log = logging.getLogger("tocsin")

ServerConfig = uvicorn.Config


class NotStartedError(Exception):
    """The server ended while it was starting; its log says why."""


class _Server(uvicorn.Server):
    """Signals belong to the process that runs us."""

    @contextlib.contextmanager
    def capture_signals(self) -> Iterator[None]:
        yield


def needs(task: asyncio.Task[None], stop: asyncio.Event) -> None:
    """An error in what runs beside a server ends it in good order, so that it is started anew."""

    def ended(task: asyncio.Task[None]) -> None:
        if not task.cancelled() and task.exception() is not None:
            _log.critical("stopped by an error", exc_info=task.exception())
            stop.set()

    task.add_done_callback(ended)


def bound(host: str, port: int) -> socket.socket:
    """A socket at that address, so that port 0 is known before serving. Raises `OSError`."""
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    listener = socket.socket(family, socket.SOCK_STREAM)
    listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    try:
        listener.bind((host, port))
    except OSError:
        listener.close()
        raise
    return listener


def address(host: str, listener: socket.socket, tls: TlsServer) -> str:
    """The URL under which it is reached."""
    scheme = "https" if tls.certificate else "http"
    return f"{scheme}://{f'[{host}]' if ':' in host else host}:{listener.getsockname()[1]}"


def configured(application: Any, tls: TlsServer, **more: Any) -> ServerConfig:
    """uvicorn as every port of ours wants it. Raises `TlsError`."""
    config = uvicorn.Config(
        application,
        log_config=None,  # the process has its own logging
        access_log=False,  # addresses may hold a patient's number
        server_header=False,
        proxy_headers=False,
        **more,
    )
    config.load()
    config.ssl = server_context(tls)
    return config


async def serve(
    config: ServerConfig,
    listener: socket.socket,
    *,
    on_ready: Callable[[], None],
    stop: asyncio.Event,
) -> None:
    """Serve until `stop` is set, or the server ends; `on_ready` is called once it answers.

    Raises `NotStartedError`.
    """
    server = _Server(config)
    serving = asyncio.create_task(server.serve(sockets=[listener]))
    stopping = asyncio.create_task(stop.wait())
    try:
        await _started(server, serving)
        on_ready()
        await asyncio.wait([stopping, serving], return_when=asyncio.FIRST_COMPLETED)
        server.should_exit = True
        await serving
    finally:
        for task in (stopping, serving):
            task.cancel()
        await asyncio.wait([stopping, serving])


async def _started(server: _Server, serving: asyncio.Task[None]) -> None:
    while not server.started:
        if serving.done():
            await serving
            raise NotStartedError
        await asyncio.sleep(0.01)
