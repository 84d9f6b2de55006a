"""How the feeds are doing: when each source was last heard, whether it has fallen silent, how much
of it cannot be understood; and the sources that are paused for that.

Counted in memory by whoever reads the messages, shared through Redis every few seconds. A source
*has fallen silent* when nothing came from it for so long that at its expected rate, as a Poisson
process, less than one silence in a million lasts longer. It *is paused* when more of its last
messages were quarantined than the site file allows: whoever takes messages in refuses it from then
on, until somebody lets it resume.
"""

from __future__ import annotations

import logging
import math
from collections import Counter, deque
from collections.abc import Mapping
from typing import Final

import msgspec
from redis import Redis
from redis.exceptions import RedisError

from connectors import metrics
from connectors.feed_state import (
    HEARD,
    HOUR_S,
    MESSAGES,
    PAUSED,
    QUARANTINED,
    SILENT,
    OperationsAlert,
    Pause,
    alert_of_pause,
    alert_of_silence,
    read_paused,
    read_silent,
    text_of,
)
from connectors.site import Feed, Site

log = logging.getLogger("tocsin.feeds")

MOST: Final = 1_000  # sources; names come from the senders, who may invent any number
LONGEST_NAME: Final = 200  # characters
SHORTEST_SILENCE_S: Final = 60.0
_CHANCE: Final = 1e-6  # of taking a living source for a silent one, at each message
_FORGOTTEN_S: Final = 30 * 86_400.0  # for a source that nobody expects anything from


def longest_silence_s(per_hour: float) -> float:
    """How long a source with this rate may be silent.

    P(no message for t) = exp(−rate · t), so t = −ln(10⁻⁶) / rate; at least a minute.

    >>> round(longest_silence_s(60)), longest_silence_s(3600)
    (829, 60.0)
    """
    return max(SHORTEST_SILENCE_S, -math.log(_CHANCE) / (per_hour / HOUR_S))


class Window:
    """The last messages of a source, and how many of them were quarantined."""

    def __init__(self, size: int) -> None:
        self.size = size
        self.quarantined = 0
        self._last: deque[bool] = deque()

    def add(self, quarantined: bool) -> None:
        """One more message."""
        if len(self._last) == self.size:
            self.quarantined -= self._last.popleft()
        self._last.append(quarantined)
        self.quarantined += quarantined

    def exceeds(self, limit: float) -> bool:
        """Is the window full, and the share above the limit?"""
        return len(self._last) == self.size and self.quarantined > limit * self.size


class _News:
    """What one source did since the last flush."""

    __slots__ = ("last", "messages", "quarantined")

    def __init__(self) -> None:
        self.last = 0.0
        self.messages = 0
        self.quarantined = 0


