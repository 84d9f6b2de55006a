"""A process that is started before its broker, or while it is away, waits for it."""

from __future__ import annotations

import logging
import time
from collections.abc import Callable

from confluent_kafka import KafkaException
from confluent_kafka.admin import AdminClient

from connectors.settings import KafkaSettings

log = logging.getLogger("tocsin")

_ANSWER_S = 2.0  # for one answer
_AGAIN_S = 1.0
_SAY_AGAIN = 30  # tries between two lines in the log


def wait_for_broker(
    kafka: KafkaSettings,
    ask: Callable[[], object] | None = None,
    sleep: Callable[[float], None] = time.sleep,
) -> None:
    """Return when a broker answers `ask`. Nothing is under way yet: SIGTERM may end it at once.

    Ending would help nobody: a supervisor would load the models again each time, and wait longer
    and longer between. What is wrong, and where, is said at once and then about once a minute.
    """
    tries = 0
    asking = ask or _metadata(kafka)
    while True:
        try:
            asking()
        except KafkaException as error:
            if tries % _SAY_AGAIN == 0:
                _say(kafka, error)
            tries += 1
            sleep(_AGAIN_S)
        else:
            break
    if tries:
        log.info("Kafka at %s answers", kafka.bootstrap)


def _say(kafka: KafkaSettings, error: KafkaException) -> None:
    log.warning(
        "Kafka at %s does not answer (%s): waiting for it. If it runs, compare [kafka] in "
        "tocsin.toml with it, or ask `tocsin doctor`.",
        kafka.bootstrap,
        error.args[0].str(),
    )


def _metadata(kafka: KafkaSettings) -> Callable[[], object]:
    # librdkafka would report each refused connection on stderr; the line above says it.
    quick = {"reconnect.backoff.max.ms": 1_000, "log_level": 0}
    client = AdminClient({**kafka.client(), **quick})
    return lambda: client.list_topics(timeout=_ANSWER_S)
