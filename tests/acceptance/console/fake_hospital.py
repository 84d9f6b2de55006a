"""A hospital in memory behind the console's ports: seeded patients, alerts on demand."""

from __future__ import annotations

import asyncio
import math
import random
import time
from collections.abc import AsyncIterator, Mapping, Sequence
from typing import Any

from msgspec.structs import replace

from connectors import contract, feedback, topics
from connectors.clock import iso
from connectors.contract import (
    ENDED,
    Acted,
    Alert,
    AlertReason,
    AlertState,
    Answer,
    Contribution,
    Evidence,
    FeedbackAnswer,
    LogPosition,
    Missing,
    Score,
    Severity,
    Threshold,
)
from connectors.facts import AnyFact, EncounterEvent, MessageFacts, Observation, PersonDetail
from connectors.feedback import Action, Feedback
from connectors.identity import Identifier, Identity
from connectors.kafka import AppendError
from models.record import PatientRecord
from streams.console.evidence import probability_of
from streams.console.ports import Event, PatientSummary, PatientView, PlaceError, Unavailable

NOON = 1_795_435_200.0  # 2026-11-23 12:00 UTC
RISK = "deterioration"
THRESHOLD = Threshold(value=0.3, version="shipped-1")
BASELINE = -1.75
FAMILIES = ("Okafor", "Lindqvist", "Moreau", "Tanaka", "O'Brien", "Novak", "Haddad", "Silva")
GIVEN = ("Grace", "Ingrid", "Louis", "Kenji", "Mary", "Petr", "Layla", "João", "Ana", "Femi")
VITALS = (  # code, name, unit, mean, spread, minutes apart
    ("8867-4", "Heart rate", "/min", 92, 9, 15),
    ("8480-6", "Systolic BP", "mm[Hg]", 118, 9, 15),
    ("8462-4", "Diastolic BP", "mm[Hg]", 64, 6, 15),
    ("8478-0", "Mean BP", "mm[Hg]", 82, 6, 15),
    ("59408-5", "SpO2", "%", 95, 1.4, 15),
    ("9279-1", "Resp rate", "/min", 19, 2.5, 30),
    ("8310-5", "Temperature", "Cel", 37.4, 0.4, 120),
    ("2524-7", "Lactate", "mmol/L", 2.6, 1.1, 360),
    ("2160-0", "Creatinine", "mg/dL", 1.4, 0.3, 720),
    ("6690-2", "WBC", "10*3/uL", 13.2, 3.0, 720),
    ("777-3", "Platelets", "10*3/uL", 184, 30, 720),
    ("2823-3", "Potassium", "mmol/L", 4.2, 0.4, 720),
)


def _born(i: int) -> int:
    return 1934 + i * 7 % 60


def _sex(i: int) -> str:
    return "F" if GIVEN[i % len(GIVEN)] in ("Grace", "Ingrid", "Mary", "Layla", "Ana") else "M"


