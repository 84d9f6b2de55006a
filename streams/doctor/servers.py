"""Checks of Kafka and Redis: those that the settings name, or those that `up` started here."""

from __future__ import annotations

from confluent_kafka import KafkaException
from confluent_kafka.admin import AdminClient

from connectors import broker_settings
from connectors.settings import KafkaSettings
from connectors.topics import ALL
from streams.doctor.finding import Findings, ok, problem, warning
from streams.doctor.machine import local_ports
from streams.local import redis as redis_module
from streams.local import topics
from streams.local.errors import LocalError
from streams.local.jars import KAFKA_VERSION
from streams.local.probes import ProbeError, kafka_round_trip, redis_round_trip
from streams.local.servers import redacted
from streams.settings import Settings

_CLOCK_WARNING_S, _CLOCK_PROBLEM_S = 1.0, 60.0


def kafka(settings: Settings) -> Findings:
    """A round trip through the broker; then its clock, version and topics."""
    named = bool(settings.kafka.bootstrap)
    local = local_ports(settings).get("kafka")
    if not named and local is None:
        yield ok("kafka", "none is named and none runs here: `tocsin up` starts one")
        return
    bootstrap = settings.kafka.bootstrap or f"127.0.0.1:{local}"
    kafka = settings.kafka.model_copy(update={"bootstrap": bootstrap})
    try:
        probe = kafka_round_trip(kafka.client())
    except ProbeError as error:
        advice = (
            "start it, or correct kafka.bootstrap."
            if named
            else "run `tocsin up` again, which starts it anew."
        )
        yield problem("kafka", f"{bootstrap} does not work ({error}): {advice}")
        return
    version = _version(kafka) if named else KAFKA_VERSION
    yield ok("kafka", f"{bootstrap}, version {version}, round trip in {probe.seconds:.1f} s")
    yield from _clock(probe.clock_ahead_s)
    yield from _topics(kafka)


def _version(kafka: KafkaSettings) -> str:
    """As far as a broker tells: Kafka 4 no longer has the setting that named the protocol."""
    try:
        protocol = broker_settings.of_broker(kafka, "inter.broker.protocol.version")
    except KafkaException:
        return "unknown (this user may not ask)"
    return protocol or "4.0 or later"


def _clock(ahead_s: float) -> Findings:
    text = f"The broker's clock is {abs(ahead_s):.1f} s {'ahead' if ahead_s > 0 else 'behind'}"
    advice = "set both machines' clocks by NTP, since times of results and deadlines depend on it."
    if abs(ahead_s) > _CLOCK_PROBLEM_S:
        yield problem("clock", f"{text}: {advice}")
    elif abs(ahead_s) > _CLOCK_WARNING_S:
        yield warning("clock", f"{text}: {advice}")
    else:
        yield ok("clock", f"agrees with the broker's within {_CLOCK_WARNING_S:.0f} s")


def _topics(kafka: KafkaSettings) -> Findings:
    admin = AdminClient({**kafka.client()})
    there = {n: len(t.partitions) for n, t in admin.list_topics(timeout=5).topics.items()}
    missing = [name for name in ALL if name not in there]
    try:
        topics.check(there, kafka)
    except LocalError as error:
        yield problem("topics", str(error))
        return
    if missing:
        yield problem(
            "topics",
            f"Missing: {', '.join(missing)}. Run `tocsin up`, or `python -m streams.local.topics` "
            "with the settings of a user who may create them.",
        )
    else:
        yield ok("topics", f"all {len(ALL)} are there")


def redis(settings: Settings) -> Findings:
    """A round trip through Redis; then its version and whether it could lose state silently."""
    named = settings.redis.url.get_secret_value()
    local = local_ports(settings).get("redis")
    if not named and local is None:
        yield ok("redis", "none is named and none runs here: `tocsin up` starts one")
        return
    url = named or f"redis://127.0.0.1:{local}/0"
    try:
        probe = redis_round_trip(url)
    except ProbeError as error:
        advice = (
            "start it, or correct redis.url."
            if named
            else "run `tocsin up` again, which starts it anew."
        )
        yield problem("redis", f"{redacted(url)} does not work ({error}): {advice}")
        return
    if int(probe.version.split(".")[0]) < redis_module.OLDEST:
        yield problem(
            "redis",
            f"{redacted(url)} is version {probe.version}: install {redis_module.OLDEST} or later.",
        )
    else:
        yield ok("redis", f"{redacted(url)}, version {probe.version}")
    if probe.maxmemory_policy != "noeviction":
        yield warning(
            "redis",
            f"Its maxmemory-policy is {probe.maxmemory_policy}: set it to noeviction, else state "
            "is dropped silently when memory runs out.",
        )
    if not probe.appendonly:
        yield warning(
            "redis",
            "It keeps no append-only file: set appendonly to yes, else a restart rebuilds all "
            "state from the log.",
        )
