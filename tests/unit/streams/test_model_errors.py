"""A model that raises for one patient costs nobody else a byte, and takes no alert away."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from msgspec.structs import replace

from connectors import contract, facts, topics
from connectors.contract import AlertReason, AlertState, Score
from connectors.facts import FactRecord, MessageFacts, Tick
from models.contained import DOWN, MODEL_ERROR, Failure
from models.record import PatientRecord
from models.risk import Assessment, RiskModel
from streams.engine import Engine
from streams.partition import Output, PartitionOwner
from streams.reproducing import reproduce, told_of
from streams.store import MemoryStore
from streams.together import Together
from tests.unit.journal import MemoryJournal
from tests.unit.streams.partitions import ListLog, Told
from tests.unit.streams.timeline import (
    ANY_MESSAGE,
    HEART_RATE,
    POISON,
    START,
    BreathingRisk,
    FailingRisk,
    HeartRateRisk,
    admitted,
    breathing,
    discharged,
    heart_rate,
)
from tests.unit.streams.ward import Ward

R = AlertReason
GUILTY = "p-2"


class RememberingRisk(FailingRisk):
    """It remembers patients, and leaves that half done where it raises."""

    def __init__(self) -> None:
        self.said: dict[PatientRecord, tuple[int, float, Assessment | None]] = {}

    def forget(self, records):  # type: ignore[no-untyped-def]
        for record in records:
            self.said.pop(record, None)

    def assess(self, patients: Sequence[tuple[PatientRecord, float]]) -> list[Assessment]:
        fresh: list[tuple[PatientRecord, float]] = []
        for record, as_of in patients:
            revision, when, was = self.said.get(record, (-1, 0.0, None))
            if (revision, when) != (record.revision, as_of):
                self.said[record] = record.revision, as_of, was
                fresh.append((record, as_of))
        for record, as_of in fresh:
            self.said[record] = record.revision, as_of, self._one(record, as_of)
        found = [self.said[record][2] for record, _ in patients]
        assert all(found), "of a patient who was begun and left nothing is known"
        return found  # type: ignore[return-value]

    def log_odds(self, patients: Sequence[tuple[PatientRecord, float]]) -> list[float | None]:
        return [self.assess([one])[0].log_odds for one in patients]


async def applied(
    records: Sequence[FactRecord], cuts: Sequence[int], *models: RiskModel, cached: int = 100
) -> list[Output]:
    """What is told of records, those between two cuts in one pass."""
    log, told = ListLog(records), Told()
    store = MemoryStore()
    lease = await store.acquire(0)
    one = PartitionOwner(lease, store, Together(Engine(models)), log, told, cached)
    ends = [*cuts, len(records)]
    for start, end in zip([0, *cuts], ends, strict=True):
        await one.handle_all([(at, facts.decode(log.raw[at])) for at in range(start, end)])
        await asyncio.sleep(0)
    return told.outputs


@st.composite
def wards(draw: st.DrawFn) -> list[FactRecord]:
    """Records of three patients, one of whom has values that nobody foresaw; ticks among them."""
    several = st.sampled_from(["p-1", GUILTY, GUILTY, "p-3"])
    messages = [
        replace(m, patient=draw(several))
        for m in draw(st.lists(ANY_MESSAGE, min_size=2, max_size=14))
    ]
    for minute in draw(st.lists(st.integers(0, 120), min_size=1, max_size=3)):
        at = draw(st.integers(0, len(messages)))
        poison = heart_rate(float(minute), POISON, order=f"bad-{minute}", patient=GUILTY)
        messages.insert(at, poison)
    records: list[FactRecord] = []
    while messages:
        size = draw(st.integers(1, 4))
        records.append(FactRecord(messages=messages[:size]))
        del messages[:size]
    for second in draw(st.lists(st.integers(0, 20_000), max_size=2)):
        at = draw(st.integers(0, len(records)))
        records.insert(at, FactRecord(tick=Tick(at=START + second)))
    return records


def without(records: Sequence[FactRecord], patient: str) -> list[FactRecord]:
    return [replace(r, messages=[m for m in r.messages if m.patient != patient]) for r in records]


@settings(max_examples=150, deadline=None)
@given(wards(), st.data())
async def test_others_are_told_the_same_bytes_as_without_the_guilty_patient(
    records: list[FactRecord], data: st.DataObject
) -> None:
    places = st.sets(st.integers(1, len(records) - 1)) if len(records) > 1 else st.just(set())
    cuts = sorted(data.draw(places))
    with_guilty = await applied(records, cuts, RememberingRisk())
    alone = await applied(without(records, GUILTY), cuts, RememberingRisk())
    assert [o for o in with_guilty if o.key != GUILTY] == alone


@settings(max_examples=150, deadline=None)
@given(wards(), st.data())
async def test_what_is_told_of_the_guilty_does_not_depend_on_the_grouping(
    records: list[FactRecord], data: st.DataObject
) -> None:
    places = st.sets(st.integers(1, len(records) - 1)) if len(records) > 1 else st.just(set())
    cuts = sorted(data.draw(places))
    cached = data.draw(st.sampled_from([1, 100]))
    singly = await applied(records, range(1, len(records)), FailingRisk())
    assert await applied(records, cuts, RememberingRisk(), cached=cached) == singly


def scores(ward: Ward, risk: str = FailingRisk.risk, patient: str = "p-1") -> list[Score]:
    found = [contract.decode_score(o.value) for o in ward.world.outputs if o.topic == topics.SCORES]
    return [s for s in found if (s.risk, s.patient) == (risk, patient)]


async def test_the_score_says_so_and_other_risks_of_the_patient_go_on() -> None:
    ward = Ward(FailingRisk(), BreathingRisk())
    await ward.say(admitted(0), heart_rate(1, POISON), breathing(1, 110.0))
    (score,) = scores(ward)
    assert (score.abstained, score.log_odds, score.evidence) == (MODEL_ERROR, None, [])
    (other,) = scores(ward, "breathing")
    assert other.probability is not None
    assert [a.risk for a in ward.told] == ["breathing"]


async def test_an_open_alert_stays_and_says_that_nothing_watches_it() -> None:
    ward = Ward(FailingRisk())
    await ward.say(admitted(0), heart_rate(1, 110.0))
    await ward.say(heart_rate(2, POISON, order="bad"))
    await ward.say(heart_rate(3, 85.0))
    assert ward.story == [
        (AlertState.FIRING, R.ABOVE_THRESHOLD),
        (AlertState.FIRING, R.UNWATCHED),
    ]
    assert (ward.last.score.abstained, ward.last.calls) == (MODEL_ERROR, False)
    # The value is corrected: the model looks at all of it again.
    await ward.say(heart_rate(2, 95.0, order="bad", status="C", sent=4))
    assert ward.story[2:] == [(AlertState.RESOLVED, R.BELOW_THRESHOLD)]


async def test_an_alert_goes_on_when_the_model_answers_again() -> None:
    ward = Ward(FailingRisk())
    await ward.say(admitted(0), heart_rate(1, 110.0), heart_rate(2, POISON, order="bad"))
    await ward.say(heart_rate(2, 111.0, order="bad", status="C", sent=4))
    assert [reason for _, reason in ward.story] == [R.ABOVE_THRESHOLD, R.UNWATCHED, R.WATCHED_AGAIN]


async def test_a_late_value_that_the_model_fails_on_takes_no_alert_back() -> None:
    """All scores since its time are gone, that which raised the alert too."""
    ward = Ward(FailingRisk())
    await ward.say(admitted(0), heart_rate(5, 110.0))
    await ward.say(heart_rate(4, POISON, sent=6))
    assert ward.story[1:] == [(AlertState.FIRING, R.UNWATCHED)]


async def test_people_and_the_clock_go_on_with_an_unwatched_alert() -> None:
    ward = Ward(FailingRisk())
    await ward.policy("escalation: [{steps: [{after: 10m, to: registrar}]}]")
    await ward.say(admitted(0), heart_rate(1, 110.0))
    await ward.say(heart_rate(2, POISON))
    await ward.until(15)
    assert ward.last.reason is R.UNACKNOWLEDGED
    assert ward.last.score.abstained == MODEL_ERROR


@pytest.mark.parametrize(
    ("what", "reason"),
    [(discharged(30), R.DISCHARGED), (None, R.DATA_EXPIRED)],
    ids=["discharged", "nothing new for too long"],
)
async def test_an_unwatched_alert_ends_with_the_stay_or_when_its_data_are_old(
    what: MessageFacts | None, reason: AlertReason
) -> None:
    class AlwaysFailing(FailingRisk):
        def _one(self, record: PatientRecord, as_of: float) -> Assessment:
            if any(o.value == POISON for o in record.series(HEART_RATE)):
                raise KeyError(POISON)
            return super()._one(record, as_of)

    ward = Ward(AlwaysFailing())
    await ward.say(admitted(0), heart_rate(1, 110.0))
    await ward.say(heart_rate(2, POISON))
    if what is not None:
        await ward.say(what)
    else:
        await ward.until(64)
    assert ward.story[-2:] == [(AlertState.FIRING, R.UNWATCHED), (AlertState.RESOLVED, reason)]


class Doubting(HeartRateRisk):
    """It does not call somebody safe whose heart beats slowly."""

    def _one(self, record: PatientRecord, as_of: float) -> Assessment:
        found = super()._one(record, as_of)
        if found.log_odds is None or found.log_odds > -3.0:
            return found
        return Assessment(as_of, 0.0, (), None, None, None, "out_of_distribution", found.missing)


async def test_a_model_that_will_not_reassure_takes_no_alert_back() -> None:
    ward = Ward(Doubting())
    await ward.say(admitted(0), heart_rate(1, 110.0))
    await ward.say(heart_rate(2, 40.0))
    assert ward.story[1:] == [(AlertState.FIRING, R.UNWATCHED)]
    await ward.say(heart_rate(3, 80.0))
    assert ward.story[2:] == [(AlertState.RESOLVED, R.BELOW_THRESHOLD)]


@pytest.mark.parametrize("value", [float("nan"), float("inf"), 1e4, -1e4])
async def test_what_is_no_number_is_an_error(value: float) -> None:
    class Strange(HeartRateRisk):
        def _one(self, record: PatientRecord, as_of: float) -> Assessment:
            return replace(super()._one(record, as_of), log_odds=value)

    ward = Ward(Strange())
    await ward.say(admitted(0), heart_rate(1, 110.0))
    assert [s.abstained for s in scores(ward)] == [MODEL_ERROR]


async def test_whom_a_question_concerns_cannot_be_asked_in_vain() -> None:
    class Confused(HeartRateRisk):
        def concerns(self, record: PatientRecord) -> bool:
            raise IndexError

    ward = Ward(Confused(), BreathingRisk())
    await ward.say(admitted(0), heart_rate(1, 95.0), breathing(1, 95.0))
    assert scores(ward)[0].log_odds == -0.5, "where it answers after all, that counts"
    assert len(scores(ward, "breathing")) == 1


async def test_a_bundle_on_trial_that_raises_touches_nothing() -> None:
    class Trial(FailingRisk):
        digest = "trial"

    class Worse(Trial):
        digest = "worse"

        def concerns(self, record: PatientRecord) -> bool:
            raise ZeroDivisionError

        def answer(self, patients, points):  # type: ignore[no-untyped-def]
            raise RuntimeError("of everybody")

    heard: list[tuple[Failure, bool]] = []
    engine = Engine([HeartRateRisk()], [Trial(), Worse()], lambda *one: heard.append(one))
    records = [
        FactRecord(messages=[admitted(0), heart_rate(1, 110.0), heart_rate(1, 90.0, patient="p-3")])
    ]
    records.append(FactRecord(messages=[heart_rate(2, POISON), heart_rate(2, 91.0, patient="p-3")]))
    told = []
    for one in (engine, Engine([HeartRateRisk()])):
        log, world, store = ListLog(records), Told(), MemoryStore()
        owner = PartitionOwner(await store.acquire(0), store, Together(one), log, world, 9)
        for offset, record in enumerate(records):
            await owner.handle(offset, record)
        told.append(world.outputs)
    with_trial, alone = told
    active = [o for o in with_trial if not contract.is_shadow(o.value)]
    assert active == alone
    decoded = [contract.decode_score(o.value) for o in with_trial if contract.is_shadow(o.value)]
    trial = [s.abstained for s in decoded if (s.model, s.patient) == ("trial", "p-1")]
    assert trial == [None, MODEL_ERROR]
    assert {s.abstained for s in decoded if s.model == "worse"} == {MODEL_ERROR}
    assert {(f.digest, shadow) for f, shadow in heard} == {("trial", True), ("worse", True)}


async def test_an_alert_that_outlived_an_error_is_reproduced_to_the_byte() -> None:
    ward = Ward(RememberingRisk())
    await ward.say(admitted(0), heart_rate(1, 110.0), heart_rate(1, 130.0, patient="p-2"))
    await ward.say(heart_rate(2, POISON, order="bad"), heart_rate(2, 90.0, patient="p-2"))
    await ward.say(heart_rate(2, 112.0, order="bad", status="C", sent=5))
    await ward.say(heart_rate(6, 80.0))
    journal = MemoryJournal()
    for raw in ward.log.raw:
        journal.append(topics.FACTS, raw, [])
    for output in ward.world.outputs:
        if output.topic == topics.ALERTS:
            journal.append(topics.ALERTS, output.value, [])
    mine = next(a for a in ward.told if a.patient == "p-1")
    found = await reproduce(journal, told_of(journal, mine.alert_id), [FailingRisk()], partitions=1)
    assert [r.alert.reason for r in found] == [
        R.ABOVE_THRESHOLD,
        R.UNWATCHED,
        R.WATCHED_AGAIN,
        R.BELOW_THRESHOLD,
    ]
    assert all(r.same for r in found)


async def test_a_model_that_fails_for_everybody_is_down_until_it_answers() -> None:
    engine = Engine([FailingRisk(), BreathingRisk()])
    store, told = MemoryStore(), Told()
    owner = PartitionOwner(await store.acquire(0), store, Together(engine), ListLog([]), told, 100)
    bad = [heart_rate(1, POISON, patient=f"p-{n}") for n in range(DOWN)]
    await owner.handle(0, FactRecord(messages=bad[:-1]))
    await owner.handle(1, FactRecord(messages=bad[:-1]))
    assert engine.down() == [], "few patients, however often"
    await owner.handle(2, FactRecord(messages=bad[-1:]))
    assert [(d.risk, d.shadow) for d in engine.down()] == [(FailingRisk.risk, False)]
    await owner.handle(3, FactRecord(messages=[heart_rate(2, 90.0, patient="p-9")]))
    assert engine.down() == []
