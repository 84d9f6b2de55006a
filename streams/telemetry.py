"""Logs, metrics and readiness of a process. No patient data in any of them."""

from __future__ import annotations

import json
import logging
import sys
import threading
import traceback
from dataclasses import dataclass
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from types import TracebackType
from typing import Any

from opentelemetry import metrics
from opentelemetry.exporter.prometheus import PrometheusMetricReader
from opentelemetry.sdk.metrics import MeterProvider
from opentelemetry.sdk.resources import Resource
from prometheus_client import CONTENT_TYPE_LATEST, generate_latest
from stamina.instrumentation import PrometheusOnRetryHook, RetryDetails, set_on_retry_hooks

from connectors.clock import iso
from streams.settings import TelemetrySettings


class JsonFormatter(logging.Formatter):
    """One JSON object a line. Exceptions keep type and place: their texts may quote messages."""

    def __init__(self, process: str) -> None:
        super().__init__()
        self._process = process

    def format(self, record: logging.LogRecord) -> str:
        """The line."""
        line: dict[str, Any] = {
            "at": iso(record.created),
            "level": record.levelname,
            "process": self._process,
            "logger": record.name,
            "message": record.getMessage(),
        }
        if record.exc_info and record.exc_info[0] is not None:
            line["exception"] = record.exc_info[0].__name__
            line["frames"] = traceback.format_tb(record.exc_info[2])
        return json.dumps(line, ensure_ascii=False)


@dataclass(slots=True)
class State:
    """What `/ready` says."""

    ready: bool = False
    trouble: str = ""


class _Probe(BaseHTTPRequestHandler):
    """`/metrics` for Prometheus, `/ready` for whoever starts the process."""

    state: State

    def do_GET(self) -> None:
        """Answer."""
        if self.path == "/metrics":
            self._answer(200, generate_latest(), CONTENT_TYPE_LATEST)
        elif self.path == "/ready":
            trouble = self.state.trouble if self.state.ready else "starting"
            self._answer(503 if trouble else 200, f"{trouble or 'ready'}\n".encode(), "text/plain")
        else:
            self._answer(404, b"see /metrics and /ready\n", "text/plain")

    def _answer(self, status: int, body: bytes, content_type: str) -> None:
        self.send_response(status)
        self.send_header("Content-Type", content_type)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, format: str, *args: Any) -> None:
        """Probes are not worth a line."""


class Telemetry:
    """What `start` switched on."""

    def __init__(self, state: State, server: ThreadingHTTPServer) -> None:
        self._state = state
        self._server = server
        self.address = f"{server.server_address[0]!s}:{server.server_port}"

    def set_ready(self) -> None:
        """The process has made its round trip."""
        self._state.ready = True

    def set_trouble(self, trouble: str) -> None:
        """It runs, and cannot do its work: why; "": it can again."""
        self._state.trouble = trouble

    def stop(self) -> None:
        """Close the port."""
        self._server.shutdown()
        self._server.server_close()


def log_to_stderr(process: str, level: str) -> None:
    """Structured logs."""
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(JsonFormatter(process))
    logging.basicConfig(level=level, handlers=[handler], force=True)
    sys.excepthook = _log_uncaught
    set_on_retry_hooks([PrometheusOnRetryHook, _log_retry])


def _log_uncaught(
    kind: type[BaseException], error: BaseException, frames: TracebackType | None
) -> None:
    logging.getLogger("tocsin").critical("stopped by an error", exc_info=(kind, error, frames))


def _log_retry(details: RetryDetails) -> None:
    """What was in vain, and why: stamina's own line says only that something was."""
    logging.getLogger("tocsin").warning(
        "%s failed (%s): tried again in %.1f s, for the %d. time",
        details.name,
        type(details.caused_by).__name__,  # its text may quote what was to be stored
        details.wait_for,
        details.retry_num,
    )


def start(process: str, settings: TelemetrySettings) -> Telemetry:
    """Switch on logs, metrics and the probe of this process. Raises `OSError` for a used port."""
    log_to_stderr(process, settings.log_level)
    resource = Resource.create({"service.name": f"tocsin-{process}"})
    reader = PrometheusMetricReader()
    metrics.set_meter_provider(MeterProvider(metric_readers=[reader], resource=resource))
    return probe(settings)


def probe(settings: TelemetrySettings) -> Telemetry:
    """Answer `/metrics` and `/ready`. Raises `OSError` for a used port."""
    state = State()
    handler = type("Probe", (_Probe,), {"state": state})
    server = ThreadingHTTPServer((settings.metrics_host, settings.metrics_port), handler)
    threading.Thread(target=server.serve_forever, daemon=True, name="probe").start()
    return Telemetry(state, server)
