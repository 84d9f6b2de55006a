"""A multimodal risk's patients on their way through the network.

Letters in shape comments: N patients, M members, I inputs, K fused modalities, L all modalities
that are read (the fused ones, then the stand-in), A answers of the input that is predicted.
"""

from __future__ import annotations

from dataclasses import dataclass

from torch import Tensor


@dataclass(frozen=True, slots=True)
class Worked:
    """What the network said of a batch."""

    llr: list[list[float]]  # (N, K) mean of the members
    doubt: list[float]  # (N,) half the width of the log-odds' interval
    shares: list[list[float]]  # (N, I) what each input adds to the log-odds, to six decimals
    scores: Tensor  # (N, M, L)
    present: Tensor  # (N, K) modalities with evidence, own or lent by the stand-in
    guess: list[float]  # (N,) probability that stands in; NaN where none does
    there: list[list[bool]]  # (N, L) modalities with any value of their own
    strange: list[list[bool]]  # (N, G) the patient, and the images that would stand in
    what_if: list[list[float]]  # (N, A) probability by answer of the input that is predicted; or []

    def row(self, at: int) -> Worked:
        """Of one patient, N = 1."""
        some = slice(at, at + 1)
        return Worked(
            self.llr[some],
            self.doubt[some],
            self.shares[some],
            self.scores[some].clone(),
            self.present[some].clone(),
            self.guess[some],
            self.there[some],
            self.strange[some],
            self.what_if[some],
        )
