"""How long a worker may be silent before its partitions go to others: as short as brokers allow."""

from __future__ import annotations

import logging

from confluent_kafka import KafkaException

from connectors import broker_settings
from connectors.settings import KafkaSettings

log = logging.getLogger("tocsin.worker")

_MINIMUM = "group.min.session.timeout.ms"
_BY_DEFAULT_S = 6.0  # the least that a broker allows unless it is told otherwise


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
    try:
        least = broker_settings.of_broker(kafka, _MINIMUM)
    except KafkaException:
        least = None
    return _BY_DEFAULT_S if least is None else float(least) / 1_000
