"""A risk from several modalities: a linear model for each, fused late, every step a sum.

    score_k = bias_k + Σ_c weight_c column_c         (models/encoding.py makes the columns)
    llr_k   = (gain_k score_k + offset_k) fade_k     (models/fusion.py, for what is there)
    log-odds = baseline + Σ_k llr_k

so what each input adds to the log-odds is exact. An imaging model may stand in for an input that a
laboratory has yet to report: its probability takes the input's place, counts as evidence of the
images where nothing else is known of that modality, and is gone as soon as the result is there.

Letters in shape comments: N patients, M members, I inputs, C columns, K fused modalities,
L all modalities that are read (the fused ones, then the stand-in), S subsets.
"""

from __future__ import annotations

import math
from array import array
from collections.abc import Iterable, Sequence
from enum import StrEnum
from typing import NamedTuple
from weakref import WeakKeyDictionary

import torch
from msgspec.structs import replace
from torch import Tensor

from connectors.clock import iso
from connectors.contract import Evidence
from models.bundle import UNFIT, Bundle, BundleError, single_member
from models.encoding import Encoder, columns_of
from models.ensemble import around
from models.inputs import AGE, DAY_S, Question, codes_of
from models.multimodal_network import Network
from models.multimodal_reasons import Reasons
from models.reading import Read, Reader, Reading
from models.record import EVER, PatientRecord, Presence
from models.risk import AlertRule, Answering, Assessment, abstained, probability_of
from models.worked import Worked


class Abstention(StrEnum):
    """Why there is no score."""

    NOT_ELIGIBLE = "not_eligible"  # nothing says that the question concerns this patient
    NO_DATA = "no_data"  # what would say so cannot be read: other words, or two answers at once
    QUESTION_OVER = "question_over"  # the years that it asks about have passed since the operation
    STALE_DATA = "stale_data"  # the newest datum that counts is older than the bundle allows
    # A value farther out than nearly all of training's, or younger than anybody in training.
    OUT_OF_DISTRIBUTION = "out_of_distribution"  # unlike the patients of training
    NOT_PRESENT = "not_present"  # dead


class Silent(NamedTuple):
    """No answer, and why; with what is known, where that was looked at."""

    reason: Abstention
    one: Read | None = None


