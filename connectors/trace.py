"""W3C trace context of a message: made at the socket, carried to the alert.

Hot processes do not record spans. Each hop writes its time into the record that it passes on, and
the worker, at the end, writes the whole trace at once, for sampled messages and for every alert
(`streams.tracing`). So an alert's trace is complete although nobody knew at the socket that the
message would raise one.
"""

from __future__ import annotations

import os
import re

_SAMPLED = 1


def new_traceparent(ratio: float) -> str:
    """A new `traceparent`, sampled for that share of trace ids (the id decides, as in OTel)."""
    chance = os.urandom(24)  # one call for both ids: it is a call of the system
    trace_id, span_id = chance[:16], chance[16:]
    sampled = int.from_bytes(trace_id[8:]) < ratio * 2**64
    return f"00-{trace_id.hex()}-{span_id.hex()}-{int(sampled):02x}"


_FORM = re.compile(r"[0-9a-f]{2}-(?!0{32})[0-9a-f]{32}-(?!0{16})[0-9a-f]{16}-[0-9a-f]{2}")


def checked(traceparent: str) -> str:
    """The traceparent when it is one, else "": a header may hold anything, and names go nowhere."""
    return traceparent if _FORM.fullmatch(traceparent) else ""


def trace_id_of(traceparent: str) -> str:
    """The 32 hex digits, "" for text that is no traceparent."""
    parts = traceparent.split("-")
    return parts[1] if len(parts) == 4 and len(parts[1]) == 32 else ""


def span_id_of(traceparent: str) -> str:
    """The 16 hex digits of the parent span, "" for text that is no traceparent."""
    parts = traceparent.split("-")
    return parts[2] if len(parts) == 4 and len(parts[2]) == 16 else ""


def is_sampled(traceparent: str) -> bool:
    """Was it decided at the socket to trace this message?"""
    parts = traceparent.split("-")
    try:
        return len(parts) == 4 and bool(int(parts[3], 16) & _SAMPLED)
    except ValueError:
        return False
