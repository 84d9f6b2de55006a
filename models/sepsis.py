"""Sepsis: onset within six hours, at any moment of a stay."""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator, Sequence

import numpy as np
from msgspec.structs import replace

from connectors.clock import iso
from connectors.contract import Evidence, SetAside
from models.bundle import UNFIT, Bundle, BundleError, single_member
from models.columns import HOUR_S, Array
from models.conformal import Gate, Reference
from models.critical import Critical
from models.deterioration import MODALITY, Abstention
from models.ensemble import interval, spread
from models.leafwise import LeafwiseForest, LeafwiseTrees
from models.record import PatientRecord, Presence
from models.risk import AlertRule, Answering, Assessment, abstained, probability_of
from models.sepsis_explanation import IN_WARD, SINCE, Explained, NextDatum, SepsisExplainer
from models.sepsis_features import CODES, FEATURES, SepsisReader
from models.sepsis_variables import SEPSIS_CATALOGUE

_ELSEWHERE = frozenset({Presence.NOT_YET, Presence.DISCHARGED, Presence.CANCELLED, Presence.DIED})
_COLUMN = {f.name: j for j, f in enumerate(FEATURES)}
_BY_NAME = {v.name: v for v in SEPSIS_CATALOGUE}
AGE = _COLUMN["age"]
# What the conformal gate looks at: the age, and the newest value of each variable.
_LAST = [_COLUMN[f"{v.name}.last"] for v in SEPSIS_CATALOGUE]
NEWEST = [AGE, *_LAST]


