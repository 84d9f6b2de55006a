"""The patient's results as rows: what counts, and what does not and why."""

from __future__ import annotations

from connectors.facts import Observation
from models.record import PatientRecord
from models.units import Rejection, canonical
from models.variables import BY_CODE
from streams.console.diff import Row
from streams.console.panels import label_of
from streams.console.times import HospitalTime
from streams.console.units import display_value
from streams.console.words import FLAGS, STATUSES

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

_REJECTED = {
    Rejection.UNIT_MISSING: "came without a unit",
    Rejection.UNIT_UNKNOWN: "its unit is not known",
    Rejection.UNIT_INCOMPATIBLE: "its unit does not fit the quantity",
    Rejection.IMPLAUSIBLE: "not plausible",
    Rejection.NOT_A_NUMBER: "not a number",
    Rejection.UNKNOWN_ANSWER: "an answer that is not known",
}


def result_rows(record: PatientRecord, times: HospitalTime) -> list[Row]:
    """One row for each thing measured, newest first: its newest result, and those before."""
    found = [series for code in list(record.codes()) if (series := record.series(code))]
    found.sort(key=lambda series: (-series[-1].time, series[-1].code))
    return [_result(record, series, times) for series in found]


def _result(record: PatientRecord, series: list[Observation], times: HospitalTime) -> Row:
    newest = series[-1]
    flag = FLAGS.get(newest.flag, "")
    status, unused = record.status(newest), _rejection(record, newest)
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


def why_unused(record: PatientRecord, o: Observation, used: set[int]) -> str | None:
    """Why a fact does not count; None when it does, or when it never carried a value."""
    if o.removed or o.status == "X":
        return _REMOVED.get(o.status, "withdrawn by the sender")
    if o.status == "U":
        return None  # says that another result became final
    if o.value is None:
        return "came without a value"
    if id(o) not in used:
        return None  # a later version of the same result counts
    return _rejection(record, o)


def _rejection(record: PatientRecord, o: Observation) -> str | None:
    """Why a value that stands is not taken into account."""
    if o.time > record.clock:
        return "its time lies ahead of the patient's newest message"
    variable = BY_CODE.get(o.code)
    judged = canonical(variable, o) if variable else None
    return _REJECTED[judged] if isinstance(judged, Rejection) else None


def unused_rows(record: PatientRecord, times: HospitalTime) -> list[Row]:
    """Results that the record holds and the score does not use, newest first."""
    used = {id(o) for code in list(record.codes()) for o in record.series(code)}
    found: list[tuple[float, Row]] = []
    for slot, fact in record.facts.items():
        if not isinstance(fact, Observation):
            continue
        why = why_unused(record, fact, used)
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
