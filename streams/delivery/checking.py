"""What can be known about receivers and routing before anything is sent."""

from __future__ import annotations

import asyncio

from connectors.clock import wall_clock
from connectors.sinks.notice import Sink
from connectors.sinks.opening import CannotOpenError, Site, open_sink
from streams.errors import UserError
from streams.settings import Settings


def opened(name: str, settings: Settings) -> Sink:
    """A receiver of the settings; nothing is connected yet. Raises `UserError`."""
    site = Site(settings.sinks, settings.identity.preferred_types, wall_clock)
    try:
        return open_sink(name, settings.sinks.receivers[name], site)
    except CannotOpenError as error:
        raise UserError(f"{error}.") from None


def problems(settings: Settings) -> list[str]:
    """Receivers whose secrets or certificates cannot be used, a phrase each."""
    return asyncio.run(_problems(settings))


async def _problems(settings: Settings) -> list[str]:
    found = []
    for name in settings.sinks.receivers:
        try:
            await opened(name, settings).close()
        except UserError as error:
            found.append(str(error).rstrip("."))
    return found
