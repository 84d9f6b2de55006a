"""What people do at the quarantine, for the command line and the console alike.

Both look, mend, send again and discard through `Desk`, so that each step is checked and audited
in the same way. Everything that a person can mend is a `UserError`, in words.
"""

from __future__ import annotations

import re
import threading
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Final, Protocol

from confluent_kafka import KafkaError, KafkaException

from connectors import wire
from connectors.hl7.conformance import explain
from connectors.interpretation import Interpretation
from connectors.journal import LostError, Progress
from connectors.masking import masked
from connectors.quarantine_log import CannotSendError, Item, Kept, QuarantineLog, State
from connectors.wire import WireMessage
from streams.errors import UserError
from streams.mending import as_text, rewritten, with_field

_PLACE: Final = re.compile(r"(?:message (\d+) ?)?(?:([A-Z][A-Z0-9]{2})(?:\[(\d+)\])?(?:-.*)?)?")


class Interpreter(Protocol):
    """Reads messages as the sequencer would (`streams.cli.interpreting`)."""

    def read(self, message: WireMessage) -> list[Interpretation]:
        """What a record says."""
        ...

    def charset(self, source: str) -> str:
        """The site's charset for a source; "" when MSH-18 decides."""
        ...

    def refresh(self) -> None:
        """Look whether the site file has changed."""
        ...


@dataclass(frozen=True, slots=True)
class Look:
    """One item, as it may be shown to anybody who mends feeds."""

    item: Item
    content_type: str
    size: int  # bytes that are kept
    text: str  # the message masked, line by line; "" when it is none of HL7
    marked: int | None  # the line of `text` at which something is wrong
    findings: list[str]  # what is wrong by the standard, in words
    outcome: str  # what it would give if it were sent again now
    obstacle: str  # why it cannot be sent again as it is; "" when it can


class Desk:
    """One at a time: calls may come from several threads."""

    def __init__(self, log: QuarantineLog, interpreter: Interpreter) -> None:
        self._log = log
        self._interpreter = interpreter
        self._lock = threading.RLock()

    def items(self, progress: Progress | None = None) -> list[Item]:
        """All items, oldest first."""
        with self._told():
            return self._log.items(progress)

    def look(self, item: Item) -> Look:
        """What is wrong with it, with everything hidden that could name a person."""
        with self._told():
            kept = self._log.kept(item)
            obstacle = self._log.obstacle(item)
        content = self._content(item, kept)
        hl7 = content == wire.HL7
        text = masked(kept.raw) if hl7 else ""
        return Look(
            item=item,
            content_type=content,
            size=len(kept.raw),
            text=text,
            marked=line_of(text, item.record.location) if hl7 else None,
            findings=explain(kept.raw) if hl7 else [],
            outcome="" if obstacle else self._outcome(self._read(item, kept, kept.raw)),
            obstacle=obstacle,
        )

    def unmasked(self, item: Item, who: str, why: str) -> bytes:
        """The message as it is; noted before it is given."""
        _reasoned(why)
        with self._told():
            kept = self._log.kept(item)
            self._log.note_unmasked(item, who, why)
            return kept.raw

    def mend(
        self,
        item: Item,
        how: Sequence[str] | Callable[[bytes], bytes] | bytes,
        who: str,
        why: str,
        *,
        force: bool = False,
    ) -> str:
        """Send it again with fields anew (`PID-3=…`), edited, or as a whole; returns what it gives.

        Refused when nothing is changed, and, unless `force`, when it would be quarantined again.
        """
        _reasoned(why)
        with self._told():
            kept = self._log.kept(item)
            whole = isinstance(how, bytes)
            if obstacle := self._log.obstacle(item, mended=whole):
                raise CannotSendError(obstacle)
        mended = self._mended(item, kept, how)
        if mended == kept.raw:
            raise UserError("Nothing is changed: to send it again as it is, use `redrive`.")
        reads = self._read(item, kept, mended)
        outcome = self._outcome(reads)
        if not force and (not reads or any(read.outcome == "quarantine" for read in reads)):
            raise UserError(f"It would be refused again: {outcome}. Mend that too, or use --force.")
        with self._told():
            list(self._log.redrive([item], who, why, mended))
        return outcome

    def text(self, item: Item, who: str, why: str) -> str:
        """The message as lines that can be edited; noted before it is given."""
        self._require_hl7(item, self._kept(item))
        return as_text(self.unmasked(item, who, why), self._charset(item))

    def rewrite(self, item: Item, text: str, who: str, why: str, *, force: bool = False) -> str:
        """Send it again as edited lines; else as `mend`."""
        kept = self._kept(item)
        self._require_hl7(item, kept)
        mended = rewritten(kept.raw, text, self._charset(item))
        return self.mend(item, lambda _: mended, who, why, force=force)

    def redrive(self, items: Sequence[Item], who: str, why: str) -> Iterator[Item]:
        """Send again as they came; yields each item once it is stored."""
        with self._told():
            yield from self._log.redrive(items, who, why)

    def obstacle(self, item: Item) -> str:
        """Why it cannot be sent again as it is; "" when it can."""
        return self._log.obstacle(item)

    def discard(self, item: Item, who: str, why: str) -> None:
        """Decide that nothing of it is needed."""
        _reasoned(why)
        with self._told():
            self._log.discard(item, who, why)

    # ── inside ──────────────────────────────────────────────────────────────────────────────

    def _mended(
        self, item: Item, kept: Kept, how: Sequence[str] | Callable[[bytes], bytes] | bytes
    ) -> bytes:
        if isinstance(how, bytes):
            return how
        if callable(how):
            return how(kept.raw)
        self._require_hl7(item, kept)
        raw = kept.raw
        for change in how:
            raw = with_field(raw, change, self._charset(item))
        return raw

    def _kept(self, item: Item) -> Kept:
        with self._told():
            return self._log.kept(item)

    def _require_hl7(self, item: Item, kept: Kept) -> None:
        if self._content(item, kept) != wire.HL7:
            raise UserError("Fields can be set in HL7 messages only: give the whole with --file.")

    def _charset(self, item: Item) -> str:
        return self._interpreter.charset(item.record.source)

    def _content(self, item: Item, kept: Kept) -> str:
        if item.place()[0] not in ("", *wire.OF_TOPIC):
            return "application/json"  # a record that Tocsin wrote
        return self._log.preview(item, kept, b"").content_type

    def _read(self, item: Item, kept: Kept, raw: bytes) -> list[Interpretation]:
        self._interpreter.refresh()
        return self._interpreter.read(self._log.preview(item, kept, raw))

    def _outcome(self, reads: list[Interpretation]) -> str:
        return "; ".join(outcome_of(read) for read in reads) or "nothing"

    @contextmanager
    def _told(self) -> Iterator[None]:
        with self._lock:
            try:
                yield
            except (KafkaException, LostError, CannotSendError) as error:
                raise UserError(_words(error)) from None


