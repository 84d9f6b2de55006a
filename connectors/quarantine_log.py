"""What lies in quarantine, and what is done about it.

The items are in `tocsin.quarantine`, what was done in `tocsin.audit`, the bytes in `tocsin.wire.*`
(or in the item, when they never got there). Nothing else is kept. An audit record says which
records of its item somebody had seen who decided about it: with one more, the item is open again.

To send a message again means to append it to its wire topic once more. Facts do not depend on the
order in which they are learnt, so whatever came after it needs no care; doing it twice is harmless.
"""

from __future__ import annotations

import base64
import binascii
import hashlib
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Final

import msgspec

from connectors import contract, topics, wire
from connectors.clock import Clock, from_iso, iso
from connectors.contract import Quarantined
from connectors.journal import Headers, Journal, LostError, Progress, Stored
from connectors.mllp.intake import KEPT_BYTES
from connectors.quarantine import Reason
from connectors.sequencer import headers_of, to_heard
from connectors.wire import WireMessage

# Of these the sender's message is longer than what came or than what is kept of it; or it is a
# dataset without the request that it came in. Where the item itself holds the bytes, its sender was
# told that they were not taken.
# What the ports for HTTP and DICOM set aside was never logged, and is no HL7; a report on an alert
# (ORA) came to `tocsin sinks`, which the wire log does not lead to.
_OTHER_PORTS: Final = ("HTTP", "DICOM", "ORA")
_HEADS: Final = frozenset((Reason.OVERSIZED, Reason.TRUNCATED, Reason.BAD_DICOM))


class State(StrEnum):
    """What became of an item."""

    OPEN = "open"
    REDRIVEN = "redriven"  # sent again, as it was or mended
    DISCARDED = "discarded"  # somebody decided that nothing of it is needed


class Handled(msgspec.Struct, frozen=True, kw_only=True):
    """A record of `tocsin.audit`: who did what about an item, and why. Never the content."""

    event: str  # "quarantine_redriven", "quarantine_discarded", "quarantine_unmasked"
    who: str
    at: str
    item: str
    seen: dict[int, int] = {}  # partition of `tocsin.quarantine` → the item's last offset there
    why: str = ""
    was: str = ""  # SHA-256 of the bytes as received
    now: str = ""  # of the bytes sent again, where they were mended


_STATE_OF_EVENT: Final = {
    "quarantine_redriven": State.REDRIVEN,
    "quarantine_discarded": State.DISCARDED,
}
_decode_handled = msgspec.json.Decoder(Handled).decode


@dataclass(slots=True)
class Item:
    """One thing that could not be understood."""

    record: Quarantined
    last: float  # when it was written last, epoch seconds
    seen: dict[int, int]  # partition of `tocsin.quarantine` → its last offset there
    times: int = 1  # how often
    state: State = State.OPEN

    def place(self) -> tuple[str, int, int]:
        """Where the bytes lie in the log: the order in which messages came."""
        topic, _, rest = self.record.wire.partition("/")
        partition, _, offset = rest.partition("/")
        try:
            return (topic, int(partition), int(offset)) if offset else ("", 0, 0)
        except ValueError:
            return "", 0, 0

    def is_settled_by(self, handled: Handled) -> bool:
        """Did whoever decided know all that is known of the item now?"""
        return all(offset <= handled.seen.get(part, -1) for part, offset in self.seen.items())


@dataclass(frozen=True, slots=True)
class Kept:
    """What is kept of an item's message."""

    raw: bytes
    headers: Headers = field(default_factory=list)


class CannotSendError(Exception):
    """An item that sending again cannot help; the text says what can."""


