"""What an undisturbed run gives: the same messages, and the same log, without servers.

`undisturbed` maps and applies what was sent, all at once. `Follower` applies the real log of facts,
record by record, and knows byte for byte what must lie in Redis and what must have been told.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import NamedTuple

import msgspec

from connectors import contract, facts, topics
from connectors.contract import LogPosition
from connectors.facts import FactRecord, Observation
from connectors.identity import Identifier, IdentityKey
from connectors.sequencer import Sequencer
from connectors.settings import IdentitySettings, SequencerSettings
from connectors.site import Site
from connectors.wire import WireMessage
from models.bundle import load_risks
from models.patient import Patient
from models.risk import RiskModel
from streams import codec, keys
from streams.engine import Engine, Step
from streams.state import PatientState
from streams.store import Fields
from tests.chaos.log import Record
from tests.chaos.ward import AUTHORITY, Known, Ward

Told = dict[tuple[str, int], bytes]  # (alert id, revision) → record


class Outcome(NamedTuple):
    """What a patient's record comes to, in a form that does not depend on when and how it came."""

    facts: frozenset[tuple[str, bytes]]  # (slot, fact)
    scores: dict[str, bytes]  # by risk


def models(risks: Iterable[str]) -> list[RiskModel]:
    """As shipped, and as a worker loads them."""
    return list(load_risks(None, list(risks)))


def pseudonym(key: IdentityKey, mrn: str) -> str:
    """The patient's name in Redis and in the topics."""
    return key.pseudonym(Identifier(AUTHORITY, "MR", mrn))


def outcome(fields: Fields) -> Outcome:
    """Of a patient's hash in Redis. Where the score stands in the log is left out."""
    fields = codec.unpacked(fields)
    start = len(keys.FACT_FIELD)
    own = {(n[start:].decode(), v) for n, v in fields.items() if n[:start] == keys.FACT_FIELD}
    scores = {risk: _canonical(score) for risk, score in codec.to_scores(fields).items()}
    return Outcome(frozenset(own), scores)


def _canonical(score: contract.Score) -> bytes:
    nowhere = LogPosition(topic="", partition=0, offset=0)
    return contract.encode(msgspec.structs.replace(score, log=nowhere, caused_by=[], trace=""))


def observations(found: Outcome) -> set[Known]:
    """The observations that count: the record keeps other versions of a result beside them."""
    newest: dict[str, Observation] = {}
    for _, raw in found.facts:
        fact = facts.decode_fact(raw)
        if isinstance(fact, Observation):
            before = newest.get(fact.id)
            newest[fact.id] = fact if before is None else max(before, fact, key=_rank)
    return {
        (fact.code, fact.time, float(fact.value), fact.status)
        for fact in newest.values()
        if not fact.removed and fact.value is not None
    }


def _rank(fact: Observation) -> facts.Rank:
    return fact.rank


def open_alerts(told: Told) -> dict[str, set[tuple[str, ...]]]:
    """Patient → (risk, state, severity, episode, since) of each open alert."""
    newest: dict[str, contract.Alert] = {}
    for _, raw in sorted(told.items()):
        alert = contract.decode_alert(raw)
        newest[alert.alert_id] = alert
    found: dict[str, set[tuple[str, ...]]] = {}
    for a in newest.values():
        if a.state in contract.OPEN:
            entry = (a.risk, str(a.state), str(a.severity), a.episode, a.since)
            found.setdefault(a.patient, set()).add(entry)
    return found


class Undisturbed(NamedTuple):
    """How all patients of a ward must end."""

    outcomes: dict[str, Outcome]  # by MRN
    alerts: dict[str, set[tuple[str, ...]]]  # by pseudonym


def undisturbed(
    ward: Ward, key: IdentityKey, of: list[RiskModel], partitions: int, now: float
) -> Undisturbed:
    """The ward's messages, each once, in one go."""
    return apply_at_once(ward, key, of, partitions, now)[0]


def apply_at_once(
    ward: Ward, key: IdentityKey, of: list[RiskModel], partitions: int, now: float
) -> tuple[Undisturbed, Follower]:
    """`undisturbed`, and what had to be told and stored on the way."""
    site = Site(SequencerSettings(), IdentitySettings())
    sequencer = Sequencer(key, site, partitions, 1_000, lambda: now)
    raws = dict.fromkeys(message.raw for message in ward.messages)
    wire = [WireMessage(raw, f"wire/0/{n}", now, "", "") for n, raw in enumerate(raws)]
    records = sequencer.sequence(wire).records
    follower = Follower(of)
    for partition, batch in records.items():
        follower.follow([Record(partition, n, facts.encode(r)) for n, r in enumerate(batch)])
    names = {mrn: pseudonym(key, mrn) for mrn in ward.patients}
    outcomes = {mrn: outcome(follower.kept.get(name, {})) for mrn, name in names.items()}
    return Undisturbed(outcomes, open_alerts(follower.told)), follower


class Follower:
    """One engine on the log of facts, from its beginning, a record at a time."""

    def __init__(self, of: list[RiskModel]) -> None:
        self._engine = Engine(of)
        self._states: dict[str, PatientState] = {}
        self._partition: dict[str, int] = {}
        self._due: dict[str, float] = {}
        self.kept: dict[str, Fields] = {}  # by pseudonym
        self.told: Told = {}
        self.scores: set[bytes] = set()

    def follow(self, records: Iterable[Record]) -> None:
        """Apply what is new."""
        for partition, offset, raw in records:
            try:
                record = facts.decode(raw)
            except msgspec.MsgspecError:
                continue  # goes to quarantine
            self._apply(partition, offset, record)

    def _apply(self, partition: int, offset: int, record: FactRecord) -> None:
        names = {m.patient for m in record.messages}
        for name in names:
            self._partition.setdefault(name, partition)
        expired = self._expired(partition, record)
        mine = {
            n: self._states.setdefault(n, PatientState(Patient(n))) for n in names.union(expired)
        }
        log = LogPosition(topic=topics.FACTS, partition=partition, offset=offset)
        effects = self._engine.apply_all(mine, [Step(record, log, expired)])[0]
        for name, touched in effects.touched.items():
            scores = {s.risk: contract.encode(s) for s in effects.scores if s.patient == name}
            kept = self.kept.setdefault(name, {})
            kept.update(codec.to_fields(touched, scores))
            for forgotten in codec.to_forget(touched):
                kept.pop(forgotten, None)
            codec.stored(touched)
        for name, when in effects.due.items():
            self._due.pop(name, None)
            if when is not None:
                self._due[name] = when
        self.scores.update(contract.encode(score) for score in effects.scores)
        for alert in effects.alerts:
            self.told[alert.alert_id, alert.revision] = contract.encode(alert)

    def _expired(self, partition: int, record: FactRecord) -> list[str]:
        if record.tick is None:
            return []
        at, where = record.tick.at, self._partition
        return sorted(n for n, due in self._due.items() if due <= at and where[n] == partition)
