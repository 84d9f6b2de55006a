"""What people can do at the console. A desk that is not given has no page."""

from __future__ import annotations

from dataclasses import dataclass

from streams.console.ports import Audit, EventLog
from streams.feedback_desk import FeedbackDesk
from streams.quarantine_desk import Desk as QuarantineDesk


@dataclass(frozen=True, slots=True)
class Desks:
    """The desks of a console; the command line works at the same ones."""

    quarantine: QuarantineDesk | None = None
    events: EventLog | None = None
    audit: Audit | None = None
    feedback: FeedbackDesk | None = None
