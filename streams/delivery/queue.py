"""What waits for one receiver, and the telling of it: nothing here can delay another receiver.

Alerts of one group share a lane: a lane tells one notice after the other, in order. Lanes run
side by side, so one alert that a receiver cannot digest holds up no other. What cannot be told
(`streams.delivery.telling`) becomes a dead letter.
"""

from __future__ import annotations

import asyncio
import logging
from collections import OrderedDict, deque
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Final

from connectors import metrics
from connectors.contract import Alert, AlertReason
from connectors.sinks.deliveries import DeadReason, Outcome
from connectors.sinks.notice import Sink
from connectors.sinks.settings import Receiver
from streams.delivery.items import UNTAKEN, Ending, Item, Outside
from streams.delivery.ledger import Known
from streams.delivery.routing import is_call
from streams.delivery.standing import Standing
from streams.delivery.telling import Failure, Teller

log = logging.getLogger("tocsin.sinks")

_REMEMBERED: Final = 10_000


@dataclass(slots=True)
class _Lane:
    items: deque[Item] = field(default_factory=deque)
    batch: list[Item] = field(default_factory=list)  # those that are being told
    task: asyncio.Task[None] | None = None


class ReceiverQueue:
    """Everything about one receiver."""

    def __init__(self, name: str, settings: Receiver, sink: Sink, outside: Outside) -> None:
        self.name = name
        self._settings, self._outside = settings, outside
        self._teller = Teller(name, settings, sink, outside)
        self._failure: BaseException | None = None
        self._lanes: dict[str, _Lane] = {}
        self._lane_of: dict[str, str] = {}  # of alerts that wait
        self._of_alert: dict[str, list[Item]] = {}
        self._waiting: dict[Item, None] = {}  # oldest first
        self._told_here: OrderedDict[tuple[str, int, int], None] = OrderedDict()
        labels = {"receiver": name}
        self._level = metrics.Level("tocsin_sinks_waiting", labels)
        self._oldest = metrics.Level("tocsin_sinks_oldest_seconds", labels)

    # ── what waits ──────────────────────────────────────────────────────────────────────────

    def wants(self, alert: Alert) -> bool:
        """Is a revision that nobody named this receiver for, of an alert it knows, for it?"""
        # Another risk of the patient is no mere update.
        joined = alert.reason in (AlertReason.JOINED, AlertReason.COVERED)
        return self._settings.updates or joined or is_call(alert)

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
        self._of_alert.setdefault(item.alert.alert_id, []).append(item)
        lane = self._lanes.setdefault(key, _Lane())
        lane.items.append(item)
        self._waiting[item] = None
        self.observe()
        if lane.task is None:
            self._start(key, lane)

    def _start(self, key: str, lane: _Lane) -> None:
        lane.task = asyncio.create_task(self._run(key, lane))
        lane.task.add_done_callback(self._ended)

    def _ended(self, task: asyncio.Task[None]) -> None:
        if not task.cancelled():
            self._failure = self._failure or task.exception()

    def check(self) -> None:
        """Raises what ended a lane that should not have ended: the process has to stop for it."""
        if self._failure is not None:
            raise self._failure

    def _same(self, item: Item) -> Item | None:
        others = self._of_alert.get(item.alert.alert_id, ())
        return next((i for i in others if i.what == item.what), None)

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
            self._start(key, lane)
        else:
            lane.items.remove(item)
        await self._end(item, Outcome.DEAD, DeadReason.QUEUE_FULL, "too many alerts wait")

    def observe(self) -> None:
        """Bring the gauges up to date."""
        self._level.set(len(self._waiting))
        first = next(iter(self._waiting), None)
        now = self._outside.clock()
        self._oldest.set(0.0 if first is None else max(0.0, now - first.at))

    def standing(self) -> Standing:
        """What waits now."""
        first = next(iter(self._waiting), None)
        oldest = 0.0 if first is None else first.at
        return Standing(self.name, len(self._waiting), oldest, self._teller.paused)

    async def drop(self) -> None:
        """Forget what waits and break off what is on its way: somebody else reads it again."""
        tasks = [lane.task for lane in self._lanes.values() if lane.task is not None]
        self._lanes.clear()
        self._lane_of.clear()
        self._of_alert.clear()
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
        await self._teller.close()

    # ── telling ─────────────────────────────────────────────────────────────────────────────

    async def _run(self, key: str, lane: _Lane) -> None:
        while lane.items:
            if lane.items[0].told.group_wait_s:
                await asyncio.sleep(lane.items[0].told.group_wait_s)
            await self._take(lane)
            if lane.batch:
                failure = await self._teller.tell(lane.batch)
                await self._told(lane.batch, failure)
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
        elif told == item.alert.revision and item.what not in self._told_here:
            # Told before a restart, which may have come before it was written down.
            await self._outside.record(Ending(item, Outcome.DELIVERED, detail="before a restart"))
        self._forget(item)
        return False

    # ── endings ─────────────────────────────────────────────────────────────────────────────

    async def _told(self, batch: list[Item], failure: Failure | None) -> None:
        for item in list(batch):
            if failure is None:
                await self._delivered(item)
                continue
            log.error(
                "%s was not told of alert %s: %s", self.name, item.alert.alert_id, failure.detail
            )
            await self._end(item, Outcome.DEAD, failure.reason, failure.detail)

    async def _delivered(self, item: Item) -> None:
        now = self._outside.clock()
        repeat_s = item.told.repeat_s if item.alert.state in UNTAKEN else 0.0
        await self._outside.ledger.told(
            item.alert, self.name, now, repeat_s=repeat_s, repeat=item.repeat
        )
        self._told_here[item.what] = None
        while len(self._told_here) > _REMEMBERED:
            self._told_here.popitem(last=False)
        metrics.histogram("tocsin_sinks_delivery_seconds").record(
            max(0.0, now - item.at), {"receiver": self.name}
        )
        await self._end(item, Outcome.DELIVERED, identity=self._teller.identity)

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
        if item not in self._waiting:  # dropped meanwhile
            return
        del self._waiting[item]
        others = self._of_alert[item.alert.alert_id]
        others.remove(item)
        if not others:
            del self._of_alert[item.alert.alert_id], self._lane_of[item.alert.alert_id]
        item.done()
        self.observe()


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
