"""The rule for overload as a whole, on a clock of the test's own: listener, sequencer and workers.

The parts that decide are the real ones (`Admission`, `Ahead`, `Lanes`); what does the work is a
model of it: a worker that takes a while for each pass and each message, one partition after the
other. Ten times as much is offered as it can do.
"""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass, field
from typing import Any, cast

import pytest

from connectors.admission import FEW, Admission
from connectors.ahead import Ahead
from connectors.backlog import TELL_S, Backlog
from connectors.lanes import Lanes
from connectors.settings import AdmissionSettings

STEP_S = 0.01
PARTITIONS = 4
PASS_S, MAP_S = 0.02, 0.000_15  # of a pass; of mapping a message


@dataclass(eq=False)
class Sent:
    """A message: when it was heard, answered and scored."""

    line: Line
    urgent: bool
    heard: float
    number: int
    answered: float | None = None
    scored: float | None = None

    # What `Lanes` asks of a record of the raw log.
    def topic(self) -> str:
        return "wire"

    def partition(self) -> int:
        return 0

    def offset(self) -> int:
        return self.number

    def value(self) -> bytes:
        return b"x" * 700

    def timestamp(self) -> tuple[int, int]:
        return 1, round(self.heard * 1_000)


@dataclass(eq=False)
class Line:
    """A sender's connection: so many messages a second arrive, so many may be unanswered."""

    rate: float
    window: int
    urgent: bool = False
    arrived: float = 0.0
    open: int = 0


@dataclass
class Hospital:
    """Everything, step by step."""

    capacity: float  # messages a second of the worker
    lines: list[Line]
    now: float = 1_000.0
    sent: list[Sent] = field(default_factory=list)
    most_waiting: int = 0
    working: bool = True

    def __post_init__(self) -> None:
        self.admission = Admission(AdmissionSettings(), lambda: self.now)
        self.applied = dict.fromkeys(range(PARTITIONS), -1)
        self.ahead = Ahead(4_000, lambda asked: {p: self.applied[p] for p in asked}, self.clock)
        self.lanes = Lanes(lambda message, crowded: crowded and cast(Sent, message).urgent)
        self.unread: deque[Sent] = deque()
        self.facts: list[deque[tuple[int, list[Sent]]]] = [deque() for _ in range(PARTITIONS)]
        self.written = [0] * PARTITIONS
        self.sequencer_free = self.worker_free = self.now
        self.in_pass: tuple[int, int, list[Sent]] | None = None
        self.turn = self.told = 0

    def clock(self) -> float:
        return self.now

    def play(self, seconds: float) -> None:
        for _ in range(round(seconds / STEP_S)):
            self.now += STEP_S
            self._listen()
            self._sequence()
            self._work()
            if round(self.now / STEP_S) % round(TELL_S / STEP_S) == 0:
                self._tell()

    def waiting(self) -> int:
        return len(self.unread) + len(self.lanes) + self.ahead.messages

    def _listen(self) -> None:
        for line in self.lines:
            line.arrived += line.rate * STEP_S
            while line.arrived >= 1.0 and line.open < line.window:
                if self.admission.behind and line.open >= FEW:
                    break
                line.arrived -= 1.0
                line.open += 1
                self._log(Sent(line, line.urgent, self.now, len(self.sent)))

    def _log(self, sent: Sent) -> None:
        self.sent.append(sent)
        self.unread.append(sent)
        self.admission.logged()

        def answer() -> None:
            sent.answered = self.now
            sent.line.open -= 1

        if self.admission.behind:
            self.admission.hold(sent.line, answer)
        else:
            answer()

    def _sequence(self) -> None:
        if self.now < self.sequencer_free:
            return
        read = [self.unread.popleft() for _ in range(min(8_000, len(self.unread)))]
        if read and not self.lanes.full:
            self.lanes.put(cast(Any, read), held=self.ahead.too_far())
        else:
            self.unread.extendleft(reversed(read))
        held = self.ahead.too_far()
        if held and self.ahead.too_far(urgent=True):
            return
        batch = cast(list[Sent], self.lanes.take(self.ahead.batch, urgent_only=held))
        self.sequencer_free = self.now + MAP_S * len(batch)
        for partition in range(PARTITIONS):
            mine = [sent for sent in batch if sent.number % PARTITIONS == partition]
            for start in range(0, len(mine), 1_000):
                record = mine[start : start + 1_000]
                self.facts[partition].append((self.written[partition], record))
                heard = min(sent.heard for sent in record)
                self.ahead.wrote(partition, self.written[partition], len(record), heard)
                self.written[partition] += 1

    def _work(self) -> None:
        if self.now < self.worker_free or not self.working:
            return
        if self.in_pass is not None:
            partition, last, messages = self.in_pass
            self.applied[partition] = last
            for sent in messages:
                sent.scored = self.now
            self.in_pass = None
        for _ in range(PARTITIONS):
            self.turn = (self.turn + 1) % PARTITIONS
            records = self.facts[self.turn]
            if records:
                messages = [sent for _, record in records for sent in record]
                self.in_pass = (self.turn, records[-1][0], messages)
                self.worker_free = self.now + PASS_S + len(messages) / self.capacity
                records.clear()
                return

    def _tell(self) -> None:
        self.told += 1
        self.ahead.look()
        waiting = self.waiting()
        self.most_waiting = max(self.most_waiting, waiting)
        line = Backlog(
            number=self.told,
            messages=waiting,
            rate=self.ahead.rate,
            standing=self.ahead.standing,
        )
        self.admission.told({"a": line})
        self.admission.step()

    def waits(self, line: Line | None = None) -> list[float]:
        """Heard → scored, of a line's or all messages, sorted; those not scored wait until now."""
        return sorted(
            (self.now if sent.scored is None else sent.scored) - sent.heard
            for sent in self.sent
            if line is None or sent.line is line
        )


