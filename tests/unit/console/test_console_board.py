"""The shared picture: newest wins, nothing falls between the store and the feed."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator

import pytest

from connectors.clock import from_iso
from connectors.contract import Alert, AlertReason, AlertState, Score, Severity
from connectors.facts import MessageFacts, Observation
from models.record import PatientRecord
from streams.console.board import Board
from streams.console.ports import Unavailable
from streams.console.results import result_rows, unused_rows
from streams.console.rows import alert_row, counts, order
from streams.console.times import HospitalTime
from streams.console.wall_page import attended
from tests.acceptance.console.fake_hospital import FakeHospital

UTC_TIMES = HospitalTime("UTC")


@pytest.fixture
def hospital() -> FakeHospital:
    return FakeHospital(6)


def board_of(hospital: FakeHospital) -> Board:
    return Board(hospital, hospital, feed_down_s=30)


async def test_the_store_gives_the_first_picture(hospital: FakeHospital) -> None:
    """Alerts, patients, scores and the hospital's time."""
    alert = hospital.alert(hospital.pseudonyms[2])
    board = board_of(hospital)
    assert not board.status().loaded
    await board.load()
    assert board.status().loaded
    assert board.alerts == {alert.alert_id: alert}
    assert set(board.patients) == set(hospital.pseudonyms)
    assert board.status().hospital_time == hospital.now


async def test_only_the_highest_revision_counts(hospital: FakeHospital) -> None:
    """Whatever the order of arrival; a repetition changes nothing, not even the version."""
    board, who = board_of(hospital), hospital.pseudonyms[0]
    first = hospital.alert(who)
    second = hospital.alert(who, AlertState.ACKNOWLEDGED)
    board.take(second)
    version = board.version
    board.take(first)
    board.take(second)
    assert board.alerts[first.alert_id] is second
    assert board.version == version


async def test_a_newer_score_moves_its_alert(hospital: FakeHospital) -> None:
    """The alert's row is stamped; another patient's is not; an older score changes nothing."""
    board, (a, b, *_) = board_of(hospital), hospital.pseudonyms
    alert, other = hospital.alert(a), hospital.alert(b)
    board.take(alert)
    board.take(other)
    old, stamp = hospital.rescore(a, 0.4), board.stamp(other.alert_id)
    new = hospital.rescore(a, 0.9)
    board.take(new)
    board.take(old)
    assert board.score_of(alert) is new
    assert board.stamp(alert.alert_id) == board.version
    assert board.stamp(other.alert_id) == stamp


async def test_what_ended_long_ago_leaves_with_the_next_reading(hospital: FakeHospital) -> None:
    """The store no longer lists it, so the board drops it; discharged patients as well."""
    board = board_of(hospital)
    gone = hospital.alert(hospital.pseudonyms[0])
    await board.load()
    del hospital.revisions[gone.alert_id]
    left = hospital.pseudonyms.pop()
    await board.load()
    assert gone.alert_id not in board.alerts
    assert board.alerts_of(gone.patient) == []
    assert left not in board.patients


async def test_an_alert_that_comes_while_the_store_is_read_stays(hospital: FakeHospital) -> None:
    """The store's answer may be older than the feed."""
    board = board_of(hospital)
    late = hospital.alert(hospital.pseudonyms[1])
    del hospital.revisions[late.alert_id]
    answered = hospital.patients

    async def patients() -> object:
        board.take(late)
        return await answered()

    hospital.patients = patients  # type: ignore[method-assign,assignment]
    await board.load()
    assert late.alert_id in board.alerts


async def test_a_store_that_is_away_is_a_state(hospital: FakeHospital) -> None:
    """The board says so, keeps its picture and recovers by itself."""
    board = board_of(hospital)
    hospital.away = "The patient store cannot be reached."
    running = asyncio.create_task(board.run())
    await board.changed(0, 5)
    assert board.status().problem == hospital.away
    assert not board.status().loaded
    hospital.away = ""
    async with asyncio.timeout(60):
        while not board.status().loaded or board.status().problem:
            await board.changed(board.news, 5)
    running.cancel()
    with pytest.raises(asyncio.CancelledError):
        await running


