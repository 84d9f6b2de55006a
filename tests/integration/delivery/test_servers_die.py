"""`tocsin sinks` while its own servers are killed: it waits for them, and then tells."""

from __future__ import annotations

import os
import signal
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from connectors.settings import KafkaSettings
from streams.local import redis as local_redis
from streams.local import topics as topics_module
from streams.local.probes import ProbeError, redis_round_trip
from streams.local.process import Pid, free_port, stop
from tests.integration.delivery.conftest import PARTITIONS, Log, SinksProcess
from tests.integration.mllp.conftest import Broker
from tests.unit.sinks.alerts import alert
from tests.unit.sinks.peers import SECRET, WebPeer, until

pytestmark = [pytest.mark.kafka, pytest.mark.redis, pytest.mark.slow]


class Store:
    """A Redis of one test's own, to be killed."""

    def __init__(self, home: Path) -> None:
        self._home, self._port = home, free_port()
        self.url = f"redis://127.0.0.1:{self._port}/0"
        self._pid: Pid | None = None

    def start(self) -> None:
        self._pid = local_redis.start(self._home, self._port)
        until(self._answers)

    def _answers(self) -> bool:
        try:
            redis_round_trip(self.url)
        except ProbeError:
            return False
        return True

    def kill(self) -> None:
        assert self._pid is not None
        os.kill(self._pid.pid, signal.SIGKILL)

    def stop(self) -> None:
        if self._pid is not None and self._pid.alive():
            stop([self._pid])


@pytest.fixture
def home() -> Iterator[Path]:
    with tempfile.TemporaryDirectory(prefix="tocsin-sinks-") as folder:
        yield Path(folder)


@pytest.fixture
def broker(home: Path) -> Iterator[Broker]:
    own = Broker(home / "broker")
    (home / "broker").mkdir()
    own.start()
    yield own
    own.stop()


@pytest.fixture
def store(home: Path) -> Iterator[Store]:
    (home / "store").mkdir()
    own = Store(home / "store")
    own.start()
    yield own
    own.stop()


def test_servers_that_die_are_waited_for_and_a_repetition_has_the_id_of_the_first(
    home: Path, broker: Broker, store: Store
) -> None:
    """First Redis, then Kafka, each killed and started again; and a stop while Redis is away.

    Redis may die after a receiver has said yes and before that is noted, so the notice is sent
    again. A receiver knows it by its id.
    """
    topics_module.create(KafkaSettings(bootstrap=broker.bootstrap, partitions=PARTITIONS))
    log = Log(broker.bootstrap)
    with WebPeer(SECRET) as web:
        process = SinksProcess(
            home,
            {
                "TOCSIN_KAFKA__BOOTSTRAP": broker.bootstrap,
                "TOCSIN_REDIS__URL": store.url,
                "TOCSIN_SINKS__RECEIVERS__WEB__KIND": "webhook",
                "TOCSIN_SINKS__RECEIVERS__WEB__URL": web.url,
                "TOCSIN_SINKS__RECEIVERS__WEB__SECRET": SECRET,
            },
        )
        process.start()

        def told() -> list[str]:
            """The alerts as a receiver sees them that takes each id once, the first copy."""
            bodies = dict(zip(reversed(web.ids), reversed(web.bodies), strict=True))
            return [
                a["alert_id"][:1]
                for notice in dict.fromkeys(web.ids)
                for a in bodies[notice]["data"]["alerts"]
            ]

        log.write(alert(alert_id="1" * 24))
        until(lambda: told() == ["1"])
        store.kill()
        log.write(alert(alert_id="2" * 24))
        store.start()
        until(lambda: told() == ["1", "2"])
        broker.kill()
        broker.start()
        log.write(alert(alert_id="3" * 24))
        until(lambda: "3" in told())
        store.kill()
        log.write(alert(alert_id="4" * 24))
        process.stop()  # asked while it waits for Redis: it ends, and leaves the alert to the next
        store.start()
        process.start()
        until(lambda: "4" in told())
        process.stop()
        assert told() == ["1", "2", "3", "4"]
        assert len(web.ids) < 8, "sent again for ever"
    log.close()
