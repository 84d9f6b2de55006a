"""`tocsin tail`: any topic, decoded."""

from __future__ import annotations

import json
import time
from typing import Annotated, Any

import typer
from confluent_kafka import Consumer, KafkaException, TopicPartition

from connectors import topics
from connectors.clock import iso
from streams.cli.running import settings_of_running
from streams.errors import UserError

app = typer.Typer()


@app.command()
def tail(
    topic: Annotated[str, typer.Argument(help="e.g. alerts, scores, facts, quarantine, wire.hl7")],
    as_json: Annotated[bool, typer.Option("--json", help="One JSON object a line.")] = False,
    from_start: Annotated[
        bool, typer.Option("--from-start", help="From the oldest record.")
    ] = False,
    seconds: Annotated[
        float | None, typer.Option("--for", help="Stop after that many seconds.")
    ] = None,
) -> None:
    """Show the records of a topic as they come. `wire.*` hold patient data as received.

    Example: tocsin tail alerts --json
    """
    name = topic if topic.startswith(topics.PREFIX) else topics.PREFIX + topic
    if name not in topics.ALL:
        known = ", ".join(t.removeprefix(topics.PREFIX) for t in topics.ALL)
        raise UserError(f"There is no topic {topic}: it is one of {known}.")
    settings = settings_of_running()
    consumer = Consumer(
        settings.kafka.client()
        | {"group.id": "tocsin-tail", "enable.auto.commit": False, "auto.offset.reset": "earliest"}
    )
    end = None if seconds is None else time.monotonic() + seconds
    try:
        _assign(consumer, name, from_start)
        while end is None or time.monotonic() < end:
            message = consumer.poll(0.2)
            if message is None or message.error() is not None:
                continue
            typer.echo(_line(message, as_json))
    except KafkaException as error:
        raise UserError(f"Kafka does not answer ({error.args[0].str()}): is it up?") from None
    except KeyboardInterrupt:
        pass
    finally:
        consumer.close()


def _assign(consumer: Consumer, topic: str, from_start: bool) -> None:
    places = []
    for partition in consumer.list_topics(topic, timeout=10).topics[topic].partitions:
        place = TopicPartition(topic, partition)
        low, high = consumer.get_watermark_offsets(place, timeout=10)
        place.offset = low if from_start else high
        places.append(place)
    consumer.assign(places)


def _line(message: Any, as_json: bool) -> str:
    value = message.value() or b""
    if message.topic().startswith(f"{topics.PREFIX}wire."):
        body: Any = value.decode("utf-8", "backslashreplace")
    else:
        body = json.loads(value)
    position = f"{message.partition()}/{message.offset()}"
    at = iso(message.timestamp()[1] / 1000)
    if as_json:
        return json.dumps({"position": position, "at": at, "record": body}, ensure_ascii=False)
    text = body.replace("\r", "\n  ") if isinstance(body, str) else json.dumps(body, indent=2)
    return f"── {message.topic()} {position} {at}\n  {text}"
