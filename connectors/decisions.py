"""What people decide, on its way into the log of facts: feedback on alerts, and the policy.

The sequencer's second part. No I/O; never raises for any bytes: what is outside the contract goes
to quarantine.
"""

from __future__ import annotations

import logging
import re
from collections.abc import Iterable
from dataclasses import dataclass, field

import msgspec
from msgspec.structs import replace

from connectors import configuration, contract, feedback, topics
from connectors.configuration import History, PolicyInForce, RefusedError
from connectors.facts import FactRecord
from connectors.quarantine import Reason, quarantined
from connectors.trace import checked

log = logging.getLogger("tocsin.sequencer")

_QUOTED = re.compile(r"'[^']*'")
MOST_ACTIONS = 200  # of a record of facts


@dataclass(slots=True)
class Decided:
    """What a batch of feedback and configuration becomes."""

    records: dict[int, list[FactRecord]] = field(default_factory=dict)  # by partition of facts
    quarantine: list[tuple[str, bytes]] = field(default_factory=list)  # (key, record)
    reasons: dict[str, int] = field(default_factory=dict)  # of quarantine records
    actions: dict[str, int] = field(default_factory=dict)  # kind → taken

    def set_aside(self, reason: Reason, detail: str, raw: bytes, at: float, topic: str) -> None:
        """To quarantine: the bytes are kept in the record itself."""
        record = quarantined(reason, detail, raw=raw, received_at=at, source=topic)
        self.quarantine.append((record.id, contract.encode(record)))
        self.reasons[reason] = self.reasons.get(reason, 0) + 1


class Decisions:
    """Keeps the history of the policy, and knows the partitions."""

    def __init__(self, partitions: int, *, two_person: bool) -> None:
        self._partitions = partitions
        self._two_person = two_person
        self.history = History(two_person=two_person)

    def start_over(self) -> None:
        """The topic of configuration is read from its beginning again."""
        self.history = History(two_person=self._two_person)

    def take(
        self, actions: Iterable[bytes], events: Iterable[tuple[int, bytes]], now: float
    ) -> Decided:
        """Records of `tocsin.feedback`, and (offset, record) of `tocsin.config`, in order."""
        out = Decided()
        self._take_events(out, events, now)
        self._take_actions(out, actions, now)
        return out

    def _take_actions(self, out: Decided, actions: Iterable[bytes], now: float) -> None:
        pending: dict[int, list[feedback.Feedback]] = {}
        for raw in actions:
            try:
                action = feedback.decode(raw)
            except msgspec.MsgspecError as error:
                out.set_aside(Reason.BAD_FEEDBACK, _words(error), raw, now, topics.FEEDBACK)
                continue
            action = replace(action, heard=now, trace=checked(action.trace))
            partition = topics.partition_of(action.patient, self._partitions)
            pending.setdefault(partition, []).append(action)
            out.actions[action.action] = out.actions.get(action.action, 0) + 1
        for partition, some in pending.items():
            for start in range(0, len(some), MOST_ACTIONS):
                record = FactRecord(feedback=some[start : start + MOST_ACTIONS])
                out.records.setdefault(partition, []).append(record)

    def _take_events(self, out: Decided, events: Iterable[tuple[int, bytes]], now: float) -> None:
        before = self.history.serial
        for offset, raw in events:
            try:
                self.history.apply(configuration.decode(raw), offset)
            except RefusedError as error:  # two at once: the second is late; or it is not allowed
                log.warning("a step of the configuration changes nothing: %s", error)
            except msgspec.MsgspecError as error:
                out.set_aside(Reason.BAD_CONFIG, _words(error), raw, now, topics.CONFIG)
        policy = self.history.policy(now)
        if policy is not None and policy.serial != before:
            self._write(out, policy)

    def _write(self, out: Decided, policy: PolicyInForce) -> None:
        for partition in range(self._partitions):
            out.records.setdefault(partition, []).append(FactRecord(policy=policy))


def _words(error: msgspec.MsgspecError) -> str:
    """Without what it quotes: that may be anything."""
    return _QUOTED.sub("'…'", f"{error}")[:300]
