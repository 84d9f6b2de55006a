"""Mutated messages and random bytes: every complete frame is answered, and accounted for.

The long form, with a million frames and its own command, is another matter; this is the short one.
"""

from __future__ import annotations

import random

import pytest

from connectors.contract import decode_quarantined
from connectors.mllp.frames import Frame, Framer, Violation, wrap
from connectors.quarantine import Reason
from tests.unit.mllp.fakes import FakeLog
from tests.unit.mllp.running import Sender, message, server_on

_FRAMES = 2_000


def mutated(rng: random.Random, n: int) -> bytes:
    """One frame, or what is left of it."""
    raw = bytearray(wrap(message(str(n), modes=rng.choice(["|", "|", "AL|NE", "AL|AL"]))))
    for _ in range(rng.choice([0, 0, 0, 1, 3, 20])):
        at = rng.randrange(len(raw))
        match rng.randrange(4):
            case 0:
                raw[at] = rng.randrange(256)
            case 1:
                del raw[at : at + rng.randrange(1, 10)]
            case 2:
                raw[at:at] = rng.randbytes(rng.randrange(1, 10))
            case _:
                raw[at:at] = rng.choice([b"\x0b", b"\x1c\r", b"\x1c", b"\r", b"|", b"MSH|^~\\&|"])
        if not raw:
            return b"\x0b"
    return bytes(raw)


@pytest.mark.parametrize("seed", range(3))
async def test_every_event_of_a_hostile_stream_has_one_record(seed: int) -> None:
    rng = random.Random(seed)
    stream = b"".join(mutated(rng, n) for n in range(_FRAMES)) + wrap(message("end"))
    framer = Framer(1_000_000)
    events = framer.feed(stream) + framer.close()
    log = FakeLog()
    async with server_on(log) as (host, port, _), Sender.to(host, port) as sender:
        at = 0
        while at < len(stream):
            size = rng.choice([1, 7, 100, 5_000])
            sender.writer.write(stream[at : at + size])
            at += size
        while (await sender.answer()).control_id != "end":
            pass
    assert len(log.records) == len(events)
    for event, record in zip(events, log.records, strict=True):
        if record.topic == "wire":
            assert event == Frame(record.value)
        else:
            reason = decode_quarantined(record.value).reason
            assert isinstance(event, Frame) or event.reason == reason
    reasons = {e.reason for e in events if isinstance(e, Violation)}
    assert {Reason.TRUNCATED, Reason.NOT_HL7} <= reasons
