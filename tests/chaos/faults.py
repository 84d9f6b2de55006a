"""The faults: how each begins and how it ends. All numbers come from the run's own generator."""

from __future__ import annotations

import random
import signal
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass, field
from typing import NamedTuple

from confluent_kafka import Producer
from redis import exceptions as redis_errors

from connectors import topics
from tests.chaos.servers import wait_for
from tests.chaos.system import System

End = Callable[[], None]


class LaterError(Exception):
    """What this one needs is away for now: the others go on, and it comes when it can."""


def _nothing() -> None:
    """Ends by itself."""


@dataclass
class Hands:
    """What a fault works with."""

    system: System
    rng: random.Random
    strangers: set[bytes] = field(default_factory=set)  # put into the raw log by a fault
    notes: list[str] = field(default_factory=list)


class Fault(NamedTuple):
    """`begin` returns what ends it; `lasts` are the least and most seconds between."""

    name: str
    begin: Callable[[Hands], End]
    lasts: tuple[float, float] = (0.0, 0.0)


def _kill(name: str) -> Callable[[Hands], End]:
    def begin(hands: Hands) -> End:
        hands.system.processes[name].signal(signal.SIGKILL)
        return _nothing

    return begin


def _pause(name: str) -> Callable[[Hands], End]:
    def begin(hands: Hands) -> End:
        process = hands.system.processes[name]
        process.signal(signal.SIGSTOP)
        return lambda: process.signal(signal.SIGCONT)

    return begin


def _leave(hands: Hands) -> End:
    """A worker leaves in good order and joins again: two rebalances."""
    process = hands.system.processes["worker2"]
    process.wanted = False
    process.signal(signal.SIGTERM)

    def end() -> None:
        process.wanted = True

    return end


def _kill_kafka(hands: Hands) -> End:
    hands.system.kafka.signal(signal.SIGKILL)
    return hands.system.kafka.start


def _stop_kafka(hands: Hands) -> End:
    """In good order, as for a new release of it."""
    kafka = hands.system.kafka
    kafka.signal(signal.SIGTERM)
    with suppress(TimeoutError):
        wait_for(lambda: not kafka.alive(), "the broker has ended", 20.0)
    kafka.signal(signal.SIGKILL)
    return kafka.start


def _pause_kafka(hands: Hands) -> End:
    hands.system.kafka.signal(signal.SIGSTOP)
    return lambda: hands.system.kafka.signal(signal.SIGCONT)


def _fill_disk(hands: Hands) -> End:
    """Not a byte is left where Kafka writes; what died of it is started when there is room."""
    kafka = hands.system.kafka
    ballast = kafka.data / "ballast"
    with suppress(OSError), ballast.open("wb", buffering=0) as file:
        while file.write(bytes(1 << 20)):
            pass

    def end() -> None:
        ballast.unlink()
        hands.notes.append("the broker lived on" if kafka.alive() else "the broker had ended")
        kafka.signal(signal.SIGKILL)  # one that lives has given its folder up: it is of no use
        kafka.start()

    return end


def _kill_redis(hands: Hands) -> End:
    hands.system.redis.signal(signal.SIGKILL)
    return hands.system.redis.start


def _pause_redis(hands: Hands) -> End:
    hands.system.redis.signal(signal.SIGSTOP)
    return lambda: hands.system.redis.signal(signal.SIGCONT)


def _empty_redis(hands: Hands) -> End:
    _redis(hands.system.redis.client.flushall)
    return _nothing


def _config(name: str, value: str, before: str) -> Callable[[Hands], End]:
    def begin(hands: Hands) -> End:
        client = hands.system.redis.client
        _redis(lambda: client.config_set(name, value))
        return lambda: _redis(lambda: client.config_set(name, before))

    return begin


def _replica(hands: Hands) -> End:
    """A replica of nobody: it takes no write."""
    client = hands.system.redis.client
    _redis(lambda: client.execute_command("REPLICAOF", "127.0.0.1", "1"))
    return lambda: _redis(lambda: client.execute_command("REPLICAOF", "NO", "ONE"))


def _redis(do: Callable[[], object]) -> None:
    """Raises `LaterError` while another fault has taken Redis away."""
    try:
        do()
    except redis_errors.RedisError:
        raise LaterError from None


def _line(how: str) -> Callable[[Hands], End]:
    def begin(hands: Hands) -> End:
        name = hands.rng.choice(sorted(hands.system.proxies))
        proxy = hands.system.proxies[name]
        hands.notes.append(name)
        if how == "slow":
            proxy.slow(hands.rng.uniform(0.02, 0.2))
        elif how == "cut":
            proxy.cut()
        else:
            proxy.hold()
        return proxy.heal

    return begin


