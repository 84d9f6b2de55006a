"""A risk from several modalities: a linear model for each, fused late, every step a sum.

    score_k = bias_k + Σ_c weight_c column_c         (models/inputs.py makes the columns)
    llr_k   = gain_k (score_k - middle_k) fade_k     (models/fusion.py, for what is there)
    log-odds = baseline + Σ_k llr_k

so what each input adds to the log-odds is exact. An imaging model may stand in for an input that a
laboratory has yet to report: its probability takes the input's place, counts as evidence of the
images, and is gone as soon as the result is there.

Letters in shape comments: N patients, M members, I inputs, C columns, K modalities, S subsets.
"""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Sequence
from enum import StrEnum
from typing import NamedTuple

import torch
from torch import Tensor, nn

from connectors.clock import iso
from connectors.contract import Contribution, Evidence, Missing
from models import fusion
from models.bundle import Bundle, BundleError, single_member
from models.inputs import (
    DAY_S,
    FARTHEST,
    Input,
    Question,
    Reading,
    codes_of,
    columns_of,
    read,
)
from models.record import EVER, PatientRecord, Presence
from models.risk import AlertRule, Assessment

REST = "Everything else"
TOP = 6
_T_90 = 2.132  # Student's t, 4 degrees of freedom, two-sided 90 %: five members


class Abstention(StrEnum):
    """Why there is no score."""

    NOT_ELIGIBLE = "not_eligible"  # nothing says that the question concerns this patient
    STALE_DATA = "stale_data"  # the newest datum is older than the bundle allows
    NOT_PRESENT = "not_present"  # dead


class Network(nn.Module):
    """Members' linear models and fusion tables."""

    center: Tensor  # (M, C)
    scale: Tensor
    weight: Tensor
    bias: Tensor  # (M, K)
    gain: Tensor  # (M, S, K)
    middle: Tensor

    def __init__(self, question: Question, tensors: dict[str, Tensor]) -> None:
        super().__init__()
        self.fused = len(question.modalities)
        columns = columns_of(question.sources)
        for name in ("center", "scale", "weight", "bias", "gain", "middle"):
            self.register_buffer(name, tensors[name].double())
        if self.weight.shape[1] != len(columns):
            raise ValueError(f"{self.weight.shape[1]} weights for {len(columns)} columns")
        self.at = torch.tensor([c.at for c in columns])
        self.is_log = torch.tensor([c.log for c in columns])
        self.is_level = torch.tensor([c.level is not None for c in columns])
        self.level = torch.tensor([c.level or 0.0 for c in columns], dtype=torch.float64)
        self.member_of = nn.functional.one_hot(
            torch.tensor([c.modality for c in columns]), len(question.sources)
        ).double()  # (C, K)

    def columns(self, values: Tensor) -> Tensor:
        """(N, I) values → (N, C), NaN where not known."""
        x = values[:, self.at]
        level = torch.where(x.isnan(), x, (x == self.level).double())
        return torch.where(self.is_level, level, torch.where(self.is_log, x.log1p(), x))

    def parts(self, columns: Tensor) -> Tensor:
        """(N, C) → (N, M, C): what each column adds to its modality's score; 0 for the unknown."""
        x = (columns[:, None, :] - self.center) / self.scale
        return self.weight * x.nan_to_num(0.0).clamp(-FARTHEST, FARTHEST)

    def scores(self, parts: Tensor) -> Tensor:
        """(N, M, C) → (N, M, K) scores of all modalities."""
        return parts @ self.member_of + self.bias

    def ratios(self, scores: Tensor, present: Tensor) -> Tensor:
        """(N, M, K) of the fused ones."""
        return fusion.ratios(scores[..., : self.fused], present, self.gain, self.middle)


class _Read(NamedTuple):
    """A patient ready for the network."""

    as_of: float
    readings: list[Reading]

    @property
    def newest(self) -> float:
        return max(r.newest for r in self.readings)


