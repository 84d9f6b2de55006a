"""The wall clock, and times as text. Only processes at the edge may ask what time it is."""

from __future__ import annotations

import time
from collections.abc import Callable
from datetime import UTC, datetime
from functools import lru_cache

Clock = Callable[[], float]  # UTC epoch seconds

wall_clock: Clock = time.time


@lru_cache(65_536)  # one message's times are written many times over
def iso(epoch: float) -> str:
    """ISO 8601 UTC with milliseconds: `2026-11-23T18:03:00.000Z`."""
    text = datetime.fromtimestamp(round(epoch, 3), UTC).isoformat(timespec="milliseconds")
    return text.replace("+00:00", "Z")


def from_iso(text: str) -> float:
    """The inverse of `iso`. Raises `ValueError` for other text."""
    return datetime.fromisoformat(text).timestamp()
