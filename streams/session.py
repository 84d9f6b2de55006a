"""How long a worker may be silent before its partitions go to others: as short as brokers allow."""

from __future__ import annotations

import logging
from concurrent.futures import TimeoutError as FutureTimeoutError

from confluent_kafka import KafkaException
from confluent_kafka.admin import AdminClient, ConfigResource  # type: ignore[attr-defined]

from connectors.settings import KafkaSettings

log = logging.getLogger("tocsin.worker")

_MINIMUM = "group.min.session.timeout.ms"
_BY_DEFAULT_S = 6.0  # the least that a broker allows unless it is told otherwise
_PATIENCE_S = 5.0


def session_timeout_s(kafka: KafkaSettings, wanted_s: float) -> float:
    """`wanted_s`, or the least that the brokers allow; their default where nobody may ask them.

    A group member that wants less than its broker allows is refused.
    """
    least = _least_s(kafka)
    if least > wanted_s:
        log.warning(
            "a dead worker's partitions are free after %g s, not %g: set %s on the brokers",
            least,
            wanted_s,
            _MINIMUM,
        )
    return max(wanted_s, least)


def _least_s(kafka: KafkaSettings) -> float:
    admin = AdminClient({**kafka.client()})
    try:
        brokers = admin.list_topics(timeout=_PATIENCE_S).brokers
        resource = ConfigResource(ConfigResource.Type.BROKER, str(next(iter(brokers))))
        entry = admin.describe_configs([resource])[resource].result(_PATIENCE_S)[_MINIMUM]
    except (KafkaException, StopIteration, FutureTimeoutError, KeyError):
        return _BY_DEFAULT_S
    return float(entry.value) / 1_000