CAPACITY = 1_500.0
Flooded = tuple[Hospital, Line, Line]


def flooded(lines: int = 8, window: int = 40, seconds: float = 15.0) -> Flooded:
    """A flood, and beside it a line of urgent messages and one that sends little."""
    flood = [Line(10 * CAPACITY / lines, window) for _ in range(lines)]
    urgent, quiet = Line(1.0, 1, urgent=True), Line(1.0, 1)
    hospital = Hospital(CAPACITY, [*flood, urgent, quiet])
    hospital.play(seconds)
    return hospital, urgent, quiet


@pytest.fixture(scope="module", params=[(8, 40), (8, 1_000), (100, 10), (1_000, 1)], ids=str)
def after_a_flood(request: pytest.FixtureRequest) -> Flooded:
    """Of so many lines, with so many unanswered messages each; only to be looked at."""
    return flooded(*request.param)


def test_everything_that_is_heard_is_scored_within_five_seconds(after_a_flood: Flooded) -> None:
    hospital, _, _ = after_a_flood
    assert hospital.waits()[-1] < 5.0


def test_urgent_messages_come_before_the_others(after_a_flood: Flooded) -> None:
    hospital, urgent, _ = after_a_flood
    waits, all_waits = hospital.waits(urgent), hospital.waits()
    assert waits[-1] < 4.0
    assert waits[len(waits) // 2] < 0.9 * all_waits[len(all_waits) // 2]


def test_senders_are_slowed_to_what_is_scored_which_is_hardly_less_than_without_a_rule(
    after_a_flood: Flooded,
) -> None:
    hospital, _, _ = after_a_flood
    answered = sum(sent.answered is not None for sent in hospital.sent)
    scored = sum(sent.scored is not None for sent in hospital.sent)
    assert scored > 0.85 * CAPACITY * 15.0
    assert answered < 1.25 * CAPACITY * 15.0  # of ten times as many that were offered


def test_no_answer_is_held_for_longer_than_is_set(after_a_flood: Flooded) -> None:
    hospital, _, _ = after_a_flood
    late = [(s.answered or hospital.now) - s.heard for s in hospital.sent]
    assert max(late) <= AdmissionSettings().max_delay_s + 2 * TELL_S


def test_one_who_sends_little_is_hardly_slowed_by_a_flood() -> None:
    hospital, _, quiet = flooded()
    late = [(s.answered or hospital.now) - s.heard for s in hospital.sent if s.line is quiet]
    assert max(late) <= 2 * TELL_S


def test_when_the_flood_ends_everything_is_as_before_within_seconds() -> None:
    hospital, _, quiet = flooded()
    hospital.lines = [quiet]
    hospital.play(5.0)
    ended = hospital.now
    hospital.play(10.0)
    after = [sent for sent in hospital.sent if sent.heard > ended]
    assert after
    assert all(sent.answered == sent.heard for sent in after)
    assert all((sent.scored or hospital.now) - sent.heard < 0.1 for sent in after)
    hospital.lines = []
    hospital.play(1.0)
    assert hospital.waiting() == 0


def test_a_worker_that_is_replaced_in_a_flood_is_made_up_for() -> None:
    """Meanwhile nothing can be scored; what is taken in is bounded all the same."""
    hospital, urgent, _ = flooded()
    hospital.working = False
    hospital.play(4.0)
    hospital.working = True
    assert hospital.most_waiting < 5.0 * CAPACITY
    hospital.play(3.0)
    again = hospital.now
    hospital.play(10.0)
    waits = [
        (hospital.now if sent.scored is None else sent.scored) - sent.heard
        for sent in hospital.sent
        if sent.line is urgent and sent.heard > again
    ]
    assert max(waits) < 5.0


def test_without_workers_senders_are_soon_slowed_no_more() -> None:
    hospital = Hospital(CAPACITY, [Line(200.0, 1)])
    hospital.play(5.0)
    hospital.working = False
    hospital.play(20.0)
    late = [s for s in hospital.sent if s.heard > hospital.now - 5.0 and s.answered != s.heard]
    assert late == []
