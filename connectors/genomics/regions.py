"""Stretches of the genome that were examined, as short as they can be written."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Final

Range = tuple[str, int, int]  # chromosome, first and last base, counted from 1

MOST_RANGES: Final = 20_000  # of one report, when joined: what a patient's state is to hold


def joined(ranges: Iterable[Range]) -> list[Range]:
    """In order, and those that touch or overlap as one.

    >>> joined([("2", 5, 9), ("1", 4, 6), ("1", 1, 3)])
    [('1', 1, 6), ('2', 5, 9)]
    """
    found: list[Range] = []
    for chromosome, first, last in sorted(ranges):
        if found and found[-1][0] == chromosome and first <= found[-1][2] + 1:
            found[-1] = (chromosome, found[-1][1], max(found[-1][2], last))
        else:
            found.append((chromosome, first, last))
    return found
