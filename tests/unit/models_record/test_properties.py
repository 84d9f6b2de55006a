"""The fold, whatever comes in: order, repetition, views kept up to date, and `since`."""

from __future__ import annotations

import random

from hypothesis import given, settings
from hypothesis import strategies as st

from connectors.facts import (
    AnyFact,
    EncounterEvent,
    FactRecord,
    MessageFacts,
    Observation,
    PersonDetail,
    Rank,
    decode,
    encode,
)
from models.record import EVER, PatientRecord

# Few different values, so that versions of the same thing meet.
CODES = ("hr", "rr")
TIMES = (10.0, 20.0, 30.0)
CHANGES = (100.0, 200.0, 300.0)
STATUSES = {"P": (0, 0), "F": (1, 0), "C": (1, 1), "D": (1, 1), "X": (1, 0), "U": (1, 0)}


@st.composite
def observations(draw: st.DrawFn) -> Observation:
    status = draw(st.sampled_from(sorted(STATUSES)))
    final, correction = STATUSES[status]
    time = draw(st.sampled_from(TIMES))
    code = draw(st.sampled_from(CODES))
    has_value = status in "PFC"
    return Observation(
        id=f"{draw(st.sampled_from('ab'))}-{code}",
        rank=(final, draw(st.sampled_from(CHANGES)), correction, draw(st.sampled_from("xy"))),
        removed=status == "D",
        code=code,
        system="LN",
        time=time,
        status=status,
        value=float(draw(st.integers(1, 3))) if has_value else None,
        serial=draw(st.sampled_from([time, time, None])),
    )


@st.composite
def events(draw: st.DrawFn) -> EncounterEvent:
    kind = draw(st.sampled_from(["admitted", "discharged", "located"]))
    visit = draw(st.sampled_from(["v", "w", ""]))
    time = draw(st.sampled_from(TIMES))
    removed = kind != "located" and draw(st.booleans())
    rank: Rank = (draw(st.integers(0, 1)), draw(st.sampled_from(CHANGES)), int(removed), "x")
    name = f"{visit}/{kind}" + (f"/{time}" if kind == "located" else "")
    return EncounterEvent(
        id=name,
        rank=rank,
        removed=removed,
        visit=visit,
        event=kind,
        time=time,
        ward=draw(st.sampled_from(["", "W1", "W2"])),
    )


@st.composite
def details(draw: st.DrawFn) -> PersonDetail:
    removed = draw(st.booleans())
    return PersonDetail(
        id="person:died_at",
        rank=(1, draw(st.sampled_from(CHANGES)), 0, "x"),
        removed=removed,
        field="died_at",
        value=None if removed else draw(st.sampled_from(TIMES)),
    )


facts = st.lists(observations() | events() | details(), max_size=9)
results = st.lists(observations(), max_size=9)


def folded(given_facts: list[AnyFact]) -> PatientRecord:
    record = PatientRecord()
    record.fold_facts(given_facts)
    return record


def views(record: PatientRecord, until: float = 1e9) -> object:
    """Everything a score may look at, of times before `until`."""
    series = {code: [o for o in record.series(code) if o.time < until] for code in CODES}
    shown = {
        code: [(o.time, o.value, record.status(o)) for o in found] for code, found in series.items()
    }
    return shown


@given(facts, st.randoms(use_true_random=False))
@settings(max_examples=400)
def test_any_order_and_repetition_gives_the_same_record(
    found: list[AnyFact], rng: random.Random
) -> None:
    again = [*found, *rng.choices(found, k=3)] if found else []
    rng.shuffle(again)
    one, other = folded(found), folded(again)
    assert one.canonical() == other.canonical()
    assert views(one) == views(other)
    assert one.stays() == other.stays()
    assert list(one.codes()) == list(other.codes())


@given(facts)
def test_a_record_rebuilt_from_its_own_facts_is_the_same(found: list[AnyFact]) -> None:
    """As the store does it: through bytes, in the order of slots."""
    record = folded(found)
    message = MessageFacts(
        patient="p",
        sent=1.0,
        heard=1.0,
        wire="",
        facts=[record.facts[slot] for slot in sorted(record.facts)],
    )
    stored = decode(encode(FactRecord(messages=[message])))
    rebuilt = PatientRecord()
    rebuilt.fold_facts(stored.messages[0].facts)
    rebuilt.clock = record.clock
    assert rebuilt.canonical() == record.canonical()
    assert views(rebuilt) == views(record)


@given(facts, facts)
def test_merging_two_records_is_folding_one_into_the_other(
    ours: list[AnyFact], theirs: list[AnyFact]
) -> None:
    one, other = folded(ours), folded(theirs)
    one.fold_facts(list(other.facts.values()))
    assert one.canonical() == folded(theirs + ours).canonical()


@given(facts)
@settings(max_examples=400)
def test_views_kept_up_to_date_equal_views_made_anew(found: list[AnyFact]) -> None:
    record = PatientRecord()
    for number, fact in enumerate(found):
        views(record)  # so that every series is kept, and must be renewed
        record.fold_facts([fact])
        fresh = folded(found[: number + 1])
        assert views(record) == views(fresh)
        assert record.stays() == fresh.stays()


@given(results)
@settings(max_examples=400)
def test_nothing_before_since_changes(found: list[AnyFact]) -> None:
    record = PatientRecord()
    for fact in found:
        before = {code: list(record.series(code)) for code in CODES}
        since = record.fold_facts([fact]).since
        for code in CODES:
            old = [(o.time, o.value) for o in before[code]]
            new = [(o.time, o.value) for o in record.series(code)]
            if since is None:
                assert old == new
            else:
                assert [v for v in old if v[0] < since] == [v for v in new if v[0] < since]


@given(results)
def test_a_preliminary_never_hides_a_final(found: list[AnyFact]) -> None:
    record = folded(found)
    finals = {f.id for f in found if isinstance(f, Observation) and f.status == "F"}
    removed = {f.id for f in found if isinstance(f, Observation) and f.status in "CDX"}
    serial = {f.id for f in found if isinstance(f, Observation) and f.serial is not None}
    for code in CODES:
        for shown in record.series(code):
            if shown.id in finals - removed - serial:
                assert shown.status == "F"


@given(facts)
@settings(max_examples=200)
def test_the_times_of_observation_are_those_of_the_series(found: list[AnyFact]) -> None:
    record = PatientRecord()
    for fact in found:
        record.fold_facts([fact])
        for codes in (frozenset(CODES), frozenset({"hr"})):
            seen = sorted({o.time for code in codes for o in record.series(code)})
            for at in (5.0, *TIMES, 35.0):
                assert record.times(codes, at, 30.0) == [t for t in seen if at <= t <= 30.0]
                earlier = [t for t in seen if t < at]
                assert record.newest(codes, at) == (earlier[-1] if earlier else EVER)
                later = [t for t in seen if t > at]
                assert record.next_observation(codes, at) == (later[0] if later else None)
