"""A risk's trajectory: the probability at every time of observation of a stay, as known today.

Probabilities are kept as printed, in millionths, so that a rule which runs over a stored trajectory
sees exactly what it saw live. A changed threshold needs no model: the points are there.
"""

from __future__ import annotations

import sys
from array import array
from bisect import bisect_left
from collections.abc import Iterable, Iterator, Mapping
from typing import Final, NamedTuple

from models.record import EVER
from streams.policy.rules import MICRO, Rule

QUIET, WARNING, CRITICAL = 0, 1, 2
UNCONFIRMED: Final = 4  # added to a level that is not confirmed yet
ABSTAINED: Final = -1

CHUNK: Final = 64  # points of one stored field
MOST: Final = 64 * CHUNK  # points kept; what is older stays as it was judged

Steps = list[tuple[float, int]]  # (time, level) at each change of level, ascending


class Trajectory:
    """Points by time. `dirty` is the first chunk that a store has to write."""

    __slots__ = ("_kept", "dirty", "dropped", "micros", "times")

    def __init__(self) -> None:
        self.times = array("d")
        self.micros = array("i")
        self.dropped = 0  # points before the first; a multiple of CHUNK
        self.dirty: int | None = None
        self._kept = range(0)  # chunks that the store holds

    def __len__(self) -> int:
        return len(self.times)

    def cut(self, since: float) -> int:
        """Forget the points from a time on; returns where the next one goes."""
        start = bisect_left(self.times, since)
        if not start and self.dropped:  # everything is known anew
            self._touch(-self.dropped)
            self.dropped = 0
        if start < len(self.times):
            self._touch(start)
            del self.times[start:]
            del self.micros[start:]
        return start

    def extend(self, points: Iterable[tuple[float, float | None]]) -> None:
        """Add (time, probability) points; None: the model abstained."""
        before = len(self.times)
        for time, probability in points:
            self.times.append(time)
            self.micros.append(ABSTAINED if probability is None else round(probability * MICRO))
        if len(self.times) > before:
            self._touch(before)

    def trim(self) -> None:
        """Drop the oldest points of a very long trajectory."""
        extra = (len(self.times) - MOST) // CHUNK * CHUNK
        if extra > 0:
            self.dropped += extra
            del self.times[:extra]
            del self.micros[:extra]

    def _touch(self, index: int) -> None:
        chunk = (self.dropped + index) // CHUNK
        self.dirty = chunk if self.dirty is None else min(self.dirty, chunk)

    # ── what a store keeps ──────────────────────────────────────────────────────────────────

    def _chunks(self) -> range:
        return range(self.dropped // CHUNK, -(-(self.dropped + len(self)) // CHUNK))

    def stale(self) -> list[int]:
        """Chunks that the store holds and need not."""
        return [chunk for chunk in self._kept if chunk not in self._chunks()]

    def stored(self) -> None:
        """The store has what changed."""
        self.dirty, self._kept = None, self._chunks()

    def changed(self) -> Iterator[tuple[int, bytes]]:
        """Chunks that the store does not hold as they are."""
        if self.dirty is None:
            return
        for chunk in self._chunks():
            if chunk < self.dirty:
                continue
            start = chunk * CHUNK - self.dropped
            times, micros = self.times[start : start + CHUNK], self.micros[start : start + CHUNK]
            if sys.byteorder != "little":
                times.byteswap()
                micros.byteswap()
            yield chunk, times.tobytes() + micros.tobytes()

    @classmethod
    def restored(cls, count: int, dropped: int, chunks: Mapping[int, bytes]) -> Trajectory:
        """From stored chunks. Raises `KeyError` when one is missing."""
        found = cls()
        found.dropped = dropped
        for chunk in range(dropped // CHUNK, -(-(dropped + count) // CHUNK)):
            raw = chunks[chunk]
            size = len(raw) // 12
            found.times.frombytes(raw[: 8 * size])
            found.micros.frombytes(raw[8 * size :])
        if sys.byteorder != "little":
            found.times.byteswap()
            found.micros.byteswap()
        found.stored()
        return found


class _Context(NamedTuple):
    code: int
    onset: float
    ended: float


def _context(steps: Steps) -> _Context:
    """Where the rule stands after some steps."""
    code, onset, ended = QUIET, EVER, EVER
    for time, reached in steps:
        if not code:
            onset = time
        if not reached:
            ended = time
        code = reached
    return _Context(code, onset, ended)


def rewind(steps: Steps, since: float) -> None:
    """Forget the steps from a time on."""
    while steps and steps[-1][0] >= since:
        steps.pop()


def walk(points: Trajectory, start: int, steps: Steps, rule: Rule, expires_s: float) -> None:
    """Run the rule over the points from `start` on, adding the steps; steps before it stand.

    Up at `fire` and `critical`, down to quiet only below `clear`. An abstention keeps the level. A
    gap longer than `expires_s` ends an episode: nothing can burn on evidence that nobody would
    still believe. In the refractory time after an episode no warning begins. A confirmation by
    duration comes when its time is over, whether something is measured then or not.
    """
    fire, clear, critical = rule.micros
    code, onset, ended = _context(steps)
    times, micros = points.times, points.micros
    newest = times[start - 1] if start else EVER
    for i in range(start, len(times)):
        time, p = times[i], micros[i]
        if (
            code & UNCONFIRMED
            and (over := onset + rule.lasting_s) < time
            and over <= newest + expires_s
            and _confirmed(micros, i - 1, fire, rule, rule.lasting_s)
        ):
            code &= ~UNCONFIRMED
            steps.append((over, code))
        if code and time - newest > expires_s:
            code, ended = QUIET, time
            steps.append((time, QUIET))
        newest = time
        if p == ABSTAINED:
            continue
        level = code & ~UNCONFIRMED
        if p >= critical:
            reached = CRITICAL
        elif p >= fire:
            reached = max(level, WARNING)
        else:
            reached = level if level and p >= clear else QUIET
        if reached == WARNING and not level and time < ended + rule.refractory_s:
            reached = QUIET
        if reached:
            onset = onset if level else time
            unconfirmed = not level or code & UNCONFIRMED
            if unconfirmed and not _confirmed(micros, i, fire, rule, time - onset):
                reached |= UNCONFIRMED
        if reached != code:
            if not reached:
                ended = time
            code = reached
            steps.append((time, code))


def confirmed_since(points: Trajectory, rule: Rule, lasted_s: float) -> bool:
    """Do the newest scores, and the time since the onset, confirm an alert by now?"""
    return _confirmed(points.micros, len(points) - 1, rule.micros[0], rule, lasted_s)


def _confirmed(micros: array[int], at: int, fire: int, rule: Rule, lasted_s: float) -> bool:
    """Enough of the last scores at or above `fire`, and for long enough?"""
    if lasted_s < rule.lasting_s:
        return False
    if rule.scores == 1 and rule.of == 1:
        return True
    found = seen = 0
    while at >= 0 and seen < rule.of:
        if micros[at] != ABSTAINED:
            seen += 1
            found += micros[at] >= fire
        at -= 1
    return found >= rule.scores
