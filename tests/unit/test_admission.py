"""When answers are held back, and when they go out: timelines on a clock of the test's own."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from typing import cast

import pytest
from redis import Redis
from redis.exceptions import ConnectionError

from connectors import backlog as backlog_module
from connectors.admission import GONE_S, LEAST, Admission, keep_admitting
from connectors.backlog import TELL_S, Backlog, tell
from connectors.settings import AdmissionSettings

RATE = 2_000.0
MOST = 4_000  # scored in two seconds


class Timeline:
    """A listener's admission, the sequencers' lines, and the answers that went out."""

    def __init__(self, **settings: float) -> None:
        self.now = 100.0
        self.admission = Admission(AdmissionSettings(**settings), lambda: self.now)
        self.out: list[str] = []
        self._lines: dict[str, Backlog] = {}
        self._number = 0

    def say(
        self, messages: int, rate: float = RATE, who: str = "a", *, standing: bool = False
    ) -> None:
        """A sequencer's new line."""
        self._number += 1
        self._lines[who] = Backlog(
            number=self._number, messages=messages, rate=rate, standing=standing
        )

    def log(self, sender: str, count: int = 1) -> None:
        """Messages of a sender are confirmed by the broker: answered, or held."""
        for _ in range(count):
            self.admission.logged()
            if self.admission.behind:
                self.admission.hold(sender, lambda: self.out.append(sender))
            else:
                self.out.append(sender)

    def pass_time(self, seconds: float) -> None:
        """Looks and steps go on."""
        for _ in range(round(seconds / TELL_S)):
            self.now += TELL_S
            self.admission.told(self._lines)
            self.admission.step()


@pytest.fixture
def line() -> Iterator[Timeline]:
    timeline = Timeline()
    yield timeline
    timeline.admission.close()


def test_without_any_word_of_the_sequencers_nobody_is_held(line: Timeline) -> None:
    line.log("a", 50_000)
    line.pass_time(1.0)
    line.log("a", 50_000)
    assert len(line.out) == 100_000


def test_as_long_as_scoring_keeps_up_every_answer_is_immediate(line: Timeline) -> None:
    line.say(MOST - 300)
    line.pass_time(TELL_S)
    line.log("a", 300)
    assert len(line.out) == 300


def test_what_was_logged_here_counts_before_any_sequencer_has_seen_it(line: Timeline) -> None:
    line.say(0)
    line.pass_time(TELL_S)
    line.log("a", 2 * MOST)
    assert len(line.out) == MOST


def test_what_the_sequencers_may_not_have_seen_yet_counts_beside_what_they_say(
    line: Timeline,
) -> None:
    line.say(0)
    line.pass_time(TELL_S)
    line.log("a", 3_000)
    line.say(2_000)
    line.pass_time(TELL_S)
    assert line.admission.behind
    line.pass_time(2 * TELL_S)
    line.say(2_000)
    line.pass_time(TELL_S)
    assert not line.admission.behind


def test_while_scoring_is_behind_answers_go_out_at_half_the_rate(line: Timeline) -> None:
    line.say(2 * MOST)
    line.pass_time(TELL_S)
    line.log("a", 5_000)
    assert line.out == []
    for _ in range(10):
        line.say(2 * MOST)
        line.pass_time(TELL_S)
    assert len(line.out) == pytest.approx(RATE / 2, abs=RATE * TELL_S)


