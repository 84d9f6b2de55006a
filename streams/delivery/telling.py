"""Telling one notice: attempts with growing pauses, a breaker, an end in time."""

from __future__ import annotations

import asyncio
import logging
from typing import Final, NamedTuple

import stamina

from connectors import metrics
from connectors.sinks.deliveries import DeadReason
from connectors.sinks.notice import Notice, RefusedError, Sink, UnavailableError
from connectors.sinks.settings import Receiver
from streams.delivery.breaker import Breaker, Position
from streams.delivery.items import Item, Outside
from streams.patience import end_if_asked

log = logging.getLogger("tocsin.sinks")

_FIRST_PAUSE_S: Final = 0.5
_LONGEST_PAUSE_S: Final = 60.0


class Failure(NamedTuple):
    """Why a notice could not be told."""

    reason: DeadReason
    detail: str


class _GaveUpError(Exception):
    """The time is over."""


class Teller:
    """One receiver's way of being told. Several notices may be on their way side by side."""

    def __init__(self, name: str, settings: Receiver, sink: Sink, outside: Outside) -> None:
        self._name, self._settings, self._sink, self._outside = name, settings, sink, outside
        self.identity = bool(getattr(settings, "identity", False))  # told who the patient is
        self._room = asyncio.Semaphore(settings.parallel)
        level = metrics.Level("tocsin_sinks_breaker", {"receiver": name})
        self._breaker = Breaker(
            settings.breaker_failures,
            settings.breaker_pause_s,
            asyncio.get_running_loop().time,
            lambda to: self._moved(to, level),
        )

    async def tell(self, batch: list[Item]) -> Failure | None:
        """Until the receiver has it (None), refuses it, or cannot be reached for too long."""
        try:
            await self._try_until_told(batch)
        except RefusedError as error:
            return Failure(DeadReason.REFUSED, str(error))
        except _GaveUpError as error:
            return Failure(DeadReason.GAVE_UP, str(error))
        except Exception:  # the edge: one bad alert must not stop all the others
            log.exception("telling %s failed", self._name)
            return Failure(DeadReason.FAILED, "see the log of tocsin sinks")
        return None

    @property
    def paused(self) -> bool:
        """Has the receiver failed, so that it is left alone for a while?"""
        return self._breaker.position is not Position.CLOSED

    async def close(self) -> None:
        """Let go of the connections."""
        await self._sink.close()

    async def _try_until_told(self, batch: list[Item]) -> None:
        notice = await self._notice(batch)
        # From when it can first be tried: an alert that waited in the log while Tocsin was down
        # is not given up for that.
        deadline = asyncio.get_running_loop().time() + self._settings.give_up_after_s
        async for attempt in stamina.retry_context(
            on=_pause_before_next,
            attempts=None,
            timeout=None,
            wait_initial=_FIRST_PAUSE_S,
            wait_max=_LONGEST_PAUSE_S,
        ):
            with attempt:
                await self._attempt(batch, notice, deadline)

    async def _notice(self, batch: list[Item]) -> Notice:
        heard = set()
        for item in batch:
            known = await self._outside.ledger.known(item.alert.alert_id)
            if self._name in known.told:
                heard.add(item.alert.alert_id)
        return Notice(
            receiver=self._name,
            alerts=tuple(item.alert for item in batch),
            at=batch[0].at,
            told_before=frozenset(heard),
            repeat=batch[0].repeat,
        )

    async def _attempt(self, batch: list[Item], notice: Notice, deadline: float) -> None:
        async with self._room:
            try:
                async with asyncio.timeout_at(deadline):
                    await self._breaker.enter()
            except TimeoutError:
                raise _GaveUpError(_attempts(batch)) from None
            for item in batch:
                item.attempts += 1
                item.under_way = True
            try:
                await self._send(notice)
            except UnavailableError as error:
                for item in batch:
                    item.under_way = False
                if asyncio.get_running_loop().time() >= deadline:
                    raise _GaveUpError(f"{error}, {_attempts(batch)}") from None
                raise

    async def _send(self, notice: Notice) -> None:
        """One attempt, whose result the breaker and the metrics see."""
        result = "failed"
        try:
            if self.identity:
                people = await self._outside.people(self._name, notice.alerts)
                notice = notice._replace(people=people)
            await self._sink.send(notice)
            result = "delivered"
        except UnavailableError:
            result = "unavailable"
            raise
        except RefusedError:
            result = "refused"
            raise
        except asyncio.CancelledError:
            result = "broken_off"
            raise
        finally:
            self._tell_breaker(result)
            metrics.counter("tocsin_sinks_attempts").add(
                1, {"receiver": self._name, "result": result}
            )

    def _tell_breaker(self, result: str) -> None:
        if result in ("delivered", "refused"):  # it answers
            self._breaker.succeeded()
        elif result == "unavailable":
            self._breaker.failed()
        else:
            self._breaker.left()

    def _moved(self, to: Position, level: metrics.Level) -> None:
        level.set(to)
        if to is Position.OPEN:
            pause = self._settings.breaker_pause_s
            log.warning("%s fails: left alone for %g s", self._name, pause)
        elif to is Position.CLOSED:
            log.info("%s answers again", self._name)


def _attempts(batch: list[Item]) -> str:
    return f"after {batch[0].attempts} attempts"


def _pause_before_next(error: Exception) -> bool | float:
    """Whether to try again, and when, where the receiver has said so."""
    end_if_asked()
    if not isinstance(error, UnavailableError):
        return False
    return True if error.retry_after_s is None else error.retry_after_s
