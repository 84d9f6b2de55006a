"""What people can do at the console. A desk that is not given has no page."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from models.risk import AlertRule
from streams.backtest_desk import BacktestDesk
from streams.console.ports import Audit, EventLog
from streams.delivery.dead_letters import DeadLetters
from streams.drift import DriftDesk
from streams.feedback_desk import FeedbackDesk
from streams.policy.desk import PolicyDesk
from streams.quarantine_desk import Desk as QuarantineDesk


@dataclass(frozen=True, slots=True)
class Desks:
    """The desks of a console; the command line works at the same ones."""

    quarantine: QuarantineDesk | None = None
    events: EventLog | None = None
    audit: Audit | None = None
    feedback: FeedbackDesk | None = None
    policy: PolicyDesk | None = None
    backtest: BacktestDesk | None = None
    drift: DriftDesk | None = None
    dead_letters: DeadLetters | None = None
    authority: str = "TOCSIN"  # of pseudonyms that are given out
    shipped: Mapping[str, AlertRule] = field(default_factory=dict)  # rules of the bundles, by risk
