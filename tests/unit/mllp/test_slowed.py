"""Answers that are held back while scoring is behind; the test decides what the sequencers say."""

from __future__ import annotations

import pytest

from connectors.admission import FEW, Admission
from connectors.backlog import TELL_S, Backlog
from connectors.mllp.frames import wrap
from connectors.settings import AdmissionSettings, MllpSettings
from tests.unit.mllp.fakes import FakeLog
from tests.unit.mllp.running import CLOSED, Sender, message, server_on, until


class Slowing:
    """An admission whose clock and backlog are the test's."""

    def __init__(self) -> None:
        self.now = 100.0
        self.admission = Admission(AdmissionSettings(max_delay_s=3.0), lambda: self.now)

    def say(self, messages: int, rate: float = 0.0) -> None:
        """So many wait; a step passes."""
        self.now += TELL_S
        line = Backlog(number=round(self.now * 1_000), messages=messages, rate=rate, standing=False)
        self.admission.told({"a": line})
        self.admission.step()


@pytest.fixture
def slowing() -> Slowing:
    one = Slowing()
    one.say(1_000_000)
    return one


async def test_an_answer_waits_until_scoring_has_caught_up(slowing: Slowing) -> None:
    log = FakeLog()
    async with (
        server_on(log, admission=slowing.admission) as (host, port, _),
        Sender.to(host, port) as sender,
    ):
        await sender.write(wrap(message("a")) + wrap(message("b")))
        await until(lambda: len(log.records) == 2)  # in the log at once
        assert await sender.silent()
        slowing.say(0)
        assert await sender.answer() == ("AA", "a", "")
        assert await sender.answer() == ("AA", "b", "")
        assert await sender.ask(message("c")) == ("AA", "c", "")


async def test_it_waits_no_longer_than_is_set(slowing: Slowing) -> None:
    log = FakeLog()
    async with (
        server_on(log, admission=slowing.admission) as (host, port, _),
        Sender.to(host, port) as sender,
    ):
        await sender.write(wrap(message("a")))
        await until(lambda: len(log.records) == 1)
        assert await sender.silent()
        slowing.now += 3.0
        slowing.say(1_000_000)
        assert await sender.answer() == ("AA", "a", "")


async def test_a_refusal_is_not_held(slowing: Slowing) -> None:
    async with (
        server_on(FakeLog(), admission=slowing.admission) as (host, port, _),
        Sender.to(host, port) as sender,
    ):
        assert (await sender.ask(b"hello")).code == "AR"


async def test_of_one_who_does_not_wait_for_answers_only_a_few_messages_are_taken(
    slowing: Slowing,
) -> None:
    log = FakeLog()
    async with (
        server_on(log, admission=slowing.admission) as (host, port, _),
        Sender.to(host, port) as sender,
    ):
        await sender.write(b"".join(wrap(message(str(n))) for n in range(5 * FEW)))
        await until(lambda: len(log.records) == FEW)
        assert await sender.silent()
        assert len(log.records) == FEW
        slowing.say(0)
        answers = [await sender.answer() for _ in range(5 * FEW)]
        assert answers == [("AA", str(n), "") for n in range(5 * FEW)]


async def test_a_flood_does_not_hold_up_the_line_beside_it(slowing: Slowing) -> None:
    log = FakeLog()
    async with (
        server_on(log, admission=slowing.admission) as (host, port, _),
        Sender.to(host, port) as flood,
        Sender.to(host, port) as quiet,
    ):
        await flood.write(b"".join(wrap(message(str(n))) for n in range(5 * FEW)))
        await until(lambda: len(log.records) == FEW)
        await quiet.write(wrap(message("quiet")))
        await until(lambda: len(log.records) == FEW + 1)
        slowing.say(1_000_000, rate=50.0)  # two answers in a tenth of a second
        assert await quiet.answer() == ("AA", "quiet", "")
        assert await flood.answer() == ("AA", "0", "")
        assert await flood.silent()


async def test_a_sender_that_gives_up_meanwhile_leaves_nothing_behind(slowing: Slowing) -> None:
    log = FakeLog()
    async with server_on(log, admission=slowing.admission) as (host, port, _):
        async with Sender.to(host, port) as sender:
            await sender.write(wrap(message("a")))
            await until(lambda: len(log.records) == 1)
        async with Sender.to(host, port) as again:
            await again.write(wrap(message("a")))
            await until(lambda: len(log.records) == 2)
            slowing.say(0)
            assert await again.answer() == ("AA", "a", "")
            assert await again.ask(message("b")) == ("AA", "b", "")


async def test_a_broker_that_is_away_meanwhile_comes_first(slowing: Slowing) -> None:
    log = FakeLog()
    async with (
        server_on(log, admission=slowing.admission) as (host, port, _),
        Sender.to(host, port) as sender,
    ):
        log.hold()
        await sender.write(wrap(message("a")))
        await until(lambda: len(log.waiting) == 1)
        slowing.say(0)
        slowing.now += 60.0
        slowing.say(0)
        assert await sender.silent()
        slowing.say(1_000_000)
        log.release()
        assert await sender.silent()
        slowing.say(0)
        assert await sender.answer() == ("AA", "a", "")


async def test_who_is_held_when_the_server_stops_is_answered(slowing: Slowing) -> None:
    log = FakeLog()
    async with (
        server_on(log, admission=slowing.admission) as (host, port, stop),
        Sender.to(host, port) as sender,
    ):
        await sender.write(wrap(message("a")) + wrap(message("b")))
        await until(lambda: len(log.records) == 2)
        stop.set()
        assert await sender.answer() == ("AA", "a", "")
        assert await sender.answer() == ("AA", "b", "")
        assert await sender.answer() == CLOSED


async def test_bytes_that_the_log_has_keep_nobody_else_out(slowing: Slowing) -> None:
    """All connections share a limit: answers that are held must not use it up."""
    log = FakeLog()
    body = "OBX|" + "x" * 400_000
    settings = MllpSettings(max_unacknowledged_bytes=1_000_000)
    async with (
        server_on(log, settings, admission=slowing.admission) as (host, port, _),
        Sender.to(host, port) as one,
        Sender.to(host, port) as two,
    ):
        for sender in (one, two):
            sender.writer.write(b"".join(wrap(message(str(n), body=body)) for n in range(3)))
        await until(lambda: len(log.records) == 6)
        slowing.say(0)
        for sender in (one, two):
            assert [(await sender.answer()).control_id for _ in range(3)] == ["0", "1", "2"]