async def test_a_feed_that_breaks_is_opened_again(hospital: FakeHospital) -> None:
    """Its end and its error alike; records after it arrive."""
    board, opened = board_of(hospital), 0
    alert = hospital.alert(hospital.pseudonyms[3])
    hospital.revisions.clear()

    async def subscribe() -> AsyncIterator[Alert | Score]:
        nonlocal opened
        opened += 1
        if opened == 1:
            raise Unavailable("the broker is away")
        yield alert
        await asyncio.Event().wait()

    hospital.subscribe = subscribe  # type: ignore[method-assign]
    running = asyncio.create_task(board.run())
    async with asyncio.timeout(60):
        while alert.alert_id not in board.alerts:
            await board.changed(board.news, 5)
    assert opened == 2
    running.cancel()
    with pytest.raises(asyncio.CancelledError):
        await running


async def test_waiting_ends_with_a_change_or_in_time(hospital: FakeHospital) -> None:
    """`changed` returns at once for what has already changed."""
    board = board_of(hospital)
    await board.changed(0, 0.01)
    assert board.version == 0
    waiting = asyncio.create_task(board.changed(0, 30))
    await asyncio.sleep(0)
    board.take(hospital.alert(hospital.pseudonyms[0]))
    async with asyncio.timeout(60):
        await waiting
        await board.changed(0, 30)


def test_the_most_urgent_stands_first(hospital: FakeHospital) -> None:
    """Open before ended, critical before warning, newer before older."""
    a, b, c, d, _, _ = hospital.pseudonyms
    old = hospital.alert(a, minutes=60)
    new = hospital.alert(b, minutes=5)
    critical = hospital.alert(c, severity=Severity.CRITICAL, minutes=300)
    ended = hospital.alert(d, AlertState.WITHDRAWN, Severity.CRITICAL, AlertReason.DATA_CHANGED)
    assert sorted([old, ended, new, critical], key=order) == [critical, new, old, ended]
    assert counts([old, new, critical, ended]) == "3 alerting"
    assert counts([ended]) == "no open alerts"


def test_a_wall_begins_with_what_waits_for_somebody(hospital: FakeHospital) -> None:
    """It is not scrolled: what was taken or snoozed never pushes an alert off it."""
    a, b, c, d, *_ = hospital.pseudonyms
    taken = hospital.alert(a, AlertState.ACKNOWLEDGED, Severity.CRITICAL)
    quiet = hospital.alert(b, AlertState.SNOOZED, minutes=5)
    waits = hospital.alert(c, minutes=300)
    nobody_came = hospital.alert(d, AlertState.ESCALATED, minutes=400)
    listed = sorted([quiet, nobody_came, waits, taken], key=order)
    assert sorted(listed, key=attended) == [waits, nobody_came, taken, quiet]


def test_a_row_says_what_the_alert_says(hospital: FakeHospital) -> None:
    """The score now, not the one that raised the alert; an abstention instead of a number."""
    who = hospital.pseudonyms[0]
    alert = hospital.alert(who, severity=Severity.CRITICAL, minutes=90)
    score = hospital.rescore(who, 0.0)
    care = {"note": ""}
    cells = alert_row(alert, score, None, UTC_TIMES, care)["cells"]
    state, person, chance, _, _, since, cared = cells
    assert cared is care
    assert (state["v"], state["sub"]) == ("Critical", "Alerting")
    assert (person["v"], person["plain"]) == (who, True)
    assert chance["v"] == "50\u00a0%"
    assert chance["mark"] == alert.threshold.value
    assert since == {"v": "10:30", "sub": "for 1 h 30 min"}
    abstained = hospital.abstain(who, "stale_data")
    silent = alert_row(alert, abstained, None, UTC_TIMES, care)["cells"][2]
    assert (silent["v"], silent["sub"]) == ("No score", "the newest data are too old")
    assert "at" not in silent


def observation(key: str, value: float | str | None, **more: object) -> Observation:
    facts: dict[str, object] = {
        "id": key, "rank": (1, 1.0, 0, key), "code": "8867-4", "system": "LN", "time": 100.0,
        "status": "F", "unit": "/min", "value": value,
    }  # fmt: skip
    return Observation(**(facts | more))  # type: ignore[arg-type]


RISKS = ("deterioration", "news2", "sepsis")


def record_of(*facts: Observation) -> PatientRecord:
    record = PatientRecord()
    record.fold(
        MessageFacts(patient="p-1", sent=1_000.0, heard=1_000.0, wire="", facts=list(facts))
    )
    return record


