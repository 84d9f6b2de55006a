"""How alerts do: load against the budget, right and wrong, and drift."""

from __future__ import annotations

import random
from collections import Counter

import pytest
from hypothesis import given
from hypothesis import strategies as st
from msgspec.structs import replace

from connectors import contract, topics
from connectors.clock import from_iso, iso
from connectors.contract import Acted, Alert, Missing
from connectors.feedback import Action, Outcome
from streams.console.api.examples import ALERT, AT, SCORE
from streams.console.quality import DAY_S, groups, spent, wilson
from streams.console.quality_page import budget_row, drift_row, group_row
from streams.drift import DriftDesk
from streams.errors import UserError
from streams.policy.document import Budget
from streams.stability import beyond_chance, psi
from tests.unit.journal import MemoryJournal

NOW = from_iso(AT) + 60


def alert(n: int, *actions: Action, outcome: Outcome | None = None, ward: str = "4A") -> Alert:
    done = [Acted(id=f"{n}{a}", who="ada", action=a, at=AT) for a in actions]
    if outcome is not None:
        done.append(
            Acted(id=f"{n}o", who="ada", action=Action.OUTCOME, at=AT, outcome=outcome.value)
        )
    return replace(ALERT, alert_id=f"a{n}", called=1, ward=ward, actions=done)


def test_alerts_are_counted_by_ward_with_the_last_word_on_each() -> None:
    """Those that called nobody, and those before the window, are left out."""
    corrected = alert(3, outcome=Outcome.EVENT)
    again = Acted(id="3x", who="ben", action=Action.OUTCOME, at=AT, outcome="no_event")
    alerts = [
        alert(1, Action.ACKNOWLEDGE, outcome=Outcome.AVERTED),
        alert(2, Action.DISMISS, outcome=Outcome.UNKNOWN),
        replace(corrected, actions=[*corrected.actions, again]),
        replace(alert(4), called=0),
        replace(alert(5), since=iso(NOW - 2 * DAY_S)),
        alert(6, ward="5B"),
    ]
    first, second = groups(alerts, {"4A": 10}, NOW, DAY_S)
    assert (first.ward, first.alerts, first.acknowledged, first.dismissed) == ("4A", 3, 1, 1)
    assert (first.right, first.wrong) == (1, 1)
    assert first.per_day == pytest.approx(0.3)
    assert (second.ward, second.per_day) == ("5B", None)
    row = group_row(first)
    assert row["cells"][3] == {"v": "0.30", "sub": "0.00 before"}
    assert row["cells"][6]["v"] == "50\u00a0%"


def test_the_time_before_is_there_to_compare_with() -> None:
    """Alert rate and acknowledgement rate; not where the store does not reach back so far."""
    now = [alert(n, Action.ACKNOWLEDGE) for n in range(2)]
    earlier = [
        replace(alert(n, *([Action.ACKNOWLEDGE] if n == 10 else [])), since=iso(NOW - 1.5 * DAY_S))
        for n in range(10, 14)
    ]
    first = replace(alert(20), since=iso(NOW - 2 * DAY_S - 60))
    (group,) = groups([*now, *earlier, first], {"4A": 10}, NOW, DAY_S)
    assert (group.alerts, group.before, group.acknowledged_before) == (2, 4, 1)
    assert (group.per_day, group.per_day_before) == (pytest.approx(0.2), pytest.approx(0.4))
    cells = group_row(group)["cells"]
    assert cells[3] == {"v": "0.20", "sub": "0.40 before"}
    assert cells[4]["sub"] == "2 of 2, 25\u00a0% before"
    (group,) = groups([*now, *earlier], {"4A": 10}, NOW, DAY_S)
    assert group.per_day_before is None


def test_patient_days_begin_with_the_oldest_alert() -> None:
    """A console that has watched for half a day does not divide by a month."""
    alerts = [replace(alert(n), since=iso(NOW - DAY_S / 2)) for n in range(5)]
    (group,) = groups(alerts, {"4A": 10}, NOW, 30 * DAY_S)
    assert group.per_day == pytest.approx(1.0)


def test_calls_of_the_last_hour_are_held_against_the_budget() -> None:
    """By ward pattern; a budget without wards counts all of them."""
    budgets = [
        Budget(name="fours", wards=("4?",), calls_per_hour=1),
        Budget(name="house", calls_per_hour=3),
    ]
    calls = [(0.0, "4A"), (100.0, "4A"), (200.0, "4B"), (300.0, "5B")]
    fours, house = spent(budgets, calls, 3_650.0)
    assert (fours.calls, fours.exceeded) == (2, True)
    assert (house.calls, house.exceeded) == (3, False)
    assert budget_row(fours)["cells"][0]["v"] == "Exceeded"
    assert budget_row(house)["cells"][1] == {"v": "house", "sub": "all wards"}


