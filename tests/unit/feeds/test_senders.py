"""Senders by the site file, at the socket: which answers they get, and what a pause does."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path
from typing import Any, cast

import pytest
from redis.exceptions import ConnectionError as RedisAwayError

from connectors import feed_state
from connectors.mllp.acknowledge import PAUSED, Mode
from connectors.mllp.frames import wrap
from connectors.mllp.sources import SiteSources
from connectors.settings import IdentitySettings, MllpSettings, SequencerSettings
from connectors.site import Site
from tests.unit.mllp.fakes import FakeLog
from tests.unit.mllp.running import Sender, message, server_on


class Known:
    """Sources as a test wants them."""

    def __init__(self, mode: Mode = Mode.MESSAGE, paused: Iterable[str] = ()) -> None:
        self._mode = mode
        self.paused = set(paused)

    def mode(self, source: str) -> Mode:
        return self._mode

    def is_paused(self, source: str) -> bool:
        return source in self.paused


async def test_a_source_is_answered_in_its_own_mode() -> None:
    log = FakeLog()
    async with (
        server_on(log, sources=Known(Mode.ALWAYS)) as (host, port, _),
        Sender.to(host, port) as sender,
    ):
        assert (await sender.ask(message("a", modes="NE|NE"))).code == "AA"
        assert (await sender.ask(message("b", modes="AL|AL"))).code == "AA"
        assert await sender.silent(0.05)
    assert len(log.records) == 2


@pytest.mark.parametrize(
    ("modes", "mode", "code"),
    [
        ("|", Mode.MESSAGE, "AE"),
        ("AL|NE", Mode.MESSAGE, "CE"),
        ("AL|AL", Mode.MESSAGE, "CE"),
        ("NE|AL", Mode.MESSAGE, "AE"),
        ("NE|NE", Mode.ALWAYS, "AE"),
        ("|", Mode.COMMIT, "CE"),
    ],
)
async def test_a_paused_source_keeps_its_messages(modes: str, mode: Mode, code: str) -> None:
    log, known = FakeLog(), Known(mode, {"LAB|HOSP"})
    async with (
        server_on(log, sources=known) as (host, port, _),
        Sender.to(host, port) as sender,
    ):
        refused = await sender.ask(message("a", modes=modes))
        assert refused == (code, "a", PAUSED.sentence)
        assert log.records == []
        known.paused.clear()
        assert (await sender.ask(message("a", modes=modes))).code in ("AA", "CA")
    assert [r.topic for r in log.records] == ["wire"]


async def test_another_source_goes_on() -> None:
    log = FakeLog()
    async with (
        server_on(log, sources=Known(paused={"RIS|HOSP"})) as (host, port, _),
        Sender.to(host, port) as sender,
    ):
        assert (await sender.ask(message("a"))).code == "AA"


@pytest.mark.parametrize("mode", [Mode.NEVER, Mode.MESSAGE])
async def test_what_would_be_lost_without_a_word_is_taken(mode: Mode) -> None:
    """A sender that listens to no answer does not learn that it should keep its message."""
    log = FakeLog()
    async with (
        server_on(log, sources=Known(mode, {"LAB|HOSP"})) as (host, port, _),
        Sender.to(host, port) as sender,
    ):
        await sender.write(wrap(message("a", modes="NE|NE")))
        assert await sender.silent()
    assert [r.topic for r in log.records] == ["wire"]


async def test_answers_keep_their_order_through_a_pause_and_a_flood_of_refusals() -> None:
    """More messages of a paused source than a stack is deep, behind one that waits for the log."""
    log, known = FakeLog(), Known()
    settings = MllpSettings(max_unacknowledged=10)
    async with (
        server_on(log, settings, sources=known) as (host, port, _),
        Sender.to(host, port) as sender,
    ):
        log.hold()
        await sender.write(wrap(message("first")))
        while not log.waiting:
            assert await sender.silent(0.01)
        known.paused.add("LAB|HOSP")
        await sender.write(b"".join(wrap(message(str(n))) for n in range(3_000)))
        assert await sender.silent()
        log.release()
        assert (await sender.answer())[:2] == ("AA", "first")
        answers = [await sender.answer() for _ in range(3_000)]
        assert [a[:2] for a in answers] == [("AE", str(n)) for n in range(3_000)]
    assert len(log.records) == 1


async def test_a_broken_message_of_a_paused_source_is_still_quarantined() -> None:
    log = FakeLog()
    async with (
        server_on(log, sources=Known(paused={"LAB|HOSP"})) as (host, port, _),
        Sender.to(host, port) as sender,
    ):
        assert (await sender.ask(b"MSH|^~\\&|LAB|HOSP|||2026||||P|2.5\r")).code == "AR"
    assert [r.topic for r in log.records] == ["quarantine"]


class FakeRedis:
    """What the server asks Redis for."""

    def __init__(self) -> None:
        self.paused: list[bytes] = []
        self.away = False

    def hkeys(self, key: str) -> list[bytes]:
        assert key == feed_state.PAUSED
        if self.away:
            raise RedisAwayError("away")
        return self.paused


def test_what_is_known_of_the_sources(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    """Looked up every few seconds; when Redis is away, what was known last holds."""
    file = tmp_path / "site.yaml"
    file.write_text('sources: [{match: "LAB|*", acknowledgement: always}]')
    site = Site(SequencerSettings(site=file), IdentitySettings())
    redis = FakeRedis()
    sources = SiteSources(site, cast(Any, redis))
    assert sources.mode("LAB|1") is Mode.ALWAYS
    assert sources.mode("X|Y") is Mode.MESSAGE
    redis.paused = [b"LAB|1"]
    assert not sources.is_paused("LAB|1")
    file.write_text('sources: [{match: "LAB|*", acknowledgement: commit}]')
    sources.look()
    assert sources.is_paused("LAB|1")
    assert not sources.is_paused("LAB|2")
    assert sources.mode("LAB|1") is Mode.COMMIT
    redis.away, redis.paused = True, []
    sources.look()
    sources.look()
    assert sources.is_paused("LAB|1")
    assert caplog.text.count("cannot be looked up") == 1
    redis.away = False
    sources.look()
    assert not sources.is_paused("LAB|1")
    without = SiteSources(site, None)
    without.look()
    assert not without.is_paused("LAB|1")
