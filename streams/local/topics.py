"""Creates Tocsin's topics. Run as a module where no `tocsin up` does it: in a deployment."""

from __future__ import annotations

import sys

from confluent_kafka import KafkaError, KafkaException
from confluent_kafka.admin import AdminClient
from confluent_kafka.cimpl import NewTopic

from connectors import record_size, topics
from connectors.settings import KafkaSettings
from streams.local.errors import LocalError

WIRE_PARTITIONS = 4
_WIRE = frozenset({topics.WIRE_HL7, topics.WIRE_IMAGING, topics.WIRE_GENOMICS})
_FACTS_BYTES = str(5 * record_size.MOST // 4)
# Every rescoring of every patient: can be computed again from the facts, so the broker's own
# retention is enough. Everything else is kept for good.
_RECOMPUTABLE = frozenset({topics.SCORES})


def partitions(topic: str, settings: KafkaSettings) -> int:
    """How many partitions a topic has. Topics by patient line up; the small ones have one."""
    if topic in topics.BY_PATIENT:
        return settings.partitions
    return WIRE_PARTITIONS if topic in _WIRE else 1


def configuration(topic: str, settings: KafkaSettings) -> dict[str, str]:
    """The topic's own configuration."""
    config = {"min.insync.replicas": "2" if settings.replication > 2 else "1"}
    if topic in topics.COMPACTED:
        config["cleanup.policy"] = "compact"
    elif topic not in _RECOMPUTABLE:
        config["retention.ms"] = "-1"
    if topic == topics.FACTS:  # many messages in a record: what a worker gains most by
        config["max.message.bytes"] = _FACTS_BYTES
    if topic in _WIRE:  # when Tocsin heard it, whatever an engine's producer thinks
        config["message.timestamp.type"] = "LogAppendTime"
    return config


def create(settings: KafkaSettings, timeout_s: float = 20.0) -> list[str]:
    """Create the topics that do not exist; their names. Existing ones are only checked.

    Raises `LocalError` when that fails or a topic has another number of partitions than set: a
    patient would be looked for in the wrong one.
    """
    admin = AdminClient(dict(settings.client()))
    try:
        there = admin.list_topics(timeout=timeout_s).topics
        check({name: len(topic.partitions) for name, topic in there.items()}, settings)
        new = [
            NewTopic(
                name,
                num_partitions=partitions(name, settings),
                replication_factor=settings.replication,
                config=configuration(name, settings),
            )
            for name in topics.ALL
            if name not in there
        ]
        futures = admin.create_topics(new, operation_timeout=timeout_s) if new else {}
        for future in futures.values():
            _wait(future)
    except KafkaException as error:
        raise LocalError(
            f"Kafka's topics could not be created: {error.args[0].str()}. Check kafka.bootstrap, "
            "kafka.replication and this user's rights on the broker."
        ) from None
    return sorted(futures)


def _wait(future: object) -> None:
    try:
        future.result()  # type: ignore[attr-defined] # confluent's futures are untyped
    except KafkaException as error:
        if error.args[0].code() != KafkaError.TOPIC_ALREADY_EXISTS:
            raise


def check(there: dict[str, int], settings: KafkaSettings) -> None:
    """Compare topic → partitions of a broker with the settings. Raises `LocalError`."""
    for name in sorted(topics.BY_PATIENT & there.keys()):
        if there[name] != settings.partitions:
            raise LocalError(
                f"Topic {name} has {there[name]} partitions and kafka.partitions is "
                f"{settings.partitions}: set kafka.partitions to {there[name]}, since a patient's "
                "partition never changes."
            )


def main() -> int:
    """Create the topics on the broker that the settings name."""
    from streams.settings import SettingsError, load  # noqa: PLC0415 - only for this command

    try:
        created = create(load().kafka)
    except (LocalError, SettingsError) as error:
        print(error, file=sys.stderr)  # noqa: T201 - its output
        return 1
    print(f"topics created: {', '.join(created) or 'none, all exist'}")  # noqa: T201 - its output
    return 0


if __name__ == "__main__":
    sys.exit(main())
