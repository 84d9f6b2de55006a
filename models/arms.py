"""Losses of whole arms of chromosomes: 1p and 19q, as a codeletion takes them.

Laboratories report a loss in one stretch or in many, as the array's probes lie; as one line of ISCN
(`arr[GRCh38] 1p36.33p11.2(849467_121000000)x1,…`); or by the name of the arm. Stretches of one
report that are less than `_GAP` apart are one. A loss is an arm's when it takes nearly all of it
and not the other arm too: of a lost chromosome 1 or 19 as a whole nothing is said, since a
codeletion comes from one unbalanced translocation, which keeps 1q and 19p. The ratio of a FISH
test is no loss: where the laboratory draws the line is its own, and it says so in a coded result.

Source: WHO Classification of Tumours, Central Nervous System, 5th edition (2021): whole arms; the
borders are rough ones and hold on GRCh37 and GRCh38 alike (UCSC cytoBand); ISCN 2020, chapter 14.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from typing import Final, NamedTuple

from connectors.facts import Presence, Variant

_LOSSES: Final = frozenset(("deletion", "copy number loss", "copy_number_loss", "loss", "del"))
_FEWER: Final = 1.5  # copies: one of two is lost
_GAP: Final = 3_000_000
_SHORTEST: Final = 100_000  # bases of a stretch that counts: an arm holds a hundred million
_LONGEST_ISCN: Final = 20_000  # characters that are looked at
# A stretch of an array or of sequencing with fewer copies, of all cells: not `x1~2`, `x1[0.4]`.
_ISCN_LOSS = re.compile(
    r"\b(\d+)[pq][^(),]{0,60}\(([\d,]{1,15})_([\d,]{1,15})\)\s*x[01](?![\d~.-]|\s*\[)"
)
_WHOLE: Final = {
    "1p": (1, 121_000_000),
    "1q": (144_000_000, 248_000_000),
    "19p": (1, 24_000_000),
    "19q": (28_000_000, 58_000_000),
}


class _Stretch(NamedTuple):
    chromosome: str
    first: int
    last: int


class _Arm(NamedTuple):
    chromosome: str
    core: tuple[int, int]  # what a loss of the whole arm takes at least
    reach: tuple[int, int]  # beyond it the other arm is touched
    other: tuple[int, int]  # the core of the other arm


_ARMS: Final = (  # 1p, 19q
    _Arm("1", (12_000_000, 110_000_000), (0, 150_000_000), (150_000_000, 240_000_000)),
    _Arm("19", (34_000_000, 55_000_000), (10_000_000, 70_000_000), (3_000_000, 18_000_000)),
)
_CHROMOSOMES: Final = frozenset(arm.chromosome for arm in _ARMS)


def of_arm(v: Variant) -> bool:
    """May the variant be a part of such a loss?"""
    return bool(_stretches(v))


def lost(found: Iterable[Variant]) -> list[list[Variant]]:
    """For each arm what says that it is lost: of each report the variant that completes it."""
    by_report: dict[str, list[Variant]] = {}
    for v in found:
        if v.presence is Presence.PRESENT and of_arm(v):
            by_report.setdefault(v.report, []).append(v)
    return [
        [
            max((v for v in told if _on(v, arm)), key=lambda v: (v.time, v.id))
            for told in by_report.values()
            if _takes(told, arm)
        ]
        for arm in _ARMS
    ]


def kept(found: Iterable[Variant]) -> list[Variant]:
    """What says that one of the arms is not lost: the loss of all of it, looked for in vain."""
    absent = (v for v in found if v.presence is Presence.ABSENT)
    return [v for v in absent if any(_takes([v], arm) for arm in _ARMS)]


def _stretches(v: Variant) -> list[_Stretch]:
    """What is lost of chromosomes 1 and 19."""
    if v.chromosome and v.chromosome not in _CHROMOSOMES:
        return []
    found = _by_iscn(v.iscn) if v.iscn else []
    is_loss = v.change.casefold() in _LOSSES or v.alt == "<DEL>"
    if v.copy_number is not None:
        is_loss = v.copy_number < _FEWER
    if is_loss and v.cytoband in _WHOLE:
        found.append(_Stretch(v.cytoband[:-1], *_WHOLE[v.cytoband]))
    elif is_loss and v.position is not None and v.end is not None:
        found.append(_Stretch(v.chromosome, v.position, v.end))
    of_arms = (one for one in found if one.chromosome in _CHROMOSOMES)
    return [one for one in of_arms if one.last - one.first >= _SHORTEST]


def _by_iscn(text: str) -> list[_Stretch]:
    if not text.startswith(("arr", "seq", "sseq")):
        return []
    return [
        _Stretch(chromosome, *(int(n.replace(",", "") or 0) for n in (first, last)))
        for chromosome, first, last in _ISCN_LOSS.findall(text[:_LONGEST_ISCN])
    ]


def _on(v: Variant, arm: _Arm) -> bool:
    return any(one.chromosome == arm.chromosome for one in _stretches(v))


def _takes(told: list[Variant], arm: _Arm) -> bool:
    found = _joined([s for v in told for s in _stretches(v) if s.chromosome == arm.chromosome])
    whole = any(_covers(one, arm.core) and _covers(arm.reach, one) for one in found)
    return whole and not any(_covers(one, arm.other) for one in found)


def _covers(outer: tuple[int, int], inner: tuple[int, int]) -> bool:
    return outer[0] <= inner[0] and inner[1] <= outer[1]


def _joined(stretches: list[_Stretch]) -> list[tuple[int, int]]:
    found: list[tuple[int, int]] = []
    for _, first, last in sorted(stretches):
        if found and first - found[-1][1] <= _GAP:
            found[-1] = (found[-1][0], max(found[-1][1], last))
        else:
            found.append((first, last))
    return found
