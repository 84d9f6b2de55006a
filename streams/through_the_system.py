"""Scores of a cohort as the running system gives them: HL7 in at the socket, scores out of Redis.

`tocsin evaluate --via stream` compares them with the offline scores. Everything runs on servers of
its own, in a folder that is removed afterwards.
"""

from __future__ import annotations

import asyncio
import os
import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from pathlib import Path
from typing import TypeVar

from confluent_kafka import Consumer, ConsumerGroupTopicPartitions, TopicPartition
from confluent_kafka.admin import AdminClient
from redis import Redis

from connectors import contract, topics
from connectors.clock import from_iso
from connectors.identity import Identifier, IdentityKey
from connectors.replay.deliver import send_all
from connectors.replay.timed import Timed, in_time_order
from connectors.sequencer_process import GROUP
from models.bundle import Bundle, write
from models.risk import Assessment
from streams import keys
from streams.local.up import Endpoints, down, up
from streams.settings import Settings

_PATIENCE_S = 1_800.0

Progress = Callable[[str], None]
_Id = TypeVar("_Id", bound="int | str")  # of a patient in the cohort


def scores(
    messages: Mapping[_Id, Sequence[Timed]],
    authority: str,
    bundle: Bundle,
    home: Path,
    progress: Progress,
) -> dict[_Id, Assessment]:
    """The score of each patient after the last of their messages, by record id.

    `messages` by record id, which is also the patient's number of that authority. Raises
    `LocalError`.
    """
    bundles = home / "bundles" / bundle.digest[:12]
    write(bundles / bundle.risk, bundle)
    secret = os.urandom(32).hex()
    settings = Settings(
        home=home,
        worker={"bundles": bundles, "risks": (bundle.risk,)},
        identity={"key": secret},
    )
    try:
        endpoints = up(settings, progress=progress)
        progress(f"replaying {len(messages)} patients")
        asyncio.run(_replay(messages.values(), endpoints))
        wait_until_applied(endpoints, settings)
        key = IdentityKey(bytes.fromhex(secret))
        names = {i: key.pseudonym(Identifier(authority, "MR", str(i))) for i in messages}
        return _read(names, bundle.risk, endpoints, settings)
    finally:
        down(home)


async def _replay(messages: Iterable[Sequence[Timed]], endpoints: Endpoints) -> None:
    host, _, port = endpoints.mllp.rpartition(":")
    counts = await send_all(in_time_order(messages), host, int(port))
    counts.check()


def wait_until_applied(endpoints: Endpoints, settings: Settings) -> None:
    """Until the sequencer has read all of the wire log and the workers all of the facts.

    Raises `TimeoutError`.
    """
    end = time.monotonic() + _PATIENCE_S
    kafka = settings.kafka.model_copy(update={"bootstrap": endpoints.kafka})
    admin = AdminClient(kafka.client())
    reader = Consumer(kafka.client() | {"group.id": "tocsin-observer"})
    redis = Redis.from_url(endpoints.redis)
    try:
        while not (_sequenced(admin, reader) and _applied(reader, redis)):
            if time.monotonic() > end:
                raise TimeoutError("the system does not get through the messages")
            time.sleep(0.2)
    finally:
        reader.close()


def _ends(reader: Consumer, topic: str) -> dict[int, int]:
    found = reader.list_topics(topic, timeout=30).topics[topic].partitions
    return {p: reader.get_watermark_offsets(TopicPartition(topic, p), timeout=30)[1] for p in found}


def _sequenced(admin: AdminClient, reader: Consumer) -> bool:
    places = [TopicPartition(topics.WIRE_HL7, p) for p in _ends(reader, topics.WIRE_HL7)]
    asked = admin.list_consumer_group_offsets([ConsumerGroupTopicPartitions(GROUP, places)])
    committed = {p.partition: p.offset for p in asked[GROUP].result().topic_partitions}
    return all(max(0, committed[p]) >= end for p, end in _ends(reader, topics.WIRE_HL7).items())


def _applied(reader: Consumer, redis: Redis) -> bool:
    for partition, end in _ends(reader, topics.FACTS).items():
        offset = redis.hget(keys.position(partition), "offset")
        if int(offset or -1) + 1 < end:
            return False
    return True


def _read(
    names: Mapping[_Id, str], risk: str, endpoints: Endpoints, settings: Settings
) -> dict[_Id, Assessment]:
    redis = Redis.from_url(endpoints.redis)
    found: dict[_Id, Assessment] = {}
    for record_id, pseudonym in names.items():
        partition = topics.partition_of(pseudonym, settings.kafka.partitions)
        raw = redis.hget(keys.patient(partition, pseudonym), _field(risk))
        if isinstance(raw, bytes):
            found[record_id] = _to_assessment(contract.decode_score(raw))
    return found


def _field(risk: str) -> str:
    return (keys.SCORE_FIELD + risk.encode()).decode()


def _to_assessment(score: contract.Score) -> Assessment:
    return Assessment(
        as_of=from_iso(score.as_of),
        baseline=score.baseline,
        evidence=tuple(score.evidence),
        log_odds=score.log_odds,
        probability=score.probability,
        interval=score.interval,
        abstained=score.abstained,
        missing=score.missing,
    )