class SepsisModel(Answering):
    """A loaded bundle. Not for several threads at once: it remembers patients' observations."""

    risk = "sepsis"
    codes = CODES

    def __init__(self, bundle: Bundle) -> None:
        answers, tensors = bundle.answers, bundle.tensors
        try:
            trees = LeafwiseTrees(*(tensors[name] for name in LeafwiseTrees._fields))
            self._forest = LeafwiseForest(trees, len(FEATURES))
            # The ensemble's gate lies in the middle of its members' gates.
            reference = Reference(*(tensors[n].double().mean(0).numpy() for n in Reference._fields))
            self._gate = Gate(reference, NEWEST)
            self._youngest = float(reference.gate_youngest)
            self._critical = Critical(answers["critical"], _COLUMN)
            self._explain = SepsisExplainer(
                NextDatum(tensors["fresh"].numpy(), tensors["usual_gap_h"].numpy())
            )
            self.rule = AlertRule(**answers["rule"])
            self.expires_s = float(answers["expires_s"])
            self.baseline = round(float(answers["baseline"]), 6)
        except UNFIT as error:
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
        answered = [one for one, why in zip(asked, reasons, strict=True) if not why]
        seats = [self._reader.seat(record) for record, _ in answered]
        members, parts = self._forest.carried(x, seats)
        llr = ((members.mean(1) - self.baseline) * 1e6).round() / 1e6 + 0.0  # as printed
        rows = self._lowest(x, llr, answered)
        refused = self._refused(x, rows, llr)
        n = sum(reason is None for reason in reasons[: len(points)])
        before = iter(zip(llr[:n].tolist(), refused[:n], strict=True))
        scored = [None if why else self._log_odds(*next(before)) for why in reasons[: len(points)]]
        of_patients = reasons[len(points) :]
        told = self._told(
            x[n:], members[n:], parts[n:, 0], llr[n:], refused[n:], rows[n:], patients, of_patients
        )
        found = [
            self._with_unused(
                record, self._abstained(as_of, reason) if reason is not None else next(told)
            )
            for (record, as_of), reason in zip(patients, of_patients, strict=True)
        ]
        return found, scored

    def _lowest(
        self, x: Array, llr: Array, answered: Sequence[tuple[PatientRecord, float]]
    ) -> Array:
        """(N, F) → the same with the lowest of several newest values in place of the highest.

        Feeds may contradict one another, and any of them may be true. Who has had no value in a
        band lately, or is at risk in any case, is not looked at.
        """
        rows = x
        for i in np.flatnonzero(self._critical.ever(x) & (llr <= 0)).tolist():
            rows = x.copy() if rows is x else rows
            rows[i, _LAST] = self._reader.lowest_of_newest(*answered[i], x[i, _LAST])
        return rows

    def _refused(self, x: Array, rows: Array, llr: Array) -> list[Abstention | None]:
        """(N, F) twice, (N,) → why a low risk would not be believed; `rows` as of `_lowest`.

        It refuses to reassure, never to warn: the strangest values are those of the sickest.
        """
        low = llr <= 0
        far = self._gate.far(x, x[:, IN_WARD]) & low
        critical = self._critical(x)
        if rows is not x:
            critical = critical | self._critical(rows)
        critical = critical.any(1) & low
        found: list[Abstention | None] = [None] * len(x)
        for i in np.flatnonzero(far | critical).tolist():
            found[i] = Abstention.CRITICAL_VALUE if critical[i] else Abstention.OUT_OF_DISTRIBUTION
        return found

    def _log_odds(self, llr: float, refused: Abstention | None) -> float | None:
        return None if refused else round(self.baseline + llr, 6)

    def _told(
        self,
        x: Array,
        members: Array,
        parts: Array,
        llr: Array,
        refused: Sequence[Abstention | None],
        rows: Array,
        patients: Sequence[tuple[PatientRecord, float]],
        reasons: Sequence[Abstention | None],
    ) -> Iterator[Assessment]:
        """Answers with reasons for the patients whom nothing but their values can keep from one."""
        if not len(x):
            return
        times = [t for (_, t), r in zip(patients, reasons, strict=False) if r is None]
        yield from map(
            self._answer,
            times,
            llr.tolist(),
            refused,
            zip(x, rows, strict=True),
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
        fresh = _newest(x) * HOUR_S <= self.expires_s
        # An age is no sign of illness: of a child neither a low risk is told nor a high one.
        usable = fresh & ~(x[:, AGE] < self._youngest)
        for i, fine, recent in zip(here, usable.tolist(), fresh.tolist(), strict=True):
            if fine:
                reasons[i] = None
            else:
                reasons[i] = Abstention.OUT_OF_DISTRIBUTION if recent else self._lacking(*asked[i])
        return reasons, x if here and bool(usable.all()) else x[usable]

    def _lacking(self, record: PatientRecord, as_of: float) -> Abstention:
        """Nothing new enough: was there anything in this stay?"""
        stay = record.stay(as_of)
        since = -math.inf if stay is None else stay.start
        series = self._reader.columns.series(record)
        earlier = any(since <= t <= as_of for one in series for t in one.times)
        return Abstention.STALE_DATA if earlier else Abstention.NO_DATA

    def _with_unused(self, record: PatientRecord, answer: Assessment) -> Assessment:
        """Says also which newest observations could not be used."""
        aside = self._reader.not_used(record, answer.as_of)
        if not aside or answer.abstained == Abstention.NOT_PRESENT:
            return answer
        aside += answer.missing.set_aside
        return replace(answer, missing=replace(answer.missing, set_aside=aside))

    def _abstained(self, as_of: float, reason: Abstention) -> Assessment:
        absent = () if reason is Abstention.NOT_PRESENT else (MODALITY,)
        return abstained(as_of, self.baseline, reason, absent)

    def _silenced(self, as_of: float, reason: Abstention, rows: tuple[Array, Array]) -> Assessment:
        """No answer, since a low risk would not be believed; `rows`: highest and lowest values."""
        aside: list[SetAside] = []
        if reason is Abstention.CRITICAL_VALUE:
            for row in rows:
                named = [_set_aside(*one, row, as_of) for one in self._critical.of(row)]
                aside += [item for item in named if item not in aside]
        return abstained(as_of, self.baseline, reason, (MODALITY,), aside)

    def _answer(
        self,
        as_of: float,
        llr: float,
        refused: Abstention | None,
        rows: tuple[Array, Array],
        error: float,
        newest_h: float,
        explained: Explained,
    ) -> Assessment:
        if refused is not None:
            return self._silenced(as_of, refused, rows)
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


def _set_aside(name: str, value: float, row: Array, as_of: float) -> SetAside:
    """A value that silences the model, as an item of the score."""
    variable = _BY_NAME[name]
    since = float(row[_COLUMN[f"{name}.hours_since"]])
    return SetAside(
        feature=variable.display,
        value=value,
        unit=variable.unit,
        as_of=iso(round(as_of - since * HOUR_S, 3)),
        reason=Abstention.CRITICAL_VALUE.value,
    )


def _newest(x: Array) -> Array:
    """(N,) hours since the newest observation of any variable; infinite where there is none."""
    found: Array = np.fmin.reduce(x[:, SINCE], axis=1, initial=np.inf)
    return found
