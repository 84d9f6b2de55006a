"""A rule that answers where a learned model does not: the risk goes on, and says who speaks.

The answer is the rule's own in all its parts: probability, interval, evidence, as on the rule's
card. `Assessment.fall_back` names the rule and why the model was silent. Alerts follow the rule's
own triggers: what the risk's thresholds are compared with is `as_if`, the rule's log-odds moved so
that its `clear`, `fire` and `critical` lie on those of the risk.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Sequence

import numpy as np
from msgspec.structs import replace

from connectors.contract import FallBack
from models.record import PatientRecord
from models.risk import AlertRule, Answering, Assessment, RiskModel, probability_of

# Which rule answers for which risk: one that asks the same question of the same patients.
STAND_INS = {"deterioration": "news2"}
_ELSEWHERE = "not_present"  # nobody is there to be answered for
_CRITICAL_VALUE = "critical_value"  # as `models.deterioration.Abstention`

_Patients = Sequence[tuple[PatientRecord, float]]


class FallingBack(Answering):
    """A learned model with a rule behind it."""

    def __init__(self, learned: RiskModel, rule: RiskModel) -> None:
        self.risk, self.digest = learned.risk, learned.digest
        self.rule, self.of_stay = learned.rule, learned.of_stay
        self.codes = learned.codes | rule.codes
        self.expires_s = max(learned.expires_s, rule.expires_s)
        self._learned, self._rule = learned, rule
        self._from, self._to = _knots(rule.rule), _knots(learned.rule)

    def concerns(self, record: PatientRecord) -> bool:
        """Whom the learned model's question concerns."""
        return self._learned.concerns(record)

    def forget(self, records: Iterable[PatientRecord]) -> None:
        """As in `RiskModel`."""
        some = list(records)
        self._learned.forget(some)
        self._rule.forget(some)

    def with_parts(self, change: Callable[[RiskModel], RiskModel]) -> FallingBack:
        """See `models.contained.Composed`: where the model fails the rule answers, too."""
        return FallingBack(change(self._learned), change(self._rule))

    def answer(
        self, patients: _Patients, points: _Patients
    ) -> tuple[list[Assessment], list[float | None]]:
        """The model's answers and, where it has none, the rule's. Of points: `as_if`."""
        found, scored = self._learned.answer(patients, points)
        silent = [i for i, a in enumerate(found) if a.abstained not in (None, _ELSEWHERE)]
        unknown = [i for i, z in enumerate(scored) if z is None]
        if silent or unknown:
            answers, plain = self._rule.answer(
                [patients[i] for i in silent], [points[i] for i in unknown]
            )
            for i, answer in zip(silent, answers, strict=True):
                found[i] = self._instead(found[i], answer)
            for i, z in zip(unknown, plain, strict=True):
                scored[i] = None if z is None else self._as_if(z)
            self._keep_raised(points, unknown, scored)
        return found, scored

    def _keep_raised(
        self, points: _Patients, unknown: Sequence[int], scored: list[float | None]
    ) -> None:
        """Let no point beside a critical value, where the rule answered, end an alert.

        The chart does not read the laboratory and hardly the height of a fever: that it is content
        beside a value that is an emergency says nothing against an alert.
        """
        content = [i for i in unknown if (z := scored[i]) is not None and z < self._to[1]]
        if not content:
            return
        silent = self._learned.assess([points[i] for i in content])
        for i, answer in zip(content, silent, strict=True):
            if answer.abstained == _CRITICAL_VALUE:
                scored[i] = None

    def _instead(self, silent: Assessment, answer: Assessment) -> Assessment:
        if answer.log_odds is None or silent.abstained is None:
            return silent
        told = FallBack(
            risk=self._rule.risk,
            version=self._rule.rule.version,
            model=self._rule.digest,
            reason=silent.abstained,
            as_if=probability_of(self._as_if(answer.log_odds)),
        )
        aside = list(silent.missing.set_aside)
        aside += [one for one in answer.missing.set_aside if one not in aside]
        return replace(answer, fall_back=told, missing=replace(answer.missing, set_aside=aside))

    def _as_if(self, log_odds: float) -> float:
        """Along straight lines between the thresholds; beyond them as far as in the rule."""
        first, last = log_odds - self._from[0], log_odds - self._from[-1]
        if first < 0 or last > 0:
            return round(self._to[0] + first if first < 0 else self._to[-1] + last, 6)
        return round(float(np.interp(log_odds, self._from, self._to)), 6)


def _knots(rule: AlertRule) -> list[float]:
    return [math.log(p / (1 - p)) for p in (rule.clear, rule.fire, rule.critical)]
