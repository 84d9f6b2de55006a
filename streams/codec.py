"""A patient's state ⇄ the fields of a Redis hash. Equal states give equal bytes."""

from __future__ import annotations

import zlib
from collections.abc import Iterator, Mapping, Sequence

import msgspec

from connectors import contract, facts
from connectors.contract import Score
from connectors.facts import AnyFact
from models.compartment import Compartment
from models.patient import Patient
from models.record import EVER, Presence
from streams import keys
from streams.state import PatientState, Remembered, Touched
from streams.store import Fields
from streams.trajectory import Trajectory

_remembered = msgspec.json.Decoder(Remembered)
_trend = msgspec.json.Decoder(list[tuple[float, float]])
_json = msgspec.json.Encoder()
_fields = msgspec.msgpack.Decoder(list[tuple[bytes, bytes]])
_PACKED_LEVEL = 6
_GONE = frozenset({Presence.DISCHARGED, Presence.CANCELLED, Presence.DIED, Presence.MERGED})


class Summary(msgspec.Struct, frozen=True, kw_only=True):
    """What a list of patients shows."""

    patient: str
    ward: str
    bed: str
    as_of: str
    presence: str
    probabilities: dict[str, float | None]
    open_alerts: list[str]


decode_summary = msgspec.json.Decoder(Summary).decode


def to_fields(touched: Touched, scores: Mapping[str, bytes]) -> Fields:
    """The fields that changed; `scores` are the newest ones by risk, encoded."""
    state = touched.state
    remembered = Remembered(
        clock=state.patient.clock,
        ahead=state.ahead,
        ticked=state.ticked,
        trace=state.trace,
        risks=state.risks,
        sources=state.sources,
        parts={key: part.meta for key, part in state.patient.parts.items()},
        logged=state.logged,
    )
    fields: Fields = {keys.STATE_FIELD: _json.encode(remembered)}
    for slot in touched.slots:
        fields[keys.FACT_FIELD + slot.encode()] = facts.encode(state.patient.own[slot])
    for part, slot in touched.parts:
        if slot:
            fact = state.patient.parts[part].facts[slot]
            fields[_part_field(part, slot)] = facts.encode(fact)
    for risk, raw in scores.items():
        fields[keys.SCORE_FIELD + risk.encode()] = raw
    for risk in touched.trends:
        fields[keys.TREND_FIELD + risk.encode()] = _json.encode(state.trends[risk])
    for risk, points in state.walks.items():
        fields.update((_walk_field(risk, chunk), raw) for chunk, raw in points.changed())
    return fields


def to_forget(touched: Touched) -> list[bytes]:
    """The fields that hold nothing any more. To be asked before `stored`."""
    found = [_part_field(part, slot) for part, slot in sorted(touched.dropped)]
    for risk, points in touched.state.walks.items():
        found += [_walk_field(risk, chunk) for chunk in points.stale()]
    return found


def stored(touched: Touched) -> None:
    """The fields that changed are in the store."""
    for points in touched.state.walks.values():
        points.stored()


def _walk_field(risk: str, chunk: int) -> bytes:
    return keys.WALK_FIELD + f"{risk}/{chunk}".encode()


def _part_field(part: str, slot: str) -> bytes:
    return keys.PART_FIELD + f"{part}/{slot}".encode()


def packed(fields: Fields) -> Fields:
    """One field that stands for all. Equal fields give equal bytes."""
    whole = msgspec.msgpack.encode(sorted(fields.items()))
    return {keys.PACKED_FIELD: zlib.compress(whole, _PACKED_LEVEL)}


def unpacked(fields: Fields) -> Fields:
    """The fields of a patient, however they lie in the store."""
    whole = fields.get(keys.PACKED_FIELD)
    return fields if whole is None else dict(_fields.decode(zlib.decompress(whole)))


