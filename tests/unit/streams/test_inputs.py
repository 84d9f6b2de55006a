"""Inputs of the models that are not what they were: a sender's unit, a calibration, a code."""

from __future__ import annotations

import random

from connectors import facts, topics
from connectors.facts import FactRecord, MessageFacts, Observation
from streams.console.quality_page import input_row
from streams.drift import DriftDesk
from streams.inputs import InputDrift
from streams.sampling import Sample
from tests.unit.journal import NOW, MemoryJournal

POTASSIUM = "2823-3"
HOUR = 3_600.0


def say(
    journal: MemoryJournal, hours_ago: float, *values: float | str, unit: str = "mmol/L"
) -> None:
    """Results of one message."""
    at = NOW - hours_ago * HOUR
    found: list[facts.AnyFact] = [
        Observation(
            id=f"{at}-{number}",
            rank=(1, at, 0, "c"),
            code=POTASSIUM,
            system="LN",
            time=at,
            status="F",
            value=value,
            unit=unit,
        )
        for number, value in enumerate(values)
    ]
    message = MessageFacts(
        patient="p",
        sent=at,
        heard=at,
        wire="",
        facts=found,
        control_id="c",
        source="LAB",
        message_type="ORU^R01",
    )
    journal.append(topics.FACTS, facts.encode(FactRecord(messages=[message])), [])


def two_days(journal: MemoryJournal, now: float = 4.2, factor: float = 1.0, unit: str = "") -> None:
    """400 results on the day before, around 4.2 mmol/L; 400 today."""
    draw = random.Random(1)
    for number in range(100):
        early, late = 47 - number / 5, 23 - number / 5
        say(journal, early, *(draw.gauss(4.2, 0.4) for _ in range(4)))
        values = (factor * draw.gauss(now, 0.4) for _ in range(4))
        say(journal, late, *values, unit=unit or "mmol/L")


def potassium(journal: MemoryJournal) -> InputDrift:
    (found,) = DriftDesk(journal, lambda: NOW).report().inputs
    return found


def test_what_has_not_changed_is_steady() -> None:
    journal = MemoryJournal()
    two_days(journal)
    found = potassium(journal)
    assert (found.name, found.unit, found.values) == ("Potassium", "mmol/L", (400, 400))
    assert found.psi is not None
    assert found.psi < 0.05
    assert input_row(found)["cells"][0]["v"] == "Steady"


def test_an_analyser_that_measures_higher_is_seen() -> None:
    journal = MemoryJournal()
    two_days(journal, now=4.6)
    found = potassium(journal)
    assert found.psi is not None
    assert found.psi > 0.25
    assert found.mean is not None
    before, now = found.mean
    assert 0.3 < now - before < 0.5
    assert input_row(found)["cells"][0]["v"] == "Changed"


def test_another_unit_for_the_same_values_is_no_change() -> None:
    """Milliequivalents are what a model would make of them."""
    journal = MemoryJournal()
    two_days(journal, unit="meq/L")
    found = potassium(journal)
    assert found.psi is not None
    assert found.psi < 0.05


def test_values_that_cannot_be_used_any_more_are_counted_with_the_reason() -> None:
    journal = MemoryJournal()
    two_days(journal)
    for number in range(100):
        say(journal, 10 - number / 20, 4.0, unit="potassiums")
    found = potassium(journal)
    assert found.refused == (0.0, 0.2)
    assert found.why == "unit_unknown"


def test_few_values_say_nothing() -> None:
    journal = MemoryJournal()
    for number in range(150):
        say(journal, 47 - number / 10, 4.0, 4.4)
    say(journal, 1, 6.0)
    found = potassium(journal)
    assert (found.psi, found.mean) == (None, None)
    assert input_row(found)["cells"][0]["v"] == "Too few yet"


def test_of_a_record_with_many_messages_some_are_looked_at() -> None:
    journal = MemoryJournal()
    for hour in (30, 1):
        say(journal, hour, 4.2)
        (stored,) = journal.of(topics.FACTS)[-1:]
        (message,) = facts.decode(stored.value).messages
        many = FactRecord(messages=[message] * 500)
        for _ in range(20):
            journal.append(topics.FACTS, facts.encode(many), [])
    before, now = potassium(journal).values
    assert 400 <= before < 1_000
    assert 400 <= now < 1_000


def test_records_that_are_no_facts_are_passed_over() -> None:
    journal = MemoryJournal()
    journal.append(topics.FACTS, b"rubbish", [])
    assert DriftDesk(journal, lambda: NOW).report().inputs == []


def fill(journal: MemoryJournal, count: int) -> None:
    for number in range(count):
        journal.append("t", str(number).encode(), [], partition=number % 2)


def test_all_is_read_once_where_it_is_little() -> None:
    journal = MemoryJournal()
    sample = Sample(journal, "t", most=100)
    fill(journal, 60)
    assert len(list(sample.read(0.0))) == 60
    assert list(sample.read(0.0)) == []
    fill(journal, 10)
    assert len(list(sample.read(0.0))) == 10


def test_of_much_some_is_read_evenly_and_the_rest_is_passed() -> None:
    journal = MemoryJournal()
    sample = Sample(journal, "t", most=200)
    fill(journal, 4_000)
    offsets = [stored.offset for stored in sample.read(0.0)]
    assert len(offsets) == 200
    assert min(offsets) < 100
    assert max(offsets) > 1_900
    assert list(sample.read(0.0)) == []


def test_what_is_too_old_is_not_read() -> None:
    journal = MemoryJournal()
    fill(journal, 10)
    journal.now += 100.0
    fill(journal, 4)
    sample = Sample(journal, "t", most=100)
    assert len(list(sample.read(NOW + 50.0))) == 4
