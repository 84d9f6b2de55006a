"""`tocsin sources` and `tocsin doctor` on real servers; a paused sender at the socket."""

from __future__ import annotations

import asyncio
import json
import time
from collections.abc import Callable
from pathlib import Path

import pytest
from redis import Redis
from typer.testing import CliRunner

from connectors import feed_state, topics, unmapped
from connectors.feeds import Feeds
from connectors.mllp.intake import Destinations
from connectors.mllp.server import serve
from connectors.mllp.sources import SiteSources
from connectors.settings import IdentitySettings, KafkaSettings, MllpSettings, SequencerSettings
from connectors.site import Site
from streams.cli.sources import app
from streams.doctor import sources as doctor
from streams.doctor.finding import Level
from streams.errors import UserError
from streams.local import topics as local_topics
from streams.settings import Settings, load
from tests.integration.mllp import reading
from tests.unit.mllp.running import Sender, message

pytestmark = [pytest.mark.redis, pytest.mark.kafka]

SITE = """
sources:
  - {match: "LAB|HOSP", quarantine_limit: 0.1, quarantine_window: 10}
  - {match: "ICU|*", expected_per_hour: 3600}
"""


@pytest.fixture
def settings(
    kafka: str,
    redis_url: str,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    no_tocsin_environment: Callable[[], None],
) -> Settings:
    (tmp_path / "site.yaml").write_text(SITE)
    monkeypatch.setenv("TOCSIN_KAFKA__BOOTSTRAP", kafka)
    monkeypatch.setenv("TOCSIN_REDIS__URL", redis_url)
    monkeypatch.setenv("TOCSIN_SEQUENCER__SITE", "site.yaml")
    return load()


@pytest.fixture
def trouble(settings: Settings, redis: Redis) -> Site:
    """One source is paused, one silent."""
    site = Site(settings.sequencer, settings.identity)
    seen = Feeds(redis, site)
    now = time.time()
    seen.heard("ICU|1", now - 100)
    seen.flush(now - 100)
    for _ in range(10):
        seen.heard("LAB|HOSP", now)
        seen.outcome("LAB|HOSP", quarantined=True)
    assert len(seen.flush(now)) == 2
    return site


def run(*arguments: str) -> str:
    done = CliRunner().invoke(app, arguments)
    if isinstance(done.exception, UserError):
        raise done.exception
    assert done.exit_code == 0, (done.output, done.exception)
    return done.output


@pytest.mark.usefixtures("settings", "redis")
def test_nothing_was_heard() -> None:
    assert "No source has been heard" in run("list")
    with pytest.raises(UserError, match="is not paused"):
        run("resume", "LAB|HOSP", "--why", "x")
    with pytest.raises(UserError, match="No source is called"):
        run("forget", "LAB*", "--why", "x")


def test_the_list_says_what_is_wrong(trouble: Site) -> None:
    assert trouble.feeds
    rows = {row["source"]: row for row in map(json.loads, run("list", "--json").splitlines())}
    assert set(rows) == {"ICU|1", "LAB|HOSP"}
    assert rows["LAB|HOSP"]["quarantined"] == 1.0
    assert rows["LAB|HOSP"]["paused_since"]
    assert rows["ICU|1"]["silent_since"] == rows["ICU|1"]["heard"]
    assert rows["ICU|1"]["expected_per_hour"] == 3600
    table = " ".join(run("list").split())
    assert "paused: 10 of 10" in table
    assert "silent for 10" in table


