"""The trace of a message from socket to alert, written when the worker is done with it.

Each hop leaves its time in the record that it passes on, so no hot process records spans, and an
alert's trace is complete whether or not it was sampled at the socket (`connectors.trace`).
"""

from __future__ import annotations

from pathlib import Path

from opentelemetry import trace
from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter
from opentelemetry.sdk.resources import Resource
from opentelemetry.sdk.trace import ReadableSpan, TracerProvider
from opentelemetry.sdk.trace.export import BatchSpanProcessor, ConsoleSpanExporter, SpanExporter
from opentelemetry.sdk.trace.id_generator import IdGenerator, RandomIdGenerator
from opentelemetry.sdk.trace.sampling import ALWAYS_ON
from opentelemetry.trace import Tracer

from connectors.facts import MessageFacts
from connectors.trace import is_sampled, span_id_of, trace_id_of
from streams.settings import TelemetrySettings


class _GivenIds(IdGenerator):
    """The root span takes the ids that the socket gave to the message."""

    def __init__(self) -> None:
        self._random = RandomIdGenerator()
        self.next_trace = 0
        self.next_span = 0

    def generate_trace_id(self) -> int:
        """The message's trace id."""
        return self.next_trace or self._random.generate_trace_id()

    def generate_span_id(self) -> int:
        """The message's span id once, then random ones."""
        given, self.next_span = self.next_span, 0
        return given or self._random.generate_span_id()


class Hops:
    """Writes traces."""

    def __init__(self, tracer: Tracer, ids: _GivenIds, provider: TracerProvider) -> None:
        self._tracer = tracer
        self._ids = ids
        self._provider = provider

    def write(
        self,
        message: MessageFacts,
        *,
        read: float,
        stored: float,
        confirmed: float,
        alerts: int,
    ) -> None:
        """One trace: socket → facts → worker → state stored → alert confirmed (epoch seconds)."""
        trace_id = trace_id_of(message.trace)
        if not trace_id or not (alerts or is_sampled(message.trace)):
            return
        self._ids.next_trace = int(trace_id, 16)
        self._ids.next_span = int(span_id_of(message.trace) or "0", 16)
        root = self._tracer.start_span(
            "message",
            context=trace.set_span_in_context(trace.INVALID_SPAN),
            start_time=_ns(message.heard),
            attributes={
                "message.type": message.message_type,
                "message.position": message.wire,
                "tocsin.patient": message.patient,
                "tocsin.facts": len(message.facts),
                "tocsin.alerts": alerts,
            },
        )
        context = trace.set_span_in_context(root)
        hops = (
            ("acknowledge and sequence", message.heard, message.sequenced),
            ("wait in facts", message.sequenced, read),
            ("fold, score, store", read, stored),
            ("publish", stored, confirmed),
        )
        for name, start, end in hops:
            span = self._tracer.start_span(name, context=context, start_time=_ns(start))
            span.end(_ns(max(start, end)))
        root.end(_ns(confirmed))

    def close(self) -> None:
        """Write what is buffered."""
        self._provider.shutdown()


def start(settings: TelemetrySettings, home: Path) -> Hops:
    """Traces to the collector that the settings name, otherwise to `<home>/traces.jsonl`."""
    exporter: SpanExporter
    if settings.otlp_endpoint:
        exporter = OTLPSpanExporter(endpoint=settings.otlp_endpoint)
    else:
        home.mkdir(parents=True, exist_ok=True)
        out = (home / "traces.jsonl").open("a")
        exporter = ConsoleSpanExporter(out=out, formatter=_one_line)
    ids = _GivenIds()
    resource = Resource.create({"service.name": "tocsin"})
    provider = TracerProvider(
        sampler=ALWAYS_ON, id_generator=ids, resource=resource, shutdown_on_exit=False
    )
    provider.add_span_processor(BatchSpanProcessor(exporter))
    return Hops(provider.get_tracer("tocsin"), ids, provider)


def _one_line(span: ReadableSpan) -> str:
    return str(span.to_json(indent=None)) + "\n"


def _ns(seconds: float) -> int:
    return int(seconds * 1e9)
