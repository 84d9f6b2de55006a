"""Says what is wrong after a run. It knows what was sent and what was acknowledged.

Some things may still come right (`Verdict.waiting`): they count when they last too long. Others
never may be (`Verdict.broken`).
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field

from connectors import contract
from streams.store import Fields
from tests.chaos import reference
from tests.chaos.reference import Outcome, Told, Undisturbed
from tests.chaos.ward import Ward, number_of

_SHOWN = 5


@dataclass
class Found:
    """What is there after a run."""

    acknowledged: list[bytes]
    refused: list[bytes]
    wire: set[bytes]  # values of the raw log
    strangers: set[bytes]  # put there by the harness itself
    fields: dict[str, Fields]  # by MRN: the patient's hash in Redis
    names: dict[str, str]  # MRN → pseudonym
    alerts: list[bytes]  # the whole topic, in order
    scores: set[bytes]  # the whole topic


@dataclass
class Verdict:
    """Complaints in words."""

    broken: list[str] = field(default_factory=list)
    waiting: list[str] = field(default_factory=list)

    @property
    def clean(self) -> bool:
        """Nothing to complain of."""
        return not (self.broken or self.waiting)


def judge(
    ward: Ward,
    found: Found,
    must: Undisturbed,
    told: Told,
    scores: set[bytes],
    kept: Mapping[str, Fields],
) -> Verdict:
    """`must`: an undisturbed run of the same messages. `told`, `scores`, `kept` (by pseudonym):
    what the log of facts says must have been told and must be stored."""
    verdict = Verdict()
    _log(ward, found, verdict)
    seen = _revisions(found.alerts, verdict)
    _told(found, seen, told, scores, verdict)
    for mrn in ward.patients:
        _patient(ward, mrn, found, must, kept, verdict)
    _alerts(ward, found, must, seen, verdict)
    return verdict


def _log(ward: Ward, found: Found, verdict: Verdict) -> None:
    """Every acknowledged message is in the log, and nothing that nobody sent."""
    sent = {message.raw for message in ward.messages}
    lost = set(found.acknowledged) - found.wire
    verdict.broken += _some("acknowledged and not in the log", map(_name, lost))
    unknown = found.wire - sent - found.strangers
    verdict.broken += _some("in the log and sent by nobody", map(repr, unknown))
    verdict.broken += _some("refused", map(repr, found.refused))
    verdict.waiting += _some("not acknowledged", map(_name, sent - set(found.acknowledged)))


def _revisions(alerts: Iterable[bytes], verdict: Verdict) -> Told:
    """Each revision has one content, and none is left out."""
    seen: Told = {}
    highest: dict[str, int] = {}
    for raw in alerts:
        alert = contract.decode_alert(raw)
        at = (alert.alert_id, alert.revision)
        if seen.setdefault(at, raw) != raw:
            verdict.broken.append(f"alert {at[0]} revision {at[1]} was told with two contents")
        if alert.revision > highest.get(alert.alert_id, 0) + 1:
            missed = highest.get(alert.alert_id, 0) + 1
            verdict.broken.append(f"alert {at[0]} revision {missed} was skipped")
        highest[alert.alert_id] = max(highest.get(alert.alert_id, 0), alert.revision)
    return seen


def _told(found: Found, seen: Told, told: Told, scores: set[bytes], verdict: Verdict) -> None:
    """What the log says must be told is told, and nothing else."""
    for at, raw in told.items():
        if at not in seen:
            verdict.waiting.append(f"alert {at[0]} revision {at[1]} is not told")
        elif seen[at] != raw:
            verdict.broken.append(f"alert {at[0]} revision {at[1]} is not what the log says")
    extra = seen.keys() - told.keys()
    verdict.waiting += _some("told without a cause in the log", map(repr, extra))
    _scores(found.scores, scores, verdict)


def _scores(told: set[bytes], must: set[bytes], verdict: Verdict) -> None:
    """Each score that the log causes, and no other: where one has another content, in what."""
    missing = {_place(score): score for score in map(contract.decode_score, must - told)}
    for score in map(contract.decode_score, told - must):
        wanted = missing.pop(_place(score), None)
        if wanted is None:
            verdict.waiting.append(f"score told without a cause: {_place(score)}")
        else:
            verdict.broken += _differences(wanted, score)
    verdict.waiting += _some("score not told", map(repr, missing))


def _place(score: contract.Score) -> tuple[str, str, int, int]:
    return score.patient, score.risk, score.log.partition, score.log.offset


def _differences(wanted: contract.Score, told: contract.Score) -> list[str]:
    where = f"score of {told.risk} at {told.log.partition}/{told.log.offset}"
    return [
        f"{where}: {name} is {getattr(told, name)!r}, by the log {getattr(wanted, name)!r}"
        for name in contract.Score.__struct_fields__
        if getattr(told, name) != getattr(wanted, name)
    ]


def _patient(
    ward: Ward,
    mrn: str,
    found: Found,
    must: Undisturbed,
    kept: Mapping[str, Fields],
    verdict: Verdict,
) -> None:
    """The record is that of an undisturbed run, holds what was sent, and nobody else's."""
    fields = found.fields.get(mrn, {})
    is_now, wanted = reference.outcome(fields), must.outcomes[mrn]
    known = reference.observations(is_now)
    verdict.broken += _foreign(ward, mrn, is_now)
    verdict.waiting += _some(f"{mrn} lacks", map(repr, ward.known[mrn] - known))
    verdict.waiting += _some(f"{mrn} has in excess", map(repr, known - ward.known[mrn]))
    if is_now.facts != wanted.facts:
        verdict.waiting.append(f"{mrn}: facts differ from those of an undisturbed run")
    for risk in sorted(wanted.scores.keys() | is_now.scores.keys()):
        if is_now.scores.get(risk) != wanted.scores.get(risk):
            verdict.waiting.append(f"{mrn}: score of {risk} differs from an undisturbed run")
    if fields != kept.get(found.names[mrn], {}):
        verdict.waiting.append(f"{mrn}: Redis does not hold what the log of facts says")


def _foreign(ward: Ward, mrn: str, found: Outcome) -> list[str]:
    numbers = {number_of(value) for _, _, value, _ in reference.observations(found)}
    others = numbers - {ward.patients[mrn]}
    return [f"{mrn} holds a fact of patient {number}" for number in sorted(others)]


def _alerts(ward: Ward, found: Found, must: Undisturbed, seen: Told, verdict: Verdict) -> None:
    """Open alerts are those of an undisturbed run; who is dying has one."""
    is_open = reference.open_alerts(seen)
    for mrn in ward.patients:
        name = found.names[mrn]
        if is_open.get(name, set()) != must.alerts.get(name, set()):
            verdict.waiting.append(f"{mrn}: open alerts differ from those of an undisturbed run")
        if mrn in ward.dying and not is_open.get(name):
            verdict.waiting.append(f"{mrn} is dying and has no open alert")


def _some(what: str, which: Iterable[str]) -> list[str]:
    """The first few of a kind."""
    ordered = sorted(which)
    shown = [f"{what}: {one[:300]}" for one in ordered[:_SHOWN]]
    rest = len(ordered) - _SHOWN
    return [*shown, f"{what}: and {rest} more"] if rest > 0 else shown


def _name(raw: bytes) -> str:
    return raw.split(b"\r", 1)[0].split(b"|")[9].decode()