@given(st.integers(0, 200), st.integers(0, 200))
def test_the_interval_holds_the_share(right: int, wrong: int) -> None:
    """Within 0 and 1, narrower with more alerts; the known value of 8 of 10."""
    of = right + wrong
    low, high = wilson(right, of)
    assert 0 <= low <= high <= 1
    if of:
        assert low <= right / of + 1e-12
        assert right / of - 1e-12 <= high
        wide = high - low
        narrow = wilson(10 * right, 10 * of)
        assert narrow[1] - narrow[0] <= wide + 1e-12


def test_the_interval_is_wilsons() -> None:
    """8 of 10: 0.490 to 0.943 (Wilson 1927)."""
    assert wilson(8, 10) == (pytest.approx(0.490, abs=5e-4), pytest.approx(0.943, abs=5e-4))


@given(st.lists(st.integers(0, 1_000), min_size=10, max_size=10))
def test_a_distribution_does_not_drift_from_itself(bins: list[int]) -> None:
    """Nor from ten times as many of the same; and drift has no direction."""
    assert psi(bins, bins) == 0
    assert psi(bins, [10 * b for b in bins]) == pytest.approx(0, abs=1e-9)
    assert psi(bins, bins[::-1]) == pytest.approx(psi(bins[::-1], bins))


def test_the_index_is_that_of_the_textbook() -> None:
    """(0.5, 0.5) against (0.25, 0.75): 0.25 ln 2 + 0.25 ln 1.5 = 0.2747."""
    assert psi([50, 50], [25, 75]) == pytest.approx(0.2747, abs=1e-4)


def test_two_samples_of_one_distribution_have_not_moved() -> None:
    """By chance alone the index of two samples of 60 in ten bins is 0.3; that is no change."""
    draw = random.Random(7)
    found = []
    for _ in range(200):
        before, now = (Counter(draw.choices(range(10), k=60)) for _ in range(2))
        counts = [before[n] for n in range(10)], [now[n] for n in range(10)]
        found.append((psi(*counts), beyond_chance(*counts)))
    assert sum(raw > 0.25 for raw, _ in found) > 100
    assert sum(left > 0.25 for _, left in found) < 40
    assert beyond_chance([100, 100], [10, 190]) > 0.25  # and what has moved is seen


def log(
    journal: MemoryJournal, hour: int, probability: float | None, *missing: str, trial: bool = False
) -> None:
    told = replace(
        SCORE,
        shadow=trial,
        as_of=iso(NOW + 3_600 * hour),
        probability=probability,
        missing=Missing(modalities=[], next_datum=None, features=list(missing)),
    )
    journal.append(topics.SCORES, contract.encode(told), [])


def test_a_day_that_is_unlike_those_before_is_seen() -> None:
    """Scores that moved, inputs that went missing, and more abstentions."""
    journal = MemoryJournal()
    for i in range(100):
        log(journal, -48 + i % 20, 0.05 + 0.001 * i)
        log(journal, -i % 20, 0.75, "Lactate")
        log(journal, 0, 0.05, trial=True)  # of a bundle on trial: not counted
    log(journal, 0, None)
    (found,) = DriftDesk(journal, lambda: NOW).report().risks
    assert found.scores == (100, 101)
    assert found.psi is not None
    assert found.psi > 1
    assert found.abstained == (0.0, pytest.approx(1 / 101))
    assert [(i.name, i.before) for i in found.inputs] == [("Lactate", 0.0)]
    assert drift_row(found)["cells"][0]["v"] == "Changed"


def test_a_steady_day_is_steady_and_few_scores_say_nothing() -> None:
    """No alarm from noise."""
    journal = MemoryJournal()
    desk = DriftDesk(journal, lambda: NOW)
    assert desk.report() == ([], [])
    for i in range(200):
        log(journal, -48 + i // 5, (i % 10) / 10 + 0.05)
        if i == 20:
            (few,) = desk.report().risks
            assert few.psi is None
            assert drift_row(few)["cells"][0]["v"] == "Too few yet"
    (found,) = desk.report().risks  # reads on from where it was
    assert sum(found.scores) == 200
    assert found.psi is not None
    assert found.psi < 0.1


def test_records_that_are_no_scores_and_a_broker_that_is_away() -> None:
    """Passed over; said in words."""
    journal = MemoryJournal()
    journal.append(topics.SCORES, b"{}", [])
    journal.append(topics.SCORES, b"\xff", [])
    desk = DriftDesk(journal, lambda: NOW)
    assert desk.report() == ([], [])
    journal.away = True
    with pytest.raises(UserError, match="Kafka does not answer"):
        desk.report()
