"""Members, each trained without one fold of patients: who may score whom, how far they differ.

A training patient is scored by the one member that never saw them (cross-fitted), everybody else by
all of them. Letters in shape comments: N patients, M members.
"""

from __future__ import annotations

import hashlib
from typing import Generic, Protocol, Self, TypeVar

import numpy as np
from numpy.typing import NDArray

from connectors.facts import PersonDetail
from models.bundle import Bundle
from models.record import PatientRecord
from models.risk import probability_of

FOLDS = 5
_PERSON_BITS = 16  # of a training patient's entry
_T_90 = 2.132  # Student's t, FOLDS - 1 degrees of freedom, two-sided 90 %


class Recorded(Protocol):
    """A patient of a cohort."""

    @property
    def record_id(self) -> int | str:
        """The cohort's number or name of the patient."""
        ...

    @property
    def record(self) -> PatientRecord:
        """What is known of the patient."""
        ...


class Ensemble(Protocol):
    """A model of several members."""

    @property
    def bundle(self) -> Bundle:
        """Where it comes from; `cohort` among its tensors lists its training patients."""
        ...

    def only(self, member: int) -> Self:
        """The same bundle answering with one member alone."""
        ...


_Model = TypeVar("_Model", bound=Ensemble)


def _number(cohort: str, record_id: int | str) -> int:
    """A hash of a record id: says who was in the training set, not more."""
    return _hash(f"{cohort}/{record_id}") >> 1  # fits a signed 64-bit integer


def _hash(text: str) -> int:
    return int.from_bytes(hashlib.sha256(text.encode()).digest()[:8], "big")


def _person(cohort: str, patient: Recorded) -> int:
    """Whose number it is: a hash of year of birth and sex, never 0; 0 where one is not known.

    Not of results: a patient whose scan or blood is left out is the same patient.
    """
    born, sex = (patient.record.person(f) for f in (PersonDetail.BIRTH_YEAR, PersonDetail.SEX))
    if not isinstance(born, int | float) or sex not in ("F", "M"):
        return 0
    return 1 + _hash(f"{cohort}/{patient.record_id}/{int(born)}/{sex}") % ((1 << _PERSON_BITS) - 1)


def enrolled(cohort: str, patient: Recorded) -> int:
    """The entry of a training patient in a bundle: their number, and in its last bits the person.

    Other hospitals number their patients alike, so the number alone does not tell who it is.
    """
    return _number(cohort, patient.record_id) ^ _person(cohort, patient)


def fold_of(cohort: str, record_id: int | str) -> int:
    """The fold of a training patient, and the member that never saw them."""
    return _number(cohort, record_id) % FOLDS


class Scorer(Generic[_Model]):
    """Chooses for each patient of a cohort who may score them."""

    def __init__(self, model: _Model, cohort: str) -> None:
        self._ensemble = model
        self._cohort = cohort
        entries: list[int] = model.bundle.tensors["cohort"].tolist()
        self._trained_on = {entry >> _PERSON_BITS: entry for entry in entries}
        self._members: dict[int, _Model] = {}

    @property
    def risk(self) -> str:
        """Of the model."""
        return self._ensemble.bundle.risk

    def trained_on(self, patient: Recorded) -> bool:
        """Was this patient in the bundle's training set?

        The number decides where age or sex is not known, here or then: a stranger who is scored by
        one member is scored a little worse, a training patient scored by all of them far too well.
        """
        number = _number(self._cohort, patient.record_id)
        entry = self._trained_on.get(number >> _PERSON_BITS)
        if entry is None:
            return False
        then, now = entry ^ number, _person(self._cohort, patient)
        return then == now or not then or not now

    def member(self, patient: Recorded) -> int | None:
        """The one member that never saw the patient; None: none did, so all may answer."""
        if not self.trained_on(patient):
            return None
        return fold_of(self._cohort, patient.record_id)

    def model(self, patient: Recorded) -> _Model:
        """Cross-fitted: the member that never saw the patient; otherwise the ensemble."""
        fold = self.member(patient)
        if fold is None:
            return self._ensemble
        if fold not in self._members:
            self._members[fold] = self._ensemble.only(fold)
        return self._members[fold]


def spread(members: NDArray[np.float64]) -> NDArray[np.float64]:
    """(N, M) → (N,): standard error of the mean by the delete-a-group jackknife; 0 for one member.

    The members resemble one another because they share most of their patients, which the factor
    M - 1 makes up for. Source: Kott, Journal of Official Statistics 2001.
    """
    found: NDArray[np.float64] = np.sqrt((members.shape[1] - 1) * members.var(1))
    return found


def interval(log_odds: float, error: float) -> tuple[float, float]:
    """The 90 % interval of the probability."""
    return around(log_odds, _T_90 * error)


def around(log_odds: float, half: float) -> tuple[float, float]:
    """Probabilities so far below and above."""
    return probability_of(log_odds - half), probability_of(log_odds + half)
