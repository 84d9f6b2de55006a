"""What waits for one receiver, and the telling of it: nothing here can delay another receiver.

Alerts of one group share a lane: a lane tells one notice after the other, in order. Lanes run
side by side, so one alert that a receiver cannot digest holds up no other. An attempt that fails
for now is repeated with growing pauses until `give_up_after_s`; a breaker leaves a receiver alone
that fails again and again. What cannot be told becomes a dead letter.
"""

from __future__ import annotations

import asyncio
import logging
from collections import OrderedDict, deque
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Final, NamedTuple

import stamina

from connectors import metrics
from connectors.clock import Clock
from connectors.contract import Alert, AlertState
from connectors.identity import Identity
from connectors.sinks.deliveries import DeadReason, Outcome
from connectors.sinks.notice import Notice, RefusedError, Sink, UnavailableError
from connectors.sinks.settings import Receiver
from streams.delivery.breaker import Breaker, Position
from streams.delivery.ledger import Known, Ledger
from streams.delivery.routing import Told, is_call

log = logging.getLogger("tocsin.sinks")

_FIRST_PAUSE_S: Final = 0.5
_LONGEST_PAUSE_S: Final = 60.0
_REMEMBERED: Final = 10_000
# Of these somebody may be reminded: nobody has taken them.
UNTAKEN: Final = frozenset({AlertState.FIRING, AlertState.ESCALATED})


@dataclass(slots=True, eq=False)
class Item:
    """One alert revision for one receiver."""

    alert: Alert
    told: Told
    at: float  # when it became known, epoch seconds
    done: Callable[[], None]  # it has been dealt with, one way or the other
    repeat: int = 0
    retry: bool = False  # somebody asked for another try of a dead letter
    attempts: int = 0
    under_way: bool = False  # an attempt is being made, or what followed is being written down

    @property
    def identity(self) -> tuple[str, int, int]:
        """What is told, apart from where the wish to tell it came from."""
        return self.alert.alert_id, self.alert.revision, self.repeat


class Ending(NamedTuple):
    """What became of an item."""

    item: Item
    outcome: Outcome
    reason: str = ""
    detail: str = ""
    identity: bool = False


class Outside(NamedTuple):
    """What a queue needs from elsewhere."""

    ledger: Ledger
    record: Callable[[Ending], Awaitable[None]]  # written down for good when it returns
    # Names behind pseudonyms for a receiver that may know them, after the audit has it. Raises
    # `UnavailableError`.
    people: Callable[[str, Sequence[Alert]], Awaitable[Mapping[str, Identity]]]
    clock: Clock


@dataclass(slots=True)
class _Lane:
    items: deque[Item] = field(default_factory=deque)
    batch: list[Item] = field(default_factory=list)  # those that are being told
    task: asyncio.Task[None] | None = None


class _GaveUpError(Exception):
    """The time is over."""


