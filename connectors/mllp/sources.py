"""What the server knows of its senders: which answers they get, and which of them are paused."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable
from typing import Final, Protocol

from redis import Redis
from redis.exceptions import RedisError

from connectors import feed_state
from connectors.mllp.acknowledge import Mode
from connectors.site import Site

_log = logging.getLogger(__name__)

LOOK_S: Final = 2.0  # between looks at the site file and at the pauses


class Sources(Protocol):
    """Two look-ups for each message, by the source's name."""

    def mode(self, source: str) -> Mode:
        """Which answers it gets."""
        ...

    def is_paused(self, source: str) -> bool:
        """Are its messages to be refused for now?"""
        ...


class Alike:
    """All sources are answered as their messages ask, and none is ever paused."""

    def mode(self, source: str) -> Mode:
        """As the message asks."""
        return Mode.MESSAGE

    def is_paused(self, source: str) -> bool:
        """Never."""
        return False


class SiteSources:
    """By the site file, and by what the sequencers found out."""

    def __init__(self, site: Site, redis: Redis | None) -> None:
        """Without Redis, pauses are not known: nothing is refused for them."""
        self._site = site
        self._redis = redis
        self._paused: frozenset[str] = frozenset()
        self._away = False

    def mode(self, source: str) -> Mode:
        """As the site file says."""
        return self._site.feed(source).acknowledgement

    def is_paused(self, source: str) -> bool:
        """As of the last look."""
        return source in self._paused

    def look(self) -> None:
        """Take over what has changed. While Redis is away, what was known last holds."""
        self._site.refresh()
        if self._redis is None:
            return
        try:
            paused = feed_state.names_of_paused(self._redis)
        except RedisError as error:
            if not self._away:
                _log.warning("pauses cannot be looked up: %s", type(error).__name__)
            self._away = True
            return
        self._away = False
        if paused != self._paused:
            _log.warning("%d sources are paused: their messages are refused", len(paused))
        self._paused = paused


async def keep_looking(look: Callable[[], None]) -> None:
    """Until cancelled; beside the event loop, which must not wait for files or Redis."""
    while True:
        await asyncio.to_thread(look)
        await asyncio.sleep(LOOK_S)