class Feeds:
    """The sources as a sequencer sees them. Any number of processes share one Redis.

    `heard` and `outcome` are cheap and for every message; `flush` is a round trip or two, for
    every few seconds.
    """

    def __init__(self, redis: Redis, site: Site) -> None:
        self._redis = redis
        self._site = site
        self._news: dict[str, _News] = {}
        self._windows: dict[str, Window] = {}
        self._exceeded: dict[str, Window] = {}  # to be paused by the next flush
        self._known: set[str] = set()  # as of the last flush
        self._new = 0  # sources since then that are not among them
        self._silent: list[str] = []
        self._paused: dict[str, Pause] = {}
        self._watched: dict[Feed, float] = {}  # since when this process expects anything of it
        self._published: dict[str, Counter[str]] = {}
        self._away = False

    def heard(self, source: str, at: float) -> None:
        """A message of this source was read at this time (the clock, not what the message says).

        What was held up before it was read is no silence of its source.
        """
        news = self._of(source)
        if news is not None and at > news.last:
            news.last = at

    def outcome(self, source: str, quarantined: bool) -> None:
        """A message of this source was interpreted; was it quarantined as a whole?"""
        news = self._of(source)
        if news is None:
            return
        news.messages += 1
        news.quarantined += quarantined
        self._judge(source[:LONGEST_NAME], quarantined)

    def silent(self) -> list[str]:
        """The sources that should have been heard by now, as of the last flush.

        A source that was never heard counts from the first flush on; one that the site file names
        by a pattern, and of which none was ever heard, goes by that pattern.
        """
        return self._silent

    def flush(self, now: float) -> list[bytes]:
        """Share what happened, and learn what others saw. Returns records for `tocsin.audit`.

        Never raises for Redis: without it, everything is kept until it is back.
        """
        try:
            alerts = self._exchange(now)
        except RedisError as error:
            if not self._away:
                log.warning("the state of the feeds is not shared: %s", type(error).__name__)
            self._away = True
            return []
        self._away = False
        self._publish()
        for alert in alerts:
            log.warning("%s: %s %s", alert.name, alert.state, alert.detail)
        return [msgspec.json.encode(alert) for alert in alerts]

    # ── one message ─────────────────────────────────────────────────────────────────────────

    def _of(self, source: str) -> _News | None:
        source = source[:LONGEST_NAME]
        news = self._news.get(source)
        if news is None and self._admits(source):
            news = self._news[source] = _News()
            self._new += source not in self._known
        return news

    def _admits(self, source: str) -> bool:
        """Is it known, named in the site file, or is there room for another one?"""
        if source in self._known:
            return True
        if not source.isprintable():  # whatever that is, it is no name
            return False
        room = len(self._known) + self._new < MOST
        return room or self._site.feed(source).match == source

    def _judge(self, source: str, quarantined: bool) -> None:
        feed = self._site.feed(source)
        if feed.quarantine_limit is None or source in self._paused:
            return
        window = self._windows.get(source)
        if window is None or window.size != feed.quarantine_window:
            window = self._windows[source] = Window(feed.quarantine_window)
        window.add(quarantined)
        if window.exceeds(feed.quarantine_limit):
            self._exceeded[source] = window

    # ── all processes ───────────────────────────────────────────────────────────────────────

    def _exchange(self, now: float) -> list[OperationsAlert]:
        pauses = {
            source: Pause(since=now, quarantined=window.quarantined, of=window.size)
            for source, window in self._exceeded.items()
        }
        with self._redis.pipeline(transaction=False) as pipe:
            self._count(pipe, now)
            for source, pause in pauses.items():
                pipe.hsetnx(PAUSED, source, msgspec.json.encode(pause))
            pipe.zrange(HEARD, 0, -1, withscores=True)
            pipe.hgetall(SILENT)
            pipe.hgetall(PAUSED)
            *done, times, silent, paused = pipe.execute()
        self._news.clear()
        self._exceeded.clear()
        first = done[len(done) - len(pauses) :]  # HSETNX: 1 for the process that was first
        alerts = [
            alert_of_pause(source, pause)
            for (source, pause), mine in zip(pauses.items(), first, strict=True)
            if mine
        ]
        self._take_pauses(read_paused(paused))
        heard = {text_of(name): at for name, at in times}
        known = read_silent(silent)
        self._known, self._new = set(heard), 0
        return alerts + self._compare(heard, known, now)

    def _count(self, pipe: Redis, now: float) -> None:
        """Times and counts of what was heard here. The later of two times stays."""
        hour = int(now // HOUR_S)
        times = {source: news.last for source, news in self._news.items() if news.last}
        if times:
            pipe.zadd(HEARD, times, gt=True)
        for source, news in self._news.items():
            pipe.hincrby(f"{MESSAGES}{hour}", source, news.messages)
            if news.quarantined:
                pipe.hincrby(f"{QUARANTINED}{hour}", source, news.quarantined)
        if self._news:
            pipe.expire(f"{MESSAGES}{hour}", 2 * HOUR_S)
            pipe.expire(f"{QUARANTINED}{hour}", 2 * HOUR_S)

    def _take_pauses(self, paused: dict[str, Pause]) -> None:
        for source in self._paused.keys() - paused.keys():  # resumed: it starts afresh
            self._windows.pop(source, None)
        self._paused = paused

    def _compare(
        self, heard: dict[str, float], known: dict[str, float], now: float
    ) -> list[OperationsAlert]:
        """Who has fallen silent, and who is back? One process alone learns of each change."""
        feeds = self._site.feeds
        self._watched = {feed: self._watched.get(feed, now) for feed in feeds}
        due = overdue(self._site, self._watched, heard, known, now)
        old = [
            source
            for source, at in heard.items()
            if now - at > _FORGOTTEN_S and self._site.feed(source).expected_per_hour is None
        ]
        fallen = [source for source in due if source not in known]
        back = [source for source in known if source not in due]
        self._silent = sorted(due)
        if not (fallen or back or old):
            return []
        with self._redis.pipeline(transaction=False) as pipe:
            for source in fallen:
                pipe.hsetnx(SILENT, source, repr(due[source]))
            for source in back:
                pipe.hdel(SILENT, source)
            if old:
                pipe.zrem(HEARD, *old)
            changed = pipe.execute()
        names = [*fallen, *back]
        return [
            alert_of_silence(source, due.get(source), now)
            for source, mine in zip(names, changed, strict=False)
            if mine
        ]

    def _publish(self) -> None:
        """By entry of the site file: what senders call themselves is no label."""
        for name, sources in (
            ("tocsin_feeds_silent", self._silent),
            ("tocsin_feeds_paused", list(self._paused)),
        ):
            counts = Counter(self._entry(source) for source in sources)
            before = self._published.get(name, Counter())
            for entry in counts.keys() | before.keys():
                metrics.gauge(name).add(counts[entry] - before[entry], {"feed": entry})
            self._published[name] = counts

    def _entry(self, source: str) -> str:
        patterns = (feed.match for feed in self._site.feeds)
        return source if source in patterns else self._site.feed(source).match


def overdue(
    site: Site,
    watched: Mapping[Feed, float],
    heard: Mapping[str, float],
    known: Mapping[str, float],
    now: float,
) -> dict[str, float]:
    """Source → since when nothing came from it, for those that should have been heard by `now`.

    `watched`: since when anything is expected of an entry; `known`: those that were silent already,
    and since when: starting a process anew does not make them speak.
    """
    found: dict[str, float] = {}
    speaking: set[str] = set()

    def look(source: str, feed: Feed, last: float) -> None:
        if feed.expected_per_hour is None or feed not in watched:
            return
        since = max(last, watched[feed])
        if source in known and last <= known[source]:
            since = known[source]
        if now - since > longest_silence_s(feed.expected_per_hour):
            found[source] = since

    for source, last in heard.items():
        feed = site.feed(source)
        speaking.add(feed.match)
        look(source, feed, last)
    for feed in site.feeds:
        hidden = feed.names_one and site.feed(feed.match) != feed  # by an entry further up
        if feed.match not in speaking and not hidden:
            look(feed.match, feed, 0.0)
    return found