class MultimodalModel:
    """A loaded bundle."""

    def __init__(self, question: Question, bundle: Bundle) -> None:
        answers = bundle.answers
        try:
            self._net = Network(question, bundle.tensors).eval()
            self.rule = AlertRule(**answers["rule"])
            self.baseline = round(float(answers["baseline"]), 6)
            self._drawn = bundle.tensors["drawn"].double()  # (K, Q): usual scores of a modality
        except (KeyError, TypeError, ValueError, RuntimeError) as error:
            raise BundleError(f"The bundle of {question.risk} is incomplete: {error}.") from error
        self.question = question
        self.bundle = bundle
        self.risk = question.risk
        self.digest = bundle.digest
        self.codes = codes_of(question.sources)
        self.expires_s = question.expires_d * DAY_S
        self._names = [m.name for m in question.sources]
        self._columns = columns_of(question.sources)
        self._inputs: list[Input] = [i for m in question.sources for i in m.inputs]
        self._predicted = self._place_of(question.predicts) if question.predicts else -1
        self._predicted_in = next(
            (
                k
                for k, m in enumerate(question.modalities)
                if any(i.variable.name == question.predicts for i in m.inputs)
            ),
            -1,
        )

    def _place_of(self, name: str) -> int:
        return next(i for i, one in enumerate(self._inputs) if one.variable.name == name)

    def only(self, member: int) -> MultimodalModel:
        """The same bundle answering with one member alone."""
        return MultimodalModel(self.question, single_member(self.bundle, member))

    def concerns(self, record: PatientRecord) -> bool:
        """Has anything been said of this patient that the question is about?"""
        return record.knows(self.question.eligible)

    def assess(self, patients: Sequence[tuple[PatientRecord, float]]) -> list[Assessment]:
        """One answer for each (record, as_of), with reasons."""
        return self.answer(patients, ())[0]

    def log_odds(self, patients: Sequence[tuple[PatientRecord, float]]) -> list[float | None]:
        """As `assess`, without explanations: None where it abstains."""
        return self.answer((), patients)[1]

    @torch.inference_mode()
    def answer(
        self,
        patients: Sequence[tuple[PatientRecord, float]],
        points: Sequence[tuple[PatientRecord, float]],
    ) -> tuple[list[Assessment], list[float | None]]:
        """`assess` of the patients and `log_odds` of the points, in one batch."""
        asked = [*patients, *points]
        reasons = [self._abstention(record, as_of) for record, as_of in asked]
        known = [
            _Read(as_of, [read(m, record, as_of) for m in self.question.sources])
            for (record, as_of), reason in zip(asked, reasons, strict=True)
            if reason is None
        ]
        worked = self._work(known) if known else None
        found: list[Assessment] = []
        scored: list[float | None] = []
        at = 0
        for i, ((_, as_of), reason) in enumerate(zip(asked, reasons, strict=True)):
            if reason is not None or worked is None:
                if i < len(patients):
                    found.append(self._abstained(as_of, reason or Abstention.NOT_ELIGIBLE))
                else:
                    scored.append(None)
                continue
            if i < len(patients):
                found.append(self._assessment(known[at], worked, at))
            else:
                scored.append(self._sum(worked.llr[at])[1])
            at += 1
        return found, scored

    def _abstention(self, record: PatientRecord, as_of: float) -> Abstention | None:
        if record.presence(as_of) is Presence.DIED:
            return Abstention.NOT_PRESENT
        newest = record.newest(self.codes, math.nextafter(as_of, math.inf))
        if not any(record.between(c, EVER, as_of) for c in self.question.eligible):
            return Abstention.NOT_ELIGIBLE
        return Abstention.STALE_DATA if as_of - newest > self.expires_s else None

    def _work(self, known: list[_Read]) -> _Worked:
        net, question = self._net, self.question
        k = len(question.modalities)
        values = torch.tensor(
            [[v for r in one.readings for v in r.values] for one in known], dtype=torch.float64
        )
        there = torch.tensor(
            [[any(not math.isnan(v) for v in r.values) for r in one.readings] for one in known]
        )
        columns = net.columns(values)
        guess = torch.full((len(known),), math.nan, dtype=torch.float64)
        if question.stand_in is not None:
            column = self._guessed_column()
            scores = net.scores(net.parts(columns))
            use = there[:, k] & values[:, self._predicted].isnan()
            guess = torch.where(use, torch.sigmoid(scores[..., k]).mean(1), math.nan)
            columns[:, column] = torch.where(use, guess, columns[:, column])
        parts = net.parts(columns)
        scores = net.scores(parts)
        present = there[:, :k].clone()
        if question.stand_in is not None:
            present[:, self._predicted_in] |= ~guess.isnan()
        fade = self._fade(known, present & ~there[:, :k])
        ratio = net.ratios(scores, present) * fade[:, None, :]  # (N, M, K)
        gain = net.gain[:, fusion.subsets(present)].transpose(0, 1) * fade[:, None, :]
        shares = (parts * (gain @ net.member_of[:, :k].T)).mean(1)  # (N, C), in log-odds
        return _Worked(
            ratio.mean(1).tolist(),
            _spread(ratio.sum(2)).tolist(),
            shares.tolist(),
            scores,
            present,
            guess.tolist(),
            there.tolist(),
        )

    def _guessed_column(self) -> int:
        """The column that the stand-in fills: the level of the input that it predicts."""
        for c, column in enumerate(self._columns):
            if column.at == self._predicted and column.level == self.question.predicts_level:
                return c
        raise BundleError(f"{self.risk} predicts no level of {self.question.predicts}.")

    def _fade(self, known: list[_Read], lent: Tensor) -> Tensor:
        """(N, K): what is left of each modality's evidence after its age.

        `lent` (N, K): all that is known of the modality is the stand-in's guess.
        """
        rows: list[list[float]] = []
        for one, lent_here in zip(known, lent.tolist(), strict=True):
            row: list[float] = []
            for k, modality in enumerate(self.question.modalities):
                newest = one.readings[self._source(k, lent_here[k])].newest
                half_life = modality.half_life_d
                age_d = 0.0 if newest == EVER else (one.as_of - newest) / DAY_S
                row.append(1.0 if half_life is None else 0.5 ** (age_d / half_life))
            rows.append(row)
        return torch.tensor(rows, dtype=torch.float64)

    def _source(self, k: int, lent: bool) -> int:
        """Which modality the evidence of k comes from."""
        return len(self.question.modalities) if lent else k

    def _sum(self, llr: list[float]) -> tuple[list[float], float]:
        """As printed: `baseline + Σ llr = log_odds` to the last digit."""
        rounded = [round(x, 6) for x in llr]
        return rounded, round(self.baseline + sum(rounded), 6)

    def _assessment(self, one: _Read, worked: _Worked, at: int) -> Assessment:
        question = self.question
        llr, log_odds = self._sum(worked.llr[at])
        guessed = not math.isnan(worked.guess[at])
        evidence: list[Evidence] = []
        for k in range(len(question.modalities)):
            if not (worked.there[at][k] or (guessed and k == self._predicted_in)):
                continue
            place = self._source(k, not worked.there[at][k])
            reading = one.readings[place]
            newest = one.newest if reading.newest == EVER else reading.newest
            evidence.append(
                Evidence(
                    modality=self._names[place],
                    llr=llr[k],
                    as_of=iso(newest),
                    staleness_s=round(one.as_of - newest, 3),
                    top=self._top(k, one, worked, at, llr[k], guessed),
                )
            )
        low, high = (_sigmoid(log_odds + s * _T_90 * worked.spread[at]) for s in (-1, 1))
        return Assessment(
            as_of=one.as_of,
            baseline=self.baseline,
            evidence=tuple(evidence),
            log_odds=log_odds,
            probability=_sigmoid(log_odds),
            interval=(low, high),
            abstained=None,
            missing=self._missing(one, worked, at),
        )

    def _top(
        self, k: int, one: _Read, worked: _Worked, at: int, llr: float, guessed: bool
    ) -> list[Contribution]:
        """Inputs of a modality by what they add; the rest as one, so that all sum to the llr."""
        by_input: dict[int, float] = {}
        for share, column in zip(worked.shares[at], self._columns, strict=True):
            if column.modality == k:
                by_input[column.at] = by_input.get(column.at, 0.0) + share
        values = [v for r in one.readings for v in r.values]
        times = [t for r in one.readings for t in r.times]
        stands_in = guessed and k == self._predicted_in
        shown = [
            self._contribution(i, by_input[i], values, times, worked, at, stands_in)
            for i in sorted(by_input, key=lambda i: (-round(abs(by_input[i]), 6), i))
            if not math.isnan(values[i]) or (stands_in and i == self._predicted)
        ][:TOP]
        rest = round(llr - sum(c.contribution for c in shown), 6)
        return [*shown, Contribution(feature=REST, value=None, unit="", contribution=rest)]

    def _contribution(
        self,
        i: int,
        share: float,
        values: list[float],
        times: list[float],
        worked: _Worked,
        at: int,
        stands_in: bool,
    ) -> Contribution:
        variable = self._inputs[i].variable
        if stands_in and i == self._predicted:
            value: float | str | None = round(worked.guess[at], 4)
            name, unit = f"{variable.display}, predicted from imaging", "probability"
        else:
            name, unit, value = variable.display, variable.unit, round(values[i], 4)
            if variable.answers:
                value = next(text for text, x in variable.answers if x == values[i])
        return Contribution(
            feature=name,
            value=value,
            unit=unit,
            contribution=round(share, 6),
            as_of=None if times[i] == EVER else iso(times[i]),
        )

    def _missing(self, one: _Read, worked: _Worked, at: int) -> Missing:
        """Absent modalities, and which of them would move the score most."""
        absent = [k for k in range(self._net.fused) if not worked.there[at][k]]
        names = [self._names[k] for k in absent]
        changes = {k: self._expected_change(worked, at, k) for k in absent}
        best = max(changes, key=lambda k: (round(changes[k], 6), -k), default=None)
        unknown = [
            i.variable.display
            for m, r in zip(self.question.modalities, one.readings, strict=False)
            for i, v in zip(m.inputs, r.values, strict=True)
            if math.isnan(v) and m.name not in names
        ]
        return Missing(
            modalities=names,
            next_datum=None if best is None else self.question.modalities[best].display,
            expected_change=None if best is None else round(changes[best], 6),
            features=unknown,
        )

    def _expected_change(self, worked: _Worked, at: int, k: int) -> float:
        """Mean absolute change of the log-odds if modality k came now, with the scores that
        training patients had."""
        q = self._drawn.shape[1]
        scores = worked.scores[at].expand(q, -1, -1).clone()
        scores[:, :, k] = self._drawn[k][:, None]
        present = worked.present[at].expand(q, -1).clone()
        present[:, k] = True
        new = self._net.ratios(scores, present).mean(1).sum(1)
        return float((new - sum(worked.llr[at])).abs().mean())

    def _abstained(self, as_of: float, reason: Abstention) -> Assessment:
        names = [m.name for m in self.question.modalities]
        return Assessment(
            as_of=as_of,
            baseline=self.baseline,
            evidence=(),
            log_odds=None,
            probability=None,
            interval=None,
            abstained=reason.value,
            missing=Missing(
                modalities=[] if reason is Abstention.NOT_PRESENT else names, next_datum=None
            ),
        )


@dataclasses.dataclass(frozen=True, slots=True)
class _Worked:
    """What the network said of a batch."""

    llr: list[list[float]]  # (N, K) mean of the members
    spread: list[float]  # (N,) standard error of their sum
    shares: list[list[float]]  # (N, C) what each column adds to the log-odds
    scores: Tensor  # (N, M, K with the stand-in)
    present: Tensor  # (N, K) modalities with evidence, own or by a stand-in
    guess: list[float]  # (N,) probability that stands in; NaN where none does
    there: list[list[bool]]  # (N, K with the stand-in) modalities with any value of their own


def _spread(totals: Tensor) -> Tensor:
    """(N, M) → (N,): standard error of the mean by the delete-a-group jackknife (Kott 2001)."""
    return ((totals.shape[1] - 1) * totals.var(1, unbiased=False)).sqrt()


def _sigmoid(x: float) -> float:
    return round(1.0 / (1.0 + math.exp(-x)), 6)