def test_when_it_has_caught_up_all_go_out(line: Timeline) -> None:
    line.say(2 * MOST)
    line.pass_time(TELL_S)
    line.log("a", 5_000)
    line.pass_time(0.5)
    line.say(MOST // 2)
    line.pass_time(TELL_S)
    assert len(line.out) == 5_000


def test_senders_take_turns_so_one_who_sends_little_does_not_wait_behind_a_flood(
    line: Timeline,
) -> None:
    line.say(2 * MOST)
    line.pass_time(TELL_S)
    line.log("flood", 4_000)
    line.log("quiet")
    line.pass_time(TELL_S)
    assert "quiet" in line.out[:2]


def test_nothing_is_held_for_longer_than_is_set() -> None:
    line = Timeline(max_delay_s=3.0)
    line.say(2 * MOST, rate=0.0)  # nothing goes out in turn
    line.pass_time(TELL_S)
    line.log("a", 10)
    for _ in range(28):
        line.say(2 * MOST, rate=0.0)
        line.pass_time(TELL_S)
    assert line.out == []
    for _ in range(3):
        line.say(2 * MOST, rate=0.0)
        line.pass_time(TELL_S)
    assert len(line.out) == 10


def test_a_slow_start_may_always_have_some_messages_waiting(line: Timeline) -> None:
    line.say(0, rate=1.0)
    line.pass_time(TELL_S)
    line.log("a", LEAST)
    assert len(line.out) == LEAST
    line.log("a")
    assert len(line.out) == LEAST


def test_while_nobody_scores_nobody_is_held(line: Timeline) -> None:
    """The log is the better place to wait, and the end of it is not near."""
    line.say(2 * MOST)
    line.pass_time(TELL_S)
    line.log("a", 100)
    line.say(2 * MOST, standing=True)
    line.pass_time(TELL_S)
    line.log("a", 9_000)
    assert len(line.out) == 9_100


def test_a_sequencer_that_says_nothing_any_more_is_forgotten(line: Timeline) -> None:
    line.say(2 * MOST)
    line.pass_time(TELL_S)
    line.log("a", 10_000)
    line.pass_time(GONE_S + TELL_S)
    assert len(line.out) == 10_000
    assert not line.admission.behind


def test_what_several_sequencers_say_is_added_up(line: Timeline) -> None:
    line.say(3_000, rate=1_000.0, who="a")
    line.say(1_500, rate=1_000.0, who="b")
    line.pass_time(TELL_S)
    assert line.admission.behind
    line.say(900, rate=1_000.0, who="a")
    line.pass_time(TELL_S)
    assert not line.admission.behind


def test_a_sequencer_that_has_nothing_to_do_says_nothing_about_the_workers(line: Timeline) -> None:
    line.say(0, rate=1_000.0, who="idle")
    line.say(9_000, rate=1_000.0, standing=True, who="b")
    line.pass_time(TELL_S)
    assert not line.admission.behind


def test_a_line_that_cannot_be_read_is_left_out() -> None:
    fake = FakeRedis()
    redis = cast(Redis, fake)
    tell(redis, "a", Backlog(number=1, messages=1, rate=1.0, standing=False))
    fake.lines |= {b"b": b"{}", b"c": b"no json", b"\xff": fake.lines[b"a"]}
    assert list(backlog_module.read(redis)) == ["a"]


def test_it_can_be_switched_off() -> None:
    line = Timeline(max_delay_s=0.0)
    line.say(100 * MOST)
    line.pass_time(TELL_S)
    line.log("a", 100)
    assert len(line.out) == 100


def test_at_the_end_everybody_is_answered(line: Timeline) -> None:
    line.say(2 * MOST)
    line.pass_time(TELL_S)
    line.log("a", 100)
    line.admission.close()
    line.log("a", 100)
    assert len(line.out) == 200


class FakeRedis:
    """The hash of lines, and whether it can be had."""

    def __init__(self) -> None:
        self.lines: dict[bytes, bytes] = {}
        self.away = False
        self.asked = 0

    def hset(self, key: str, who: str, line: bytes) -> None:
        self.lines[who.encode()] = line

    def hgetall(self, key: str) -> dict[bytes, bytes]:
        self.asked += 1
        if self.away:
            raise ConnectionError("gone")
        return dict(self.lines)


async def test_the_listener_looks_at_the_lines_and_goes_on_without_redis() -> None:
    """What was known last holds for some seconds, then nothing is."""
    now = [100.0]
    admission = Admission(AdmissionSettings(), lambda: now[0])
    fake = FakeRedis()
    redis = cast(Redis, fake)
    tell(redis, "a", Backlog(number=1, messages=10_000, rate=1.0, standing=False))
    admitting = asyncio.create_task(keep_admitting(admission, redis))
    try:
        async with asyncio.timeout(10):
            while not admission.behind:  # noqa: ASYNC110  # looks are made in its own time
                await asyncio.sleep(0.01)
            fake.away = True
            asked = fake.asked
            now[0] += GONE_S + 1.0
            await admission.turn("a")
            assert fake.asked > asked
            assert not admission.behind
    finally:
        admitting.cancel()
