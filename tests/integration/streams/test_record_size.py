"""A record of facts is as large as its topic allows, and never larger than is of use."""

from __future__ import annotations

import pytest
from confluent_kafka.admin import AdminClient
from confluent_kafka.cimpl import NewTopic

from connectors import record_size
from connectors.settings import KafkaSettings


@pytest.mark.kafka
def test_the_broker_says_how_large_a_record_may_be(kafka: str, topic_prefix: str) -> None:
    settings = KafkaSettings(bootstrap=kafka)
    admin = AdminClient(dict(settings.client()))
    limits = {"small": "500000", "large": "2000000", "huge": "50000000"}
    new = [
        NewTopic(topic_prefix + name, 1, 1, config={"max.message.bytes": limit})
        for name, limit in limits.items()
    ]
    for made in admin.create_topics(new).values():
        made.result()
    found = {name: record_size.largest(settings, topic_prefix + name) for name in limits}
    assert found == {"small": 450_000, "large": 1_800_000, "huge": record_size.MOST}


@pytest.mark.kafka
def test_where_the_broker_does_not_say_it_is_as_usual(kafka: str, topic_prefix: str) -> None:
    settings = KafkaSettings(bootstrap=kafka)
    assert record_size.largest(settings, topic_prefix + "unknown") == record_size.USUAL
