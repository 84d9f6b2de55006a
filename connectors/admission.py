"""When a sender is answered late, so that what was heard is scored in time.

An answer says that the log has the message. Without a limit a sender that is answered at once could
fill the log with minutes of work, and an urgent message would wait behind it. So:

- Scoring *is behind* while more waits than is scored in `admission.backlog_s` (and more than
  `LEAST` messages; the sequencers tell both, `connectors.backlog`).
- While it is behind, answers are held back and go out at half the rate at which messages are
  scored, the senders taking turns: one who sends little hardly notices one who floods. And of one
  who does not wait for answers, no more than `FEW` messages at a time are taken.
- Nothing is held for longer than `admission.max_delay_s`, and nothing is held while nobody scores:
  that would help nobody, and the log is the better place to wait.

What is held back is in the log already. A sender that gives up and sends it again changes nothing.
"""

from __future__ import annotations

import asyncio
import logging
import time
from collections import deque
from collections.abc import Callable, Mapping
from typing import Final, NamedTuple

from redis import Redis
from redis.exceptions import RedisError

from connectors import backlog, metrics
from connectors.backlog import LITTLE, REST_S, TELL_S, Backlog
from connectors.settings import AdmissionSettings

_log = logging.getLogger(__name__)

LEAST: Final = 1_000  # messages that may always wait
FEW: Final = 10  # unanswered messages of one connection, while scoring is behind
GONE_S: Final = 3.0  # a sequencer whose line does not change for so long says nothing any more
_SHARE: Final = 0.5  # of what is scored is let in again while scoring is behind


class _Held(NamedTuple):
    until: float
    release: Callable[[], None]


class Admission:
    """Used in one event loop; `step` is called about every tenth of a second."""

    def __init__(
        self, settings: AdmissionSettings, clock: Callable[[], float] = time.monotonic
    ) -> None:
        self._settings, self._clock = settings, clock
        self._lines: dict[str, tuple[Backlog, float]] = {}  # who → what, and since when
        self._held: dict[object, deque[_Held]] = {}  # by sender, in the order of their turns
        self._since = 0  # logged here since the newest lines, or shortly before
        self._steps: deque[int] = deque([0, 0], maxlen=2)  # logged in each of the last ones
        self._messages, self._most, self._rate = 0, 0, 0.0  # waiting, and how many may; 0: any
        self._stepped = clock()
        self._due = 0.0  # answers that may go out
        self._closed = False
        self._count = metrics.Level("tocsin_answers_held", {})

    @property
    def behind(self) -> bool:
        """Does more wait than may?"""
        return not self._closed and 0 < self._most < self._messages + self._since

    @property
    def pause(self) -> float:
        """Seconds until the next look at the lines."""
        return REST_S if self._messages + self._since < LITTLE else TELL_S

    def told(self, lines: Mapping[str, Backlog]) -> None:
        """What the sequencers say now."""
        now = self._clock()
        fresh = False
        for who, line in lines.items():
            known = self._lines.get(who)
            if known is None or known[0].number != line.number:
                self._lines[who] = (line, now)
                fresh = True
        living = [line for line, since in self._lines.values() if now - since < GONE_S]
        if fresh:  # what was logged in the last tenths of a second, they have not seen yet
            self._since = sum(self._steps)
        self._messages = sum(line.messages for line in living)
        self._rate = sum(line.rate for line in living)
        with_work = [line for line in living if line.messages] or living
        scoring = bool(living) and not all(line.standing for line in with_work)
        most = max(LEAST, int(self._settings.backlog_s * self._rate))
        self._most = most if scoring and self._settings.max_delay_s > 0 else 0

    def logged(self) -> None:
        """The broker has confirmed one more message."""
        self._since += 1
        self._steps[-1] += 1

    def hold(self, sender: object, release: Callable[[], None]) -> None:
        """Have `release` called when it is this sender's turn."""
        held = _Held(self._clock() + self._settings.max_delay_s, release)
        self._held.setdefault(sender, deque()).append(held)

    async def turn(self, sender: object) -> None:
        """Until it is this sender's turn."""
        come: asyncio.Future[None] = asyncio.get_running_loop().create_future()

        def release() -> None:
            if not come.done():  # whoever waited may be gone
                come.set_result(None)

        self.hold(sender, release)
        await come

    def step(self) -> None:
        """Let go what may go by now."""
        now = self._clock()
        passed, self._stepped = now - self._stepped, now
        if self._held:
            metrics.counter("tocsin_answers_held_seconds").add(passed)
        if not self.behind:
            self.let_go()
        else:
            self._due = min(self._due, 1.0) + self._rate * _SHARE * min(passed, 1.0)
            self._let_go_late(now)
            self._let_go_in_turn()
        self._steps.append(0)
        self._count.set(sum(map(len, self._held.values())))

    def let_go(self) -> None:
        """All of them, now."""
        while self._held:
            self._release(next(iter(self._held)))

    def close(self) -> None:
        """Hold nothing any more."""
        self._closed = True
        self.let_go()

    def _let_go_late(self, now: float) -> None:
        for sender in list(self._held):
            while sender in self._held and self._held[sender][0].until <= now:
                self._release(sender)

    def _let_go_in_turn(self) -> None:
        while self._held and self._due >= 1.0:
            self._due -= 1.0
            self._release(next(iter(self._held)))

    def _release(self, sender: object) -> None:
        """The oldest of this sender's, who is then the last in turn."""
        held = self._held.pop(sender)
        first = held.popleft()
        if held:
            self._held[sender] = held
        first.release()


async def keep_admitting(admission: Admission, redis: Redis | None) -> None:
    """Look and step, until cancelled. While Redis is away nothing is known: nothing is held long.

    The looks are beside the event loop, which must not wait for Redis. An error ends both.
    """
    async with asyncio.TaskGroup() as together:
        together.create_task(_keep_stepping(admission))
        if redis is not None:
            together.create_task(_keep_looking(admission, redis))


async def _keep_stepping(admission: Admission) -> None:
    while True:
        await asyncio.sleep(TELL_S)
        admission.step()


async def _keep_looking(admission: Admission, redis: Redis) -> None:
    away = False
    while True:
        try:
            admission.told(await asyncio.to_thread(backlog.read, redis))
            away = False
        except RedisError as error:
            admission.told({})
            if not away:
                _log.warning("what waits to be scored is not known: %s", type(error).__name__)
            away = True
        await asyncio.sleep(admission.pause)
