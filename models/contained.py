"""A model's errors, kept to the patients and moments that they are about.

A model that raises, or gives a number that is none, has no answer for that patient at that time:
it abstains with the reason `model_error`. All else that was asked in the same batch is answered as
if nothing had been. What is guilty is found by halves: a batch that raises is asked again in two
parts, and so on down to one question.

Whether a question is answered depends on nothing but that question: the last word is spoken when
it is asked alone, of a model that remembers nothing of the patient. So another worker, another
grouping of messages and `tocsin reproduce` find the same, as far as the same error comes of the
same data. An error of the machine is none of a patient, and stops the process as ever.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Iterator, Sequence
from enum import StrEnum
from pathlib import Path
from traceback import walk_tb
from typing import Final, NamedTuple, Protocol, runtime_checkable
from weakref import WeakSet

from connectors.contract import Missing
from models.record import PatientRecord
from models.risk import Answering, Assessment, RiskModel

DOWN: Final = 5  # patients, one after the other, without an answer in between: it fails for all
_OUR_CODE: Final = Path(__file__).resolve().parents[1]
_OUR_PACKAGES: Final = ("connectors", "models", "streams")
_MOST_LOG_ODDS: Final = 700.0  # beyond, e to the power of them is no number
_MACHINE: Final = (MemoryError, OSError, ImportError)
_OUT_OF_MEMORY: Final = "DefaultCPUAllocator"  # how torch says it


class Abstention(StrEnum):
    """Why there is no score, of any model."""

    MODEL_ERROR = "model_error"  # the model failed on this patient's data; operators are told


MODEL_ERROR: Final = Abstention.MODEL_ERROR.value
_Asked = tuple[PatientRecord, float]  # as_of
_Answers = tuple[list[Assessment], list[float | None]]


class Failure(NamedTuple):
    """An error that was kept to one patient. Where it was, and nothing of what it was about."""

    risk: str
    digest: str  # of the bundle
    error: str  # its type
    place: str  # "models/units.py:120 in canonical"


class NotFiniteError(ArithmeticError):
    """A model's answer holds something that is no number."""


@runtime_checkable
class Composed(Protocol):
    """A model that asks others. Each of them may fail by itself."""

    def with_parts(self, change: Callable[[RiskModel], RiskModel]) -> RiskModel:
        """The same, asking others in the place of its parts."""
        ...


def contain(model: RiskModel, make: Callable[[RiskModel], RiskModel]) -> RiskModel:
    """`make` of the model, or of each of its parts."""
    return model.with_parts(make) if isinstance(model, Composed) else make(model)


class Contained(Answering):
    """A model whose errors are kept to what they are about; `told` hears of each."""

    def __init__(self, model: RiskModel, told: Callable[[Failure], None]) -> None:
        self.risk, self.digest, self.codes = model.risk, model.digest, model.codes
        self.rule, self.expires_s, self.of_stay = model.rule, model.expires_s, model.of_stay
        self._model, self._told = model, told
        # Whom it failed last time is asked alone: the others need not be asked twice again.
        self._suspects: WeakSet[PatientRecord] = WeakSet()
        self._failed: WeakSet[PatientRecord] = WeakSet()  # since it last gave an answer

    @property
    def is_down(self) -> bool:
        """Does it fail for everybody?"""
        return len(self._failed) >= DOWN

    def concerns(self, record: PatientRecord) -> bool:
        """As the model says. Where it fails, yes: then a score says that it does."""
        try:
            return self._model.concerns(record)
        except Exception as error:  # noqa: BLE001 - here an error is kept to a patient
            self._note(record, error)
            return True

    def expires_at(self, record: PatientRecord, as_of: float) -> float:
        """As the model says. Where it fails, when what is read grows too old."""
        try:
            return self._model.expires_at(record, as_of)
        except Exception as error:  # noqa: BLE001 - likewise
            self._note(record, error)
            return super().expires_at(record, as_of)

    def forget(self, records: Iterable[PatientRecord]) -> None:
        """As the model does."""
        self._model.forget(records)

    def answer(self, patients: Sequence[_Asked], points: Sequence[_Asked]) -> _Answers:
        """The model's answers; `model_error`, or None of a point, where it has none."""
        if not self._suspects or not self._suspected(patients, points):
            try:
                return self._checked(patients, points, self._model.answer(patients, points))
            except Exception as error:  # noqa: BLE001 - likewise
                _unless_of_the_machine(error)
                self._model.forget({record for record, _ in (*patients, *points)})
        return self._in_parts(patients, points)

    def _suspected(self, patients: Sequence[_Asked], points: Sequence[_Asked]) -> bool:
        return any(record in self._suspects for record, _ in (*patients, *points))

    def _in_parts(self, patients: Sequence[_Asked], points: Sequence[_Asked]) -> _Answers:
        """Each of the suspects alone, the others together as far as that goes."""
        batch = _Batch(patients, points)
        suspects: dict[PatientRecord, list[int]] = {}
        others: list[int] = []
        for place in batch.places():
            record = batch.record(place)
            alone = record in self._suspects
            (suspects.setdefault(record, []) if alone else others).append(place)
        self._ask(batch, others)
        for record, places in suspects.items():
            self._suspects.discard(record)
            self._ask(batch, places)
        return self._checked(patients, points, batch.answers())

    def _ask(self, batch: _Batch, places: Sequence[int]) -> None:
        """Fill in the answers at those places, by halves where it has to be."""
        if not places:
            return
        try:
            batch.take(places, self._model.answer(*batch.asked(places)))
        except Exception as error:  # noqa: BLE001 - likewise
            _unless_of_the_machine(error)
            self._model.forget({batch.record(place) for place in places})
            if len(places) == 1:
                batch.lack(places[0])
                self._note(batch.record(places[0]), error)
                return
            half = len(places) // 2
            self._ask(batch, places[:half])
            self._ask(batch, places[half:])

    def _checked(
        self, patients: Sequence[_Asked], points: Sequence[_Asked], answers: _Answers
    ) -> _Answers:
        """Without what is no number."""
        found, scored = answers
        if (len(found), len(scored)) != (len(patients), len(points)):
            raise ValueError("a model gave another number of answers than it was asked for")
        for i, (answer, (record, as_of)) in enumerate(zip(found, patients, strict=True)):
            if not _is_finite(answer):
                found[i] = _no_answer(as_of)
                self._note(record, NotFiniteError())
        for i, z in enumerate(scored):
            if z is not None and not abs(z) <= _MOST_LOG_ODDS:
                scored[i] = None
                self._note(points[i][0], NotFiniteError())
        if self._failed and any(answer.log_odds is not None for answer in found):
            self._failed.clear()
        return found, scored

    def _note(self, record: PatientRecord, error: Exception) -> None:
        _unless_of_the_machine(error)
        if record in self._suspects:  # of this patient it was told
            return
        self._suspects.add(record)
        self._failed.add(record)
        self._told(Failure(self.risk, self.digest, type(error).__name__, _place(error)))


