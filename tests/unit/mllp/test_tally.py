"""The metrics of the server."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping

import pytest

from connectors import metrics
from connectors.mllp.frames import wrap
from tests.unit.mllp.fakes import FakeLog
from tests.unit.mllp.running import Sender, message, server_on


class Instrument:
    """Adds up what it is given, by labels."""

    def __init__(self) -> None:
        self.sums: Counter[tuple[tuple[str, str], ...]] = Counter()
        self.values: list[float] = []

    def add(self, amount: int, labels: Mapping[str, str] | None = None) -> None:
        """Counter or gauge."""
        self.sums[tuple((labels or {}).items())] += amount

    def record(self, value: float) -> None:
        """Histogram."""
        self.values.append(value)


async def test_frames_answers_bytes_and_times_are_counted(monkeypatch: pytest.MonkeyPatch) -> None:
    instruments: dict[str, Instrument] = {}

    def instrument(name: str) -> Instrument:
        assert name in {m.name for m in metrics.CATALOGUE}
        return instruments.setdefault(name, Instrument())

    for kind in ("counter", "gauge", "histogram"):
        monkeypatch.setattr(metrics, kind, instrument)
    frames = [wrap(message("a")), wrap(message("b", modes="NE|NE")), wrap(b"?"), wrap(message("c"))]
    async with server_on(FakeLog()) as (host, port, _), Sender.to(host, port) as sender:
        await sender.write(b"".join(frames))
        for _ in range(3):
            await sender.answer()
        assert instruments["tocsin_mllp_connections"].sums == {(): 1}
    assert instruments["tocsin_mllp_messages"].sums == {
        (("answer", "AA"),): 2,
        (("answer", "none"),): 1,
        (("answer", "AR"),): 1,
    }
    assert instruments["tocsin_quarantined"].sums[(("reason", "not_hl7"),)] == 1
    assert instruments["tocsin_mllp_bytes"].sums == {(): sum(map(len, frames))}
    assert len(instruments["tocsin_mllp_ack_seconds"].values) == 4
    assert min(instruments["tocsin_mllp_ack_seconds"].values) >= 0
