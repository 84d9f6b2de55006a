"""From when a tumour's question counts, and when it is over."""

from __future__ import annotations

from models.inputs import DAY_S
from models.questions import QUESTIONS
from models.reading import Reader
from models.record import PatientRecord
from streams.console.times import HospitalTime

_READERS = {risk: Reader(question) for risk, question in QUESTIONS.items()}


def course_words(risk: str, record: PatientRecord, times: HospitalTime) -> str:
    """`Counts from Mon 23 Nov 2026, is over after Wed 22 Nov 2028.`; "" for all other risks."""
    reader = _READERS.get(risk)
    since = None if reader is None else reader.index_date(record, record.clock)
    if since is None:
        return ""
    over = since + QUESTIONS[risk].horizon_d * DAY_S
    was = "was" if record.clock > over else "is"
    return f"Counts from {times.day(since)}, {was} over after {times.day(over)}."
