"""What people see of dead letters, and what they decide, on a log in memory."""

from __future__ import annotations

import json
from typing import Any

import msgspec
import pytest

from connectors import topics
from connectors.sinks import deliveries
from connectors.sinks.deliveries import DeadReason, Delivery, Outcome
from streams.delivery.dead_letters import DeadLetters
from streams.errors import UserError
from tests.unit.journal import NOW, MemoryJournal
from tests.unit.sinks.alerts import alert


def step(id: str, outcome: Outcome = Outcome.DEAD, **changes: Any) -> Delivery:
    """One record of `tocsin.deliveries`."""
    one = alert()
    base = Delivery(
        id=id,
        receiver="pager",
        alert_id=one.alert_id,
        revision=one.revision,
        patient=one.patient,
        risk=one.risk,
        state=one.state,
        outcome=outcome,
        at="2026-01-01T12:00:00.000Z",
        reason=DeadReason.REFUSED,
        alert=one if outcome is Outcome.DEAD else None,
    )
    return msgspec.structs.replace(base, **changes)


@pytest.fixture
def journal() -> MemoryJournal:
    """Two dead letters, one that was told after all, one that never was dead, and noise."""
    journal = MemoryJournal()
    for one in (
        step("aa1"),
        step("ab2", receiver="chart"),
        step("cc3"),
        step("cc3", Outcome.DELIVERED),
        step("dd4", Outcome.DELIVERED),
    ):
        journal.append(topics.DELIVERIES, deliveries.encode(one), [])
    journal.append(topics.DELIVERIES, b"no record", [])
    return journal


def letters(journal: MemoryJournal) -> DeadLetters:
    return DeadLetters(journal, lambda: NOW)


def ids(items: list[Delivery]) -> list[str]:
    return [item.id for item in items]


def test_a_letter_is_dead_until_something_else_becomes_of_it(journal: MemoryJournal) -> None:
    """The newest step decides; what is no record is passed over."""
    assert ids(letters(journal).items()) == ["aa1", "ab2"]


def test_a_retry_carries_the_alert_and_the_person(journal: MemoryJournal) -> None:
    """`tocsin sinks` needs nothing else to tell it."""
    desk = letters(journal)
    assert desk.retry([desk.find("aa")], who="ann", why="mended") == 1
    written = deliveries.decode(journal.of(topics.DELIVERIES)[-1].value)
    assert (written.outcome, written.who, written.why) == (Outcome.RETRIED, "ann", "mended")
    assert written.alert == alert()
    assert ids(desk.items()) == ["ab2"]
    (audit,) = [json.loads(r.value) for r in journal.of(topics.AUDIT)]
    assert (audit["event"], audit["item"], audit["who"]) == ("dead_letter_retried", "aa1", "ann")


def test_a_letter_that_dies_again_is_listed_again(journal: MemoryJournal) -> None:
    """As the newest."""
    desk = letters(journal)
    desk.retry([desk.find("aa")], who="ann", why="mended")
    journal.append(topics.DELIVERIES, deliveries.encode(step("aa1")), [])
    assert ids(desk.items()) == ["ab2", "aa1"]


def test_what_is_discarded_keeps_no_alert(journal: MemoryJournal) -> None:
    """And is not listed any more."""
    desk = letters(journal)
    desk.discard(desk.items(), who="ann", why="seen")
    assert desk.items() == []
    written = [deliveries.decode(r.value) for r in journal.of(topics.DELIVERIES)[-2:]]
    assert [w.outcome for w in written] == [Outcome.DISCARDED] * 2
    assert [w.alert for w in written] == [None] * 2


@pytest.mark.parametrize(("start", "words"), [("a", "Several"), ("zz", "No dead letter")])
def test_an_id_has_to_name_one_letter(journal: MemoryJournal, start: str, words: str) -> None:
    """And the error says how to find one."""
    with pytest.raises(UserError, match=f"{words}.*tocsin sinks dead list"):
        letters(journal).find(start)


def test_a_decision_needs_a_reason(journal: MemoryJournal) -> None:
    """Before anything is written."""
    desk = letters(journal)
    with pytest.raises(UserError, match="--why"):
        desk.retry(desk.items(), who="ann", why="")
    assert journal.of(topics.AUDIT) == []
