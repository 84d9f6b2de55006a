"""Durations, times of day and moments as people write them in a policy."""

from __future__ import annotations

import math
import re
from datetime import datetime
from typing import Annotated, Any, Final

from pydantic import BeforeValidator, Field

from connectors.settings import ZoneName

__all__ = ["Duration", "MinuteOfDay", "Moment", "Probability", "ZoneName"]

_DURATION: Final = re.compile(r"(\d+(?:\.\d+)?)(s|m|h|d)")
_SECONDS: Final = {"s": 1.0, "m": 60.0, "h": 3_600.0, "d": 86_400.0}
_CLOCK: Final = re.compile(r"([01]\d|2[0-3]):([0-5]\d)")
_LONGEST: Final = 366 * 86_400.0


def _seconds(said: Any) -> float:
    found = _DURATION.fullmatch(said) if isinstance(said, str) else None
    if found is None:
        raise ValueError("not a duration: write e.g. 90s, 15m, 2h or 1d")
    seconds = float(found[1]) * _SECONDS[found[2]]
    if seconds > _LONGEST:
        raise ValueError("a duration of more than a year")
    return seconds


def _minute(said: Any) -> int:
    found = _CLOCK.fullmatch(said) if isinstance(said, str) else None
    if found is None:
        raise ValueError('not a time of day: write e.g. "22:00"')
    return int(found[1]) * 60 + int(found[2])


def _moment(said: Any) -> float:
    try:
        moment = datetime.fromisoformat(said)
    except (TypeError, ValueError):
        raise ValueError("not a time: write e.g. 2026-11-30T07:00+01:00") from None
    if moment.tzinfo is None:
        raise ValueError("a time without its zone: write e.g. 2026-11-30T07:00+01:00")
    return moment.timestamp()


def _probability(said: Any) -> float:
    """At most six decimals: scores have no more."""
    if isinstance(said, bool) or not isinstance(said, int | float):
        raise ValueError("not a probability: write a number between 0 and 1, e.g. 0.35")
    if not math.isfinite(said) or not 0 < said < 1:
        raise ValueError("not a probability: it has to lie between 0 and 1, e.g. 0.35")
    if round(said, 6) != said:
        raise ValueError("a probability with more than six decimals")
    return float(said)


Duration = Annotated[float, BeforeValidator(_seconds)]  # seconds
MinuteOfDay = Annotated[int, BeforeValidator(_minute)]  # since midnight
Moment = Annotated[float, BeforeValidator(_moment)]  # UTC epoch seconds
Probability = Annotated[float, BeforeValidator(_probability), Field(gt=0, lt=1)]
