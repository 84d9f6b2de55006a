"""A process that is started while its broker is away waits for it, and says so."""

from __future__ import annotations

import logging
from collections.abc import Callable

import pytest
from confluent_kafka import KafkaError, KafkaException

from connectors.settings import KafkaSettings
from streams.arrival import wait_for_broker
from streams.local.process import free_port

NOWHERE = KafkaSettings(bootstrap="127.0.0.1:1")


def away_for(tries: int) -> Callable[[], None]:
    left = [tries]

    def ask() -> None:
        left[0] -= 1
        if left[0] >= 0:
            raise KafkaException(KafkaError(KafkaError._TRANSPORT))

    return ask


def no_sleep(_: float) -> None:
    """A second is over."""


def said(caplog: pytest.LogCaptureFixture) -> list[str]:
    return [record.getMessage() for record in caplog.records]


def test_it_goes_on_when_the_broker_answers_and_says_both_once(
    caplog: pytest.LogCaptureFixture,
) -> None:
    caplog.set_level(logging.INFO, "tocsin")
    wait_for_broker(NOWHERE, away_for(5), no_sleep)
    waiting, there = said(caplog)
    assert "127.0.0.1:1 does not answer" in waiting
    assert there == "Kafka at 127.0.0.1:1 answers"


def test_nothing_is_said_of_a_broker_that_is_there(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO, "tocsin")
    wait_for_broker(NOWHERE, away_for(0), no_sleep)
    assert not said(caplog)


def test_it_says_so_again_after_a_while(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO, "tocsin")
    wait_for_broker(NOWHERE, away_for(61), no_sleep)
    assert len(said(caplog)) == 3 + 1  # at once, after 30 and 60 tries, and that it answers


def test_a_port_where_nobody_listens_is_a_broker_that_is_away() -> None:
    class EnoughError(Exception):
        """The first try is over."""

    def enough(_: float) -> None:
        raise EnoughError

    kafka = KafkaSettings(bootstrap=f"127.0.0.1:{free_port()}")
    with pytest.raises(EnoughError):
        wait_for_broker(kafka, sleep=enough)
