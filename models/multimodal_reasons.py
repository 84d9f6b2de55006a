"""Why a multimodal score is what it is, and which modality would change it most.

Letters in shape comments: K fused modalities, Q quantiles.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import TYPE_CHECKING

from torch import Tensor

from connectors.clock import iso
from connectors.contract import Contribution, Missing
from models.encoding import columns_of
from models.explanation import REST
from models.inputs import Input, Question
from models.record import EVER

if TYPE_CHECKING:
    from models.multimodal import Read, Worked

TOP = 6


class Reasons:
    """Contributions and what is missing, for one patient of a batch at a time."""

    def __init__(
        self, question: Question, ratios: Callable[[Tensor, Tensor], Tensor], drawn: Tensor
    ) -> None:
        """`drawn` (K, Q): scores that training patients usually had."""
        self._question = question
        self._ratios = ratios
        self._drawn = drawn
        self._columns = columns_of(question.sources)
        self._inputs = question.inputs
        names = [one.variable.name for one in self._inputs]
        self._predicted = names.index(question.predicts) if question.predicts else -1

    def top(self, k: int, llr: float, one: Read, worked: Worked, at: int) -> list[Contribution]:
        """Inputs of a modality by what they add; the rest as one, so that all sum to the llr."""
        shares: dict[int, float] = {}
        for share, column in zip(worked.shares[at], self._columns, strict=True):
            if column.modality == k:
                shares[column.at] = shares.get(column.at, 0.0) + share
        values = [v for r in one.readings for v in r.values]
        times = [t for r in one.readings for t in r.times]
        guess = worked.guess[at]
        if not math.isnan(guess):
            values[self._predicted] = guess
        known = [i for i in shares if not math.isnan(values[i])]
        known.sort(key=lambda i: (-round(abs(shares[i]), 6), i))
        shown = [
            Contribution(
                feature=name,
                value=value,
                unit=unit,
                contribution=round(shares[i], 6),
                as_of=None if times[i] == EVER else iso(times[i]),
            )
            for i in known[:TOP]
            for name, value, unit in [self._words(i, values[i], guess)]
        ]
        rest = round(llr - sum(c.contribution for c in shown), 6)
        return [*shown, Contribution(feature=REST, value=None, unit="", contribution=rest)]

    def _words(self, i: int, value: float, guess: float) -> tuple[str, float | str, str]:
        """Name, value and unit of an input, as people read them."""
        variable = self._inputs[i].variable
        if i == self._predicted and not math.isnan(guess):
            lender = self._question.sources[-1].name
            return f"{variable.display}, predicted from {lender}", round(value, 4), "probability"
        said = next((text for text, x in variable.answers if x == value), round(value, 4))
        return variable.display, said, variable.unit

    def missing(self, one: Read, worked: Worked, at: int) -> Missing:
        """Absent modalities, and which of them would move the score most."""
        modalities = self._question.modalities
        absent = [k for k in range(len(modalities)) if not worked.there[at][k]]
        changes = {k: round(self._expected_change(worked, at, k), 6) for k in absent}
        best = max(changes, key=lambda k: (changes[k], -k), default=None)
        return Missing(
            modalities=[modalities[k].name for k in absent],
            next_datum=None if best is None else modalities[best].display,
            expected_change=None if best is None else changes[best],
            features=[
                name
                for k in range(len(modalities))
                if k not in absent
                for name in _unknown(modalities[k].inputs, one.readings[k].values)
            ],
        )

    def _expected_change(self, worked: Worked, at: int, k: int) -> float:
        """Mean absolute change of the log-odds if modality k came now."""
        q = self._drawn.shape[1]
        scores = worked.scores[at].expand(q, -1, -1).clone()
        scores[:, :, k] = self._drawn[k][:, None]
        present = worked.present[at].expand(q, -1).clone()
        present[:, k] = True
        new = self._ratios(scores, present).mean(1).sum(1)
        return float((new - sum(worked.llr[at])).abs().mean())


def _unknown(inputs: tuple[Input, ...], values: list[float]) -> list[str]:
    return [one.variable.display for one, v in zip(inputs, values, strict=True) if math.isnan(v)]