class FakeHospital:
    """Reader, Names and Feed at once."""

    def __init__(self, patients: int, *, seed: int = 7, wards: int = 6, hours: float = 30) -> None:
        self._random = random.Random(seed)
        self._hours = hours
        self.now = NOON
        self.pseudonyms = [f"p-{i:026d}" for i in range(patients)]
        self.wards = {p: f"{i % wards + 1}A" for i, p in enumerate(self.pseudonyms)}
        self.beds = {p: str(i // wards + 1) for i, p in enumerate(self.pseudonyms)}
        self.scores: dict[str, Score] = {}
        self.revisions: dict[str, list[Alert]] = {}
        self.looked_up: list[tuple[tuple[str, ...], str]] = []
        self.known = {p: self._identity(i) for i, p in enumerate(self.pseudonyms)}
        self.hung = False  # names are never answered any more
        self.away = ""  # a sentence when the store cannot be read
        self._offset = 0
        self.acted: list[Feedback] = []
        self.log_away = False
        self.slow_s = 0.02  # from the log to what became of an action
        self.notes: list[dict[str, Any]] = []
        self.published: list[Alert | Score] = []
        self._queues: list[asyncio.Queue[Alert | Score | FeedbackAnswer]] = []
        self._records: dict[str, PatientRecord] = {}
        self._heard = time.monotonic()
        self.silent = False
        for pseudonym in self.pseudonyms:
            self.scores[pseudonym] = self.rescore(pseudonym, self._random.gauss(-0.6, 0.7))

    # ── the ports ───────────────────────────────────────────────────────────────────────────

    async def alerts(self, ended_within_s: float = 86_400.0) -> list[Alert]:
        self._reachable()
        return [revisions[-1] for revisions in self.revisions.values()]

    async def find_alert(self, alert_id: str) -> Alert | None:
        self._reachable()
        return self.revisions[alert_id][-1] if alert_id in self.revisions else None

    async def patients(self) -> list[PatientSummary]:
        self._reachable()
        return [self._summary(p) for p in self.pseudonyms]

    async def patient(self, pseudonym: str) -> PatientView | None:
        self._reachable()
        if pseudonym not in self.scores:
            return None
        score = self.scores[pseudonym]
        last = score.log_odds if score.log_odds is not None else BASELINE
        walk = random.Random(pseudonym)
        points, level = [], last
        for i in range(60):
            points.append((self.now - i * 1_500, level))
            level += walk.gauss(-0.03, 0.12)
        return PatientView(
            record=self.record(pseudonym),
            scores={RISK: score},
            history={RISK: points[::-1]},
            alerts=[a for r in self.revisions.values() for a in r if a.patient == pseudonym],
            thresholds={RISK: THRESHOLD},
        )

    async def names(self, pseudonyms: Sequence[str], *, who: str) -> dict[str, Identity]:
        self.looked_up.append((tuple(pseudonyms), who))
        if self.hung:
            await asyncio.Event().wait()
        return {p: self.known[p] for p in pseudonyms if p in self.known}

    async def note(self, event: str, who: str, more: Mapping[str, Any]) -> None:
        self.notes.append({"event": event, "who": who, **more})

    async def resolve(self, identifier: Identifier, *, who: str) -> str | None:
        found = [p for p, known in self.known.items() if identifier in known.identifiers]
        self.looked_up.append((tuple(found), who))
        return found[0] if found else None

    def events(self, after: str) -> AsyncIterator[Event | None]:
        """The place is the number of records before it."""
        if after and not after.isdecimal():
            raise PlaceError(after)
        return self._events(int(after) if after else len(self.published))

    async def _events(self, place: int) -> AsyncIterator[Event | None]:
        while True:
            for item in self.published[place:]:
                place += 1
                kind = "alert" if isinstance(item, Alert) else "score"
                yield Event(str(place), kind, contract.encode(item))
            await asyncio.sleep(0.02)

    async def subscribe(self) -> AsyncIterator[Alert | Score | FeedbackAnswer]:
        queue: asyncio.Queue[Alert | Score | FeedbackAnswer] = asyncio.Queue()
        self._queues.append(queue)
        while True:
            yield await queue.get()

    @property
    def age(self) -> float:
        return time.monotonic() - self._heard

    # ── the care team's actions: `feedback_desk.KeyedLog`, and a simple lifecycle ───────────

    def append(
        self, topic: str, value: bytes, headers: object, confirmed: Any, *, key: str | None = None
    ) -> None:
        if self.log_away:
            confirmed(AppendError("the broker is away"))
            return
        confirmed(None)
        action = feedback.decode(value)
        assert (topic, key) == (topics.FEEDBACK, action.patient)
        self.acted.append(action)
        asyncio.get_running_loop().call_later(self.slow_s, self._act, action)

    def _act(self, action: Feedback) -> None:
        alert = self.revisions[action.alert_id][-1]
        answer = Answer.DONE
        if action.id in {a.id for a in alert.actions}:
            answer = Answer.REPEATED
        elif alert.state in ENDED:
            answer = Answer.ENDED
        else:
            alert = self._acted(alert, action)
            self.revisions[action.alert_id].append(alert)
            self.publish(alert)
        self.publish(
            FeedbackAnswer(
                event="feedback",
                id=action.id,
                who=action.who,
                at=iso(self.now),
                patient=action.patient,
                alert_id=action.alert_id,
                action=action.action,
                answer=answer,
                state=alert.state,
                revision=alert.revision,
            )
        )

    def _acted(self, alert: Alert, action: Feedback) -> Alert:
        states = {
            Action.ACKNOWLEDGE: (AlertState.ACKNOWLEDGED, AlertReason.ACKNOWLEDGED),
            Action.SNOOZE: (AlertState.SNOOZED, AlertReason.SNOOZED),
            Action.DISMISS: (AlertState.RESOLVED, AlertReason.DISMISSED),
            Action.HAND_OVER: (AlertState.FIRING, AlertReason.HANDED_OVER),
            Action.COMMENT: (alert.state, AlertReason.COMMENTED),
            Action.OUTCOME: (AlertState.RESOLVED, AlertReason.OUTCOME),
        }
        state, reason = states[action.action]
        acted = Acted(
            id=action.id,
            who=action.who,
            action=action.action,
            at=iso(self.now),
            until=iso(action.until) if action.until else "",
            reason=action.reason or "",
            to=action.to,
            comment=action.comment,
            outcome=action.outcome or "",
        )
        by = action.who if action.action is Action.ACKNOWLEDGE else alert.acknowledged_by
        return replace(
            alert,
            revision=alert.revision + 1,
            state=state,
            reason=reason,
            at=iso(self.now),
            acknowledged_by=by,
            snoozed_until=acted.until,
            handed_to=action.to,
            actions=[*alert.actions, acted],
        )

    # ── what tests make happen ──────────────────────────────────────────────────────────────

    def tick(self) -> None:
        """The log's clock, unless the feed is silent."""
        if not self.silent:
            self._heard = time.monotonic()

    def publish(self, item: Alert | Score | FeedbackAnswer) -> None:
        self.tick()
        if not isinstance(item, FeedbackAnswer):
            self.published.append(item)
        for queue in self._queues:
            queue.put_nowait(item)

    def rescore(self, pseudonym: str, log_odds: float) -> Score:
        """A new score that stands; with features that add up to it."""
        score = self._score(pseudonym, log_odds)
        self.scores[pseudonym] = score
        return score

    def abstain(self, pseudonym: str, reason: str) -> Score:
        self._offset += 1
        score = Score(
            patient=pseudonym,
            risk=RISK,
            as_of=iso(self.now),
            probability=None,
            log_odds=None,
            interval=None,
            abstained=reason,
            baseline=BASELINE,
            evidence=[],
            missing=Missing(modalities=["ehr"], next_datum=None),
            model="sha256:0",
            config="1",
            log=LogPosition(topic="tocsin.facts", partition=0, offset=self._offset),
            caused_by=[],
            trace="",
        )
        self.scores[pseudonym] = score
        return score

    def alert(
        self,
        pseudonym: str,
        state: AlertState = AlertState.FIRING,
        severity: Severity = Severity.WARNING,
        reason: AlertReason = AlertReason.ABOVE_THRESHOLD,
        minutes: float = 0,
    ) -> Alert:
        """The next revision of the patient's alert."""
        key = f"a-{pseudonym}"
        before = self.revisions.setdefault(key, [])
        since = before[0].since if before else iso(self.now - minutes * 60)
        alert = Alert(
            alert_id=key,
            revision=len(before) + 1,
            patient=pseudonym,
            risk=RISK,
            episode="1",
            state=state,
            reason=reason,
            since=since,
            at=iso(self.now - minutes * 60),
            severity=severity,
            threshold=THRESHOLD,
            score=self.scores[pseudonym],
            ward=self.wards[pseudonym],
            bed=self.beds[pseudonym],
            called=1,
        )
        before.append(alert)
        return alert

    def record(self, pseudonym: str) -> PatientRecord:
        """Thirty hours of charted vitals and laboratory, with a correction and a deletion."""
        if pseudonym not in self._records:
            record = PatientRecord()
            record.fold(
                MessageFacts(
                    patient=pseudonym,
                    sent=self.now,
                    heard=self.now,
                    wire="tocsin.wire.hl7/0/0",
                    facts=self._facts(pseudonym),
                )
            )
            self._records[pseudonym] = record
        return self._records[pseudonym]

    # ── inside ──────────────────────────────────────────────────────────────────────────────

    def _reachable(self) -> None:
        if self.away:
            raise Unavailable(self.away)

    def _summary(self, pseudonym: str) -> PatientSummary:
        alert = self.revisions.get(f"a-{pseudonym}", [])
        return PatientSummary(
            pseudonym=pseudonym,
            ward=self.wards[pseudonym],
            bed=self.beds[pseudonym],
            probability={RISK: self.scores[pseudonym].probability},
            as_of=self.now,
            open_alerts=tuple(a.alert_id for a in alert[-1:]),
        )

    def _identity(self, i: int) -> Identity:
        family = FAMILIES[i % len(FAMILIES)] + (f"-{FAMILIES[i // 8 % 8]}" if i >= 8 else "")
        return Identity(
            identifiers=(Identifier("CITY", "MR", f"{100_000 + i}"),),
            family=family,
            given=GIVEN[i % len(GIVEN)],
            birth_date=f"{_born(i)}{1 + i % 12:02}{1 + i % 28:02}",
            sex=_sex(i),
        )

    def _score(self, pseudonym: str, log_odds: float) -> Score:
        self._offset += 1
        llr = round(log_odds - BASELINE, 6)
        rng = random.Random(f"{pseudonym}/{self._offset}")
        shares = [rng.uniform(0.1, 0.4) for _ in range(4)]
        features = (
            ("Lactate, last value", round(rng.uniform(1.2, 5.5), 1), "mmol/L", 9_600.0),
            ("Heart rate, mean of 6 h", round(rng.uniform(80, 125)), "/min", 700.0),
            ("Systolic pressure, cuff, lowest of 6 h", round(rng.uniform(80, 120)), "mm[Hg]", 2e3),
            ("Age", 2026 - _born(self.pseudonyms.index(pseudonym)), "a", None),
        )
        top = [
            Contribution(
                feature=name,
                value=value,
                unit=unit,
                contribution=round(llr * share, 6),
                as_of=None if age is None else iso(self.now - age),
            )
            for (name, value, unit, age), share in zip(features, shares, strict=True)
        ]
        top.append(
            Contribution(
                feature="Oxygen saturation, last value",
                value=97,
                unit="%",
                contribution=-0.21,
                as_of=iso(self.now - 300),
            )
        )
        p = probability_of(round(BASELINE + llr, 6))
        return Score(
            patient=pseudonym,
            risk=RISK,
            as_of=iso(self.now),
            probability=p,
            log_odds=round(BASELINE + llr, 6),
            interval=(max(0.0, p - 0.07), min(1.0, p + 0.09)),
            abstained=None,
            baseline=BASELINE,
            evidence=[
                Evidence(
                    modality="ehr", llr=llr, as_of=iso(self.now - 300), staleness_s=300, top=top
                )
            ],
            missing=Missing(
                modalities=[],
                next_datum="Arterial pH",
                expected_change=0.31,
                features=["Bilirubin, total", "Albumin", "Arterial pH", "Glucose", "Troponin T"],
            ),
            model="sha256:0",
            config="1",
            log=LogPosition(topic="tocsin.facts", partition=0, offset=self._offset),
            caused_by=[],
            trace="",
        )

    def _facts(self, pseudonym: str) -> list[AnyFact]:
        rng, i = random.Random(pseudonym), self.pseudonyms.index(pseudonym)
        start = self.now - self._hours * 3600
        rank = (1, start, 0, "")
        facts: list[AnyFact] = [
            EncounterEvent(
                id="v1:in",
                rank=rank,
                visit="v1",
                event=EncounterEvent.ADMITTED,
                time=start,
                patient_class="I",
                ward=self.wards[pseudonym],
                bed=self.beds[pseudonym],
            ),
            PersonDetail(id="person:birth_year", rank=rank, field="birth_year", value=_born(i)),
            PersonDetail(id="person:sex", rank=rank, field="sex", value=_sex(i)),
        ]
        for code, name, unit, mean, spread, apart in VITALS:
            facts += self._series(rng, start, code, name, unit, mean, spread, apart)
        late = {"system": "LN", "name": "Potassium", "code": "2823-3", "time": self.now - 5_000}
        facts += [
            Observation(
                id="k1", rank=(0, 1.0, 0, "1"), status="P", value=3.9, unit="mmol/L", **late
            ),
            Observation(
                id="k2",
                rank=(1, 2.0, 1, "2"),
                status="D",
                removed=True,
                **late | {"time": NOON - 9e3},
            ),
            Observation(
                id="hr0",
                rank=rank,
                code="8867-4",
                system="LN",
                name="HR",
                status="F",
                time=self.now - 4_000,
                value=0,
                unit="/min",
            ),
            Observation(
                id="crp",
                rank=(1, 3.0, 1, "3"),
                code="1988-5",
                system="LN",
                name="CRP",
                status="C",
                time=self.now - 8_000,
                value=164,
                unit="mg/L",
                flag="HH",
            ),
            Observation(
                id="trop",
                rank=rank,
                code="6598-7",
                system="LN",
                name="Troponin T",
                status="F",
                time=self.now - 8_000,
                value=0.01,
                comparator="<",
                unit="ug/L",
            ),
        ]
        return facts

    def _series(
        self,
        rng: random.Random,
        start: float,
        code: str,
        name: str,
        unit: str,
        mean: float,
        spread: float,
        apart: int,
    ) -> list[Observation]:
        found = []
        drift = rng.gauss(0, spread)
        for i in range(int(self._hours * 60 / apart)):
            at = start + (i + rng.random() * 0.6) * apart * 60
            wave = math.sin(i * apart / 240 + drift) * spread * 0.7
            value = mean + drift + wave + rng.gauss(0, spread * 0.35)
            value = min(value, 100) if unit == "%" else value
            found.append(
                Observation(
                    id=f"{code}/{i}",
                    rank=(1, at, 0, ""),
                    code=code,
                    system="LN",
                    time=at,
                    status="F",
                    name=name,
                    value=round(value, 1 if mean < 50 else 0),
                    unit=unit,
                )
            )
        return found
