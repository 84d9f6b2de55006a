"""How large a record of a topic may be: what its broker says, and not more than is of use."""

from __future__ import annotations

import logging

from confluent_kafka import KafkaException

from connectors import broker_settings
from connectors.settings import KafkaSettings

log = logging.getLogger(__name__)

USUAL = 900_000  # bytes; what a broker takes without being configured
MOST = 4_000_000  # readers hold several at a time
_SHARE = 0.9  # the rest is for headers, and for what the batch adds


def largest(kafka: KafkaSettings, topic: str) -> int:
    """Bytes of a record's value. What is usual, where the broker does not say."""
    try:
        limit = broker_settings.of_topic(kafka, topic, "max.message.bytes")
    except KafkaException as error:
        log.info("how large a record of %s may be is not known (%s)", topic, error.args[0].name())
        return USUAL
    return USUAL if limit is None else min(MOST, int(int(limit) * _SHARE))
