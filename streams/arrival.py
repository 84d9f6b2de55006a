"""A process that is started before its broker, or while it is away, waits for it."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable

from confluent_kafka import KafkaException
from confluent_kafka.admin import AdminClient

from connectors.settings import KafkaSettings

log = logging.getLogger("tocsin")

_ANSWER_S = 2.0  # for one answer; an end that is asked for waits as long
_AGAIN_S = 1.0
_SAY_AGAIN = 30  # tries between two lines in the log


async def broker_arrived(
    kafka: KafkaSettings,
    stop: asyncio.Event,
    ask: Callable[[], object] | None = None,
    again_s: float = _AGAIN_S,
) -> bool:
    """Wait until a broker answers `ask`; False when asked to stop before.

    Ending would help nobody: a supervisor would load the models again each time, and wait longer
    and longer between. What is wrong, and where, is said at once and then about once a minute.
    """
    tries = 0
    asking = ask or _metadata(kafka)
    while not stop.is_set():
        try:
            await asyncio.to_thread(asking)
        except KafkaException as error:
            if tries % _SAY_AGAIN == 0:
                _say(kafka, error)
            tries += 1
            await _sleep(stop, again_s)
        else:
            if tries:
                log.info("Kafka at %s answers", kafka.bootstrap)
            return True
    return False


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


async def _sleep(stop: asyncio.Event, seconds: float) -> None:
    try:
        async with asyncio.timeout(seconds):
            await stop.wait()
    except TimeoutError:
        pass
