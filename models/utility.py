"""The utility of hourly sepsis alarms, as PhysioNet/CinC Challenge 2019 defines it.

Each hour's alarm, or its absence, has a value. For a patient who gets sepsis, with onset at t = 0
(the labels become positive six hours before): an alarm earns up to 1 at t = -6, rising from 0 at
-12 and falling to 0 at +3; earlier it costs up to 0.05, later nothing. No alarm costs nothing until
-6 and then more and more, 2 at +3. For everybody else an alarm costs 0.05. The sum over all
patients is scaled so that the best alarms have 1 and no alarm at all has 0.

Source: Reyna et al., Critical Care Medicine 2020, equation 1 and figure 2.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from models.metrics import Array

AHEAD_H = 6  # the labels become positive so long before the onset
_EARLIEST, _BEST, _LATEST = -12.0, -6.0, 3.0
_MISSED = -2.0  # no alarm at the latest useful hour
_FALSE = -0.05


class Gains(NamedTuple):
    """What an alarm is worth at each hour, against none; and what the best alarms are worth."""

    gain: Array  # (hours,) utility of an alarm minus utility of none
    best: float


def onset(labels: Sequence[int]) -> float | None:
    """The index of the hour of onset; None: no sepsis. Labels that start positive are taken so."""
    return next((i + float(AHEAD_H) for i, label in enumerate(labels) if label), None)


def patient(labels: Sequence[int]) -> tuple[Array, Array]:
    """Utility of an alarm and of none, for each hour of one patient."""
    hours = np.arange(len(labels), dtype=np.float64)
    start = onset(labels)
    if start is None:
        return np.full(len(labels), _FALSE), np.zeros(len(labels))
    t = hours - start
    rising = np.maximum((t - _EARLIEST) / (_BEST - _EARLIEST), _FALSE)
    falling = (_LATEST - t) / (_LATEST - _BEST)
    alarm = np.where(t <= _BEST, rising, falling)
    silence = np.where(t <= _BEST, 0.0, _MISSED * (t - _BEST) / (_LATEST - _BEST))
    late = t > _LATEST
    return np.where(late, 0.0, alarm), np.where(late, 0.0, silence)


def gain(labels: Sequence[int]) -> Array:
    """What an alarm is worth against none, at each hour of one patient."""
    alarm, silence = patient(labels)
    return alarm - silence


def gains(patients: Sequence[Sequence[int]]) -> Gains:
    """Of all hours of all patients, in order."""
    parts: list[Array] = []
    best = 0.0
    for labels in patients:
        worth = gain(labels)
        parts.append(worth)
        start = onset(labels)
        if start is not None:
            t = np.arange(len(labels)) - start
            best += float(worth[(t >= _EARLIEST) & (t <= _LATEST)].sum())
    return Gains(np.concatenate(parts) if parts else np.zeros(0), best)


def utility(known: Gains, alarms: NDArray[np.bool_]) -> float:
    """The normalised utility of these alarms; NaN where nobody gets sepsis."""
    return float(known.gain[alarms].sum() / known.best) if known.best else float("nan")


def best_threshold(known: Gains, scores: Array) -> float:
    """The score from which on alarms are worth most."""
    order = np.argsort(-scores, kind="stable")
    total = np.cumsum(known.gain[order])
    ranked = scores[order]
    last_of_tie = np.append(ranked[1:] != ranked[:-1], True)
    total[~last_of_tie] = -np.inf
    return float(ranked[int(np.argmax(total))])
