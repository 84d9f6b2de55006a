"""What the care team does with an alert, in words."""

from __future__ import annotations

from connectors.clock import from_iso
from connectors.contract import ENDED, Acted, Alert, AlertState, Answer
from connectors.feedback import Action, DismissReason, Outcome
from streams.console.times import HospitalTime
from streams.console.words import plain

ACTIONS = {
    Action.ACKNOWLEDGE: "Acknowledge",
    Action.SNOOZE: "Snooze",
    Action.DISMISS: "Dismiss",
    Action.HAND_OVER: "Hand over",
    Action.COMMENT: "Comment",
    Action.OUTCOME: "Mark outcome",
}
DONE = {
    Action.ACKNOWLEDGE: "acknowledged it",
    Action.SNOOZE: "snoozed it",
    Action.DISMISS: "dismissed it",
    Action.HAND_OVER: "handed it over",
    Action.COMMENT: "wrote",
    Action.OUTCOME: "marked the outcome",
}
UNDER_WAY = {
    Action.ACKNOWLEDGE: "Acknowledging …",
    Action.SNOOZE: "Snoozing …",
    Action.DISMISS: "Dismissing …",
    Action.HAND_OVER: "Handing over …",
    Action.COMMENT: "Commenting …",
    Action.OUTCOME: "Marking the outcome …",
}
SNOOZES = (
    ("15", "15 minutes"),
    ("30", "30 minutes"),
    ("60", "1 hour"),
    ("120", "2 hours"),
    ("240", "4 hours"),
)
REASONS = {
    DismissReason.ALREADY_TREATED: "Already known and treated",
    DismissReason.EXPECTED: "Expected for this patient",
    DismissReason.WRONG_DATA: "Wrong data",
    DismissReason.GOALS_OF_CARE: "No more treatment is wanted",
    DismissReason.NOT_RELEVANT: "True, and nothing follows",
    DismissReason.OTHER: "Other, as the comment says",
}
OUTCOMES = {
    Outcome.EVENT: "It happened",
    Outcome.AVERTED: "Treatment kept it from happening",
    Outcome.NO_EVENT: "It did not happen",
    Outcome.UNKNOWN: "Nobody can tell",
}
# What the others have done matters only where it is not what one wanted.
ANSWERS = {
    Answer.DONE: "",
    Answer.REPEATED: "",
    Answer.NOTED: "Noted with the alert, which had ended.",
    Answer.ENDED: "The alert had ended already: nothing was changed.",
    Answer.OUTDATED: "It has become worse since you looked: look again.",
    Answer.PAST: "The time of the snooze is past: nothing was changed.",
    Answer.UNKNOWN: "There is no such alert or revision: nothing was changed.",
}
KEYS_HELP = (
    "With a row in focus: ↑ ↓ next row, Enter opens the patient, A acknowledge, S snooze, "
    "D dismiss, H hand over, C comment, O outcome."
)


def open_to(alert: Alert) -> list[Action]:
    """What can be done with the alert as it stands."""
    if alert.state in ENDED:
        return [Action.COMMENT, Action.OUTCOME]
    first = [] if alert.state is AlertState.ACKNOWLEDGED else [Action.ACKNOWLEDGE]
    return [*first, *(a for a in Action if a is not Action.ACKNOWLEDGE)]


def buttons(alert: Alert) -> list[list[str]]:
    """Those of a row, as pairs of action and text."""
    quick = [a for a in open_to(alert) if a in (Action.ACKNOWLEDGE, Action.SNOOZE)]
    return [[a.value, ACTIONS[a]] for a in quick] + [["more", "More …"]]


def care_words(alert: Alert, times: HospitalTime) -> str:
    """Who has it now: `by Ada`; `until 14:30`; `to the outreach team, step 2`."""
    match alert.state:
        case AlertState.ACKNOWLEDGED if alert.acknowledged_by:
            return f"by {alert.acknowledged_by}"
        case AlertState.SNOOZED if alert.snoozed_until:
            return f"until {times.stamp(from_iso(alert.snoozed_until))}"
        case AlertState.ESCALATED if alert.escalated_to:
            return f"to {alert.escalated_to}, step {alert.escalation}"
        case AlertState.PENDING if alert.held_by:
            return f"held back by {plain(alert.held_by).lower()}"
        case AlertState.FIRING if alert.handed_to:
            return f"handed to {alert.handed_to}"
        case AlertState.FIRING if alert.joined:
            return "with the call for another risk"
        case _:
            return ""


def acted_words(acted: Acted, times: HospitalTime) -> str:
    """`Ada dismissed it: expected for this patient. “comment”`."""
    said = f"{acted.who} {DONE[acted.action]}"
    if acted.action is Action.SNOOZE and acted.until:
        said += f" until {times.stamp(from_iso(acted.until))}"
    if acted.action is Action.DISMISS and acted.reason:
        said += f": {REASONS[DismissReason(acted.reason)].lower()}"
    if acted.action is Action.HAND_OVER:
        said += f" to {acted.to}"
    if acted.action is Action.OUTCOME and acted.outcome:
        said += f": {OUTCOMES[Outcome(acted.outcome)].lower()}"
    return f"{said}. “{acted.comment}”" if acted.comment else f"{said}."
