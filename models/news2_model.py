"""NEWS2 as a risk like any other: the reference for learned models, and the fall-back.

The chart's total is turned into a probability by a logistic line, so that points are evidence:

    log-odds = level + slope * (total + points that a red score lacks to the urgent trigger)

The rule's triggers follow: a total of 5, or 3 points in one parameter, warns; a total of 7 is
critical. It goes on where learned models abstain: it has no training distribution to leave and
asks for no laboratory.

Letters in shape comments: N patients, M members.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from enum import StrEnum

from connectors.clock import iso
from connectors.contract import Contribution, Evidence, Missing, SetAside
from models.bundle import UNFIT, Bundle, BundleError, single_member
from models.ensemble import interval, spread
from models.news2 import CODES, WINDOW_S, Chart, Points, effective, total
from models.record import PatientRecord, Presence
from models.risk import AlertRule, Answering, Assessment, abstained, probability_of

RISK = "news2"
MODALITY = "news2"
REST = "Everything else"
RED_SCORE = "3 points in one parameter"
_ADULT = 16  # years; the chart's own limit
_ELSEWHERE = frozenset({Presence.NOT_YET, Presence.DISCHARGED, Presence.CANCELLED, Presence.DIED})


class Abstention(StrEnum):
    """Why there is no score."""

    NO_DATA = "no_data"  # none of the seven parameters was observed in this stay
    STALE_DATA = "stale_data"  # the newest observation is older than a day
    OUT_OF_DISTRIBUTION = "out_of_distribution"  # younger than 16: the chart is for adults
    NOT_PRESENT = "not_present"  # not yet here, discharged, cancelled or dead


class News2Model(Answering):
    """A loaded bundle: the line that turns points into log-odds."""

    risk = RISK
    codes = CODES
    expires_s = WINDOW_S

    def __init__(self, bundle: Bundle) -> None:
        try:
            self._levels = bundle.tensors["levels"].double()  # (M,)
            self._slopes = bundle.tensors["slopes"].double()  # (M,)
            self.rule = AlertRule(**bundle.answers["rule"])
            self.baseline = round(float(bundle.answers["baseline"]), 6)
        except UNFIT as error:
            raise BundleError(f"The bundle of {self.risk} is incomplete: {error}.") from error
        self.bundle = bundle
        self.digest = bundle.digest
        self._chart = Chart()
        self._memo: dict[int, tuple[float, float]] = {}

    def only(self, member: int) -> News2Model:
        """The same bundle answering with one member alone (see `models.ensemble.Scorer`)."""
        return News2Model(single_member(self.bundle, member))

    def forget(self, records: Iterable[PatientRecord]) -> None:
        """As in `RiskModel`."""
        self._chart.forget(records)

    def concerns(self, record: PatientRecord) -> bool:
        """Everybody who is in the hospital."""
        return True

    def answer(
        self,
        patients: Sequence[tuple[PatientRecord, float]],
        points: Sequence[tuple[PatientRecord, float]],
    ) -> tuple[list[Assessment], list[float | None]]:
        """`assess` of the patients and `log_odds` of the points."""
        return [self._assess(*p) for p in patients], [self._log_odds(*p) for p in points]

    def _log_odds(self, record: PatientRecord, as_of: float) -> float | None:
        chart = self._chart.read(record, as_of)
        if self._abstention(record, as_of, chart) is not None:
            return None
        mean, _ = self._line(effective(chart))
        return round(self.baseline + round(mean - self.baseline, 6), 6)

    def _line(self, points: int) -> tuple[float, float]:
        """Mean and standard error of the members' log-odds."""
        if points not in self._memo:
            members = (self._levels + self._slopes * points)[None]  # (1, M)
            self._memo[points] = float(members.mean()), float(spread(members.numpy())[0])
        return self._memo[points]

    def _abstention(
        self, record: PatientRecord, as_of: float, chart: list[Points]
    ) -> Abstention | None:
        if record.presence(as_of) in _ELSEWHERE:
            return Abstention.NOT_PRESENT
        age = record.age(as_of)
        if age is not None and age < _ADULT:
            return Abstention.OUT_OF_DISTRIBUTION
        if any(p.observation for p in chart):
            return None
        stay = record.stay(as_of)
        since = -math.inf if stay is None else stay.start
        before = record.newest(self.codes, math.nextafter(as_of, math.inf))
        return Abstention.STALE_DATA if since <= before < as_of - WINDOW_S else Abstention.NO_DATA

    def _assess(self, record: PatientRecord, as_of: float) -> Assessment:
        chart = self._chart.read(record, as_of)
        reason = self._abstention(record, as_of, chart)
        if reason is not None:
            absent = () if reason is Abstention.NOT_PRESENT else (MODALITY,)
            aside = self._chart.not_used(record, as_of) if absent else ()
            return abstained(as_of, self.baseline, reason, absent, aside)
        mean, error = self._line(effective(chart))
        llr = round(mean - self.baseline, 6)
        log_odds = round(self.baseline + llr, 6)
        newest = max(p.observation.time for p in chart if p.observation)
        evidence = Evidence(
            modality=MODALITY,
            llr=llr,
            as_of=iso(newest),
            staleness_s=round(as_of - newest, 3),
            top=self._reasons(chart, llr),
        )
        return Assessment(
            as_of=as_of,
            baseline=self.baseline,
            evidence=(evidence,),
            log_odds=log_odds,
            probability=probability_of(log_odds),
            interval=interval(log_odds, error),
            abstained=None,
            missing=self._missing(chart, self._chart.not_used(record, as_of)),
        )

    def _reasons(self, chart: list[Points], llr: float) -> list[Contribution]:
        """Parameters with points, by their number; the line's level as the rest."""
        slope = float(self._slopes.mean())
        shown = [
            Contribution(
                feature=f"{p.name}, {p.points} point{'s' if p.points > 1 else ''}",
                value=p.value,
                unit=p.unit,
                contribution=round(slope * p.points, 6),
                as_of=iso(p.observation.time) if p.observation else None,
            )
            for p in sorted(chart, key=lambda p: -p.points)
            if p.points
        ]
        lacking = effective(chart) - total(chart)
        if lacking:
            shown.append(
                Contribution(
                    feature=RED_SCORE, value=None, unit="", contribution=round(slope * lacking, 6)
                )
            )
        rest = round(llr - sum(c.contribution for c in shown), 6)
        return [*shown, Contribution(feature=REST, value=None, unit="", contribution=rest)]

    def _missing(self, chart: list[Points], aside: list[SetAside]) -> Missing:
        """What was not observed counts no points: any of it could only raise the total."""
        unknown = [p.name for p in chart if p.observation is None]
        return Missing(modalities=[], next_datum=None, features=unknown, set_aside=aside)
