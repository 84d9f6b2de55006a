"""A policy tried on the recorded log: the worker's own code over the recorded facts.

Exact: late and corrected data come when they came, actions of the care team where they came, and
every score is computed again. With the policies that the log itself holds, the alerts come out
byte for byte as they were told.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field

import msgspec

from connectors import contract, facts, topics
from connectors.clock import from_iso
from connectors.configuration import PolicyInForce
from connectors.contract import ENDED, Alert, AlertReason, Severity
from connectors.feedback import RIGHT, WRONG, Action
from connectors.journal import Journal
from models.risk import RiskModel
from streams.backtest.columns import Scores
from streams.backtest.simulate import Raised
from streams.backtest.stays import Stays
from streams.replaying import Replay, decoded

# Told as part of another risk's call.
_WITHOUT_A_CALL = (AlertReason.JOINED, AlertReason.COVERED)

Told = dict[tuple[str, int], bytes]  # (alert id, revision) → record
Progress = Callable[[int, int], None]  # records done, records there are


@dataclass(slots=True)
class Replayed:
    """What the log gives under a policy."""

    alerts: Told = field(default_factory=dict)
    scores: list[bytes] = field(default_factory=list)

    def raised(self, stays: Stays, risk: str) -> list[Raised]:
        """The alerts that called, each in the stay that it belongs to."""
        return to_raised([contract.decode_alert(a) for a in self.alerts.values()], stays, risk)


@dataclass(slots=True)
class Log:
    """Facts by partition, and what the care team said of outcomes: label by patient."""

    records: dict[int, list[tuple[int, bytes]]]
    outcomes: dict[str, int]

    @property
    def count(self) -> int:
        """Records in all."""
        return sum(len(some) for some in self.records.values())


def read_log(journal: Journal, partitions: int) -> Log:
    """All of `tocsin.facts` as of now."""
    records: dict[int, list[tuple[int, bytes]]] = {}
    outcomes: dict[str, int] = {}
    for stored in journal.read(topics.FACTS, {}):
        records.setdefault(stored.partition, []).append((stored.offset, stored.value))
        if b'"outcome"' in stored.value:
            outcomes.update(_outcomes(stored.value))
    return Log(records, outcomes)


def _outcomes(raw: bytes) -> Iterator[tuple[str, int]]:
    try:
        record = facts.decode(raw)
    except msgspec.MsgspecError:
        return
    for action in record.feedback:
        if action.action is Action.OUTCOME and action.outcome in RIGHT | WRONG:
            yield action.patient, int(action.outcome in RIGHT)


def told_live(journal: Journal) -> Told:
    """Every revision on `tocsin.alerts`."""
    found: Told = {}
    for stored in journal.read(topics.ALERTS, {}):
        alert = contract.decode_alert(stored.value)
        found[alert.alert_id, alert.revision] = stored.value
    return found


async def replayed(
    log: Log,
    models: Sequence[RiskModel],
    policy: str | None = None,
    version: str = "proposed",
    progress: Progress = lambda done, total: None,
) -> Replayed:
    """The log again. `policy` counts from its beginning; None: the policies that the log holds."""
    out, done = Replayed(), 0
    trial = None if policy is None else PolicyInForce(serial=0, version=version, policy=policy)
    for partition, raw in sorted(log.records.items()):
        replay = Replay(partition, models, trial=trial)
        before = done
        first = raw[0][0]
        await replay.run(
            decoded(raw),
            lambda at: progress(before + at - first, log.count),  # noqa: B023
        )
        done += len(raw)
        for output in replay.outputs:
            if output.topic == topics.ALERTS:
                alert = contract.decode_alert(output.value)
                out.alerts[alert.alert_id, alert.revision] = output.value
            elif output.topic == topics.SCORES:
                out.scores.append(output.value)
    return out


def to_raised(alerts: Sequence[Alert], stays: Stays, risk: str) -> list[Raised]:
    """Alerts as records, put into the stays of `Scores` by patient and time."""
    of_patient: dict[str, list[int]] = {}
    for stay, patient in enumerate(stays.patients):
        of_patient.setdefault(patient, []).append(stay)
    found: dict[str, Raised] = {}
    for alert in sorted(alerts, key=lambda a: (a.alert_id, a.revision)):
        at = from_iso(alert.at)
        if alert.risk != risk or alert.patient not in of_patient:
            continue
        known = found.get(alert.alert_id)
        if (alert.calls or alert.reason in _WITHOUT_A_CALL) and alert.state not in ENDED:
            if known is None:
                stay = _stay_at(stays, of_patient[alert.patient], at)
                known = found[alert.alert_id] = Raised(stay, at, alert.severity, 0, at, "")
            known.calls += alert.calls
            if alert.severity is Severity.CRITICAL:
                known.severity = Severity.CRITICAL
        if known is not None:
            known.ended = at
            known.reason = alert.reason if alert.state in ENDED else ""
    return sorted(found.values(), key=lambda one: (one.stay, one.at))


def _stay_at(stays: Stays, candidates: Sequence[int], at: float) -> int:
    begun = [s for s in candidates if stays.times[stays.bounds[s]] <= at + 1e-3]
    return begun[-1] if begun else candidates[0]


def stays_of(replayed: Replayed, risk: str, log: Log) -> Stays:
    """The trajectories that the scores show."""
    scores = Scores()
    scores.extend(replayed.scores)
    return scores.stays(risk, log.outcomes)