def outcome_of(read: Interpretation) -> str:
    """What one message gives, in words without patient data."""
    if read.outcome == "facts":
        told = f"{len(read.facts)} facts"
        return told + (f", {len(read.issues)} parts not" if read.issues else "")
    where = f" at {read.issues[0].location}" if read.issues and read.issues[0].location else ""
    return f"{read.outcome}, {read.reason}{where}"


def fits(item: Item, reason: str = "", source: str = "", *, every: bool = True) -> bool:
    """Is it of that reason and source ("": any), and open unless `every`?"""
    return (
        reason in ("", item.record.reason)
        and source in ("", item.record.source)
        and (every or item.state is State.OPEN)
    )


def line_of(text: str, location: str) -> int | None:
    """The index of the line that a location speaks of, e.g. `message 2 OBX[3]-5`."""
    found = _PLACE.fullmatch(location)
    if not location or found is None:
        return None
    message, name, occurrence = found.groups()
    lines = text.split("\n")
    first = 0
    if message is not None:
        starts = [n for n, line in enumerate(lines) if line.startswith("MSH")]
        if int(message) > len(starts):
            return None
        first = starts[int(message) - 1]
    if name is None:
        return first
    places = [n for n, line in enumerate(lines) if n >= first and line[:3] == name]
    wanted = int(occurrence or 1)
    return places[wanted - 1] if 1 <= wanted <= len(places) else None


def _reasoned(why: str) -> None:
    if not why.strip():
        raise UserError("Say why: it is recorded in tocsin.audit.")


def _words(error: KafkaException | LostError | CannotSendError) -> str:
    if isinstance(error, LostError):
        return f"The bytes are gone: {error}. The retention of the wire log decides how long."
    if isinstance(error, CannotSendError):
        return f"It cannot be sent again: {error}."
    cause: KafkaError = error.args[0]
    if cause.code() in (KafkaError.MSG_SIZE_TOO_LARGE, KafkaError.INVALID_MSG_SIZE):
        return "The message is larger than Kafka takes (message.max.bytes of the broker)."
    return f"Kafka does not answer ({cause.str()}): is it up?"