class MultimodalModel(Answering):
    """A loaded bundle."""

    def __init__(self, question: Question, bundle: Bundle) -> None:
        answers = bundle.answers
        try:
            self._net = Network(question, bundle.tensors).eval()
            self._reasons = Reasons(question, self._net)
            self.rule = AlertRule(**answers["rule"])
            self.baseline = round(float(answers["baseline"]), 6)
        except UNFIT as error:
            raise BundleError(f"The bundle of {question.risk} is incomplete: {error}.") from error
        self.question = question
        self.bundle = bundle
        self.risk = question.risk
        self.of_stay = question.of_stay
        self.digest = bundle.digest
        self.codes = codes_of(question.sources)
        self.expires_s = question.expires_d * DAY_S
        self._reader = Reader(question)
        names = [one.variable.name for one in question.inputs]
        self._age = names.index(AGE.name) if AGE.name in names else None
        self._predicted = names.index(question.predicts) if question.predicts else None
        self._encode = Encoder(columns_of(question.sources))
        self._fades = any(modality.half_life_d is not None for modality in question.modalities)
        # What was said of each patient last, and of what.
        self._said: WeakKeyDictionary[PatientRecord, tuple[bytes, Worked]] = WeakKeyDictionary()

    def only(self, member: int) -> MultimodalModel:
        """The same bundle answering with one member alone."""
        return MultimodalModel(self.question, single_member(self.bundle, member))

    def forget(self, records: Iterable[PatientRecord]) -> None:
        """As in `RiskModel`."""
        for record in records:
            self._said.pop(record, None)

    def concerns(self, record: PatientRecord) -> bool:
        """Has anything been said of this patient that the question is about?"""
        return record.knows(self.question.eligible)

    @torch.inference_mode()
    def answer(
        self,
        patients: Sequence[tuple[PatientRecord, float]],
        points: Sequence[tuple[PatientRecord, float]],
    ) -> tuple[list[Assessment], list[float | None]]:
        """`assess` of the patients and `log_odds` of the points, in one batch."""
        asked = [*patients, *points]
        found = [self._found(record, as_of) for record, as_of in asked]
        known = [
            (record, one)
            for (record, _), one in zip(asked, found, strict=True)
            if isinstance(one, Read)
        ]
        works = iter(self._works(known))
        at = [one if isinstance(one, Silent) else next(works) for one in found]
        n = len(patients)
        assessed = [
            self._abstained(as_of, one) if isinstance(one, Silent) else self._assessment(*one)
            for (_, as_of), one in zip(patients, at[:n], strict=True)
        ]
        scored = [None if isinstance(one, Silent) else self._log_odds(one[1]) for one in at[n:]]
        return assessed, scored

    def expires_at(self, record: PatientRecord, as_of: float) -> float:
        """When what is known now is too old, or the question over: whichever comes first."""
        one = self._reader.read(record, as_of)
        return min(one.newest + self.expires_s, self._over(one))

    def _over(self, one: Read) -> float:
        """When the question is over."""
        since = math.inf if one.index_date is None else one.index_date
        return since + self.question.horizon_d * DAY_S

    def _works(self, known: Sequence[tuple[PatientRecord, Read]]) -> list[tuple[Read, Worked]]:
        """What the network says of each; it is asked about those of whom anything is new."""
        keys = [self._key(one) for _, one in known]
        kept = [self._said.get(record) for record, _ in known]
        new = [i for i, was in enumerate(kept) if was is None or was[0] != keys[i]]
        found = {i: was[1] for i, was in enumerate(kept) if was is not None}
        if new:
            worked = self._work([known[i][1] for i in new])
            found |= {i: worked.row(place) for place, i in enumerate(new)}
            for i in new:
                self._said[known[i][0]] = keys[i], found[i]
        return [(one, found[i]) for i, (_, one) in enumerate(known)]

    def _key(self, one: Read) -> bytes:
        """All that the network's answer rests on: values and, where evidence fades, the time."""
        when = (one.as_of, *(reading.newest for reading in one.readings)) if self._fades else ()
        return array("d", (*one.values, self._refuses(one), *when)).tobytes()

    def _refuses(self, one: Read) -> bool:
        """Has the laboratory answered what is predicted, so that nobody can read it? Then the
        images must not answer in its place, as if nothing had come. Nor where one of their own
        measurements cannot be read, or cannot be: the others are of the same segmentation."""
        return any(u.at == self._predicted or u.at >= self._net.inputs for u in one.unread)

    def _found(self, record: PatientRecord, as_of: float) -> Read | Silent:
        """What is known, or why there is no answer."""
        if record.presence(as_of) is Presence.DIED:
            return Silent(Abstention.NOT_PRESENT)
        one = self._reader.read(record, as_of)
        reason = self._abstention(one)
        return one if reason is None else Silent(reason, one)

    def _abstention(self, one: Read) -> Abstention | None:
        if one.as_of > self._over(one):
            return Abstention.QUESTION_OVER
        if not self._reader.is_eligible(one):
            unread = self._reader.doubts_eligible(one)
            return Abstention.NO_DATA if unread else Abstention.NOT_ELIGIBLE
        if one.as_of - one.newest > self.expires_s:
            return Abstention.STALE_DATA
        if self._age is not None and one.values[self._age] < self.question.youngest:
            return Abstention.OUT_OF_DISTRIBUTION
        return None

    def _abstained(self, as_of: float, silent: Silent) -> Assessment:
        absent = [m.name for m in self.question.modalities]
        lacking = [] if silent.reason is Abstention.NOT_PRESENT else absent
        found = abstained(as_of, self.baseline, silent.reason, lacking)
        if silent.reason is not Abstention.NO_DATA or silent.one is None:
            return found
        missing = replace(found.missing, set_aside=self._reasons.set_aside(silent.one))
        return replace(found, missing=missing)

    def _work(self, known: list[Read]) -> Worked:
        net, fused = self._net, self._net.fused
        values = torch.tensor([one.values for one in known], dtype=torch.float64)
        there = (~values.isnan()).double() @ net.input_of > 0
        columns = self._encode(values)
        strange = net.strange(columns)
        pending = columns.clone()
        refused = strange[:, -1] | torch.tensor([self._refuses(one) for one in known])
        guess = self._stand_in(columns, there, refused)
        parts = net.parts(columns)
        scores = net.scores(parts)
        present = there[:, :fused].clone()
        if self.question.predicts:
            present[:, self.question.predicted_in] |= ~guess.isnan()
        fade = self._fade(known, present & ~there[:, :fused])
        ratio = net.ratios(scores, present) * fade[:, None, :]  # (N, M, K)
        return Worked(
            ratio.mean(1).tolist(),
            net.doubt(ratio, self._known(pending, guess, fade)).tolist(),
            net.shares(parts, present, fade).tolist(),
            scores,
            present,
            guess.tolist(),
            there.tolist(),
            strange.tolist(),
            self._what_if(pending, there, fade),
        )

    def _what_if(self, columns: Tensor, there: Tensor, fade: Tensor) -> list[list[float]]:
        """(N, A): the probability by each answer of the predicted input, where it is not known."""
        found: list[list[float]] = [[] for _ in columns]
        column = self.question.predicted_column
        if column is None:
            return found
        rows = columns[:, column].isnan().nonzero()[:, 0]
        if not len(rows):
            return found
        present = there[rows, : self._net.fused].clone()
        present[:, self.question.predicted_in] = True
        fade = fade[rows].clone()
        fade[:, self.question.predicted_in] = 1.0
        answers = []
        for answer in (0.0, 1.0):
            asked = columns[rows].clone()
            asked[:, column] = answer
            ratio = self._net.ratios(self._net.scores(self._net.parts(asked)), present)
            ratio = ratio * fade[:, None, :]
            answers.append(torch.sigmoid(self.baseline + ratio.mean(1).sum(1)))
        for row, pair in zip(rows.tolist(), torch.stack(answers, 1).tolist(), strict=True):
            found[row] = pair
        return found

    def _known(self, columns: Tensor, guess: Tensor, fade: Tensor) -> Tensor:
        """(N, I) how well each input is known, from 0 to 1, as `models.awaited` counts it.

        Of evidence that has faded to a share, the square of that; of an input that is predicted,
        what the guess leaves of its variance among training patients.
        """
        net, column = self._net, self.question.predicted_column
        known = net.known(columns)
        if column is not None:
            left = (guess * (1 - guess) / net.usual[1, column] ** 2).clamp(max=1.0)
            at = int(net.column_of[column].argmax())
            known[:, at] = torch.where(guess.isnan(), known[:, at], 1 - left)
        known[:, : net.inputs] *= (fade**2) @ net.input_of[: net.inputs, : net.fused].T
        return known

    def _stand_in(self, columns: Tensor, there: Tensor, refused: Tensor) -> Tensor:
        """(N,) probability of the input that is predicted, NaN where it is known or cannot be.

        Writes it into the column of that input. `refused` (N,): nothing may stand in.
        """
        guess = torch.full((len(columns),), math.nan, dtype=torch.float64)
        column = self.question.predicted_column
        if column is None:
            return guess
        use = there[:, self._net.fused] & columns[:, column].isnan() & ~refused
        if use.any():
            scores = self._net.scores(self._net.parts(columns[use]))
            guess[use] = torch.sigmoid(scores[..., self._net.fused]).mean(1)
            columns[use, column] = guess[use]
        return guess

    def _fade(self, known: list[Read], lent: Tensor) -> Tensor:
        """(N, K): what is left of each modality's evidence after its age.

        `lent` (N, K): all that is known of the modality is the stand-in's guess.
        """
        rows = [
            [
                _left(modality.half_life_d, one.as_of, self._source(one, k, lent_here[k]).newest)
                for k, modality in enumerate(self.question.modalities)
            ]
            for one, lent_here in zip(known, lent.tolist(), strict=True)
        ]
        return torch.tensor(rows, dtype=torch.float64)

    def _source(self, one: Read, k: int, lent: bool) -> Reading:
        """Where the evidence of modality k comes from."""
        return one.readings[self._net.fused if lent else k]

    def _sum(self, llr: list[float]) -> tuple[list[float], float]:
        """As printed: `baseline + Σ llr = log_odds` to the last digit."""
        rounded = [round(x, 6) for x in llr]
        return rounded, round(self.baseline + sum(rounded), 6)

    def _log_odds(self, worked: Worked) -> float | None:
        return None if worked.strange[0][0] else self._sum(worked.llr[0])[1]

    def _assessment(self, one: Read, worked: Worked) -> Assessment:
        if worked.strange[0][0]:
            return self._abstained(one.as_of, Silent(Abstention.OUT_OF_DISTRIBUTION))
        llr, log_odds = self._sum(worked.llr[0])
        evidence = [
            self._evidence(k, llr[k], one, worked)
            for k, present in enumerate(worked.present[0].tolist())
            if present
        ]
        return Assessment(
            as_of=one.as_of,
            baseline=self.baseline,
            evidence=tuple(evidence),
            log_odds=log_odds,
            probability=probability_of(log_odds),
            interval=around(log_odds, worked.doubt[0]),
            abstained=None,
            missing=self._reasons.missing(one, worked),
        )

    def _evidence(self, k: int, llr: float, one: Read, worked: Worked) -> Evidence:
        lent = not worked.there[0][k]
        newest = self._source(one, k, lent).newest
        if newest == EVER:  # age and sex alone: they have no time of their own
            newest = one.newest
        return Evidence(
            modality=self.question.sources[self._net.fused if lent else k].name,
            llr=llr,
            as_of=iso(newest),
            staleness_s=round(one.as_of - newest, 3),
            top=self._reasons.top(k, llr, one, worked),
        )


def _left(half_life_d: float | None, as_of: float, newest: float) -> float:
    """What is left of evidence as old as its newest datum."""
    if half_life_d is None or newest == EVER:
        return 1.0
    return float(0.5 ** ((as_of - newest) / DAY_S / half_life_d))
