"""Deterioration: in-hospital death, from the first observation of an acute stay on."""

from __future__ import annotations

import math
from bisect import bisect_left
from collections.abc import Iterable, Sequence
from enum import StrEnum

import numpy as np
from numpy.typing import NDArray

from connectors.clock import iso
from connectors.contract import Contribution, Evidence, Missing, SetAside
from models.bundle import UNFIT, Bundle, BundleError, single_member
from models.conformal import Gate, Reference
from models.critical import VITAL_SIGNS, Critical
from models.ensemble import interval, spread
from models.explanation import Array, Explainer, NextDatum
from models.features import CODES, COLUMN, FEATURES, HOURS, FeatureReader, Window
from models.leafwise import LeafwiseTrees
from models.record import PatientRecord, Presence
from models.risk import AlertRule, Answering, Assessment, abstained, probability_of
from models.timed import TimedForest
from models.variables import BY_NAME, CATALOGUE

MODALITY = "ehr"
_ELSEWHERE = frozenset({Presence.NOT_YET, Presence.DISCHARGED, Presence.CANCELLED, Presence.DIED})
# Body measures say little without anything that changes by the hour.
_STANDING = frozenset({"weight", "height"})
# What the conformal gate looks at: the newest value of each variable, how many there are.
NEWEST = [COLUMN["age"]] + [
    COLUMN[f"{v.name}.last"] for v in CATALOGUE if not v.answers and v.name != "urine"
]
KNOWN = COLUMN["amount.variables"]
# A vital sign that was an emergency keeps the model from reassuring for so long.
_HELD_S = 3600.0
_SIGNS = [COLUMN[f"{name}.last"] for name in VITAL_SIGNS]
_SIGNS_AT = [CATALOGUE.index(BY_NAME[name]) for name in VITAL_SIGNS]
_ACUTE = [i for i, v in enumerate(CATALOGUE) if v.name not in _STANDING]


class Abstention(StrEnum):
    """Why there is no score."""

    NO_DATA = "no_data"  # nothing that the model reads was ever observed in this stay
    # These two only where the model would reassure: the strangest values are those of the sickest,
    # and a risk above the baseline is told whatever they are.
    TOO_LITTLE_DATA = "too_little_data"  # after a day, less than of nearly all training patients
    OUT_OF_DISTRIBUTION = "out_of_distribution"  # values unlike those of the training patients
    # Beside a vital sign of that kind the model may only warn, beside a laboratory value not
    # reassure (`models.critical`).
    CRITICAL_VALUE = "critical_value"  # a newest value that is an emergency by itself
    STALE_DATA = "stale_data"  # the newest observation is older than the bundle allows
    NOT_PRESENT = "not_present"  # not yet here, discharged, cancelled or dead


# Why a low risk would not be believed, from the weakest reason to the strongest.
_DOUBTS = (
    None,
    Abstention.OUT_OF_DISTRIBUTION,
    Abstention.TOO_LITTLE_DATA,
    Abstention.CRITICAL_VALUE,  # of the laboratory
    Abstention.CRITICAL_VALUE,  # a vital sign
)
Doubts = NDArray[np.intp]  # (N,) places among them


