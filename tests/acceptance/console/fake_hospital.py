"""A hospital in memory behind the console's ports: seeded patients, alerts on demand."""

from __future__ import annotations

import asyncio
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
    FeedbackAnswer,
    Score,
    Severity,
    Threshold,
)
from connectors.facts import MessageFacts
from connectors.feedback import Action, Feedback
from connectors.identity import Identifier, Identity
from connectors.kafka import AppendError
from models.record import PatientRecord
from streams.console.ports import Event, PatientSummary, PatientView, PlaceError, Unavailable
from tests.acceptance.console.made_up import BASELINE, NOON, RISK, abstained, facts, identity, score

THRESHOLD = Threshold(value=0.3, version="shipped-1")


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
        self.known = {p: identity(i) for i, p in enumerate(self.pseudonyms)}
        self.hung = False  # names are never answered any more
        self.away = ""  # a sentence when the store cannot be read
        self._offset = 0
        self.acted: list[Feedback] = []
        self.log_away = self.log_silent = False
        self._held: list[tuple[Any, bytes]] = []  # records that a silent log has not taken yet
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
        assert (topic, key) == (topics.FEEDBACK, feedback.decode(value).patient)
        if self.log_silent:
            self._held.append((confirmed, value))
        else:
            self._recorded(confirmed, value)

    def log_is(self, how: str) -> None:
        """`away`: it refuses; `silent`: it answers when it is `back`."""
        self.log_away, self.log_silent = how == "away", how == "silent"
        if how == "back":
            held, self._held = self._held, []
            for confirmed, value in held:
                self._recorded(confirmed, value)

    def _recorded(self, confirmed: Any, value: bytes) -> None:
        confirmed(None)
        action = feedback.decode(value)
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
        self._offset += 1
        number = self.pseudonyms.index(pseudonym)
        made = score(pseudonym, number, log_odds, self.now, self._offset)
        self.scores[pseudonym] = made
        return made

    def abstain(self, pseudonym: str, reason: str) -> Score:
        self._offset += 1
        made = abstained(pseudonym, reason, self.now, self._offset)
        self.scores[pseudonym] = made
        return made

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
                    facts=facts(
                        pseudonym,
                        self.pseudonyms.index(pseudonym),
                        self.wards[pseudonym],
                        self.beds[pseudonym],
                        self.now,
                        self._hours,
                    ),
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
