"""Whether a server really works: a round trip, not an open port."""

from __future__ import annotations

import http.client
import secrets
import socket
import time
from collections.abc import Mapping
from contextlib import suppress
from typing import NamedTuple

import redis
from confluent_kafka import Consumer, KafkaError, KafkaException, Message, Producer, TopicPartition
from confluent_kafka.admin import AdminClient
from confluent_kafka.cimpl import NewTopic

from connectors.topics import PREFIX

PROBE_TOPIC = PREFIX + "probe"
# Records of the probe topic carry the broker's time and are of no use a minute later.
_PROBE_CONFIG = {"retention.ms": "60000", "message.timestamp.type": "LogAppendTime"}
_REDIS_KEY = "tocsin:probe"

# A server that is about to start is tried again at once, not after ten seconds.
# librdkafka would report each refused connection on stderr; the probe's own error says it once.
_CLIENT: dict[str, str | int | float | bool] = {
    "reconnect.backoff.ms": 50,
    "reconnect.backoff.max.ms": 250,
    "log_level": 0,
}


class ProbeError(Exception):
    """The server does not do what it should; the message says what was tried."""


class KafkaProbe(NamedTuple):
    """What a round trip through Kafka told."""

    seconds: float  # produce, group join and consume together
    clock_ahead_s: float  # the broker's clock minus ours


class RedisProbe(NamedTuple):
    """What a round trip through Redis told."""

    version: str
    maxmemory_policy: str  # "unknown" when the server does not tell
    appendonly: bool


def kafka_round_trip(
    client: Mapping[str, str | int | float | bool], timeout_s: float = 10.0
) -> KafkaProbe:
    """Write a record and read it back as a member of a group. Raises `ProbeError`."""
    start = time.monotonic()
    end = start + timeout_s
    _reach(str(client["bootstrap.servers"]), end)
    client = {**client, **_CLIENT}
    admin = AdminClient({**client, "socket.timeout.ms": 5_000})
    try:
        _ensure_topic(admin, end)
        written, ahead = _produce(client, end)
        _consume(client, admin, written, end)
    except KafkaException as error:
        raise ProbeError(str(error.args[0].str())) from None
    return KafkaProbe(time.monotonic() - start, ahead)


def _reach(bootstrap: str, end: float) -> None:
    """One open port among the addresses, else at once the reason: librdkafka would go on trying."""
    problem = "no address is given"
    for address in bootstrap.split(","):
        host, _, port = address.strip().rpartition(":")
        try:
            timeout = min(3.0, _left(end))
            socket.create_connection((host.strip("[]"), int(port)), timeout).close()
        except ValueError:
            problem = f"{address} is not host:port"
        except OSError as error:
            problem = error.strerror or str(error)
        else:
            return
    raise ProbeError(problem)


def _left(end: float) -> float:
    return max(0.1, end - time.monotonic())


def _ensure_topic(admin: AdminClient, end: float) -> None:
    topic = NewTopic(PROBE_TOPIC, num_partitions=1, replication_factor=-1, config=_PROBE_CONFIG)
    if PROBE_TOPIC in admin.list_topics(timeout=_left(end)).topics:
        return
    future = admin.create_topics([topic], request_timeout=_left(end))[PROBE_TOPIC]
    try:
        future.result(_left(end) + 1)
    except KafkaException as error:
        if error.args[0].code() != KafkaError.TOPIC_ALREADY_EXISTS:
            raise


def _produce(client: Mapping[str, str | int | float | bool], end: float) -> tuple[Message, float]:
    """The record as confirmed, and how far the broker's clock is ahead, in seconds."""
    reports: list[tuple[KafkaError | None, Message]] = []
    timeout_ms = int(_left(end) * 1000)
    producer = Producer({**client, "enable.idempotence": True, "message.timeout.ms": timeout_ms})
    # The first record pays for connecting; the second one's time can be compared.
    for _ in range(2):
        sent = time.time()
        token = secrets.token_hex(8).encode()
        producer.produce(PROBE_TOPIC, token, callback=lambda e, m: reports.append((e, m)))
        producer.flush(_left(end) + 1)
        if not reports:
            raise ProbeError("it did not confirm a record in time")
        error, message = reports.pop()
        if error is not None:
            raise KafkaException(error)
    return message, (message.timestamp()[1] / 1000 - (sent + time.time()) / 2)


def _consume(
    client: Mapping[str, str | int | float | bool], admin: AdminClient, written: Message, end: float
) -> None:
    group = f"{PROBE_TOPIC}-{secrets.token_hex(4)}"
    consumer = Consumer({**client, "group.id": group, "enable.auto.commit": False})

    def assigned(consumer: Consumer, _partitions: list[TopicPartition]) -> None:
        offset = written.offset()
        consumer.assign([TopicPartition(PROBE_TOPIC, written.partition() or 0, offset or 0)])

    try:
        consumer.subscribe([PROBE_TOPIC], on_assign=assigned)
        while True:
            message = consumer.poll(min(0.5, _left(end)))
            if message is not None and message.value() == written.value():
                return
            if time.monotonic() > end:
                raise ProbeError("a record was written but could not be read back in time")
    finally:
        consumer.close()
        # Else one group per probe would stay in the broker for a week.
        with suppress(KafkaException):
            admin.delete_consumer_groups([group], request_timeout=2.0)[group].result(3.0)


def redis_round_trip(url: str, timeout_s: float = 3.0) -> RedisProbe:
    """Write a key, read it back, delete it. Raises `ProbeError`."""
    try:
        with redis.Redis.from_url(
            url,
            socket_timeout=timeout_s,
            socket_connect_timeout=timeout_s,
            decode_responses=True,
        ) as server:
            token = secrets.token_hex(8)
            key = f"{_REDIS_KEY}:{token}"
            server.set(key, token, ex=10)
            if server.get(key) != token:
                raise ProbeError("a key was written but read back with another value")
            server.delete(key)
            info = server.info("server")
            memory = server.info("memory")
            persistence = server.info("persistence")
    except (redis.RedisError, OSError, ValueError) as error:
        raise ProbeError(_first_line(error)) from None
    return RedisProbe(
        str(info["redis_version"]),
        str(memory.get("maxmemory_policy", "unknown")),
        bool(persistence.get("aof_enabled")),
    )


def _first_line(error: Exception) -> str:
    return (str(error).splitlines() or [type(error).__name__])[0]


def process_ready(host: str, port: int, timeout_s: float = 2.0) -> str:
    """Nothing when the process says that it is ready, else what it says."""
    # No proxy: this is always this machine.
    connection = http.client.HTTPConnection(_reachable(host), port, timeout=timeout_s)
    try:
        connection.request("GET", "/ready")
        response = connection.getresponse()
        body = response.read(200).decode(errors="replace").strip()
    except (OSError, http.client.HTTPException) as error:
        return _first_line(error)
    finally:
        connection.close()
    return "" if response.status == http.client.OK else body or f"answers {response.status}"


def _reachable(host: str) -> str:
    """The address to connect to for one that is listened on."""
    return {"0.0.0.0": "127.0.0.1", "::": "::1", "": "127.0.0.1"}.get(host, host)  # noqa: S104