def test_a_source_is_resumed_and_that_is_audited(
    trouble: Site, redis: Redis, kafka: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    local_topics.create(KafkaSettings(bootstrap=kafka))
    assert "taken in again" in run("resume", "LAB|HOSP", "--why", "mended")
    assert feed_state.paused(redis) == {}
    monkeypatch.setattr(reading, "_PARTITIONS", 1)
    records = [json.loads(r.value) for r in reading.read_all(kafka, topics.AUDIT)]
    resumed, alert = records[-2:]
    assert (resumed["event"], resumed["source"], resumed["why"]) == (
        "source_resumed",
        "LAB|HOSP",
        "mended",
    )
    assert resumed["who"]
    assert (alert["event"], alert["name"], alert["state"]) == (
        "operations_alert",
        "source_paused",
        "resolved",
    )
    assert "Forgotten: ICU|1" in run("forget", "ICU|*", "--why", "moved")
    forgotten = json.loads(reading.read_all(kafka, topics.AUDIT)[-1].value)
    assert (forgotten["event"], forgotten["sources"]) == ("sources_forgotten", ["ICU|1"])
    assert (forgotten["who"], forgotten["why"]) == (resumed["who"], "moved")
    assert Feeds(redis, trouble).flush(time.time()), "the silence ends with it"
    assert feed_state.silent(redis) == {}


def test_without_the_audit_log_a_source_stays_paused_and_listed(
    trouble: Site, redis: Redis, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("TOCSIN_KAFKA__BOOTSTRAP", "127.0.0.1:1")
    monkeypatch.setattr("connectors.journal._TIMEOUT_S", 0.3)
    with pytest.raises(UserError, match="stays paused"):
        run("resume", "LAB|HOSP", "--why", "mended")
    assert set(feed_state.paused(redis)) == {"LAB|HOSP"}
    with pytest.raises(UserError, match="Nothing was forgotten"):
        run("forget", "*", "--why", "moved")
    assert redis.zcard(feed_state.HEARD) == 2
    assert trouble.feeds


def test_doctor_names_them(trouble: Site, settings: Settings, redis: Redis) -> None:
    assert trouble.feeds
    counts = unmapped.Counts()
    counts.add({"LAB|HOSP\t99LAB\tK\tmmol/l": 7})
    counts.flush(redis)
    found = [
        *doctor.site_file(settings),
        *doctor.alarms(settings),
        *doctor.unmapped_codes(settings),
    ]
    assert [f.level for f in found] == [Level.OK, Level.PROBLEM, Level.PROBLEM, Level.WARNING]
    said = [f.message for f in found]
    assert "is right: 2 sources" in said[0]
    assert said[1].startswith("ICU|1 has fallen silent")
    assert said[2].startswith("LAB|HOSP is paused since")
    assert "99LAB K in mmol/l came 7 times" in said[3]


def test_doctor_names_a_bad_site_file(settings: Settings) -> None:
    assert settings.sequencer.site is not None
    settings.sequencer.site.write_text("sources: 7")
    (found,) = doctor.site_file(settings)
    assert found.level is Level.PROBLEM
    assert "sources" in found.message


def test_doctor_without_redis_says_nothing_of_feeds(tmp_path: Path) -> None:
    nowhere = Settings(home=tmp_path, redis={"url": "redis://127.0.0.1:1/0"})
    assert [*doctor.alarms(nowhere), *doctor.unmapped_codes(nowhere)] == []
    assert list(doctor.site_file(nowhere)) == []


async def test_a_running_server_heeds_pause_and_resumption(
    kafka: str, redis_url: str, redis: Redis, tmp_path: Path, topic_prefix: str
) -> None:
    """Limit exceeded → the sender is refused with AE within seconds → resumed → taken in again."""
    to = Destinations(topic_prefix + "wire", topic_prefix + "quarantine")
    reading.create_topics(kafka, to)
    file = tmp_path / "site.yaml"
    file.write_text(SITE)
    site = Site(SequencerSettings(site=file), IdentitySettings())
    stop, ready = asyncio.Event(), asyncio.get_running_loop().create_future()
    own = Redis.from_url(redis_url)
    serving = asyncio.create_task(
        serve(
            MllpSettings(),
            KafkaSettings(bootstrap=kafka),
            clock=time.time,
            trace_ratio=0,
            on_ready=ready.set_result,
            stop=stop,
            destinations=to,
            sources=SiteSources(site, own),
        )
    )
    try:
        host, _, port = (await ready).rpartition(":")
        async with Sender.to(host, int(port)) as sender:
            assert (await sender.ask(message("a"))).code == "AA"
            seen = Feeds(redis, site)
            for _ in range(10):
                seen.outcome("LAB|HOSP", quarantined=True)
            assert len(seen.flush(time.time())) == 1
            await _answered(sender, "AE")
            assert feed_state.resume(
                redis, lambda _: None, "LAB|HOSP", "eva", "mended", time.time()
            )
            await _answered(sender, "AA")
    finally:
        stop.set()
        await serving
        own.close()


async def _answered(sender: Sender, code: str) -> None:
    """Within a few looks."""
    async with asyncio.timeout(120):
        while (await sender.ask(message("b"))).code != code:  # noqa: ASYNC110
            await asyncio.sleep(0.2)
