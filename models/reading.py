"""What is known of a tumour's patient at a time, and from when on and until when results count.

- The *index date* is the day of the first operation that is known, and before one is known, of the
  first result that says that there is such a tumour. The question counts from it and ends with its
  horizon.
- A result counts if it was taken within the question's window around the index date; of what
  changes with the operation (images, blood), only up to it. So a blood count of years later, and
  the pathology of a second operation, neither change a score nor make it new: models have learned
  from the work-up of a first tumour, and from nothing that came later.
- An input is the newest value that counts, in its canonical unit. If the newest answer cannot be
  read, or two answers of one time differ, the input is not known, with the reason: an older answer
  must not speak as if nothing had come.
- Nothing later than the time of prediction is read, the index date included.
"""

from __future__ import annotations

import math
from bisect import bisect_right
from collections.abc import Collection
from typing import NamedTuple

from connectors.facts import Observation, PersonDetail
from models.inputs import AGE, DAY_S, SEX, Modality, Question
from models.record import EVER, PatientRecord
from models.units import Rejection, canonical
from models.variables import Variable


class Unread(NamedTuple):
    """An input whose newest answer cannot be used."""

    at: int  # the input, counted over all modalities
    why: Rejection
    time: float


class Reading(NamedTuple):
    """What is known of one modality."""

    values: list[float]  # of its inputs, NaN where not known
    times: list[float]  # of observation; `EVER` of what has none
    newest: float  # time of the newest observation that is used, `EVER` without one


class Read(NamedTuple):
    """A patient ready for the network: a reading of each of the L modalities."""

    as_of: float
    index_date: float | None  # None: nothing says that there is such a tumour
    readings: list[Reading]
    values: list[float]  # (I,) of all readings
    times: list[float]
    unread: tuple[Unread, ...]
    operated: bool  # is the operation known?

    @property
    def newest(self) -> float:
        """Time of the newest observation that is used; `EVER` without one."""
        return max(reading.newest for reading in self.readings)


class Reader:
    """Reads patients for one question."""

    def __init__(self, question: Question) -> None:
        self._question = question
        self._variable_of = {c: i.variable for i in question.inputs for c in i.variable.codes}
        self._eligible = [
            at
            for at, one in enumerate(question.inputs)
            if not question.eligible.isdisjoint(one.variable.codes)
        ]

    def index_date(self, record: PatientRecord, as_of: float) -> float | None:
        """From when the question counts, as far as that is known at `as_of`."""
        operated = self._first_of(self._question.operation, record, as_of)
        if operated is not None:
            return operated
        return self._first_of(self._question.eligible, record, as_of)

    def _first_of(
        self, codes: Collection[str], record: PatientRecord, as_of: float
    ) -> float | None:
        found = (self._first(record, code, as_of) for code in codes)
        return min((time for time in found if time is not None), default=None)

    def _first(self, record: PatientRecord, code: str, as_of: float) -> float | None:
        """When the first result of a code that can be read was taken."""
        variable = self._variable_of.get(code)
        for one in record.series(code):
            if one.time > as_of or variable is None:
                return None
            if isinstance(canonical(variable, one), float):
                return one.time
        return None

    def read(self, record: PatientRecord, as_of: float) -> Read:
        """What counts at `as_of`; without an index date, whatever came lately."""
        operated = self._first_of(self._question.operation, record, as_of)
        index = operated
        if index is None:
            index = self._first_of(self._question.eligible, record, as_of)
        readings: list[Reading] = []
        unread: list[Unread] = []
        for modality in self._question.sources:
            at = sum(len(reading.values) for reading in readings)
            span = self._span(modality, index, as_of)
            found = [_newest(i.variable, record, span) for i in modality.inputs]
            unread += [Unread(at + n, why, t) for n, (_, t, why) in enumerate(found) if why]
            times = [EVER if why else t for _, t, why in found]
            readings.append(Reading([v for v, _, _ in found], times, max(times)))
        values = [v for r in readings for v in r.values]
        times = [t for r in readings for t in r.times]
        known = operated is not None
        return Read(as_of, index, readings, values, times, tuple(unread), known)

    def _span(self, modality: Modality, index: float | None, as_of: float) -> _Span:
        window = self._question.window_d * DAY_S
        if index is None:
            return _Span(as_of, as_of - window, as_of)
        latest = index if modality.preoperative else index + window
        return _Span(index, index - window, min(as_of, latest))

    def counts(self, record: PatientRecord, code: str, time: float, as_of: float) -> bool:
        """Does a result under a code of the question, taken at that time, belong to it?"""
        index = self.index_date(record, as_of)
        spans = [
            self._span(modality, index, as_of)
            for modality in self._question.sources
            if any(code in one.variable.codes for one in modality.inputs)
        ]
        return any(span.start <= time <= span.end for span in spans)

    def is_eligible(self, one: Read) -> bool:
        """Does anything that counts say that the question concerns the patient?"""
        return any(not math.isnan(one.values[at]) for at in self._eligible)

    def doubts_eligible(self, one: Read) -> bool:
        """Is there something that would say so, if it could be read?"""
        return any(not_read.at in self._eligible for not_read in one.unread)


class _Span(NamedTuple):
    """From when to when results count; `at`: the time of which age is asked."""

    at: float
    start: float
    end: float


def _newest(
    variable: Variable, record: PatientRecord, span: _Span
) -> tuple[float, float, Rejection | None]:
    """The value (NaN: none), when it was taken (`EVER`: no time), and why it cannot be used."""
    if variable is AGE:
        age = record.age(span.at)
        return (math.nan if age is None else age), EVER, None
    if variable is SEX:
        said = str(record.person(PersonDetail.SEX) or "").casefold()
        return dict(variable.answers).get(said, math.nan), EVER, None
    value, newest, why = math.nan, EVER, None
    for code in variable.codes:  # of those that are reported together the first readable counts
        answers = _latest(record.series(code), span)
        if not answers or answers[0].time < newest:
            continue
        judged = _agreed(variable, answers)
        later, newest = answers[0].time > newest, answers[0].time
        if isinstance(judged, Rejection):
            value, why = (math.nan, judged) if later else (value, why)
        elif later or why is not None:
            value, why = judged, None
    return value, newest, why


def _latest(series: list[Observation], span: _Span) -> list[Observation]:
    """The newest observations within the span: all of one time."""
    at = len(series)
    if at and series[-1].time > span.end:
        at = bisect_right(series, span.end, key=lambda one: one.time)
    if not at or series[at - 1].time < span.start:
        return []
    start, time = at - 1, series[at - 1].time
    while start and series[start - 1].time == time:
        start -= 1
    return series[start:at]


def _agreed(variable: Variable, answers: list[Observation]) -> float | Rejection:
    """What the answers of one time say together, in whichever order."""
    if len(answers) == 1:  # nearly always
        return canonical(variable, answers[0])
    said = {canonical(variable, one) for one in answers}
    refused = sorted(one for one in said if isinstance(one, Rejection))
    values = [one for one in said if not isinstance(one, Rejection)]
    if len(values) > 1:
        return Rejection.CONTRADICTION
    return refused[0] if refused else values[0]