class DeteriorationModel(Answering):
    """A loaded bundle. Not for several threads at once: it remembers patients' features."""

    risk = "deterioration"
    codes = CODES

    def __init__(self, bundle: Bundle) -> None:
        answers, tensors = bundle.answers, bundle.tensors
        try:
            trees = LeafwiseTrees(*(tensors[name] for name in LeafwiseTrees._fields))
            self._forest = TimedForest(tensors["anchors"], tensors["counts"], trees, len(FEATURES))
            # The ensemble's gate lies in the middle of its members' gates.
            reference = Reference(*(tensors[n].double().mean(0).numpy() for n in Reference._fields))
            self._gate = Gate(reference, NEWEST)
            self._explain = Explainer(NextDatum(*(tensors[n].numpy() for n in NextDatum._fields)))
            self.rule = AlertRule(**answers["rule"])
            self.expires_s = float(answers["expires_s"])
            self.baseline = round(float(answers["baseline"]), 6)
            self._signs = Critical(answers["critical"]["vital_signs"])
            self._laboratory = Critical(answers["critical"]["laboratory"])
        except UNFIT as error:
            raise BundleError(f"The bundle of {self.risk} is incomplete: {error}.") from error
        warns = math.log(self.rule.fire / (1 - self.rule.fire))
        # Up to which log-odds each doubt silences the model.
        self._up_to = np.array([-math.inf, *[self.baseline] * 3, warns])
        self.bundle = bundle
        self.digest = bundle.digest
        self._reader = FeatureReader()

    def only(self, member: int) -> DeteriorationModel:
        """The same bundle answering with one member alone (see `models.ensemble.Scorer`)."""
        return DeteriorationModel(single_member(self.bundle, member))

    def concerns(self, record: PatientRecord) -> bool:
        """Everybody who is in the hospital."""
        return True

    def forget(self, records: Iterable[PatientRecord]) -> None:
        """As in `RiskModel`."""
        self._reader.forget(records)

    def answer(
        self,
        patients: Sequence[tuple[PatientRecord, float]],
        points: Sequence[tuple[PatientRecord, float]],
    ) -> tuple[list[Assessment], list[float | None]]:
        """`assess` of the patients and `log_odds` of the points, in one batch."""
        # Points lie before the patients' own times: what is carried on goes forwards in time.
        reasons, doubts, windows, x = self._inputs([*points, *patients])
        n = sum(reason is None for reason in reasons[: len(points)])
        seats = [window.seat for window in windows]
        members, parts = self._forest.carried(x, x[:, HOURS], seats)
        mean = members.mean(1)
        means = mean.tolist()
        silent = mean <= self._up_to[doubts]
        refused = [_DOUBTS[doubt] for doubt in np.where(silent, doubts, 0).tolist()]
        before = iter(zip(means[:n], refused[:n], strict=True))
        scored = [None if r else self._told(*next(before)) for r in reasons[: len(points)]]
        llr = mean[n:] - self.baseline
        told = zip(
            refused[n:],
            x[n:],
            windows[n:],
            means[n:],
            spread(members[n:]).tolist(),
            self._explain(x[n:], windows[n:], parts[n:], llr),
            strict=True,
        )
        found = [
            self._unanswered(record, as_of, reason)
            if reason is not None
            else self._answer(as_of, *next(told))
            for (record, as_of), reason in zip(patients, reasons[len(points) :], strict=True)
        ]
        return found, scored

    def _told(self, mean: float, refused: Abstention | None) -> float | None:
        return None if refused else self._split(mean)[1]

    def _split(self, log_odds: float) -> tuple[float, float]:
        """llr and log-odds as printed: `baseline + llr = log_odds` to the last digit."""
        llr = round(log_odds - self.baseline, 6)
        return llr, round(self.baseline + llr, 6)

    def _inputs(
        self, patients: Sequence[tuple[PatientRecord, float]]
    ) -> tuple[list[Abstention | None], Doubts, list[Window], Array]:
        """Reasons for all; doubts, windows and features (N, F) of those that can be answered."""
        elsewhere = [record.presence(as_of) in _ELSEWHERE for record, as_of in patients]
        here = [p for p, away in zip(patients, elsewhere, strict=True) if not away]
        x, windows = self._reader.matrix(here)
        found = [self._abstention(p[0], w) for p, w in zip(here, windows, strict=True)]
        answered = [i for i, reason in enumerate(found) if reason is None]
        left = iter(found)
        reasons = [Abstention.NOT_PRESENT if away else next(left) for away in elsewhere]
        if len(answered) < len(here):
            x, windows = x[answered], [windows[i] for i in answered]
        return reasons, self._doubts(x, windows), windows, x

    def _doubts(self, x: Array, windows: Sequence[Window]) -> Doubts:
        """(N, F) → (N,): why a low risk would not be believed."""
        hours = x[:, HOURS]
        rules = (
            self._gate.far(x, hours),
            self._gate.few(x[:, KNOWN], hours),
            self._laboratory(x).any(1),
            self._signs(x).any(1) | self._lately(x, windows),
        )
        doubts = np.zeros(len(x), dtype=np.intp)
        for doubt, holds in enumerate(rules, 1):
            doubts[holds] = doubt
        # Where feeds contradict one another the highest is in the row; any of them may be true.
        tied = [i for i, window in enumerate(windows) if window.tied]
        if tied:
            lowest = np.stack([_lowest(x[i], windows[i]) for i in tied])
            doubts[tied] = np.maximum(doubts[tied], self._doubts(lowest, ()))
        return doubts

    def _lately(self, x: Array, windows: Sequence[Window]) -> NDArray[np.bool_]:
        """(N, F) → (N,): was a vital sign of the last hour an emergency?"""
        found = np.zeros(len(x), dtype=np.bool_)
        if not windows:
            return found
        for i in np.flatnonzero(self._signs.ever(x)).tolist():
            found[i] = self._signs(_of_last_hour(x[i], windows[i])).any()
        return found

    def _abstention(self, record: PatientRecord, window: Window) -> Abstention | None:
        if window.newest is None:
            stay = record.stay(window.as_of)
            since = -math.inf if stay is None else stay.start
            earlier = any(since <= s.times[0] <= window.as_of for s in window.series if s.times)
            return Abstention.STALE_DATA if earlier else Abstention.NO_DATA
        if window.as_of - window.newest > self.expires_s:
            return Abstention.STALE_DATA
        if all(window.spans[i][0] == window.spans[i][1] for i in _ACUTE):
            return Abstention.TOO_LITTLE_DATA
        return None

    def _unanswered(self, record: PatientRecord, as_of: float, reason: Abstention) -> Assessment:
        if reason is Abstention.NOT_PRESENT:
            return abstained(as_of, self.baseline, reason, ())
        _, window = self._reader.read(record, as_of)
        return abstained(as_of, self.baseline, reason, (MODALITY,), window.not_used())

    def _silenced(self, reason: Abstention, row: Array, window: Window) -> Assessment:
        """No answer, since a low risk would not be believed."""
        aside = window.not_used()
        if reason is Abstention.CRITICAL_VALUE:
            for one in (row, _lowest(row, window), *_of_last_hour(row, window)):
                found = (*self._signs.of(one), *self._laboratory.of(one))
                named = [_critical(name, value, window) for name, value in found]
                aside += [item for item in named if item not in aside]
        return abstained(window.as_of, self.baseline, reason, (MODALITY,), aside)

    def _answer(
        self,
        as_of: float,
        refused: Abstention | None,
        row: Array,
        window: Window,
        mean: float,
        error: float,
        explained: tuple[list[Contribution], Missing],
    ) -> Assessment:
        if refused is not None:
            return self._silenced(refused, row, window)
        top, missing = explained
        llr, log_odds = self._split(mean)
        newest = as_of if window.newest is None else window.newest
        evidence = Evidence(
            modality=MODALITY,
            llr=llr,
            as_of=iso(newest),
            staleness_s=round(as_of - newest, 3),
            top=top,
        )
        return Assessment(
            as_of=as_of,
            baseline=self.baseline,
            evidence=(evidence,),
            log_odds=log_odds,
            probability=probability_of(log_odds),
            interval=interval(log_odds, error),
            abstained=None,
            missing=missing,
        )


