"""One partition as a worker keeps it, for tests that read as timelines. Minutes from `START`."""

from __future__ import annotations

from collections.abc import Sequence

import msgspec

from connectors import contract, facts, topics
from connectors.configuration import PolicyInForce
from connectors.contract import Alert, AlertReason, AlertState, FeedbackAnswer
from connectors.facts import (
    FactRecord,
    Link,
    LinkKind,
    MessageFacts,
    PersonDetail,
    Statement,
    Tick,
)
from connectors.feedback import Action, DismissReason, Feedback, Outcome
from models.risk import RiskModel
from streams.engine import Engine
from streams.partition import PartitionOwner
from streams.store import MemoryStore
from streams.together import Together
from tests.unit.streams.partitions import ListLog, Told
from tests.unit.streams.timeline import MINUTE, START, HeartRateRisk, _message

RISK = HeartRateRisk.risk


class Ward:
    """Say what happens; `told` is what the world hears, `answers` what became of actions."""

    def __init__(self, *models: RiskModel) -> None:
        self.store, self.world, self.log = MemoryStore(), Told(), ListLog([])
        self.models: Sequence[RiskModel] = models or (HeartRateRisk(),)
        self.owner: PartitionOwner | None = None
        self.offset = 0
        self.clicks = 0
        self.serial = 0
        self.minute = 0.0

    async def restart(self, *models: RiskModel) -> None:
        """Another worker takes over, perhaps with other models."""
        self.models = models or self.models
        self.owner = None

    async def _write(self, record: FactRecord) -> list[Alert]:
        before = len(self.world.outputs)
        if self.owner is None:
            lease = await self.store.acquire(0)
            engine = Together(Engine(self.models))
            self.owner = PartitionOwner(lease, self.store, engine, self.log, self.world, 100)
            await self.owner.publish_outbox()
        self.log.raw.append(facts.encode(record))
        await self.owner.handle(self.offset, record)
        self.offset += 1
        new = [o for o in self.world.outputs[before:] if o.topic == topics.ALERTS]
        return [contract.decode_alert(o.value) for o in new]

    # ── what happens ────────────────────────────────────────────────────────────────────────

    async def say(self, *messages: MessageFacts) -> list[Alert]:
        self.minute = max([self.minute, *((m.sent - START) / MINUTE for m in messages)])
        return await self._write(FactRecord(messages=list(messages)))

    async def tick(self, minute: float) -> list[Alert]:
        self.minute = minute
        return await self._write(FactRecord(tick=Tick(at=START + minute * MINUTE)))

    async def until(self, minute: float) -> list[Alert]:
        """A tick each minute."""
        told: list[Alert] = []
        while self.minute < minute:
            told += await self.tick(min(self.minute + 1.0, minute))
        return told

    async def policy(self, text: str, version: str = "") -> list[Alert]:
        self.serial += 1
        version = version or f"{self.serial}-test"
        at = START + self.minute * MINUTE
        made = PolicyInForce(serial=self.serial, version=version, policy=text, at=at)
        return await self._write(FactRecord(policy=made))

    async def act(
        self,
        alert: Alert,
        action: Action,
        *,
        who: str = "nurse",
        click: str = "",
        minutes: float = 30.0,
        to: str = "registrar",
        outcome: Outcome = Outcome.EVENT,
        comment: str = "",
    ) -> list[Alert]:
        self.clicks += 1
        now = START + self.minute * MINUTE
        snooze = action is Action.SNOOZE
        made = Feedback(
            id=click or f"click-{self.clicks}",
            patient=alert.patient,
            alert_id=alert.alert_id,
            risk=alert.risk,
            revision=alert.revision,
            action=action,
            at=now,
            who=who,
            until=now + minutes * MINUTE if snooze else None,
            reason=DismissReason.EXPECTED if action is Action.DISMISS else None,
            to=to if action is Action.HAND_OVER else "",
            comment=comment or ("seen" if action is Action.COMMENT else ""),
            outcome=outcome if action is Action.OUTCOME else None,
            heard=now,
        )
        return await self._write(FactRecord(feedback=[made]))

    # ── what the world knows ────────────────────────────────────────────────────────────────

    @property
    def told(self) -> list[Alert]:
        return self.world.alerts()

    @property
    def raw_alerts(self) -> list[bytes]:
        """`told` as bytes; what is told again after a restart has to be the same."""
        told: dict[tuple[str, int], bytes] = {}
        for output in self.world.outputs:
            if output.topic == topics.ALERTS:
                alert = contract.decode_alert(output.value)
                before = told.setdefault((alert.alert_id, alert.revision), output.value)
                assert before == output.value
        return list(told.values())

    @property
    def last(self) -> Alert:
        return self.told[-1]

    @property
    def story(self) -> list[tuple[AlertState, AlertReason]]:
        return [(alert.state, alert.reason) for alert in self.told]

    @property
    def answers(self) -> list[FeedbackAnswer]:
        found = [o for o in self.world.outputs if o.topic == topics.AUDIT]
        return [msgspec.json.decode(o.value, type=FeedbackAnswer) for o in found]


def stated(minute: float, code: str = "Z51.5", *, removed: bool = False) -> MessageFacts:
    """A diagnosis, by default palliative care."""
    at = START + minute * MINUTE
    fact = Statement(
        id=f"dg-{code}",
        rank=(1, at, 0, f"dg-{at}"),
        removed=removed,
        kind=Statement.DIAGNOSIS,
        code=code,
        system="I10",
        time=START,
    )
    return _message("p-1", at, [fact], f"dg-{at}")


def died(minute: float) -> MessageFacts:
    at = START + minute * MINUTE
    field = PersonDetail.DIED_AT
    fact = PersonDetail(id=f"person:{field}", rank=(1, at, 0, "d"), field=field, value=at)
    return _message("p-1", at, [fact], f"died-{at}")


def merged(minute: float) -> MessageFacts:
    """The patient goes on as p-2."""
    at = START + minute * MINUTE
    fact = Link(id="link-p-2", rank=(1, at, 0, "m"), kind=LinkKind.INTO, other="p-2")
    return _message("p-1", at, [fact], f"merge-{at}")
