"""A worker asks its broker how short its session may be."""

from __future__ import annotations

import pytest

from connectors.settings import KafkaSettings
from streams.local.process import free_port
from streams.session import session_timeout_s


@pytest.mark.kafka
def test_it_is_as_short_as_wanted_and_as_the_broker_allows(kafka: str) -> None:
    """The local broker is set to allow one second."""
    settings = KafkaSettings(bootstrap=kafka)
    assert session_timeout_s(settings, 3.0) == 3.0
    assert session_timeout_s(settings, 0.5) == 1.0


def test_a_broker_that_cannot_be_asked_is_taken_for_one_with_the_usual_setting() -> None:
    nobody = KafkaSettings(bootstrap=f"127.0.0.1:{free_port()}")
    assert session_timeout_s(nobody, 3.0) == 6.0
    assert session_timeout_s(nobody, 10.0) == 10.0
