"""How an action of the care team gets into the log, for whoever offers buttons for it.

Console, HL7 (PCD-05) and scripts all go through here, so that each action is checked in the same
way, has an id of its own, and is in the log for good before anybody is told that it was taken.
What became of it is on `tocsin.audit` (`connectors.contract.FeedbackAnswer`) and in the alert.
"""

from __future__ import annotations

import asyncio
import secrets
from typing import Protocol

from connectors import feedback, topics
from connectors.clock import Clock
from connectors.contract import Alert
from connectors.feedback import Action, DismissReason, Feedback, Outcome
from connectors.kafka import AppendError, Confirmed, Headers
from streams.errors import UserError

PATIENCE_S = 10.0


class NotConfirmedError(UserError):
    """The action is on its way, and nobody knows yet whether it arrives. Sending it again under the
    same id is safe: it counts once."""


class KeyedLog(Protocol):
    """`connectors.kafka.KafkaLog`, or a list in tests."""

    def append(
        self,
        topic: str,
        value: bytes,
        headers: Headers,
        confirmed: Confirmed,
        *,
        key: str | None = None,
    ) -> None:
        """Take a record; `confirmed` is called once, later, in the event loop."""


class FeedbackDesk:
    """Made and used in one running event loop."""

    def __init__(self, log: KeyedLog, clock: Clock, patience_s: float = PATIENCE_S) -> None:
        self._log, self._clock, self._patience_s = log, clock, patience_s

    async def acknowledge(self, alert: Alert, *, who: str, click: str = "") -> Feedback:
        """Somebody takes care."""
        return await self.send(self._make(alert, Action.ACKNOWLEDGE, who, click))

    async def snooze(self, alert: Alert, until: float, *, who: str, click: str = "") -> Feedback:
        """Quiet until a time (UTC epoch seconds), unless it gets worse."""
        made = self._make(alert, Action.SNOOZE, who, click, until=until)
        return await self.send(made)

    async def dismiss(
        self, alert: Alert, reason: DismissReason, *, who: str, comment: str = "", click: str = ""
    ) -> Feedback:
        """Ends the alert by hand."""
        made = self._make(alert, Action.DISMISS, who, click, reason=reason, comment=comment)
        return await self.send(made)

    async def hand_over(
        self, alert: Alert, to: str, *, who: str, comment: str = "", click: str = ""
    ) -> Feedback:
        """It is somebody else's now."""
        made = self._make(alert, Action.HAND_OVER, who, click, to=to, comment=comment)
        return await self.send(made)

    async def comment(self, alert: Alert, text: str, *, who: str, click: str = "") -> Feedback:
        """Words for the others."""
        return await self.send(self._make(alert, Action.COMMENT, who, click, comment=text))

    async def outcome(
        self, alert: Alert, outcome: Outcome, *, who: str, comment: str = "", click: str = ""
    ) -> Feedback:
        """What became of the patient."""
        made = self._make(alert, Action.OUTCOME, who, click, outcome=outcome, comment=comment)
        return await self.send(made)

    async def send(self, action: Feedback) -> Feedback:
        """Write an action; returns when the broker has it.

        Raises `UserError` when it is not in the log and will not be, `NotConfirmedError` when the
        log is silent: it goes on trying while this process lives.
        """
        problem = feedback.lacking(action)
        if problem:
            raise UserError(f"The action cannot be taken: {problem}.")
        raw = feedback.encode(action)
        try:
            feedback.decode(raw)
        except ValueError as error:
            raise UserError(f"The action cannot be taken: {error}.") from None
        future: asyncio.Future[None] = asyncio.get_running_loop().create_future()

        def confirmed(error: AppendError | None) -> None:
            if future.done():
                return
            if error is None:
                future.set_result(None)
            else:
                future.set_exception(error)

        self._log.append(topics.FEEDBACK, raw, (), confirmed, key=action.patient)
        try:
            await asyncio.wait_for(future, self._patience_s)
        except AppendError:
            raise UserError(
                "The log does not take the action: it was not recorded. Try again."
            ) from None
        except TimeoutError:
            raise NotConfirmedError(
                f"The log has not confirmed it within {self._patience_s:g} s. It is still being "
                "sent; doing it again counts once."
            ) from None
        return action

    def _make(
        self,
        alert: Alert,
        action: Action,
        who: str,
        click: str,
        *,
        until: float | None = None,
        reason: DismissReason | None = None,
        to: str = "",
        comment: str = "",
        outcome: Outcome | None = None,
    ) -> Feedback:
        return Feedback(
            id=click or secrets.token_hex(12),
            patient=alert.patient,
            alert_id=alert.alert_id,
            risk=alert.risk,
            revision=alert.revision,
            action=action,
            at=self._clock(),
            who=who,
            until=until,
            reason=reason,
            to=to,
            comment=comment,
            outcome=outcome,
        )