def _lowest(row: Array, window: Window) -> Array:
    """(F,) → (F,) with the lowest of several newest values in place of the highest."""
    found = row.copy()
    for i in window.tied:
        found[COLUMN[f"{CATALOGUE[i].name}.last"]] = window.newest_of(i)[0]
    return found


def _of_last_hour(row: Array, window: Window) -> Array:
    """(F,) → (2, F): with the lowest and the highest of each vital sign's last hour as the newest.

    Values that go to and fro across the edge of a band are one emergency, not one after the other.
    """
    found = np.stack([row, row])
    for column, i in zip(_SIGNS, _SIGNS_AT, strict=True):
        lo, hi = window.spans[i]
        series = window.series[i]
        recent = series.values[bisect_left(series.times, window.as_of - _HELD_S, lo, hi) : hi]
        if recent:
            found[0][column], found[1][column] = min(recent), max(recent)
    return found


def _critical(name: str, value: float, window: Window) -> SetAside:
    """A value that silences the model, as an item of the score."""
    i = CATALOGUE.index(BY_NAME[name])
    lo, hi = window.spans[i]
    values = window.series[i].values
    at = next(k for k in reversed(range(lo, hi)) if values[k] == value)
    return SetAside(
        feature=CATALOGUE[i].display,
        value=value,
        unit=CATALOGUE[i].unit,
        as_of=iso(window.series[i].times[at]),
        reason=Abstention.CRITICAL_VALUE.value,
    )
