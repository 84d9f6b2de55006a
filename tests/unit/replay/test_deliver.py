"""Delivery: order, pace, counting, and what happens when an answer is no or none."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence

import pytest

from connectors.hl7 import build
from connectors.mllp.client import Answer, MllpUnreachableError
from connectors.replay.deliver import Counts, NotDeliveredError, Pace, deliver
from connectors.replay.timed import Timed, control_id

START = 1_767_268_800.0


class Receiver:
    """A client whose peer answers a little later, as told."""

    def __init__(self, code: str = "AA", error: Exception | None = None) -> None:
        self.received: list[tuple[float, bytes]] = []
        self._code = code
        self._error = error

    async def submit(self, raw: bytes) -> asyncio.Future[Answer]:
        """Take the message."""
        loop = asyncio.get_running_loop()
        self.received.append((loop.time(), raw))
        future: asyncio.Future[Answer] = loop.create_future()
        loop.call_later(0.005, self._answer, future, control_id(raw))
        return future

    def _answer(self, future: asyncio.Future[Answer], number: str) -> None:
        if self._error is not None:
            future.set_exception(self._error)
        else:
            future.set_result(Answer(self._code, number, "disk full", 0.005))


def message(n: int, patient: str = "7", at: float = START) -> Timed:
    segments = build.message("ADT^A08^ADT_A01", str(n), at)
    segments += [build.pid([(patient, "HOSP", "MR")])]
    return Timed(at, build.join(segments), patient)


def ids(receiver: Receiver) -> list[str]:
    return [control_id(raw) for _, raw in receiver.received]


async def test_a_patients_messages_keep_their_order_and_connection() -> None:
    """Many patients over several connections: each on one of them, in order."""
    receivers = [Receiver() for _ in range(3)]
    sent = [message(n, patient=str(n % 10)) for n in range(200)]
    counts = await deliver(sent, receivers)
    seen: dict[str, list[int]] = {}
    for receiver in receivers:
        mine = [int(i) for i in ids(receiver)]
        for patient in {n % 10 for n in mine}:
            assert str(patient) not in seen
            seen[str(patient)] = [n for n in mine if n % 10 == patient]
    assert seen == {str(p): list(range(p, 200, 10)) for p in range(10)}
    assert (counts.sent, counts.acknowledged, len(counts.patients)) == (200, 200, 10)
    assert counts.by_type == {"ADT^A08": 200} and counts.by_code == {"AA": 200}
    counts.check()


async def test_a_refusal_fails_with_the_first_reason() -> None:
    """Everything is sent, and the sentence says how many were not accepted and why."""
    counts = await deliver([message(1), message(2)], [Receiver("AE")])
    with pytest.raises(NotDeliveredError, match=r"2 of 2 .* AE to 1: disk full"):
        counts.check()


async def test_a_broken_connection_ends_the_delivery() -> None:
    """What the client gives up on is raised, not counted as sent and forgotten."""
    receiver = Receiver(error=MllpUnreachableError("No MLLP server can be reached."))
    with pytest.raises(MllpUnreachableError):
        await deliver([message(1)], [receiver])


async def test_speed_keeps_the_intervals() -> None:
    """At 100 hospital seconds a second, 20 seconds apart means 0.2 s apart."""
    receiver = Receiver()
    begun = asyncio.get_running_loop().time()
    sent = [message(n, at=START + 20 * n) for n in range(3)]
    await deliver(sent, [receiver], pace=Pace(speed=100))
    offsets = [at - begun for at, _ in receiver.received]
    # Lower bounds are what is promised; the upper ones leave room for a busy machine.
    assert offsets[1] >= 0.19 and offsets[2] >= 0.39
    assert offsets[2] < 3.0


async def test_long_pauses_are_left_out() -> None:
    """A year between two stays is not waited for; what follows keeps its intervals."""
    receiver = Receiver()
    times = (0.0, 365 * 86_400.0, 365 * 86_400.0 + 20)
    sent = [message(n, at=START + t) for n, t in enumerate(times)]
    begun = asyncio.get_running_loop().time()
    await deliver(sent, [receiver], pace=Pace(speed=100, longest_pause=5.0))
    offsets = [at - begun for at, _ in receiver.received]
    assert offsets[1] < 2.0 and offsets[2] >= 0.08


async def test_history_is_sent_at_once_and_the_end_is_kept() -> None:
    """Messages before `begin` are not held back; nothing is sent after `duration`."""
    receiver = Receiver()
    sent = [message(n, at=START + 60.0 * n) for n in range(-20, 100)]
    begun = asyncio.get_running_loop().time()
    counts = await deliver(sent, [receiver], pace=Pace(speed=600, begin=START, duration=0.35))
    took = asyncio.get_running_loop().time() - begun
    # 20 of the history, then those at 0, 60, 120 and 180 s of hospital time (the last ones only
    # if the machine is not held up).
    assert 21 <= counts.sent <= 24
    assert took >= 0.35


async def test_no_message_is_sent_before_its_time() -> None:
    """However fast, hospital time does not pass the wall clock."""
    receiver = Receiver()
    loop = asyncio.get_running_loop()
    begun = loop.time()

    def clock() -> float:
        return START + loop.time() - begun

    sent = [message(1, at=START - 5), message(2, at=START + 0.25)]
    await deliver(sent, [receiver], pace=Pace(speed=None, clock=clock))
    assert receiver.received[1][0] - begun >= 0.25


async def test_rate_is_an_upper_limit() -> None:
    """Fifty messages a second: ten take at least 180 ms."""
    receiver = Receiver()
    await deliver([message(n) for n in range(10)], [receiver], pace=Pace(rate=50))
    assert receiver.received[-1][0] - receiver.received[0][0] >= 0.17


async def test_progress_ends_with_everything_counted() -> None:
    """The last call sees the final figures."""
    seen: list[tuple[int, int]] = []
    counts = Counts()
    clients: Sequence[Receiver] = [Receiver()]
    await deliver(
        [message(n) for n in range(5)],
        clients,
        progress=lambda c: seen.append((c.sent, c.acknowledged)),
        counts=counts,
    )
    assert seen[-1] == (5, 5) and counts.time == START
