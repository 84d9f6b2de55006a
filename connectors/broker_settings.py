"""What brokers are set to. Raises `KafkaException` where nobody answers or may be asked."""

from __future__ import annotations

from typing import Any

from confluent_kafka.admin import AdminClient, ConfigResource  # type: ignore[attr-defined]

from connectors.settings import KafkaSettings

_PATIENCE_S = 5.0


def of_topic(kafka: KafkaSettings, topic: str, name: str) -> str | None:
    """A topic's setting; None where this release of Kafka has none of that name."""
    return _setting(AdminClient({**kafka.client()}), ConfigResource.Type.TOPIC, topic, name)


def of_broker(kafka: KafkaSettings, name: str) -> str | None:
    """A setting of one of the brokers, which are taken to be set alike; None as above."""
    admin = AdminClient({**kafka.client()})
    broker = str(next(iter(admin.list_topics(timeout=_PATIENCE_S).brokers)))
    return _setting(admin, ConfigResource.Type.BROKER, broker, name)


def _setting(admin: AdminClient, kind: Any, of: str, name: str) -> str | None:
    resource = ConfigResource(kind, of)
    asked = admin.describe_configs([resource], request_timeout=_PATIENCE_S)[resource]
    found = asked.result().get(name)  # ends by the time limit of the request
    return None if found is None else str(found.value)