class QuarantineLog:
    """Reads and writes the quarantine. Raises `KafkaException` when the broker is away.

    Reads what is new since it was asked last; `since` (epoch seconds) leaves out what is older.
    """

    def __init__(self, journal: Journal, clock: Clock, since: float | None = None) -> None:
        self._journal = journal
        self._clock = clock
        self._since = since
        self._found: dict[str, Item] = {}
        self._handled: dict[str, list[Handled]] = {}
        self._next: dict[str, dict[int, int]] = {topics.QUARANTINE: {}, topics.AUDIT: {}}
        self.unreadable = 0  # records of the quarantine that are none

    def items(self, progress: Progress | None = None) -> list[Item]:
        """All items, oldest first, each once."""
        for stored in self._new(topics.QUARANTINE, progress):
            try:
                record = contract.decode_quarantined(stored.value)
            except msgspec.MsgspecError:
                self.unreadable += 1
                continue
            known = self._found.get(record.id)
            seen = (known.seen if known else {}) | {stored.partition: stored.offset}
            times = known.times + 1 if known else 1
            self._found[record.id] = Item(record, stored.at, seen, times)
        for stored in self._new(topics.AUDIT, progress):
            try:
                handled = _decode_handled(stored.value)
            except msgspec.MsgspecError:
                continue  # other records of the audit
            if handled.event in _STATE_OF_EVENT:
                self._handled.setdefault(handled.item, []).append(handled)
        for item in self._found.values():
            item.state = self._state(item)
        return sorted(self._found.values(), key=lambda item: item.last)

    def _state(self, item: Item) -> State:
        settled = [h for h in self._handled.get(item.record.id, ()) if item.is_settled_by(h)]
        if not settled:
            return State.OPEN
        return _STATE_OF_EVENT[max(settled, key=lambda h: h.at).event]

    def kept(self, item: Item) -> Kept:
        """The bytes as received, and their headers. Raises `LostError`."""
        if item.record.raw_base64:
            try:
                return Kept(base64.b64decode(item.record.raw_base64))
            except binascii.Error:
                raise LostError("what the item holds is not base64") from None
        topic, partition, offset = item.place()
        if not topic:
            raise LostError("the item says neither where its bytes lie nor what they are")
        stored = self._journal.at(topic, partition, offset)
        return Kept(stored.value, stored.headers)

    # ── sending again ───────────────────────────────────────────────────────────────────────

    def obstacle(self, item: Item, *, mended: bool = False) -> str:
        """Why it cannot be sent again (as it is, or `mended`: other bytes); "" when it can."""
        topic = item.place()[0] or topics.WIRE_HL7
        if topic not in wire.OF_TOPIC:
            return (
                f"its bytes are a record of {topic}, which Tocsin wrote itself, and no message of "
                "a feed: send the message again that it was made of, or discard the item"
            )
        if item.record.raw_base64 and item.record.message_type.startswith(_OTHER_PORTS):
            return (
                "it was refused where it came in, so its sender has it: let it be sent again "
                "there, or discard the item"
            )
        if mended or not item.record.raw_base64:
            return ""
        size = len(item.record.raw_base64) * 3 // 4 - item.record.raw_base64[-2:].count("=")
        if item.record.reason in _HEADS or size >= KEPT_BYTES:
            return (
                "only the beginning of the message is here: let its sender send it again, or give "
                "the whole message with `tocsin quarantine fix --file`"
            )
        return ""

    def again(self, item: Item, kept: Kept) -> tuple[str, Headers]:
        """The topic and the headers with which an item's message is sent again."""
        record, said = item.record, dict(kept.headers)
        headers = [(n, v) for n, v in kept.headers if n != topics.HEADER_REDRIVE_OF]
        if record.raw_base64:
            headers.append((topics.HEADER_CONTENT_TYPE, wire.HL7.encode()))
            if record.source:
                headers.append((topics.HEADER_SOURCE, record.source.encode()))
        if topics.HEADER_RECEIVED_AT not in said:
            received = _epoch(record.received_at, item.last)
            headers.append((topics.HEADER_RECEIVED_AT, f"{received:.6f}".encode()))
        headers.append((topics.HEADER_REDRIVE_OF, record.id.encode()))
        return item.place()[0] or topics.WIRE_HL7, headers

    def preview(self, item: Item, kept: Kept, raw: bytes) -> WireMessage:
        """`raw` as the sequencer would read it if it were sent again now."""
        topic, pairs = self.again(item, kept)
        headers, now = headers_of(pairs), self._clock()
        return WireMessage(
            raw=raw,
            position=item.record.wire,
            heard=to_heard(headers, now, now),
            source=headers.get(topics.HEADER_SOURCE, ""),
            trace="",
            content_type=headers.get(topics.HEADER_CONTENT_TYPE) or wire.OF_TOPIC[topic],
            redriven=True,
            subject=headers.get(topics.HEADER_SUBJECT, ""),
        )

    def redrive(
        self, items: Iterable[Item], who: str, why: str, mended: bytes | None = None
    ) -> Iterator[Item]:
        """Send again in the order in which the messages came; yields each item once it is stored.

        `mended` are other bytes in place of those received, of one item. The audit record follows
        the message: an interruption between the two sends it once more, which is harmless. Raises
        `CannotSendError` before anything is sent.
        """
        chosen = sorted(items, key=lambda i: (i.place(), i.last))
        for item in chosen:
            if obstacle := self.obstacle(item, mended=mended is not None):
                raise CannotSendError(f"{item.record.id[:12]}: {obstacle}")
        return self._redriven(chosen, who, why, mended)

    def _redriven(
        self, items: list[Item], who: str, why: str, mended: bytes | None
    ) -> Iterator[Item]:
        sent: set[tuple[str, int, int]] = set()
        for item in items:
            kept = self.kept(item)
            # Several items may come from one message: it is sent once.
            if not item.record.wire or item.place() not in sent:
                topic, headers = self.again(item, kept)
                value = kept.raw if mended is None else mended
                partition = item.place()[1] if item.record.wire else -1
                self._journal.append(topic, value, headers, partition)
                sent.add(item.place())
            now = "" if mended is None else _digest(mended)
            self._audit("quarantine_redriven", item, who, why, _digest(kept.raw), now)
            item.state = State.REDRIVEN
            yield item

    # ── notes ───────────────────────────────────────────────────────────────────────────────

    def discard(self, item: Item, who: str, why: str) -> None:
        """Note that nothing of it is needed. The bytes stay in the log."""
        self._audit("quarantine_discarded", item, who, why)
        item.state = State.DISCARDED

    def note_unmasked(self, item: Item, who: str, why: str) -> None:
        """Note, before it happens, that somebody looks at patient data."""
        self._audit("quarantine_unmasked", item, who, why)

    def _audit(
        self, event: str, item: Item, who: str, why: str, was: str = "", now: str = ""
    ) -> None:
        record = Handled(
            event=event,
            who=who,
            at=iso(self._clock()),
            item=item.record.id,
            seen=dict(item.seen),
            why=why,
            was=was,
            now=now,
        )
        self._journal.append(topics.AUDIT, msgspec.json.encode(record), [])

    def _new(self, topic: str, progress: Progress | None) -> Iterator[Stored]:
        following = self._next[topic]
        for stored in self._journal.read(topic, following, self._since, progress):
            following[stored.partition] = stored.offset + 1
            yield stored


def _epoch(text: str, otherwise: float) -> float:
    try:
        return from_iso(text)
    except ValueError:
        return otherwise


def _digest(raw: bytes) -> str:
    return hashlib.sha256(raw).hexdigest()
