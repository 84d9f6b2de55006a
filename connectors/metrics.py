"""Every metric there is, in one list. `docs/metrics.md` is generated from it.

Labels are of low cardinality and never hold patient data.
"""

from __future__ import annotations

from functools import cache
from typing import NamedTuple

from opentelemetry import metrics
from opentelemetry.metrics import Counter, Histogram, UpDownCounter

_SECONDS = (0.001, 0.002, 0.005, 0.01, 0.02, 0.05, 0.1, 0.2, 0.5, 1.0, 2.0, 5.0, 10.0, 60.0)


class Metric(NamedTuple):
    """One line of the catalogue."""

    name: str
    kind: str  # counter, gauge (up and down), histogram
    unit: str
    labels: tuple[str, ...]
    meaning: str


CATALOGUE = (
    Metric("tocsin_mllp_connections", "gauge", "1", (), "open MLLP connections"),
    Metric("tocsin_mllp_messages", "counter", "1", ("answer",), "frames by acknowledgement code"),
    Metric("tocsin_mllp_bytes", "counter", "By", (), "bytes of frames received"),
    Metric("tocsin_mllp_ack_seconds", "histogram", "s", (), "frame complete → answer written"),
    Metric("tocsin_mllp_waiting", "gauge", "1", (), "messages that are not answered yet"),
    Metric(
        "tocsin_answers_held",
        "gauge",
        "1",
        (),
        "answers held back now, since scoring is behind",
    ),
    Metric(
        "tocsin_answers_held_seconds",
        "counter",
        "s",
        (),
        "time in which answers were held back, since scoring was behind",
    ),
    Metric("tocsin_dicom_messages", "counter", "1", ("event", "status"), "DICOM requests answered"),
    Metric(
        "tocsin_archive_requests",
        "counter",
        "1",
        ("outcome",),
        "studies asked for",
    ),
    Metric("tocsin_archive_objects", "counter", "1", (), "measurement objects fetched"),
    Metric("tocsin_http_requests", "counter", "1", ("kind", "status"), "HTTP requests answered"),
    Metric("tocsin_http_bytes", "counter", "By", (), "bytes of bodies received"),
    Metric("tocsin_http_answer_seconds", "histogram", "s", (), "request begun → answered"),
    Metric("tocsin_http_waiting", "gauge", "1", (), "bodies that are read or wait for the broker"),
    Metric(
        "tocsin_sequencer_messages", "counter", "1", ("outcome", "reason"), "messages by outcome"
    ),
    Metric("tocsin_sequencer_facts", "counter", "1", (), "facts written"),
    Metric("tocsin_sequencer_records", "counter", "1", (), "records of facts written"),
    Metric("tocsin_sequencer_batch_seconds", "histogram", "s", (), "one batch: read → confirmed"),
    Metric(
        "tocsin_sequencer_oldest_seconds",
        "gauge",
        "s",
        (),
        "how long ago the oldest message was heard that is not known to be scored; 0: none waits",
    ),
    Metric(
        "tocsin_sequencer_backlog",
        "gauge",
        "1",
        (),
        "messages in the raw log or among the facts that are not known to be scored",
    ),
    Metric(
        "tocsin_sequencer_urgent",
        "counter",
        "1",
        (),
        "messages that went before others, since they are urgent",
    ),
    Metric(
        "tocsin_scoring_rate",
        "gauge",
        "1",
        (),
        "messages a second that workers score when they have enough to do",
    ),
    Metric("tocsin_feedback", "counter", "1", ("action",), "actions on alerts taken in"),
    Metric("tocsin_quarantined", "counter", "1", ("reason",), "quarantine records written"),
    Metric(
        "tocsin_feeds_silent", "gauge", "1", ("feed",), "silent sources, by entry of the site file"
    ),
    Metric(
        "tocsin_feeds_paused", "gauge", "1", ("feed",), "paused sources, by entry of the site file"
    ),
    Metric("tocsin_worker_records", "counter", "1", (), "records of facts applied"),
    Metric("tocsin_worker_scores", "counter", "1", ("risk", "abstained"), "scores emitted"),
    Metric(
        "tocsin_model_errors",
        "counter",
        "1",
        ("risk", "shadow"),
        "errors of models, each kept to one patient, who has no score of that risk",
    ),
    Metric(
        "tocsin_models_down",
        "gauge",
        "1",
        ("risk", "shadow"),
        "1: the model fails on every patient",
    ),
    Metric(
        "tocsin_shadows_refused",
        "gauge",
        "1",
        (),
        "bundles of worker.shadow that cannot be used; the log says why",
    ),
    Metric("tocsin_worker_alerts", "counter", "1", ("risk", "state"), "alert changes emitted"),
    Metric(
        "tocsin_worker_pass_seconds",
        "histogram",
        "s",
        (),
        "the records of one pass: taken → state stored",
    ),
    Metric(
        "tocsin_event_to_score_seconds", "histogram", "s", (), "message heard → score confirmed"
    ),
    Metric(
        "tocsin_event_to_alert_seconds", "histogram", "s", (), "message heard → alert confirmed"
    ),
    Metric(
        "tocsin_worker_oldest_seconds",
        "gauge",
        "s",
        (),
        "how long the oldest record of facts that is not told yet has been in the log",
    ),
    Metric("tocsin_worker_waiting", "gauge", "1", (), "records of facts read and not told yet"),
    Metric("tocsin_worker_rebuilds", "counter", "1", (), "partitions rebuilt from the log"),
    Metric("tocsin_worker_fenced", "counter", "1", (), "writes refused: the partition moved on"),
    Metric(
        "tocsin_sinks_deliveries",
        "counter",
        "1",
        ("receiver", "outcome"),
        "alert revisions told, by receiver and what became of it",
    ),
    Metric(
        "tocsin_sinks_attempts",
        "counter",
        "1",
        ("receiver", "result"),
        "attempts to tell: delivered, unavailable, refused, failed, broken_off",
    ),
    Metric(
        "tocsin_sinks_delivery_seconds",
        "histogram",
        "s",
        ("receiver",),
        "alert confirmed in the log → receiver has it",
    ),
    Metric("tocsin_sinks_waiting", "gauge", "1", ("receiver",), "alert revisions that wait"),
    Metric(
        "tocsin_sinks_oldest_seconds",
        "gauge",
        "s",
        ("receiver",),
        "age of the oldest alert revision that waits",
    ),
    Metric(
        "tocsin_sinks_breaker",
        "gauge",
        "1",
        ("receiver",),
        "circuit breaker: 0 closed, 1 trying, 2 open",
    ),
    Metric("tocsin_sinks_reports", "counter", "1", ("outcome",), "PCD-05 reports taken back"),
    Metric("tocsin_guard_halts", "counter", "1", (), "policies taken back by their alert rate"),
    Metric(
        "tocsin_alert_budget_used",
        "gauge",
        "1",
        ("budget",),
        "calls of the last hour, as a share of what the wards can bear",
    ),
    Metric("tocsin_console_clients", "gauge", "1", (), "open console pages"),
)
_BY_NAME = {metric.name: metric for metric in CATALOGUE}