def to_state(pseudonym: str, fields: Fields) -> PatientState:
    """The state that those fields hold; a new one when there are none."""
    state = PatientState(patient=Patient(pseudonym))
    raw = fields.get(keys.STATE_FIELD)
    if raw is None:
        return state
    remembered = _remembered.decode(raw)
    parts = {key: Compartment(meta) for key, meta in remembered.parts.items()}
    start = len(keys.PART_FIELD)
    for name, encoded in fields.items():
        if name[:start] == keys.PART_FIELD:
            part, _, slot = name[start:].decode().partition("/")
            parts[part].facts[slot] = facts.decode_fact(encoded)
    state.patient.restore(remembered.clock, _own(fields), parts)
    state.ahead, state.ticked, state.trace = remembered.ahead, remembered.ticked, remembered.trace
    state.risks, state.sources = remembered.risks, remembered.sources
    state.logged = remembered.logged
    state.trends = to_trends(fields)
    state.walks = _to_walks(remembered, fields)
    return state


def _to_walks(remembered: Remembered, fields: Fields) -> dict[str, Trajectory]:
    chunks: dict[str, dict[int, bytes]] = {}
    start = len(keys.WALK_FIELD)
    for name, raw in fields.items():
        if name[:start] == keys.WALK_FIELD:
            risk, _, chunk = name[start:].decode().rpartition("/")
            chunks.setdefault(risk, {})[int(chunk)] = raw
    return {
        name: Trajectory.restored(risk.points, risk.dropped, chunks.get(name, {}))
        for name, risk in remembered.risks.items()
    }


def _own(fields: Fields) -> Iterator[AnyFact]:
    start = len(keys.FACT_FIELD)
    for name, raw in sorted(fields.items()):
        if name[:start] == keys.FACT_FIELD:
            yield facts.decode_fact(raw)


def ended_alerts(fields: Fields) -> list[str]:
    """Ids of the patient's alerts that have ended and are not forgotten yet."""
    raw = fields.get(keys.STATE_FIELD)
    risks = _remembered.decode(raw).risks.values() if raw is not None else ()
    return [p.alert_id for r in risks for p in r.published if p.state in contract.ENDED]


def has_left(summary: bytes) -> bool:
    """Is a line of the list about somebody who is gone, with nothing left to do?"""
    line = decode_summary(summary)
    return line.presence in _GONE and not line.open_alerts


def alert_fields(alerts: Mapping[str, bytes]) -> Fields:
    """Alerts as fields of their patient, who is to be packed."""
    return {keys.ALERT_FIELD + alert.encode(): raw for alert, raw in alerts.items()}


def without_alerts(fields: Fields) -> tuple[Fields, dict[str, bytes]]:
    """A packed patient's fields, and the alerts among them."""
    start = len(keys.ALERT_FIELD)
    alerts = {
        name[start:].decode(): raw
        for name, raw in fields.items()
        if name[:start] == keys.ALERT_FIELD
    }
    kept = {name: raw for name, raw in fields.items() if name[:start] != keys.ALERT_FIELD}
    return (kept, alerts) if alerts else (fields, alerts)


def to_scores(fields: Fields) -> dict[str, Score]:
    """The newest score of each risk."""
    start = len(keys.SCORE_FIELD)
    return {
        name[start:].decode(): contract.decode_score(raw)
        for name, raw in fields.items()
        if name[:start] == keys.SCORE_FIELD
    }


def to_trends(fields: Fields) -> dict[str, list[tuple[float, float]]]:
    """The trend of each risk: (as_of, log-odds)."""
    start = len(keys.TREND_FIELD)
    return {
        name[start:].decode(): _trend.decode(raw)
        for name, raw in fields.items()
        if name[:start] == keys.TREND_FIELD
    }


def to_summary(patient: str, state: PatientState, scores: Sequence[Score]) -> bytes:
    """What a list shows of a patient after a record, with the patient's scores in it."""
    as_of = state.now()
    stay = state.record.stay(as_of) if as_of > EVER else None
    summary = Summary(
        patient=patient,
        ward=stay.ward if stay else "",
        bed=stay.bed if stay else "",
        as_of=scores[0].as_of if scores else "",
        presence=state.record.presence(as_of),
        probabilities={score.risk: score.probability for score in scores},
        open_alerts=[
            told.alert_id
            for risk in state.risks.values()
            for told in risk.published
            if told.state not in (contract.AlertState.RESOLVED, contract.AlertState.WITHDRAWN)
        ],
    )
    return _json.encode(summary)
