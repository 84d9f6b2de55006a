"""The care team's actions: which are open, what is said of them, what is sent."""

from __future__ import annotations

import pytest
from msgspec.structs import replace

from connectors import feedback
from connectors.contract import Acted, Alert, AlertReason, AlertState, Answer
from connectors.feedback import Action, DismissReason, Outcome
from streams.console import care, words
from streams.console.acts import make
from streams.console.api.examples import ALERT
from streams.console.times import HospitalTime

TIMES = HospitalTime("UTC")
AT = "2026-11-23T14:30:00.000Z"


def test_every_member_of_the_contract_has_words() -> None:
    """A new one cannot be forgotten: a page that met it would break."""
    assert set(words.REASONS) == set(AlertReason)
    assert set(words.STATES) == set(AlertState)
    for table in (care.ACTIONS, care.DONE, care.UNDER_WAY):
        assert set(table) == set(Action)
    assert set(care.REASONS) == set(DismissReason)
    assert set(care.OUTCOMES) == set(Outcome)
    assert set(care.ANSWERS) == set(Answer)


@pytest.mark.parametrize("state", AlertState)
def test_what_can_be_done_depends_on_the_state(state: AlertState) -> None:
    """An ended alert takes words and outcomes alone; an acknowledged one is not acknowledged."""
    open_to = care.open_to(replace(ALERT, state=state))
    ended = state in (AlertState.RESOLVED, AlertState.WITHDRAWN)
    assert (set(open_to) == {Action.COMMENT, Action.OUTCOME}) is ended
    assert (Action.ACKNOWLEDGE in open_to) is (not ended and state is not AlertState.ACKNOWLEDGED)


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"state": AlertState.ACKNOWLEDGED, "acknowledged_by": "ada"}, "by ada"),
        ({"state": AlertState.SNOOZED, "snoozed_until": AT}, "until 23 Nov 14:30"),
        (
            {"state": AlertState.ESCALATED, "escalated_to": "outreach", "escalation": 2},
            "to outreach, step 2",
        ),
        (
            {"state": AlertState.PENDING, "held_by": "palliative_care"},
            "held back by palliative care",
        ),
        ({"handed_to": "ben"}, "handed to ben"),
        ({"joined": "a1"}, "with the call for another risk"),
        ({}, ""),
    ],
)
def test_who_has_it_is_said(change: dict[str, object], said: str) -> None:
    """With the state, in a few words."""
    alert: Alert = replace(ALERT, **change)
    assert care.care_words(alert, TIMES) == said


def test_actions_become_sentences() -> None:
    """With reason, time, receiver and words."""
    base = Acted(id="1", who="ada", action=Action.ACKNOWLEDGE, at=AT)
    said = [
        care.acted_words(acted, TIMES)
        for acted in (
            base,
            replace(base, action=Action.SNOOZE, until=AT),
            replace(base, action=Action.DISMISS, reason="other", comment="line fell out"),
            replace(base, action=Action.HAND_OVER, to="ben"),
            replace(base, action=Action.COMMENT, comment="seen"),
            replace(base, action=Action.OUTCOME, outcome="averted"),
        )
    ]
    assert said == [
        "ada acknowledged it.",
        "ada snoozed it until 23 Nov 14:30.",
        "ada dismissed it: other, as the comment says. “line fell out”",
        "ada handed it over to ben.",
        "ada wrote. “seen”",
        "ada marked the outcome: treatment kept it from happening.",
    ]


@pytest.mark.parametrize("action", Action)
def test_a_complete_action_is_a_record_of_the_contract(action: Action) -> None:
    """Whatever the dialog gives for it."""
    values = {
        "minutes": "30",
        "reason": "expected",
        "outcome": "event",
        "to": " ben ",
        "comment": "words",
    }
    made = make(ALERT, action, values, "click-1", "ada", 1_000.0)
    assert not isinstance(made, str)
    assert feedback.lacking(made) == ""
    assert feedback.decode(feedback.encode(made)) == made
    assert (made.until == 1_000 + 1_800) is (action is Action.SNOOZE)


@pytest.mark.parametrize(
    ("action", "values"),
    [
        (Action.SNOOZE, {"minutes": "soon"}),
        (Action.SNOOZE, {}),
        (Action.DISMISS, {"reason": "tired"}),
        (Action.OUTCOME, {"outcome": ""}),
        (Action.HAND_OVER, {}),
    ],
)
def test_what_no_dialog_would_send_is_refused(action: Action, values: dict[str, str]) -> None:
    """In words."""
    assert make(ALERT, action, values, "click-1", "ada", 1_000.0) == (
        "The action is not complete: nothing was sent."
    )
