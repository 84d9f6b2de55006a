"""Sepsis: onset within six hours, at any moment of a stay."""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator, Sequence

import numpy as np

from connectors.clock import iso
from connectors.contract import Evidence
from models.bundle import Bundle, BundleError, single_member
from models.columns import HOUR_S, Array
from models.deterioration import MODALITY, Abstention
from models.ensemble import interval, spread
from models.leafwise import LeafwiseForest, LeafwiseTrees
from models.record import PatientRecord, Presence
from models.risk import AlertRule, Answering, Assessment, abstained, probability_of
from models.sepsis_explanation import SINCE, Explained, NextDatum, SepsisExplainer
from models.sepsis_features import CODES, FEATURES, SepsisReader

_ELSEWHERE = frozenset({Presence.NOT_YET, Presence.DISCHARGED, Presence.CANCELLED, Presence.DIED})


class SepsisModel(Answering):
    """A loaded bundle. Not for several threads at once: it remembers patients' observations."""

    risk = "sepsis"
    codes = CODES

    def __init__(self, bundle: Bundle) -> None:
        answers, tensors = bundle.answers, bundle.tensors
        try:
            trees = LeafwiseTrees(*(tensors[name] for name in LeafwiseTrees._fields))
            self._forest = LeafwiseForest(trees, len(FEATURES))
            self._explain = SepsisExplainer(
                NextDatum(tensors["fresh"].numpy(), tensors["usual_gap_h"].numpy())
            )
            self.rule = AlertRule(**answers["rule"])
            self.expires_s = float(answers["expires_s"])
            self.baseline = round(float(answers["baseline"]), 6)
        except (KeyError, TypeError, ValueError, RuntimeError) as error:
            raise BundleError(f"The bundle of {self.risk} is incomplete: {error}.") from error
        self.bundle = bundle
        self.digest = bundle.digest
        self._reader = SepsisReader()

    def only(self, member: int) -> SepsisModel:
        """The same bundle answering with one member alone (see `models.ensemble.Scorer`)."""
        return SepsisModel(single_member(self.bundle, member))

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
        asked = [*points, *patients]
        reasons, x = self._inputs(asked)
        seats = [
            self._reader.seat(r) for (r, _), why in zip(asked, reasons, strict=True) if not why
        ]
        n = sum(reason is None for reason in reasons[: len(points)])
        members, parts = self._forest.carried(x, seats)
        llr = ((members.mean(1) - self.baseline) * 1e6).round() / 1e6 + 0.0  # as printed
        before = iter(llr[:n].tolist())
        scored = [
            None if reason else round(self.baseline + next(before), 6)
            for reason in reasons[: len(points)]
        ]
        of_patients = reasons[len(points) :]
        told = self._told(x[n:], members[n:], parts[n:, 0], llr[n:], patients, of_patients)
        found = [
            self._abstained(as_of, reason) if reason is not None else next(told)
            for (_, as_of), reason in zip(patients, of_patients, strict=True)
        ]
        return found, scored

    def _told(
        self,
        x: Array,
        members: Array,
        parts: Array,
        llr: Array,
        patients: Sequence[tuple[PatientRecord, float]],
        reasons: Sequence[Abstention | None],
    ) -> Iterator[Assessment]:
        """Answers with reasons for the patients who get one."""
        if not len(x):
            return
        times = [t for (_, t), r in zip(patients, reasons, strict=False) if r is None]
        yield from map(
            self._answer,
            times,
            llr.tolist(),
            spread(members).tolist(),
            _newest(x).tolist(),
            self._explain(x, parts, llr, times),
        )

    def _inputs(
        self, asked: Sequence[tuple[PatientRecord, float]]
    ) -> tuple[list[Abstention | None], Array]:
        """Reasons for all; features (N, F) of those that can be answered."""
        here = [i for i, (r, t) in enumerate(asked) if r.presence(t) not in _ELSEWHERE]
        reasons: list[Abstention | None] = [Abstention.NOT_PRESENT] * len(asked)
        x = self._reader.matrix([asked[i] for i in here])
        usable = _newest(x) * HOUR_S <= self.expires_s
        for i, fine in zip(here, usable.tolist(), strict=True):
            reasons[i] = None if fine else self._lacking(*asked[i])
        return reasons, x if here and bool(usable.all()) else x[usable]

    def _lacking(self, record: PatientRecord, as_of: float) -> Abstention:
        """Nothing new enough: was there anything in this stay?"""
        stay = record.stay(as_of)
        since = -math.inf if stay is None else stay.start
        series = self._reader.columns.series(record)
        earlier = any(since <= t <= as_of for one in series for t in one.times)
        return Abstention.STALE_DATA if earlier else Abstention.NO_DATA

    def _abstained(self, as_of: float, reason: Abstention) -> Assessment:
        absent = () if reason is Abstention.NOT_PRESENT else (MODALITY,)
        return abstained(as_of, self.baseline, reason, absent)

    def _answer(
        self, as_of: float, llr: float, error: float, newest_h: float, explained: Explained
    ) -> Assessment:
        log_odds = round(self.baseline + llr, 6)  # baseline + llr = log_odds, to the last digit
        staleness = round(newest_h * HOUR_S, 3)
        evidence = Evidence(
            modality=MODALITY,
            llr=llr,
            as_of=iso(round(as_of - staleness, 3)),
            staleness_s=staleness,
            top=explained.top,
        )
        return Assessment(
            as_of=as_of,
            baseline=self.baseline,
            evidence=(evidence,),
            log_odds=log_odds,
            probability=probability_of(log_odds),
            interval=interval(log_odds, error),
            abstained=None,
            missing=explained.missing,
        )


def _newest(x: Array) -> Array:
    """(N,) hours since the newest observation of any variable; infinite where there is none."""
    found: Array = np.fmin.reduce(x[:, SINCE], axis=1, initial=np.inf)
    return found
