"""Connections' worth of bytes: frames as they should be, and as they should not.

A session is made from a seed and its number alone, so that any of them can be made again.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from enum import StrEnum
from random import Random
from typing import Final, NamedTuple

from connectors.fuzz.mutate import message

FRAMES = 250  # of a session
_START, _END = b"\x0b", b"\x1c\r"
_HUGE: Final = 1_100_000
_GAPS: Final = (b"\x00", b"\x00" * 50, b"\r\n", b" \t\r\n", b"junk", b"\x1c\r", b"\x1c", b"\x06",
                b"\x15", b"\x02", b"\x03", b"GET / HTTP/1.1\r\n\r\n", b"\x16\x03\x01\x02\x00",
                b"\xff" * 5_000)  # fmt: skip


class Ending(StrEnum):
    """How a connection ends. Each member's comment is its documentation."""

    FINISHED = "finished"  # the last frame is complete; all answers are awaited
    HALF = "half"  # within a frame
    RESET = "reset"  # torn down without waiting: what was not read yet may be lost


class Pace(StrEnum):
    """How a connection writes and reads. Each member's comment is its documentation."""

    AT_ONCE = "at_once"  # all frames in one write, pipelined
    PIECES = "pieces"  # writes of any size, between any two bytes
    SLOW = "slow"  # pieces, with pauses
    DEAF = "deaf"  # reads no answer before all is written


class Session(NamedTuple):
    """One connection."""

    number: int
    stream: bytes
    frames: int  # sent, complete or not
    pace: Pace
    ending: Ending

    def writes(self, random: Random) -> Iterator[bytes]:
        """The stream as it is written."""
        if self.pace in (Pace.AT_ONCE, Pace.DEAF):
            yield self.stream
            return
        at = 0
        # Tiny pieces at first, then larger ones: a session must end.
        while at < len(self.stream):
            size = random.choice((1, 2, 7, 60, 900) if at < 4_000 else (900, 9_000, 70_000))
            yield self.stream[at : at + size]
            at += size


def session(corpus: Sequence[bytes], seed: int, number: int, frames: int = FRAMES) -> Session:
    """Session `number` of the run with this seed: always the same."""
    random = Random(f"{seed}/{number}")  # noqa: S311  # reproducible, and no secret
    ending = random.choices(tuple(Ending), (80, 15, 5))[0]
    pace = random.choices(tuple(Pace), (60, 28, 2, 10))[0]
    parts = [_item(message(corpus, random, f"F{number}-{n}"), random) for n in range(frames)]
    if ending is Ending.HALF:
        last = _START + message(corpus, random, f"F{number}-half").replace(_START, b"")
        parts.append(last[: random.randrange(1, len(last) + 1)])
    return Session(number, b"".join(parts), frames, pace, ending)


def _item(raw: bytes, random: Random) -> bytes:
    """One frame, or what a sender takes for one."""
    chance = random.random()
    if chance < 0.80:
        return _START + raw + _END
    if chance < 0.83:
        return random.choice(_GAPS) + _START + raw + _END
    if chance < 0.85:
        return _START + raw + b"\x1c"  # without the carriage return
    if chance < 0.88:
        return _START + raw  # the end is missing: the next start ends it
    if chance < 0.90:
        return _START * random.choice((2, 3)) + raw + _END
    if chance < 0.92:
        at = random.randrange(len(raw))
        return _START + raw[:at] + _START + raw[at:] + _END
    if chance < 0.94:
        at = random.randrange(len(raw))
        return (
            _START + raw[:at] + random.choice((_END, b"\x1c", b"\x0b", b"\x00")) + raw[at:] + _END
        )
    if chance < 0.95:
        return _START + _END
    if chance < 0.96:
        return raw + _END  # the start is missing
    if chance < 0.97:
        return b"\x02" + raw + b"\x03"  # another protocol's frame
    if chance < 0.98:
        return _START + raw + random.choice((b"\x1c\n", b"\r\x1c", b"\x1c\x1c\r", b"\x0d\x1c"))
    if chance < 0.9998:
        return random.choice(_GAPS) + _START + raw + _END + random.choice(_GAPS)
    return _START + raw + b"\rNTE|1||" + b"x" * _HUGE + _END
