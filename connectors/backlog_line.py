"""What a sequencer tells of the messages that wait to be scored: to senders' listeners, and as
metrics."""

from __future__ import annotations

import logging
import time
from typing import Final

from confluent_kafka import Consumer
from redis import Redis
from redis.exceptions import RedisError

from connectors import metrics, topics
from connectors.ahead import Ahead
from connectors.backlog import LITTLE, REST_S, TELL_S, Backlog, tell
from connectors.clock import Clock
from connectors.lanes import Lanes

_log = logging.getLogger("tocsin.sequencer")

_IDLE_S: Final = 1.0  # between two lines while nothing waits
_WIRE: Final = (topics.WIRE_HL7, topics.WIRE_IMAGING, topics.WIRE_GENOMICS)


class BacklogLine:
    """One sequencer's. Its name is the first of the partitions that it reads, which is nobody
    else's."""

    def __init__(self, redis: Redis, ahead: Ahead, lanes: Lanes, clock: Clock) -> None:
        self._redis, self._ahead, self._lanes, self._clock = redis, ahead, lanes, clock
        self._oldest = metrics.Level("tocsin_sequencer_oldest_seconds", {})
        self._messages = metrics.Level("tocsin_sequencer_backlog", {})
        self._rate = metrics.Level("tocsin_scoring_rate", {})
        self._told_at = 0.0
        self._waiting = 0
        self._away = False

    def tell_when_due(self, consumer: Consumer) -> None:
        """Now and then; more often while something waits."""
        now = time.monotonic()
        waiting = max(self._waiting, len(self._lanes) + self._ahead.messages)
        pause = _IDLE_S if not waiting else REST_S if waiting < LITTLE else TELL_S
        if now - self._told_at < pause:
            return
        self._told_at = now
        self._ahead.look()
        self._waiting = _unread(consumer) + len(self._lanes) + self._ahead.messages
        self._set_metrics()
        who = min((f"{p.topic}/{p.partition}" for p in consumer.assignment()), default="")
        if who:
            self._tell(who, now)

    def _tell(self, who: str, now: float) -> None:
        backlog = Backlog(
            number=int(1_000 * now),
            messages=self._waiting,
            rate=round(self._ahead.rate, 1),
            standing=self._ahead.standing,
        )
        try:
            tell(self._redis, who, backlog)
        except RedisError as error:  # senders are not slowed meanwhile
            if not self._away:
                _log.warning("what waits cannot be told: %s", type(error).__name__)
            self._away = True
        else:
            self._away = False

    def _set_metrics(self) -> None:
        heard = [self._ahead.oldest] if self._ahead.oldest is not None else []
        oldest = self._lanes.oldest
        if oldest is not None:
            heard.append(oldest.timestamp()[1] / 1_000)
        self._oldest.set(max(0.0, self._clock() - min(heard)) if heard else 0.0)
        self._messages.set(self._waiting)
        self._rate.set(self._ahead.rate)


def _unread(consumer: Consumer) -> int:
    """Messages in the raw log that this consumer has not read, as far as it knows by now."""
    ours = [place for place in consumer.assignment() if place.topic in _WIRE]
    unread = 0
    for place in consumer.position(ours):
        if place.offset >= 0:  # otherwise nothing was read there yet
            unread += max(0, consumer.get_watermark_offsets(place, cached=True)[1] - place.offset)
    return unread
