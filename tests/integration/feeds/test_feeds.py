"""The feeds on a real Redis: shared by several processes, bounded, audited."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest
from redis import Redis

from connectors import feed_state, metrics
from connectors.feeds import Feeds
from connectors.settings import IdentitySettings, SequencerSettings
from connectors.site import Site

pytestmark = pytest.mark.redis

T = 1_800_000_000.0  # on the hour
SITE = """
sources:
  - {match: "LAB|H", expected_per_hour: 3600, quarantine_limit: 0.5, quarantine_window: 10}
  - {match: "ICU|*", expected_per_hour: 3600, quarantine_limit: 0, quarantine_window: 10}
"""


@pytest.fixture
def site(tmp_path: Path) -> Site:
    (tmp_path / "site.yaml").write_text(SITE)
    return Site(SequencerSettings(site=tmp_path / "site.yaml"), IdentitySettings())


def told(records: list[bytes]) -> list[tuple[str, str, str]]:
    found = [json.loads(record) for record in records]
    assert {f["event"] for f in found} <= {"operations_alert"}
    return [(f["name"], f["source"], f["state"]) for f in found]


def test_a_source_falls_silent_and_is_heard_again(redis: Redis, site: Site) -> None:
    one = Feeds(redis, site)
    one.heard("LAB|H", T)
    one.heard("ICU|1", T)
    one.heard("X|Y", T)
    assert told(one.flush(T)) == []
    one.heard("ICU|1", T + 60)
    assert told(one.flush(T + 61)) == [("feed_silent", "LAB|H", "firing")]
    assert one.silent() == ["LAB|H"]
    assert told(one.flush(T + 62)) == []
    assert one.silent() == ["LAB|H"]
    one.heard("LAB|H", T + 63)
    assert told(one.flush(T + 63)) == [("feed_silent", "LAB|H", "resolved")]
    assert one.silent() == []


def test_processes_agree_and_one_of_them_speaks(redis: Redis, site: Site) -> None:
    one, two = Feeds(redis, site), Feeds(redis, site)
    for each in (one, two):
        each.flush(T)
    one.heard("ICU|1", T + 50)
    two.heard("LAB|H", T + 40)
    two.heard("ICU|1", T + 30)  # later than the other's, and older
    one.flush(T + 50)
    two.flush(T + 50)
    records = one.flush(T + 105) + two.flush(T + 105)
    assert told(records) == [("feed_silent", "LAB|H", "firing")]
    assert one.silent() == two.silent() == ["LAB|H"]
    fresh = Feeds(redis, site)  # a process that starts now does not end the silence
    assert told(fresh.flush(T + 106)) == []
    assert fresh.silent() == ["LAB|H"]
    fresh.heard("LAB|H", T + 107)
    assert told(fresh.flush(T + 107) + one.flush(T + 107)) == [("feed_silent", "LAB|H", "resolved")]
    assert one.silent() == []


def test_a_source_never_heard_goes_by_its_entry(redis: Redis, site: Site) -> None:
    one = Feeds(redis, site)
    one.flush(T)
    one.flush(T + 61)
    assert one.silent() == ["ICU|*", "LAB|H"]
    one.heard("ICU|7", T + 62)
    assert told(one.flush(T + 62)) == [("feed_silent", "ICU|*", "resolved")]
    assert one.silent() == ["LAB|H"]


def test_a_new_entry_is_watched_from_when_it_was_read(
    redis: Redis, site: Site, tmp_path: Path
) -> None:
    one = Feeds(redis, site)
    one.flush(T)
    (tmp_path / "site.yaml").write_text(
        'sources: [{match: "NEW|H", expected_per_hour: 3600}, {match: "LAB|H"}]'
    )
    assert site.refresh()
    one.flush(T + 1_000)
    assert one.silent() == []
    one.flush(T + 1_061)
    assert one.silent() == ["NEW|H"]


def test_without_redis_nothing_is_raised_and_nothing_lost(
    redis: Redis, site: Site, monkeypatch: pytest.MonkeyPatch
) -> None:
    nowhere = Redis(host="127.0.0.1", port=1, socket_timeout=1)
    one = Feeds(redis, site)
    one.flush(T)
    monkeypatch.setattr(one, "_redis", nowhere)
    for number in range(10):
        one.heard("LAB|H", T + number)
        one.outcome("LAB|H", quarantined=True)
    assert one.flush(T + 10) == []
    monkeypatch.setattr(one, "_redis", redis)
    assert told(one.flush(T + 20)) == [("source_paused", "LAB|H", "firing")]
    assert feed_state.overview(redis, site, T + 20)[0].heard == T + 9


def test_a_source_over_its_limit_is_paused_until_it_is_resumed(redis: Redis, site: Site) -> None:
    one, two = Feeds(redis, site), Feeds(redis, site)
    for bad in (True,) * 5 + (False,) * 5:
        one.outcome("LAB|H", bad)
    assert told(one.flush(T)) == []
    one.outcome("LAB|H", quarantined=True)  # 5 of 10 again
    one.outcome("LAB|H", quarantined=True)
    for _ in range(4):
        one.outcome("LAB|H", quarantined=True)
    assert told(one.flush(T + 1)) == [("source_paused", "LAB|H", "firing")]
    assert feed_state.paused(redis)["LAB|H"] == feed_state.Pause(since=T + 1, quarantined=6, of=10)
    for _ in range(50):  # what is still in the log is read, and no further alarm
        one.outcome("LAB|H", quarantined=True)
    assert told(one.flush(T + 2) + two.flush(T + 2)) == []
    audit: list[bytes] = []
    assert not feed_state.resume(redis, audit.append, "ICU|1", "eva", "mended", T + 3)
    assert audit == []
    assert feed_state.resume(redis, audit.append, "LAB|H", "eva", "mended", T + 3)
    found: list[dict[str, Any]] = [json.loads(record) for record in audit]
    assert [f["event"] for f in found] == ["source_resumed", "operations_alert"]
    assert (found[0]["who"], found[0]["why"]) == ("eva", "mended")
    assert found[1]["state"] == "resolved"
    assert feed_state.paused(redis) == {}
    one.flush(T + 4)
    for _ in range(9):  # it starts with an empty window
        one.outcome("LAB|H", quarantined=True)
    assert told(one.flush(T + 5)) == []
    one.outcome("LAB|H", quarantined=True)
    assert told(one.flush(T + 6)) == [("source_paused", "LAB|H", "firing")]


def test_a_source_without_a_limit_is_never_paused(redis: Redis, site: Site) -> None:
    one = Feeds(redis, site)
    for _ in range(5_000):
        one.outcome("X|Y", quarantined=True)
    assert told(one.flush(T)) == []


def test_the_overview(redis: Redis, site: Site) -> None:
    one = Feeds(redis, site)
    for number in range(40):
        one.heard("X|Y", T - 10)
        one.outcome("X|Y", quarantined=number < 10)
    one.flush(T - 10)
    one.heard("LAB|H", T)
    one.outcome("LAB|H", quarantined=False)
    one.flush(T)
    # A quarter of an hour on, three quarters of the hour before still count.
    state = {s.source: s for s in feed_state.overview(redis, site, T + 900)}
    assert (state["X|Y"].per_hour, state["X|Y"].quarantined) == (30.0, 0.25)
    assert (state["LAB|H"].per_hour, state["LAB|H"].expected_per_hour) == (1.0, 3600)
    assert state["LAB|H"].heard == T
    audit: list[bytes] = []
    gone = feed_state.forget(redis, audit.append, "X|*", "ann", "shut down", T)
    assert gone == ["X|Y"]
    assert feed_state.forget(redis, audit.append, "X|*", "ann", "again", T) == []
    (record,) = map(json.loads, audit)
    assert (record["event"], record["sources"]) == ("sources_forgotten", gone)
    assert (record["who"], record["why"]) == ("ann", "shut down")
    assert [s.source for s in feed_state.overview(redis, site, T + 900)] == ["LAB|H"]


def test_made_up_names_are_bounded(
    redis: Redis, site: Site, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("connectors.feeds.MOST", 5)
    one = Feeds(redis, site)
    for turn in range(3):
        for number in range(20):
            one.heard(f"junk{turn}-{number}", T)
            one.outcome("a\x1b[2Jb", quarantined=True)
        one.heard("LAB|H", T)  # named in the site file: always admitted
        one.flush(T)
    assert redis.zcard(feed_state.HEARD) == 6
    gone = feed_state.forget(redis, lambda _: None, "junk0-[012]", "ann", "junk", T)
    assert gone == ["junk0-0", "junk0-1", "junk0-2"]
    one.flush(T)
    for known in ("junk0-3", "junk0-4", "LAB|H", "new1", "new2", "new3"):
        one.heard(known, T)
    one.flush(T)
    assert redis.zcard(feed_state.HEARD) == 5  # those that are known take no room twice
    assert "LAB|H" in {s.source for s in feed_state.overview(redis, site, T)}
    one.heard("x" * 5_000, T)
    one.flush(T + 31 * 86_400)  # those of which nothing is expected are forgotten
    one.flush(T + 31 * 86_400)
    assert redis.zrange(feed_state.HEARD, 0, -1) == [b"LAB|H"]


def test_metrics_go_by_entry(redis: Redis, site: Site, monkeypatch: pytest.MonkeyPatch) -> None:
    sums: Counter[tuple[str, str]] = Counter()

    class Gauge:
        def __init__(self, name: str) -> None:
            self.name = name

        def add(self, amount: int, labels: Mapping[str, str]) -> None:
            sums[(self.name, labels["feed"])] += amount

    monkeypatch.setattr(metrics, "gauge", Gauge)
    one = Feeds(redis, site)
    for source in ("ICU|1", "ICU|2", "LAB|H"):
        one.heard(source, T)
        for _ in range(10):
            one.outcome(source, source != "LAB|H")
    one.flush(T)
    one.heard("LAB|H", T + 60)
    one.flush(T + 61)
    assert sums[("tocsin_feeds_silent", "ICU|*")] == 2
    assert sums[("tocsin_feeds_paused", "ICU|*")] == 2
    assert sums[("tocsin_feeds_silent", "LAB|H")] == 0
    for source in ("ICU|1", "ICU|2"):
        one.heard(source, T + 62)
    one.flush(T + 62)
    assert sums[("tocsin_feeds_silent", "ICU|*")] == 0