class ReceiverQueue:
    """Everything about one receiver."""

    def __init__(self, name: str, settings: Receiver, sink: Sink, outside: Outside) -> None:
        self.name = name
        self._settings, self._sink, self._outside = settings, sink, outside
        self._identity = bool(getattr(settings, "identity", False))
        self._lanes: dict[str, _Lane] = {}
        self._lane_of: dict[str, str] = {}  # of alerts that wait
        self._waiting: dict[Item, None] = {}  # oldest first
        self._told_here: OrderedDict[tuple[str, int, int], None] = OrderedDict()
        self._room = asyncio.Semaphore(settings.parallel)
        labels = {"receiver": name}
        self._level = metrics.Level("tocsin_sinks_waiting", labels)
        self._oldest = metrics.Level("tocsin_sinks_oldest_seconds", labels)
        position = metrics.Level("tocsin_sinks_breaker", labels)
        self._breaker = Breaker(
            settings.breaker_failures,
            settings.breaker_pause_s,
            asyncio.get_running_loop().time,
            lambda to: self._breaker_moved(to, position),
        )

    # ── what waits ──────────────────────────────────────────────────────────────────────────

    def wants(self, alert: Alert) -> bool:
        """Is a revision that nobody named this receiver for, of an alert it knows, for it?"""
        return self._settings.updates or is_call(alert)

    async def put(self, item: Item) -> None:
        """Take an item; returns at once, whatever the receiver does."""
        twin = self._same(item)
        if twin is not None:  # the log holds it twice: told once, dealt with together
            twin.done = _both(twin.done, item.done)
            return
        if len(self._waiting) >= self._settings.queue:
            await self._drop_oldest()
        key = self._lane_of.get(item.alert.alert_id) or _lane_key(item)
        self._lane_of[item.alert.alert_id] = key
        lane = self._lanes.setdefault(key, _Lane())
        lane.items.append(item)
        self._waiting[item] = None
        self.observe()
        if lane.task is None:
            lane.task = asyncio.create_task(self._run(key, lane))

    def _same(self, item: Item) -> Item | None:
        if item.alert.alert_id not in self._lane_of:
            return None
        return next((i for i in self._waiting if i.identity == item.identity), None)

    async def _drop_oldest(self) -> None:
        """The oldest that no attempt is being made for."""
        item = next((i for i in self._waiting if not i.under_way), None)
        if item is None:
            return
        key = self._lane_of[item.alert.alert_id]
        lane = self._lanes[key]
        item.under_way = True
        if item in lane.batch and lane.task is not None:  # it waits for its next attempt
            lane.task.cancel()
            await asyncio.gather(lane.task, return_exceptions=True)
            lane.items.extendleft(i for i in reversed(lane.batch) if i is not item)
            lane.batch.clear()
            lane.task = asyncio.create_task(self._run(key, lane))
        else:
            lane.items.remove(item)
        await self._end(item, Outcome.DEAD, DeadReason.QUEUE_FULL, "too many alerts wait")

    def observe(self) -> None:
        """Bring the gauges up to date."""
        self._level.set(len(self._waiting))
        first = next(iter(self._waiting), None)
        now = self._outside.clock()
        self._oldest.set(0.0 if first is None else max(0.0, now - first.at))

    async def drop(self) -> None:
        """Forget what waits and break off what is on its way: somebody else reads it again."""
        tasks = [lane.task for lane in self._lanes.values() if lane.task is not None]
        self._lanes.clear()
        self._lane_of.clear()
        self._waiting.clear()
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        self.observe()

    async def settle(self, timeout_s: float) -> None:
        """Give what waits a little time to be told."""
        tasks = [lane.task for lane in self._lanes.values() if lane.task is not None]
        if tasks:
            await asyncio.wait(tasks, timeout=timeout_s)

    async def close(self) -> None:
        """Break off, and let go of the connections."""
        await self.drop()
        await self._sink.close()

    # ── telling ─────────────────────────────────────────────────────────────────────────────

    async def _run(self, key: str, lane: _Lane) -> None:
        while lane.items:
            if lane.items[0].told.group_wait_s:
                await asyncio.sleep(lane.items[0].told.group_wait_s)
            await self._take(lane)
            if lane.batch:
                await self._tell(lane.batch)
            lane.batch.clear()
        if self._lanes.get(key) is lane:
            del self._lanes[key]

    async def _take(self, lane: _Lane) -> None:
        """The next notice: no alert in it twice, nothing that has been told, no stale reminder."""
        taken: set[str] = set()
        while lane.items and lane.items[0].alert.alert_id not in taken:
            if lane.batch and lane.items[0].repeat:
                break
            item = lane.items.popleft()
            lane.batch.append(item)
            if self._settings.only_newest and _has_newer(item, lane.items):
                await self._end(item, Outcome.SUPERSEDED)
                lane.batch.remove(item)
                continue
            taken.add(item.alert.alert_id)
            if not await self._is_worth_telling(item):
                lane.batch.remove(item)
            if item.repeat or not item.told.group_by:
                break

    async def _is_worth_telling(self, item: Item) -> bool:
        known = await self._outside.ledger.known(item.alert.alert_id)
        told = known.told.get(self.name, 0)
        if item.repeat:
            if _is_current(item, known, told):
                return True
            await self._outside.ledger.remind_no_more(item.alert.alert_id, self.name)
            self._forget(item)
            return False
        if told < item.alert.revision:
            return True
        if item.retry:
            await self._end(item, Outcome.SUPERSEDED, detail=f"revision {told} has been told")
        elif told == item.alert.revision and item.identity not in self._told_here:
            # Told before a restart, which may have come before it was written down.
            await self._outside.record(Ending(item, Outcome.DELIVERED, detail="before a restart"))
        self._forget(item)
        return False

    async def _tell(self, batch: list[Item]) -> None:
        try:
            await self._try_until_told(batch)
        except RefusedError as error:
            await self._bury(batch, DeadReason.REFUSED, str(error))
        except _GaveUpError as error:
            await self._bury(batch, DeadReason.GAVE_UP, str(error))
        except Exception:  # the edge: one bad alert must not stop all the others
            log.exception("telling %s failed", self.name)
            await self._bury(batch, DeadReason.FAILED, "see the log of tocsin sinks")
        else:
            for item in batch:
                await self._delivered(item)

    async def _try_until_told(self, batch: list[Item]) -> None:
        known = [await self._outside.ledger.known(i.alert.alert_id) for i in batch]
        before = (a for i, k in zip(batch, known, strict=True) for a in _heard(i, k, self.name))
        notice = Notice(
            receiver=self.name,
            alerts=tuple(item.alert for item in batch),
            at=batch[0].at,
            told_before=frozenset(before),
            repeat=batch[0].repeat,
        )
        # From when it can first be tried: an alert that waited in the log while Tocsin was down
        # is not given up for that.
        loop = asyncio.get_running_loop()
        deadline = loop.time() + self._settings.give_up_after_s
        async for attempt in stamina.retry_context(
            on=_pause_before_next,
            attempts=None,
            timeout=None,
            wait_initial=_FIRST_PAUSE_S,
            wait_max=_LONGEST_PAUSE_S,
        ):
            with attempt:
                await self._attempt(batch, notice, deadline)

    async def _attempt(self, batch: list[Item], notice: Notice, deadline: float) -> None:
        async with self._room:
            try:
                async with asyncio.timeout_at(deadline):
                    await self._breaker.enter()
            except TimeoutError:
                raise _GaveUpError(_last_words(batch)) from None
            for item in batch:
                item.attempts += 1
                item.under_way = True
            result = "failed"
            try:
                if self._identity:
                    people = await self._outside.people(self.name, notice.alerts)
                    notice = notice._replace(people=people)
                await self._sink.send(notice)
                result = "delivered"
                self._breaker.succeeded()
            except UnavailableError as error:
                result = "unavailable"
                self._breaker.failed()
                for item in batch:
                    item.under_way = False
                if asyncio.get_running_loop().time() >= deadline:
                    raise _GaveUpError(f"{error}, {_last_words(batch)}") from None
                raise
            except RefusedError:
                result = "refused"
                self._breaker.succeeded()  # it answers
                raise
            except asyncio.CancelledError:
                result = "broken_off"
                raise
            finally:
                if result in ("failed", "broken_off"):
                    self._breaker.left()
                metrics.counter("tocsin_sinks_attempts").add(
                    1, {"receiver": self.name, "result": result}
                )

    # ── endings ─────────────────────────────────────────────────────────────────────────────

    async def _delivered(self, item: Item) -> None:
        now = self._outside.clock()
        repeat_s = item.told.repeat_s if item.alert.state in UNTAKEN else 0.0
        await self._outside.ledger.told(
            item.alert, self.name, now, repeat_s=repeat_s, repeat=item.repeat
        )
        self._told_here[item.identity] = None
        while len(self._told_here) > _REMEMBERED:
            self._told_here.popitem(last=False)
        metrics.histogram("tocsin_sinks_delivery_seconds").record(
            max(0.0, now - item.at), {"receiver": self.name}
        )
        await self._end(item, Outcome.DELIVERED, identity=self._identity)

    async def _bury(self, batch: list[Item], reason: DeadReason, detail: str) -> None:
        for item in batch:
            log.error("%s was not told of alert %s: %s", self.name, item.alert.alert_id, detail)
            await self._end(item, Outcome.DEAD, reason, detail)

    async def _end(
        self,
        item: Item,
        outcome: Outcome,
        reason: str = "",
        detail: str = "",
        *,
        identity: bool = False,
    ) -> None:
        item.under_way = True
        await self._outside.record(Ending(item, outcome, reason, detail, identity))
        metrics.counter("tocsin_sinks_deliveries").add(
            1, {"receiver": self.name, "outcome": outcome}
        )
        self._forget(item)

    def _forget(self, item: Item) -> None:
        if self._waiting.pop(item, item) is None:
            alert_id = item.alert.alert_id
            if not any(i.alert.alert_id == alert_id for i in self._waiting):
                self._lane_of.pop(alert_id, None)
            item.done()
            self.observe()

    def _breaker_moved(self, to: Position, level: metrics.Level) -> None:
        level.set(to)
        if to is Position.OPEN:
            log.warning("%s fails: left alone for %g s", self.name, self._settings.breaker_pause_s)
        elif to is Position.CLOSED:
            log.info("%s answers again", self.name)