@pytest.mark.parametrize(
    ("fact", "why"),
    [
        (observation("a", 0), "not plausible"),
        (observation("a", 80, unit=""), "came without a unit"),
        (observation("a", 80, unit="mmol/L"), "its unit does not fit the quantity"),
        (observation("a", "fast"), "not a number"),
        (observation("a", 80, removed=True, status="D"), "deleted by the sender"),
        (observation("a", 80, removed=True, status="W"), "belonged to another patient"),
        (observation("a", None, status="X"), "could not be obtained"),
        (observation("a", None), "came without a value"),
        (
            observation("a", 80, time=5_000.0),
            "its time lies ahead of the patient's newest message",
        ),
    ],
)
def test_an_input_that_is_not_used_says_why(fact: Observation, why: str) -> None:
    """Nothing that was received disappears without a word."""
    (row,) = unused_rows(record_of(fact, observation("b", 90, time=90.0)), UTC_TIMES, RISKS)
    assert row["cells"][2] == {"v": why}


def unused(record: PatientRecord, *risks: str) -> dict[str, str]:
    """Why not, by value."""
    rows = unused_rows(record, UTC_TIMES, risks)
    return {row["cells"][1]["v"]: row["cells"][2]["v"] for row in rows}


def test_every_risk_of_the_patient_says_what_it_cannot_use() -> None:
    def result(key: str, code: str, value: float | str, day: float, unit: str = "") -> Observation:
        return observation(key, value, code=code, time=day * 86_400.0, unit=unit)

    record = record_of(
        result("a", "extent-of-resection", "GTR", 1),
        result("b", "idh-status", "see comment", 2),
        result("c", "1p19q-status", "intact", 3),
        result("d", "1p19q-status", "codeleted", 3),
    )
    record.clock = 10 * 86_400.0
    contradicted = "another answer of the same time contradicts it"
    assert unused(record, "glioma-survival") == {
        "see comment": "an answer that is not known",
        "intact": contradicted,
        "codeleted": contradicted,
    }
    assert unused(record, *RISKS) == {}, "nobody asks about these results"


def test_a_blood_count_that_one_risk_leaves_to_others_is_used() -> None:
    day = 86_400.0
    record = record_of(
        observation("a", "larynx", code="primary-tumor-site", time=day, unit=""),
        observation("b", 9.0, code="718-7", time=30 * day, unit="g/dL"),
    )
    record.clock = 40 * day
    of_another_time = "not of the work-up of this tumour, by its time"
    assert list(unused(record, "head-neck-recurrence").values()) == [of_another_time]
    assert unused(record, "head-neck-recurrence", "sepsis") == {}
    strange = record_of(observation("b", 90.0, code="718-7", time=30 * day, unit="g/dL"))
    strange.clock = 40 * day
    assert list(unused(strange, "sepsis").values()) == ["not plausible"]


def test_results_show_the_newest_and_those_before() -> None:
    """One row for each thing measured; a status-only update makes a preliminary final."""
    record = record_of(
        observation("a", 80, time=10.0),
        observation("b", 85, time=20.0),
        observation("c", 90, time=30.0, status="P", flag="HH", rank=(0, 1.0, 0, "c")),
        observation("c", None, time=30.0, status="U", rank=(1, 2.0, 0, "c")),
    )
    (row,) = result_rows(record, UTC_TIMES, RISKS)
    values = [cell["v"] for cell in row["cells"]]
    assert values == ["Heart rate", "90\u00a0/min", "Final", "00:00", "85, 80"]
    assert row["cells"][1]["sub"] == "critically high"
    assert unused_rows(record, UTC_TIMES, RISKS) == []


def test_hospital_time_is_the_newest_that_was_seen(hospital: FakeHospital) -> None:
    """It never goes back, whatever arrives late."""
    board = board_of(hospital)
    board.take(hospital.rescore(hospital.pseudonyms[0], 0.1))
    newest = board.status().hospital_time
    hospital.now -= 500
    board.take(hospital.rescore(hospital.pseudonyms[1], 0.1))
    assert board.status().hospital_time == newest
    assert from_iso(board.scores[(hospital.pseudonyms[1], "deterioration")].as_of) < (newest or 0)
