"""What people can do at the console. A desk that is not given has no page."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from connectors.sinks.settings import Receiver
from models.risk import AlertRule
from streams.backtest_desk import BacktestDesk
from streams.console.ports import Audit, EventLog
from streams.console.sign_in.store import Store
from streams.delivery.dead_letters import DeadLetters
from streams.delivery.standing import Standings
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
    sign_ins: Store | None = None  # None: in this process
    feedback: FeedbackDesk | None = None
    policy: PolicyDesk | None = None
    backtest: BacktestDesk | None = None
    drift: DriftDesk | None = None
    dead_letters: DeadLetters | None = None
    standings: Standings | None = None
    authority: str = "TOCSIN"  # of pseudonyms that are given out
    receivers: Mapping[str, Receiver] = field(default_factory=dict)  # who is told of alerts
    shipped: Mapping[str, AlertRule] = field(default_factory=dict)  # rules of the bundles, by risk
