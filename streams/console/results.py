"""The patient's results as rows: what counts, and what does not and why."""

from __future__ import annotations

from collections.abc import Collection

from connectors.facts import Observation
from models.catalogues import variables_of
from models.questions import QUESTIONS
from models.reading import Reader
from models.record import PatientRecord
from models.units import Rejection, canonical
from streams.console.diff import Row
from streams.console.panels import label_of
from streams.console.times import HospitalTime
from streams.console.units import display_value
from streams.console.words import FLAGS, REJECTIONS, STATUSES, risk_words

RESULT_COLUMNS = (
    {"id": "what", "label": "Result", "kind": "text"},
    {"id": "value", "label": "Value", "kind": "text"},
    {"id": "status", "label": "Status", "kind": "text"},
    {"id": "time", "label": "Time", "kind": "text"},
    {"id": "before", "label": "Before", "kind": "text"},
)
UNUSED_COLUMNS = (
    {"id": "what", "label": "Result", "kind": "text"},
    {"id": "value", "label": "Value", "kind": "text"},
    {"id": "why", "label": "Why it is not used", "kind": "text"},
    {"id": "time", "label": "Time", "kind": "text"},
)
EARLIER = 3  # values before the newest that a row names
MOST_UNUSED = 40

_REMOVED = {
    "D": "deleted by the sender",
    "W": "belonged to another patient",
    "X": "could not be obtained",
}

_READERS = {risk: Reader(question) for risk, question in QUESTIONS.items()}


def result_rows(record: PatientRecord, times: HospitalTime, risks: Collection[str]) -> list[Row]:
    """One row for each thing measured, newest first: its newest result, and those before."""
    found = [series for code in list(record.codes()) if (series := record.series(code))]
    found.sort(key=lambda series: (-series[-1].time, series[-1].code))
    judge = _Judge(record, risks)
    return [_result(record, series, times, judge) for series in found]


def _result(
    record: PatientRecord, series: list[Observation], times: HospitalTime, judge: _Judge
) -> Row:
    newest = series[-1]
    flag = FLAGS.get(newest.flag, "")
    status, unused = record.status(newest), judge.why(newest)
    earlier = [display_value(o.value, "", o.comparator) for o in series[-1 - EARLIER : -1]]
    return Row(
        key=f"{newest.system}/{newest.code}",
        tone="strong" if flag else "",
        cells=[
            {"v": label_of(newest.code, newest.name)},
            {"v": display_value(newest.value, newest.unit, newest.comparator), "sub": flag},
            {"v": STATUSES.get(status, status), "sub": f"not used: {unused}" if unused else ""},
            {"v": times.moment(newest.time, record.clock)},
            {"v": ", ".join(reversed(earlier))},
        ],
    )


class _Judge:
    """Why the patient's risks take no account of a value that stands."""

    def __init__(self, record: PatientRecord, risks: Collection[str]) -> None:
        self._record = record
        self._risks = sorted(risks)
        self._contradicted = {
            (risk, code, unread.time)
            for risk in risks
            if risk in _READERS
            for unread in _READERS[risk].read(record, record.clock).unread
            if unread.why is Rejection.CONTRADICTION
            for code in QUESTIONS[risk].inputs[unread.at].variable.codes
        }

    def why(self, o: Observation) -> str | None:
        """In words, with the names of the risks where others do use it; None: all do."""
        if o.time > self._record.clock:
            return "its time lies ahead of the patient's newest message"
        said = {r: self._of_risk(r, o) for r in self._risks if o.code in variables_of(r)}
        reasons = {r: why for r, why in said.items() if why}
        late = {r for r, why in reasons.items() if why == _NOT_OF_IT}
        if len(reasons) < len(said):  # what another question does not ask for is no defect
            reasons = {r: why for r, why in reasons.items() if r not in late}
        if len(set(reasons.values())) == 1 and len(reasons) == len(said):
            return next(iter(reasons.values()))
        return "; ".join(f"{risk_words(r).name}: {why}" for r, why in reasons.items()) or None

    def _of_risk(self, risk: str, o: Observation) -> str:
        judged = canonical(variables_of(risk)[o.code], o)
        if isinstance(judged, Rejection):
            return REJECTIONS[judged.value]
        if (risk, o.code, o.time) in self._contradicted:
            return REJECTIONS[Rejection.CONTRADICTION.value]
        reader, now = _READERS.get(risk), self._record.clock
        of_it = reader is None or reader.counts(self._record, o.code, o.time, now)
        return "" if of_it else _NOT_OF_IT


_NOT_OF_IT = "not of the work-up of this tumour, by its time"


def _why_unused(o: Observation, used: set[int], judge: _Judge) -> str | None:
    """Why a fact does not count; None when it does, or when it never carried a value."""
    if o.removed or o.status == "X":
        return _REMOVED.get(o.status, "withdrawn by the sender")
    if o.status == "U":
        return None  # says that another result became final
    if o.value is None:
        return "came without a value"
    if id(o) not in used:
        return None  # a later version of the same result counts
    return judge.why(o)


def unused_rows(record: PatientRecord, times: HospitalTime, risks: Collection[str]) -> list[Row]:
    """Results that the record holds and a score does not use, newest first.

    `risks`: those that are asked about the patient.
    """
    used = {id(o) for code in list(record.codes()) for o in record.series(code)}
    judge = _Judge(record, risks)
    found: list[tuple[float, Row]] = []
    for slot, fact in record.facts.items():
        if not isinstance(fact, Observation):
            continue
        why = _why_unused(fact, used, judge)
        if why is None:
            continue
        cells = [
            {"v": label_of(fact.code, fact.name)},
            {"v": display_value(fact.value, fact.unit, fact.comparator)},
            {"v": why},
            {"v": times.moment(fact.time, record.clock)},
        ]
        found.append((fact.time, Row(key=slot, cells=cells)))
    found.sort(key=lambda pair: (-pair[0], pair[1]["key"]))
    return [row for _, row in found[:MOST_UNUSED]]
