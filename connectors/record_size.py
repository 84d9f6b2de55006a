"""How large a record of a topic may be: what its broker says, and not more than is of use."""

from __future__ import annotations

import logging
from typing import Any

from confluent_kafka import KafkaException
from confluent_kafka.admin import AdminClient, ConfigResource  # type: ignore[attr-defined]

from connectors.settings import KafkaSettings

log = logging.getLogger(__name__)

USUAL = 900_000  # bytes; what a broker takes without being configured
MOST = 4_000_000  # readers hold several at a time
_SHARE = 0.9  # the rest is for headers, and for what the batch adds
_PATIENCE_S = 20.0


def largest(kafka: KafkaSettings, topic: str) -> int:
    """Bytes of a record's value. What is usual, where the broker does not say."""
    admin = AdminClient(dict(kafka.client()))
    asked = ConfigResource(ConfigResource.Type.TOPIC, topic)
    try:
        found: Any = admin.describe_configs([asked], request_timeout=_PATIENCE_S)[asked].result()
        limit = int(found["max.message.bytes"].value)
    except (KafkaException, KeyError, ValueError) as error:
        log.info("how large a record of %s may be is not known (%s)", topic, type(error).__name__)
        return USUAL
    return min(MOST, int(limit * _SHARE))