def _unit_free(name: str) -> str:
    # Prometheus adds the unit and `_total` itself.
    return name.removesuffix("_seconds").removesuffix("_bytes")


@cache
def counter(name: str) -> Counter:
    """The counter of that name in the catalogue. Raises `KeyError` for one that is not listed."""
    metric = _BY_NAME[name]
    return metrics.get_meter("tocsin").create_counter(
        _unit_free(name), unit=metric.unit, description=metric.meaning
    )


@cache
def gauge(name: str) -> UpDownCounter:
    """The up-and-down counter of that name in the catalogue."""
    metric = _BY_NAME[name]
    return metrics.get_meter("tocsin").create_up_down_counter(
        _unit_free(name), unit=metric.unit, description=metric.meaning
    )


class Level:
    """A gauge that is set: the difference to what it was is added."""

    def __init__(self, name: str, labels: dict[str, str]) -> None:
        self._gauge, self._labels, self._was = gauge(name), labels, 0.0

    def set(self, value: float) -> None:
        """To `value`."""
        self._gauge.add(value - self._was, self._labels)
        self._was = value


@cache
def histogram(name: str) -> Histogram:
    """The histogram of that name in the catalogue, in seconds."""
    metric = _BY_NAME[name]
    return metrics.get_meter("tocsin").create_histogram(
        _unit_free(name),
        unit=metric.unit,
        description=metric.meaning,
        explicit_bucket_boundaries_advisory=_SECONDS,
    )
