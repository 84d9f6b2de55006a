"""What pages share: made once, and never a name for a page that has none."""

from __future__ import annotations

import asyncio

import pytest

from connectors.contract import Alert
from streams.console.board import Board
from streams.console.diff import Row
from streams.console.lists import Lists
from tests.acceptance.console.fake_hospital import FakeHospital


@pytest.fixture
def hospital() -> FakeHospital:
    return FakeHospital(6)


def everything(_: Alert) -> bool:
    return True


async def test_scores_wake_nobody_and_news_wakes_at_once(hospital: FakeHospital) -> None:
    """A page hears of a score with its next look; of an alert now."""
    board, who = Board(hospital, hospital, feed_down_s=30), hospital.pseudonyms[0]
    await board.load()
    waiting = asyncio.create_task(board.changed(board.news, 30))
    await asyncio.sleep(0)
    board.take(hospital.rescore(who, 0.7))
    await asyncio.sleep(0.01)
    assert not waiting.done()
    board.take(hospital.alert(who))
    async with asyncio.timeout(60):
        await waiting


async def test_an_order_is_made_once_until_there_is_news(hospital: FakeHospital) -> None:
    """For each ward and kind; a new alert is in the next one, in its place."""
    board = Board(hospital, hospital, feed_down_s=30)
    lists, (a, b, *_) = Lists(board), hospital.pseudonyms
    board.take(hospital.alert(a, minutes=60))
    first = lists.alerts("", "all", everything)
    board.take(hospital.rescore(b, 0.2))
    assert lists.alerts("", "all", everything) is first
    new = hospital.alert(b, minutes=1)
    board.take(new)
    assert next(x.alert_id for x in lists.alerts("", "all", everything).alerts) == new.alert_id
    assert lists.alerts(hospital.wards[a], "all", everything).counts == "1 alerting"
    assert lists.alerts("nowhere", "all", everything).alerts == []


async def test_patients_stand_by_bed_and_wards_are_those_of_people(hospital: FakeHospital) -> None:
    """Who moves is found in the new place."""
    board = Board(hospital, hospital, feed_down_s=30)
    lists, who = Lists(board), hospital.pseudonyms[0]
    await board.load()
    assert lists.wards() == sorted(set(hospital.wards.values()))
    hospital.wards[who] = "9Z"
    await board.load()
    assert lists.patients("9Z") == [who]


def test_a_row_is_made_again_when_it_shows_something_else(hospital: FakeHospital) -> None:
    """Looks are kept apart: one with names never serves a page without."""
    lists, made = Lists(Board(hospital, hospital, feed_down_s=30)), []

    def row(look: str, basis: object) -> Row:
        def make() -> Row:
            made.append((look, basis))
            return Row(key="a", cells=[{"v": look}])

        return lists.row(("a", look), basis, make)

    first = row("named", (1, "Grace"))
    assert row("named", (1, "Grace")) is first
    assert row("nameless", (1, None)) != first
    assert row("named", (2, "Grace")) is not first
    assert made == [("named", (1, "Grace")), ("nameless", (1, None)), ("named", (2, "Grace"))]
