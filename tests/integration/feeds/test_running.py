"""Through the running system: one source is paused and resumed, another one falls silent."""

from __future__ import annotations

import json
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from connectors import facts, feed_state, feeds, topics
from connectors.mllp.client import Answer
from streams.local.up import PROCESSES, down, up
from streams.settings import Settings
from tests.acceptance.system import System, send, wait_for

pytestmark = [pytest.mark.kafka, pytest.mark.redis, pytest.mark.slow, pytest.mark.timeout(600)]

SITE = """
sources:
  - {match: "LAB|H", quarantine_limit: 0.3, quarantine_window: 10, acknowledgement: always}
  - {match: "ICU|H", expected_per_hour: 1000}
"""


@pytest.fixture
def system(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[System]:
    """Without a worker; the site file is named relative to the current folder."""
    (tmp_path / "site.yaml").write_text(SITE)
    monkeypatch.chdir(tmp_path)
    with tempfile.TemporaryDirectory(prefix="tocsin-feeds-") as folder:
        home = Path(folder)
        settings = Settings(
            home=home,
            sequencer={"tick_s": 1.0, "site": "site.yaml"},
            telemetry={"trace_ratio": 0.0},
        )
        commands = [c for c in PROCESSES if c.name in ("mllp", "sequencer")]
        try:
            yield System(up(settings, processes=commands), settings)
        finally:
            down(home)


def message(source: str, number: int, *, good: bool = True) -> bytes:
    application, _, facility = source.partition("|")
    patient = "PID|1||42^^^H^MR" if good else "PID|1||"
    return (
        f"MSH|^~\\&|{application}|{facility}|||20260101120000+0000||ORU^R01|{number}|P|2.5.1|||AL|NE"
        f"\r{patient}\rOBR|1||F{number}^L|1^P^L|||20260101110000+0000"
        "\rOBX|1|NM|8867-4^HR^LN||80|/min||||F\r"
    ).encode()


def audited(system: System) -> list[tuple[str, str, str]]:
    records = [json.loads(value) for _, _, value in system.read(topics.AUDIT)]
    return [
        (r["name"], r["source"], r["state"]) for r in records if r["event"] == "operations_alert"
    ]


def silent(system: System) -> list[str]:
    ticks = [facts.decode(value).tick for _, _, value in system.read(topics.FACTS)]
    return max((t for t in ticks if t is not None), key=lambda t: t.at).silent


async def test_pause_resume_and_silence(system: System) -> None:
    redis = system.redis()
    started = time.time()
    (answer,) = await send(system, message("ICU|H", 0))
    assert answer.code == "CA"  # as MSH-15 asks
    answers = await send(system, *(message("LAB|H", n, good=n < 8) for n in range(14)))
    # As the site file says. Those that name no patient are in the log, too: what a message means
    # comes later.
    assert {a.code for a in answers} == {"AA"}
    wait_for(lambda: "LAB|H" in feed_state.paused(redis), "the pause")
    assert "paused" in (await _answer(system, message("LAB|H", 20), "AE")).text
    stored = len(system.read(topics.WIRE_HL7))
    answers = await send(system, message("LAB|H", 21), message("ICU|H", 22))
    assert [a.code for a in answers] == ["AE", "CA"]
    assert len(system.read(topics.WIRE_HL7)) == stored + 1
    audit: list[bytes] = []
    assert feed_state.resume(redis, audit.append, "LAB|H", "eva", "mended", time.time())
    await _answer(system, message("LAB|H", 21), "AA")

    wait_for(lambda: silent(system) == ["ICU|H"], "the silence")
    assert time.time() - started > feeds.longest_silence_s(1000)
    wait_for(lambda: ("feed_silent", "ICU|H", "firing") in audited(system), "its record")
    await send(system, message("ICU|H", 30))
    wait_for(lambda: silent(system) == [], "the end of the silence")
    wait_for(lambda: ("feed_silent", "ICU|H", "resolved") in audited(system), "its record")
    assert audited(system).count(("source_paused", "LAB|H", "firing")) == 1


async def _answer(system: System, raw: bytes, code: str) -> Answer:
    """Once the server has heard of it, which takes a few seconds."""
    end = time.monotonic() + 120
    while True:
        (answer,) = await send(system, raw)
        if answer.code == code:
            return answer
        assert time.monotonic() < end, answer
        time.sleep(0.3)  # noqa: ASYNC251  # nothing else runs in this loop
