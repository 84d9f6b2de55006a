"""One run: a ward's messages, faults meanwhile, and the oracle's word in the end."""

from __future__ import annotations

import heapq
import random
import time
from collections.abc import Callable
from dataclasses import asdict, dataclass, field
from typing import Any

from confluent_kafka import KafkaException
from redis import exceptions as redis_errors

from connectors import topics
from streams import keys
from streams.store import Fields
from tests.chaos import faults, oracle, reference, takeover, ward
from tests.chaos.log import Tail
from tests.chaos.oracle import Found, Verdict
from tests.chaos.sender import Ledger, send
from tests.chaos.system import PARTITIONS, RISKS, System

LOAD_S = 5.0
SETTLE_S = 180.0  # after the last fault has ended and the last message is acknowledged
_LOOK_S = 0.3


@dataclass
class Report:
    """What came of one run."""

    seed: int
    number: int
    faults: list[str]
    notes: list[str] = field(default_factory=list)
    messages: int = 0
    resent: int = 0
    alerts: int = 0
    load_s: float = 0.0  # until the last acknowledgement
    settle_s: float = 0.0  # from then, or from the end of the last fault, until nothing is amiss
    ended: dict[str, int] = field(default_factory=dict)  # processes that ended by themselves
    broken: list[str] = field(default_factory=list)
    waiting: list[str] = field(default_factory=list)
    seconds: float = 0.0

    @property
    def clean(self) -> bool:
        """Whether the oracle had nothing to say."""
        return not (self.broken or self.waiting)

    def to_json(self) -> dict[str, Any]:
        """For the report."""
        return {**asdict(self), "clean": self.clean}


class Batch:
    """Runs on one system, one after another; each has patients of its own."""

    def __init__(self, system: System, seed: int) -> None:
        self._system, self._seed = system, seed
        self._models = reference.models(RISKS)
        self._follower = reference.Follower(self._models)
        bootstrap = system.kafka.bootstrap
        self._facts = Tail(bootstrap, topics.FACTS)
        self._wire_tail, self._wire = Tail(bootstrap, topics.WIRE_HL7), set[bytes]()
        self._alerts_tail, self._alerts = Tail(bootstrap, topics.ALERTS), list[bytes]()
        self._scores_tail, self._scores = Tail(bootstrap, topics.SCORES), set[bytes]()
        self._strangers: set[bytes] = set()
        self._sent_before: set[bytes] = set()

    def take_over(self, number: int) -> float:
        """Seconds from the death of a worker to the first score by another one."""
        people = takeover.load(number)
        self._sent_before |= {message.raw for message in people.messages}
        return takeover.measure(self._system, number, people)

    def run_with(self, fault: str) -> Report:
        """The run in which that fault has its turn."""
        return self.run([f.name for f in faults.usable(self._system)].index(fault))

    def run(self, number: int, *, undisturbed: bool = False, fault: str = "") -> Report:
        """Run `number`: everything about it follows from the seed and that number.

        With `fault` it is that one's turn.
        """
        began, system = time.monotonic(), self._system
        rng = random.Random(f"{self._seed}-{number}")
        people = ward.admit(self._seed, 100 * (number + 1), time.time())
        first = faults.named(fault, system) if fault else faults.turn(number, system)
        planned = [] if undisturbed else faults.draw(rng, first, system, LOAD_S)
        report = Report(self._seed, number, [p.fault.name for p in planned])
        ended = dict(system.ended)
        hands = faults.Hands(system, rng, self._strangers, report.notes)
        book, first_alert = Ledger(), len(self._alerts)
        sending = system.loop.start(
            send(system.proxies["sender-mllp"].port, people.messages, LOAD_S, book)
        )
        play(planned, hands)
        try:
            sending.result(SETTLE_S)
        except TimeoutError:
            sending.cancel()
        report.load_s = time.monotonic() - began
        verdict, report.settle_s = self._settle(people, book)
        report.broken, report.waiting = verdict.broken, verdict.waiting
        report.messages, report.resent = len(people.messages), book.resent
        report.alerts = len(self._alerts) - first_alert
        report.ended = {
            n: c - ended.get(n, 0) for n, c in system.ended.items() if c > ended.get(n, 0)
        }
        self._sent_before |= {message.raw for message in people.messages}
        report.seconds = time.monotonic() - began
        return report

    def _settle(self, people: ward.Ward, book: Ledger) -> tuple[Verdict, float]:
        must = reference.undisturbed(
            people, self._system.key, self._models, PARTITIONS, time.time()
        )
        start = time.monotonic()
        while True:
            looked = time.monotonic()
            verdict = self._judge(people, book, must)
            if verdict.clean or verdict.broken or looked - start > SETTLE_S:
                return verdict, looked - start
            time.sleep(_LOOK_S)

    def _judge(self, people: ward.Ward, book: Ledger, must: reference.Undisturbed) -> Verdict:
        try:
            self._read()
            names = {m: reference.pseudonym(self._system.key, m) for m in people.patients}
            stored = {mrn: self._stored(name) for mrn, name in names.items()}
        except (KafkaException, redis_errors.RedisError) as error:
            return Verdict(waiting=[f"a server does not answer: {error}"])
        found = Found(
            acknowledged=book.acknowledged,
            refused=book.refused,
            wire=self._wire,
            strangers=self._strangers | self._sent_before,
            fields=stored,
            names=names,
            alerts=self._alerts,
            scores=self._scores,
        )
        told = self._follower
        return oracle.judge(people, found, must, told.told, told.scores, told.kept)

    def _read(self) -> None:
        """Facts first: what they cause may be told a moment later, never a moment before."""
        self._alerts += [r.value for r in self._alerts_tail.new()]
        self._scores.update(r.value for r in self._scores_tail.new())
        self._wire.update(r.value for r in self._wire_tail.new())
        self._follower.follow(self._facts.new())

    def _stored(self, name: str) -> Fields:
        partition = topics.partition_of(name, PARTITIONS)
        found: Fields = self._system.redis.client.hgetall(keys.patient(partition, name))  # type: ignore[assignment]
        return found

    def close(self) -> None:
        """Let go of the servers."""
        for tail in (self._facts, self._wire_tail, self._alerts_tail, self._scores_tail):
            tail.close()


def play(planned: list[faults.Planned], hands: faults.Hands) -> None:
    """Begin and end the faults when their time comes, or as soon as they can be after that."""
    start = time.monotonic()
    acts: list[tuple[float, int, Callable[[], Any]]] = []
    for order, one in enumerate(planned):

        def begin(one: faults.Planned = one, order: int = order) -> None:
            end = one.fault.begin(hands)
            lasts_until = max(one.at, time.monotonic() - start) + one.lasts
            heapq.heappush(acts, (lasts_until, 100 + order, end))

        heapq.heappush(acts, (one.at, order, begin))
    while acts:
        at, order, act = heapq.heappop(acts)
        time.sleep(max(0.0, start + at - time.monotonic()))
        try:
            act()
        except faults.LaterError:
            if time.monotonic() - start > SETTLE_S:
                raise
            heapq.heappush(acts, (time.monotonic() - start + _LOOK_S, order, act))
