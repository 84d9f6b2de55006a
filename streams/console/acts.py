"""One page's actions on alerts: sent to the log, shown at once as under way, and then as the log
says. What stands of an alert is always the alert's own newest revision."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from msgspec.structs import replace
from nicegui import background_tasks

from connectors.clock import Clock
from connectors.contract import Alert
from connectors.feedback import Action, DismissReason, Feedback, Outcome
from streams.console.board import Board
from streams.console.care import (
    ACTIONS,
    ANSWERS,
    OUTCOMES,
    REASONS,
    SNOOZES,
    UNDER_WAY,
    buttons,
    open_to,
)
from streams.console.elements import ActionDialog
from streams.console.people import Person
from streams.errors import UserError
from streams.feedback_desk import FeedbackDesk, NotConfirmedError
from streams.roles import ACTS

WORDS_S = 12.0  # what became of an action stands so long beside its alert
_SLOW_S = 5.0  # after that, an answer that has not come is worth a word


@dataclass(slots=True)
class _Sent:
    """An action that somebody took on this page."""

    words: str
    click: str
    at: float
    what: tuple[Action, str] | None = None  # and with which values
    settled: bool = False
    unconfirmed: bool = False  # the log is silent: the same again goes under the same id


class Acts:
    """Buttons, keys and the dialog of one page; `on_change` is called when words change."""

    def __init__(
        self,
        board: Board,
        desk: FeedbackDesk | None,
        person: Person,
        clock: Clock,
        title_of: Callable[[Alert], str],
        on_change: Callable[[], None],
    ) -> None:
        self._board = board
        self._desk = desk if person.may(ACTS) else None
        self._person = person
        self._clock = clock
        self._title_of = title_of
        self._on_change = on_change
        self._sent: dict[str, _Sent] = {}
        self._dialog: ActionDialog | None = None

    @property
    def allowed(self) -> bool:
        """May the person act at all?"""
        return self._desk is not None

    def build(self) -> None:
        """The dialog, at the end of the page."""
        if self._desk is not None:
            self._dialog = ActionDialog(
                self._from_dialog,
                actions=[(a.value, text) for a, text in ACTIONS.items()],
                snoozes=SNOOZES,
                reasons=[(r.value, text) for r, text in REASONS.items()],
                outcomes=[(o.value, text) for o, text in OUTCOMES.items()],
            )

    def words(self, alert_id: str) -> str:
        """What is to be said of the last action on that alert; "" for nothing (any more)."""
        sent = self._sent.get(alert_id)
        if sent is None:
            return ""
        now = asyncio.get_running_loop().time()
        answer = self._board.answers.get(sent.click)
        if answer is not None and not sent.settled:
            sent.settled, sent.words, sent.at = True, ANSWERS[answer.answer], now
        if sent.settled and now - sent.at > WORDS_S:
            del self._sent[alert_id]
        if not (sent.settled or sent.unconfirmed) and now - sent.at > _SLOW_S:
            return f"{sent.words} Nobody has confirmed it yet."
        return sent.words

    def cell(self, alert: Alert) -> dict[str, Any]:
        """The buttons of a row, and what became of the last press."""
        shown = {"note": self.words(alert.alert_id)}
        return shown | {"acts": buttons(alert)} if self.allowed else shown

    def pressed(self, event: dict[str, Any]) -> None:
        """A button or a key of a row."""
        alert = self._seen(event.get("key"), event.get("revision"))
        if alert is not None:
            self.press(alert, str(event.get("action")), str(event.get("click")))

    def press(self, alert: Alert, wanted: str, click: str) -> None:
        """An action, or "more". What needs more than a click opens the dialog."""
        offered = open_to(alert)
        if wanted == Action.ACKNOWLEDGE:
            if Action.ACKNOWLEDGE in offered:
                self._take(alert, Action.ACKNOWLEDGE, {}, click)
        elif self._dialog is not None:
            first = Action(wanted) if wanted in offered else offered[0]
            self._dialog.open(alert.alert_id, alert.revision, self._title_of(alert), first.value)

    def _from_dialog(self, event: dict[str, Any]) -> None:
        alert = self._seen(event.get("id"), event.get("revision"))
        if alert is not None and str(event.get("action")) in set(Action):
            values = dict(event.get("values") or {})
            self._take(alert, Action(str(event["action"])), values, str(event.get("click")))

    def _seen(self, alert_id: object, revision: object) -> Alert | None:
        """The alert, with the revision that was on the screen."""
        alert = self._board.alerts.get(str(alert_id))
        if alert is None or not isinstance(revision, int):
            return None
        return replace(alert, revision=min(max(revision, 1), alert.revision))

    def _take(self, alert: Alert, action: Action, values: dict[str, Any], click: str) -> None:
        if self._desk is None:
            return
        now = asyncio.get_running_loop().time()
        what = (action, repr(sorted(values.items())))
        before = self._sent.get(alert.alert_id)
        if before is not None and before.unconfirmed and before.what == what:
            click = before.click
        self._sent[alert.alert_id] = _Sent(UNDER_WAY[action], click, now, what)
        self._on_change()
        made = make(alert, action, values, click, self._person.subject, self._clock())
        background_tasks.create(self._send(alert.alert_id, made), name=f"feedback {action}")

    async def _send(self, alert_id: str, made: Feedback | str) -> None:
        assert self._desk is not None  # noqa: S101 - who may not act has no buttons
        try:
            if isinstance(made, str):
                raise UserError(made)
            await self._desk.send(made)
        except NotConfirmedError as error:
            self._not_confirmed(alert_id, made, str(error))
        except UserError as error:
            now = asyncio.get_running_loop().time()
            self._sent[alert_id] = _Sent(str(error), "", now, settled=True)
        self._on_change()

    def _not_confirmed(self, alert_id: str, made: Feedback | str, words: str) -> None:
        """The answer may still come, and settles it then."""
        sent = self._sent.get(alert_id)
        if sent is not None and isinstance(made, Feedback) and sent.click == made.id:
            sent.words, sent.unconfirmed = words, True


def make(
    alert: Alert, action: Action, values: dict[str, Any], click: str, who: str, now: float
) -> Feedback | str:
    """The action as a record, or why it cannot be one."""
    try:
        return Feedback(
            id=click,
            patient=alert.patient,
            alert_id=alert.alert_id,
            risk=alert.risk,
            revision=alert.revision,
            action=action,
            at=now,
            who=who,
            until=now + 60 * int(values["minutes"]) if action is Action.SNOOZE else None,
            reason=DismissReason(values["reason"]) if action is Action.DISMISS else None,
            to=str(values["to"]).strip() if action is Action.HAND_OVER else "",
            comment=str(values.get("comment", "")).strip(),
            outcome=Outcome(values["outcome"]) if action is Action.OUTCOME else None,
        )
    except (KeyError, ValueError):
        return "The action is not complete: nothing was sent."