def _step_clock(hands: Hands) -> End:
    """By less than what a message's time may lie ahead (`sequencer.max_future_s`, 600 s)."""
    by = hands.rng.choice((-540.0, -60.0, -2.0, 2.0, 60.0, 540.0))
    hands.notes.append(f"{by:+g} s")
    hands.system.set_clock(by)
    return lambda: hands.system.set_clock(0.0)


def _poison(hands: Hands) -> End:
    """What nobody can read, in the raw log and in the log of facts."""
    rng = hands.rng
    noise = bytes(rng.randrange(256) for _ in range(200))
    wire = rng.choice([b"", noise, b"MSH|^~\\&|" + noise, b"MSH|^~\\&|A|B|||2||ORU^R01|7|P|2.5\r"])
    fact = rng.choice([b"", noise, b'{"messages":[{"patient":7}]}', b'{"messages":'])
    producer = Producer({"bootstrap.servers": hands.system.kafka.bootstrap, "log_level": 0})
    hands.strangers.add(wire)
    producer.produce(topics.WIRE_HL7, wire)
    producer.produce(topics.FACTS, fact, partition=rng.randrange(4))

    def end() -> None:
        producer.flush(60.0)

    return end


FAULTS = (
    Fault("kill mllp", _kill("mllp")),
    Fault("kill sequencer", _kill("sequencer")),
    Fault("kill worker", _kill("worker1")),
    Fault("kill kafka", _kill_kafka, (0.2, 3.0)),
    Fault("kill redis", _kill_redis, (0.0, 3.0)),
    Fault("pause kafka", _pause_kafka, (1.0, 6.0)),
    Fault("pause redis", _pause_redis, (1.0, 6.0)),
    Fault("pause mllp", _pause("mllp"), (1.0, 4.0)),
    Fault("pause sequencer", _pause("sequencer"), (1.0, 4.0)),
    Fault("zombie worker", _pause("worker1"), (7.0, 10.0)),
    Fault("empty redis", _empty_redis),
    Fault("redis is a replica", _replica, (1.0, 4.0)),
    Fault("redis lacks replicas", _config("min-replicas-to-write", "1", "0"), (1.0, 4.0)),
    Fault("redis out of memory", _config("maxmemory", "1", "0"), (1.0, 4.0)),
    Fault("network cut", _line("cut"), (0.5, 5.0)),
    Fault("network held", _line("hold"), (0.5, 8.0)),
    Fault("network slow", _line("slow"), (1.0, 5.0)),
    Fault("clock step", _step_clock, (0.5, 4.0)),
    Fault("disk full", _fill_disk, (1.0, 3.0)),
    Fault("poison", _poison, (0.1, 0.1)),
    Fault("rebalance", _leave, (1.0, 3.0)),
)
# Takes longer than all else of a run, so it has its turn seldom.
LONG = Fault("kafka away for a minute", _stop_kafka, (60.0, 60.0))
_LONG_EVERY = 50
_NEED_DISK = frozenset({"disk full"})
# Two that would end one another's means.
_ALONE = frozenset({"kill kafka", "pause kafka", "disk full", LONG.name})
_OF_REDIS = frozenset({"kill redis", "pause redis"})


class Planned(NamedTuple):
    """One fault of a run."""

    at: float  # seconds after the load began
    fault: Fault
    lasts: float


def usable(system: System) -> list[Fault]:
    """Those that can be had on this machine."""
    return [f for f in FAULTS if f.name not in _NEED_DISK or system.kafka.has_small_disk]


def named(name: str, system: System) -> Fault:
    """The fault of that name. Raises `KeyError` where it cannot be had."""
    return {f.name: f for f in (*usable(system), LONG)}[name]


def turn(number: int, system: System) -> Fault:
    """Whose turn it is: each of the list has its share, the long one a small one."""
    there = usable(system)
    return LONG if number % _LONG_EVERY == _LONG_EVERY - 1 else there[number % len(there)]


def draw(rng: random.Random, first: Fault, system: System, load_s: float) -> list[Planned]:
    """That one, and perhaps a second one; half of the second ones are a rebalance."""
    there = usable(system)
    chosen = [first]
    if rng.random() < 0.5:
        rebalance = next(f for f in there if f.name == "rebalance")
        other = rebalance if rng.random() < 0.5 else rng.choice(there)
        if _fit(chosen[0], other):
            chosen.append(other)
    planned = [Planned(rng.uniform(0.2, load_s * 0.8), f, rng.uniform(*f.lasts)) for f in chosen]
    return sorted(planned, key=lambda p: p.at)


def _fit(one: Fault, other: Fault) -> bool:
    names = {one.name, other.name}
    return len(names) == 2 and not (names <= _ALONE or names <= _OF_REDIS)