class _Batch:
    """Questions by place, each patient's one after the other, and what is answered."""

    def __init__(self, patients: Sequence[_Asked], points: Sequence[_Asked]) -> None:
        self._asked, self._n = [*patients, *points], len(patients)
        self._found: dict[int, Assessment] = {}
        self._scored: dict[int, float | None] = {}

    def places(self) -> Iterator[int]:
        """All, of one patient after the other."""
        by_patient: dict[PatientRecord, list[int]] = {}
        for place, (record, _) in enumerate(self._asked):
            by_patient.setdefault(record, []).append(place)
        for places in by_patient.values():
            yield from places

    def record(self, place: int) -> PatientRecord:
        return self._asked[place][0]

    def asked(self, places: Sequence[int]) -> tuple[list[_Asked], list[_Asked]]:
        """(patients, points)"""
        patients = [self._asked[place] for place in places if place < self._n]
        return patients, [self._asked[place] for place in places if place >= self._n]

    def take(self, places: Sequence[int], answers: _Answers) -> None:
        found, scored = answers
        self._found |= zip([p for p in places if p < self._n], found, strict=True)
        self._scored |= zip([p for p in places if p >= self._n], scored, strict=True)

    def lack(self, place: int) -> None:
        """There is no answer."""
        if place < self._n:
            self._found[place] = _no_answer(self._asked[place][1])
        else:
            self._scored[place] = None

    def answers(self) -> _Answers:
        return (
            [self._found[place] for place in range(self._n)],
            [self._scored[place] for place in range(self._n, len(self._asked))],
        )


def _no_answer(as_of: float) -> Assessment:
    missing = Missing(modalities=[], next_datum=None)
    return Assessment(as_of, 0.0, (), None, None, None, MODEL_ERROR, missing)


def _is_finite(answer: Assessment) -> bool:
    """Is all that is printed a number? A sum is none as soon as one of its parts is none."""
    if answer.log_odds is None:
        return True
    total = answer.log_odds + (answer.probability or 0.0) + answer.baseline
    for evidence in answer.evidence:
        total += evidence.llr + evidence.staleness_s
        for part in evidence.top:
            total += part.contribution
    if answer.interval is not None:
        total += answer.interval[0] + answer.interval[1]
    total += answer.missing.expected_change or 0.0
    for answered in answer.missing.what_if:
        total += answered.probability
    return math.isfinite(total) and abs(answer.log_odds) <= _MOST_LOG_ODDS


def _unless_of_the_machine(error: Exception) -> None:
    """Raises what is no error of a patient."""
    if isinstance(error, _MACHINE) or _OUT_OF_MEMORY in str(error):
        raise error


def _place(error: Exception) -> str:
    """The innermost frame of our own code."""
    found = ""
    for frame, line in walk_tb(error.__traceback__):
        path = Path(frame.f_code.co_filename)
        if not path.is_relative_to(_OUR_CODE):
            continue
        path = path.relative_to(_OUR_CODE)
        if path.parts[0] in _OUR_PACKAGES:
            found = f"{path}:{line} in {frame.f_code.co_name}"
    return found
