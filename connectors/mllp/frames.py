"""MLLP frames out of a stream of bytes, without I/O: `0x0B` payload `0x1C 0x0D`.

Nothing is decoded here. A read may split a frame anywhere, even between the two end bytes, and any
split of a stream gives the same events (HL7 "Transport Specification: MLLP", Release 1 and 2).
"""

from __future__ import annotations

from typing import NamedTuple

from connectors.quarantine import Reason

START = b"\x0b"
END = b"\x1c\r"

# Seen between the frames of real senders, and harmless.
IGNORED_BETWEEN = b"\x00\t\n\r "
# What is remembered of bytes that will not be kept whole. An MSH segment fits many times over.
HEAD_BYTES = 64 * 1024
STRAY_BYTES = 4 * 1024


class Frame(NamedTuple):
    """What stood between the start and the end of one frame; never empty."""

    payload: bytes


class Violation(NamedTuple):
    """Bytes that are no usable frame.

    `reason` is one of EMPTY_FRAME, OVERSIZED, TRUNCATED (the end of the frame never came) and
    NOT_HL7 (bytes outside any frame). `raw` holds the first bytes, `size` counts all of them.
    """

    reason: Reason
    raw: bytes
    size: int


Event = Frame | Violation


def wrap(payload: bytes) -> bytes:
    """The frame that carries a payload."""
    return START + payload + END


class Framer:
    """An incremental framer. It holds at most `max_bytes` of an unfinished frame."""

    def __init__(self, max_bytes: int) -> None:
        self._max = max_bytes
        self._head = min(HEAD_BYTES, max_bytes)
        self._inside = False
        self._part = bytearray()  # the frame's beginning; between frames: stray bytes
        self._size = 0  # bytes of this frame, or stray bytes of this gap
        self._held = False  # the last byte was 0x1C: the frame's end, or one more byte of it

    @property
    def unfinished(self) -> bool:
        """Is a frame open?"""
        return self._inside

    def feed(self, data: bytes) -> list[Event]:
        """The events that these bytes complete, in the order of the stream."""
        events: list[Event] = []
        at, length = 0, len(data)
        end = -1  # where the next frame ends in `data`: remembered, so that it is searched once
        while at < length:
            if not self._inside:
                at = self._skip_gap(data, at, events)
                continue
            if self._held:
                at = self._decide(data, at, events)
                continue
            if end < at:
                end = data.find(END, at)
                end = length if end < 0 else end
            start = data.find(START, at, end)
            if start >= 0:
                at = self._restart(data, at, start, events)
            elif end < length:
                self._finish(data[at:end], events)
                at = end + len(END)
            else:
                self._hold(data[at:])
                at = length
        return events

    def close(self) -> list[Event]:
        """The connection ended: what was left unfinished."""
        events: list[Event] = []
        if self._inside:
            self._truncate(b"\x1c" if self._held else b"", events)
        else:
            self._end_gap(events)
        return events

    # ── between frames ──────────────────────────────────────────────────────────────────────

    def _skip_gap(self, data: bytes, at: int, events: list[Event]) -> int:
        start = data.find(START, at)
        end = len(data) if start < 0 else start
        if end > at:
            stray = data[at:end] if self._size else data[at:end].lstrip(IGNORED_BETWEEN)
            self._size += len(stray)
            self._part += stray[: max(0, STRAY_BYTES - len(self._part))]
        if start < 0:
            return end
        self._end_gap(events)
        self._inside = True
        return start + 1

    def _end_gap(self, events: list[Event]) -> None:
        if self._size:
            events.append(Violation(Reason.NOT_HL7, bytes(self._part), self._size))
            self._reset()

    # ── within a frame ──────────────────────────────────────────────────────────────────────

    def _decide(self, data: bytes, at: int, events: list[Event]) -> int:
        """What the 0x1C at the end of the last chunk was."""
        self._held = False
        if data[at] == END[1]:
            self._finish(b"", events)
            return at + 1
        if data[at] == START[0]:  # some senders leave out the carriage return
            self._finish(b"", events)
            return at
        self._add(END[:1])
        return at

    def _restart(self, data: bytes, at: int, start: int, events: list[Event]) -> int:
        """A start within a frame: the sender lost the end, or left out the carriage return."""
        if start > at and data[start - 1] == END[0]:
            self._finish(data[at : start - 1], events)
        else:
            self._truncate(data[at:start], events)
        return start

    def _hold(self, rest: bytes) -> None:
        self._held = rest.endswith(END[:1])
        self._add(rest[:-1] if self._held else rest)

    def _add(self, more: bytes) -> None:
        self._size += len(more)
        if self._size <= self._max:
            self._part += more
        else:  # only the head is kept, for the answer and for whoever looks into it
            del self._part[self._head :]
            self._part += more[: self._head - len(self._part)]

    def _finish(self, rest: bytes, events: list[Event]) -> None:
        if not self._size and 0 < len(rest) <= self._max:
            events.append(Frame(rest))  # the whole frame in one chunk: no copy
        else:
            self._add(rest)
            events.append(self._whole())
        self._reset()

    def _whole(self) -> Event:
        if self._size > self._max:
            return Violation(Reason.OVERSIZED, bytes(self._part), self._size)
        if not self._size:
            return Violation(Reason.EMPTY_FRAME, b"", 0)
        return Frame(bytes(self._part))

    def _truncate(self, rest: bytes, events: list[Event]) -> None:
        self._add(rest)
        if self._size:  # a lone start byte is noise
            events.append(Violation(Reason.TRUNCATED, bytes(self._part), self._size))
        self._reset()

    def _reset(self) -> None:
        self._inside = self._held = False
        self._part = bytearray()
        self._size = 0
