"""Times as the hospital reads them. Simulations run faster than the wall clock, so nothing here
asks what time it is: "now" is always the newest time that the log has shown."""

from __future__ import annotations

from datetime import datetime
from zoneinfo import ZoneInfo

_MINUTE, _HOUR, _DAY = 60, 3600, 86_400


class HospitalTime:
    """Formats epoch seconds in the hospital's time zone. Raises `ValueError` for an unknown one."""

    def __init__(self, zone: str) -> None:
        try:
            self.zone = ZoneInfo(zone)
        except (KeyError, ValueError, OSError):
            raise ValueError(f"{zone!r} is not a known time zone, e.g. Europe/Vienna.") from None

    def at(self, epoch: float) -> datetime:
        """The local time."""
        return datetime.fromtimestamp(epoch, self.zone)

    def clock(self, epoch: float) -> str:
        """`14:03:10`."""
        return f"{self.at(epoch):%H:%M:%S}"

    def day(self, epoch: float) -> str:
        """`Mon 23 Nov 2026`."""
        return f"{self.at(epoch):%a} {self.at(epoch).day} {self.at(epoch):%b %Y}"

    def moment(self, epoch: float, now: float | None = None) -> str:
        """`14:03` on the day of `now`, otherwise `22 Nov 14:03`, with the year when it differs."""
        local = self.at(epoch)
        time = f"{local:%H:%M}"
        today = self.at(now) if now is not None else None
        if today and local.date() == today.date():
            return time
        year = "" if today and local.year == today.year else f" {local.year}"
        return f"{local.day} {local:%b}{year} {time}"

    def stamp(self, epoch: float) -> str:
        """`23 Nov 14:03`: for rows that may still stand there tomorrow."""
        local = self.at(epoch)
        return f"{local.day} {local:%b %H:%M}"

    def plot(self, epoch: float) -> str:
        """Local time without an offset: Plotly draws times as they are written."""
        return f"{self.at(epoch):%Y-%m-%d %H:%M:%S}"


def duration(seconds: float) -> str:
    """`40 s`, `5 min`, `2 h 10 min`, `3 d 4 h`."""
    s = max(0, int(seconds))
    if s < _MINUTE:
        return f"{s} s"
    if s < _HOUR:
        return f"{s // _MINUTE} min"
    if s < _DAY:
        minutes = s % _HOUR // _MINUTE
        return f"{s // _HOUR} h" + (f" {minutes} min" if minutes else "")
    hours = s % _DAY // _HOUR
    return f"{s // _DAY} d" + (f" {hours} h" if hours else "")
