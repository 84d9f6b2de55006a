"""A message's segments, patient by patient."""

from __future__ import annotations

from collections.abc import Iterator
from typing import NamedTuple

from connectors.hl7.syntax import Segment


class Group(NamedTuple):
    """One PID and what belongs to it."""

    number: int  # of the PID in its message, from 1
    pid: Segment
    segments: list[Segment]  # all of the message's where it has one patient
    shared: list[Segment]  # before the first PID: EVN …

    def find(self, name: str) -> Segment | None:
        """The first segment of that name, of this patient or of the whole message."""
        for segment in self.segments:
            if segment[0] == name:
                return segment
        for segment in self.shared:
            if segment[0] == name:
                return segment
        return None

    def all(self, name: str) -> Iterator[Segment]:
        """All segments of that name, of this patient."""
        return (segment for segment in self.segments if segment[0] == name)


def by_patient(body: list[Segment]) -> list[Group]:
    """One group for each PID, in order; none without one."""
    starts = [number for number, segment in enumerate(body) if segment[0] == "PID"]
    if len(starts) == 1:
        return [Group(1, body[starts[0]], body, [])]
    if not starts:
        return []
    shared = body[: starts[0]]
    ends = [*starts[1:], len(body)]
    return [
        Group(number, body[start], body[start:end], shared)
        for number, (start, end) in enumerate(zip(starts, ends, strict=True), 1)
    ]


def orders_first(segments: list[Segment]) -> list[Segment]:
    """The segments with each ORC before its OBR, as everywhere but in OUL^R22 to R24.

    There the ORC follows at once (HL7 v2.8.2, 7.3.8 to 7.3.10). A sender that puts it first all
    the same is left alone.
    """
    found: list[Segment] = []
    for segment in segments:
        names = [s[0] for s in found[-2:]]
        if segment[0] == "ORC" and names[-1:] == ["OBR"] and names != ["ORC", "OBR"]:
            found.insert(-1, segment)
        else:
            found.append(segment)
    return found
