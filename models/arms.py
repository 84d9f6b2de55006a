"""Losses of whole arms of chromosomes: 1p and 19q, as a codeletion takes them.

Laboratories report a loss in one stretch or in many, as the array's probes lie. Stretches of one
report that are less than `_GAP` apart are one. A loss is an arm's when it takes nearly all of it
and not the other arm too: of a lost chromosome 1 or 19 as a whole nothing is said, since a
codeletion comes from one unbalanced translocation, which keeps 1q and 19p.

Source: WHO Classification of Tumours, Central Nervous System, 5th edition (2021): whole arms; the
borders are rough ones and hold on GRCh37 and GRCh38 alike (UCSC cytoBand).
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Final, NamedTuple

from connectors.facts import Presence, Variant

_LOSSES: Final = frozenset(("deletion", "copy number loss", "copy_number_loss", "loss", "del"))
_FEWER: Final = 1.5  # copies: one of two is lost
_GAP: Final = 3_000_000
_SHORTEST: Final = 100_000  # bases of a stretch that counts: an arm holds a hundred million


class _Arm(NamedTuple):
    chromosome: str
    core: tuple[int, int]  # what a loss of the whole arm takes at least
    reach: tuple[int, int]  # beyond it the other arm is touched
    other: tuple[int, int]  # the core of the other arm


_ARMS: Final = (  # 1p, 19q
    _Arm("1", (12_000_000, 110_000_000), (0, 150_000_000), (150_000_000, 240_000_000)),
    _Arm("19", (34_000_000, 55_000_000), (10_000_000, 70_000_000), (3_000_000, 18_000_000)),
)


def of_arm(v: Variant) -> bool:
    """May the variant be a part of such a loss?"""
    is_loss = v.change.casefold() in _LOSSES or v.alt == "<DEL>"
    if v.copy_number is not None:
        is_loss = v.copy_number < _FEWER
    if not is_loss or v.position is None or v.end is None:
        return False
    return v.chromosome in ("1", "19") and v.end - v.position >= _SHORTEST


def lost(found: Iterable[Variant]) -> list[list[Variant]]:
    """For each arm what says that it is lost: of each report the stretch that completes it."""
    by_report: dict[tuple[str, str], list[Variant]] = {}
    for v in found:
        if v.presence is Presence.PRESENT and of_arm(v):
            by_report.setdefault((v.report, v.chromosome), []).append(v)
    return [
        [
            max(stretches, key=lambda v: (v.time, v.id))
            for (_, chromosome), stretches in by_report.items()
            if chromosome == arm.chromosome and _takes(stretches, arm)
        ]
        for arm in _ARMS
    ]


def kept(found: Iterable[Variant]) -> list[Variant]:
    """What says that one of the arms is not lost: the loss of all of it, looked for in vain."""
    return [
        v
        for v in found
        if v.presence is Presence.ABSENT
        and of_arm(v)
        and any(v.chromosome == arm.chromosome and _takes([v], arm) for arm in _ARMS)
    ]


def _takes(stretches: list[Variant], arm: _Arm) -> bool:
    found = _joined(stretches)
    whole = any(_covers(one, arm.core) and _covers(arm.reach, one) for one in found)
    return whole and not any(_covers(one, arm.other) for one in found)


def _covers(outer: tuple[int, int], inner: tuple[int, int]) -> bool:
    return outer[0] <= inner[0] and inner[1] <= outer[1]


def _joined(stretches: list[Variant]) -> list[tuple[int, int]]:
    found: list[tuple[int, int]] = []
    for first, last in sorted((v.position or 0, v.end or 0) for v in stretches):
        if found and first - found[-1][1] <= _GAP:
            found[-1] = (found[-1][0], max(found[-1][1], last))
        else:
            found.append((first, last))
    return found