def _both(one: Callable[[], None], other: Callable[[], None]) -> Callable[[], None]:
    def done() -> None:
        one()
        other()

    return done


def _lane_key(item: Item) -> str:
    if not item.told.group_by:
        return f"alert {item.alert.alert_id}"
    labels = (f"{label}={getattr(item.alert, label)}" for label in item.told.group_by)
    return "group " + " ".join(labels)


def _has_newer(item: Item, behind: deque[Item]) -> bool:
    alert = item.alert
    return any(
        i.alert.alert_id == alert.alert_id and i.alert.revision > alert.revision for i in behind
    )


def _is_current(item: Item, known: Known, told: int) -> bool:
    """Is a reminder of this revision still wanted?"""
    newest = known.newest
    return (
        newest is not None
        and newest.revision == item.alert.revision == told
        and newest.state in UNTAKEN
    )


def _heard(item: Item, known: Known, receiver: str) -> list[str]:
    return [item.alert.alert_id] if known.told.get(receiver, 0) else []


def _last_words(batch: list[Item]) -> str:
    return f"after {batch[0].attempts} attempts"


def _pause_before_next(error: Exception) -> bool | float:
    """Whether to try again, and when, where the receiver has said so."""
    if not isinstance(error, UnavailableError):
        return False
    return True if error.retry_after_s is None else error.retry_after_s
