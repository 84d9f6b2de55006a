"""Why a multimodal score is what it is, and which modality would change it most.

Letters in shape comments: M members, K fused modalities, Q quantiles.
"""

from __future__ import annotations

import math

from connectors.clock import iso
from connectors.contract import Contribution, Missing, SetAside, WhatIf
from models.explanation import REST
from models.inputs import Question
from models.multimodal_network import Network
from models.reading import Read
from models.record import EVER
from models.worked import Worked

TOP = 6
OUT_OF_DISTRIBUTION = "out_of_distribution"  # said of images as of patients


class Reasons:
    """Contributions and what is missing, of one patient at a time (`Worked` of one row)."""

    def __init__(self, question: Question, net: Network) -> None:
        self._question = question
        self._net = net
        self._inputs = question.inputs
        self._of = _inputs_of(question)
        # What stands for each answer; the first spelling is shown.
        self._said = [
            dict(reversed([(x, text) for text, x in i.variable.answers])) for i in self._inputs
        ]
        names = [one.variable.name for one in self._inputs]
        self._predicted = names.index(question.predicts) if question.predicts else -1

    def top(self, k: int, llr: float, one: Read, worked: Worked) -> list[Contribution]:
        """Inputs of a modality by what they add; the rest as one, so that all sum to the llr."""
        shares, guess = worked.shares[0], worked.guess[0]
        lent = self._predicted if guess == guess else -1  # noqa: PLR0124 - NaN: nobody guessed
        known = [i for i in self._of[k] if i == lent or one.values[i] == one.values[i]]
        known.sort(key=lambda i: (-abs(shares[i]), i))
        shown = [self._contribution(i, shares[i], one, guess) for i in known[:TOP]]
        rest = round(llr - sum(c.contribution for c in shown), 6)
        return [*shown, Contribution(feature=REST, value=None, unit="", contribution=rest)]

    def _contribution(self, i: int, share: float, one: Read, guess: float) -> Contribution:
        name, value, unit = self._words(i, one.values[i], guess)
        time = one.times[i]
        return Contribution(
            feature=name,
            value=value,
            unit=unit,
            contribution=share,
            as_of=None if time == EVER else iso(time),
        )

    def _words(self, i: int, value: float, guess: float) -> tuple[str, float | str, str]:
        """Name, value and unit of an input, as people read them."""
        variable = self._inputs[i].variable
        if i == self._predicted and not math.isnan(guess):
            lender = self._question.sources[-1].name
            return f"{variable.display}, predicted from {lender}", round(guess, 4), "probability"
        said = self._said[i].get(value)
        return variable.display, round(value, 4) if said is None else said, variable.unit

    def missing(self, one: Read, worked: Worked) -> Missing:
        """Absent modalities, and which of them would move the score most."""
        modalities = self._question.modalities
        absent = [k for k in range(len(modalities)) if not worked.there[0][k]]
        # Blood from before the operation cannot be drawn any more.
        asked = [k for k in absent if not (one.operated and modalities[k].preoperative)]
        changes = {k: round(self._expected_change(worked, k), 6) for k in asked}
        best = max(changes, key=lambda k: (changes[k], -k), default=None)
        refused = {unread.at for unread in one.unread}
        return Missing(
            modalities=[modalities[k].name for k in absent],
            next_datum=None if best is None else modalities[best].display,
            expected_change=None if best is None else changes[best],
            features=[
                self._inputs[i].variable.display
                for k in range(len(modalities))
                if k not in absent
                for i in self._of[k]
                if one.values[i] != one.values[i] and i not in refused
            ],
            set_aside=[*self.set_aside(one), *self._unlike(one, worked)],
            what_if=self._what_if(worked.what_if[0]),
        )

    def set_aside(self, one: Read) -> list[SetAside]:
        """Inputs whose newest answer cannot be used, and why."""
        return [
            SetAside(
                feature=self._inputs[unread.at].variable.display,
                reason=unread.why.value,
                as_of=iso(unread.time),
            )
            for unread in one.unread
        ]

    def _unlike(self, one: Read, worked: Worked) -> list[SetAside]:
        """Images that could stand in for a result, and are unlike those that the model has seen."""
        if not any(worked.strange[0][1:]) or not worked.what_if[0]:
            return []
        images = self._question.sources[-1].display
        newest = iso(one.readings[-1].newest)
        return [SetAside(feature=images, reason=OUT_OF_DISTRIBUTION, as_of=newest)]

    def _what_if(self, probabilities: list[float]) -> list[WhatIf]:
        """What the score would be by each answer of the result that is pending."""
        return [
            WhatIf(
                datum=self._inputs[self._predicted].variable.display,
                answer=str(self._words(self._predicted, float(answer), math.nan)[1]),
                probability=round(probability, 6),
            )
            for answer, probability in enumerate(probabilities)
        ]

    def _expected_change(self, worked: Worked, k: int) -> float:
        """Mean absolute change of the log-odds if modality k came now."""
        drawn = self._net.foreseen(worked.scores[0], worked.present[0], k)  # (Q, M)
        scores = worked.scores[0].expand(len(drawn), -1, -1).clone()
        scores[:, :, k] = drawn
        present = worked.present[0].expand(len(drawn), -1).clone()
        present[:, k] = True
        new = self._net.ratios(scores, present).mean(1).sum(1)
        return float((new - sum(worked.llr[0])).abs().mean())


def _inputs_of(question: Question) -> list[range]:
    """The inputs of each modality, by number."""
    found: list[range] = []
    for modality in question.sources:
        start = found[-1].stop if found else 0
        found.append(range(start, start + len(modality.inputs)))
    return found
