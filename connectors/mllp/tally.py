"""The server's metrics, added up here and handed on about once a second.

One call of the telemetry library for each message would cost more than writing its answer.
"""

from __future__ import annotations

from collections import Counter

from connectors import metrics

SILENCE = "none"  # the answer of a message that gets none


class Tally:
    """Counts since the last `publish`."""

    def __init__(self) -> None:
        self.bytes = 0
        self.waiting = 0  # now, not since
        self._waiting_published = 0
        self._answers: Counter[str] = Counter()
        self._reasons: Counter[str] = Counter()
        self._seconds = metrics.histogram("tocsin_mllp_ack_seconds")

    def connections(self, change: int) -> None:
        """A connection opened or closed."""
        metrics.gauge("tocsin_mllp_connections").add(change)

    def answered(self, codes: tuple[str, ...], seconds: float) -> None:
        """A frame is done with."""
        self._answers[codes[-1] if codes else SILENCE] += 1
        self._seconds.record(seconds)

    def quarantined(self, reason: str) -> None:
        """A record of `tocsin.quarantine` was made."""
        self._reasons[reason] += 1

    def publish(self) -> None:
        """Hand on."""
        for code, count in self._answers.items():
            metrics.counter("tocsin_mllp_messages").add(count, {"answer": code})
        for reason, count in self._reasons.items():
            metrics.counter("tocsin_quarantined").add(count, {"reason": reason})
        metrics.counter("tocsin_mllp_bytes").add(self.bytes)
        metrics.gauge("tocsin_mllp_waiting").add(self.waiting - self._waiting_published)
        self._waiting_published = self.waiting
        self.bytes = 0
        self._answers.clear()
        self._reasons.clear()
