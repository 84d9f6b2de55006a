"""Which records are applied together, and what the store has to write for them.

One pass costs one round trip to the store, one batch through each network and one group of
records to the broker, however many records are in it.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator, Sequence
from typing import NamedTuple

from connectors import contract
from connectors.contract import Score
from connectors.facts import FactRecord
from streams import codec
from streams.engine import Effects
from streams.state import Touched
from streams.store import Write

Numbered = tuple[int, FactRecord]  # offset, record

MOST_RECORDS = 256  # in one pass
MOST_MESSAGES = 1_000  # in one pass, where one record alone has not more


def to_passes(records: Sequence[Numbered], alone: Collection[int] = ()) -> Iterator[list[Numbered]]:
    """Records that follow one another, cut where they cannot be applied together.

    What a tick or a policy brings depends on all that was decided before it, so its record is a
    pass of its own; so are those at the offsets `alone`. A gap in the offsets ends a pass:
    somebody has to look what is there.
    """
    together: list[Numbered] = []
    messages = 0
    for offset, record in records:
        timed = record.tick is not None or record.policy is not None
        single = timed or offset in alone
        full = len(together) == MOST_RECORDS or messages + _size(record) > MOST_MESSAGES
        if together and (single or full or offset != together[-1][0] + 1):
            yield together
            together, messages = [], 0
        together.append((offset, record))
        messages += _size(record)
        if single:
            yield together
            together, messages = [], 0
    if together:
        yield together


def _size(record: FactRecord) -> int:
    return len(record.messages) + len(record.feedback)


class Encoded(NamedTuple):
    """The scores and alerts of a record as they are told and stored, each written once."""

    effects: Effects
    scores: list[bytes]
    alerts: list[bytes]

    @staticmethod
    def of(effects: Effects) -> Encoded:
        """Write down what follows from a record."""
        scores = [contract.encode(score) for score in effects.scores]
        return Encoded(effects, scores, [contract.encode(alert) for alert in effects.alerts])


def to_write(offset: int, encoded: Sequence[Encoded], confirmed: list[int]) -> Write:
    """What a pass changes in the store: of each patient what stands at its end."""
    effects = [one.effects for one in encoded]
    touched: dict[str, Touched] = {}
    scores: dict[str, dict[str, bytes]] = {}  # by patient and risk
    latest: dict[str, list[Score]] = {}  # of the last record that touched the patient
    for one, raws, _ in encoded:
        for patient, part in one.touched.items():
            before = touched.get(patient)
            touched[patient] = part if before is None else before.followed_by(part)
            latest[patient] = []
        for score, raw in zip(one.scores, raws, strict=True):
            scores.setdefault(score.patient, {})[score.risk] = raw
            latest[score.patient].append(score)
    alerts = {
        alert.alert_id: raw
        for one in encoded
        for alert, raw in zip(one.effects.alerts, one.alerts, strict=True)
    }
    gone = (alert for part in touched.values() for alert in part.gone_alerts)
    return Write(
        offset=offset,
        confirmed=confirmed,
        patients={
            patient: codec.to_fields(part, scores.get(patient, {}))
            for patient, part in touched.items()
        },
        forgotten={
            patient: fields
            for patient, part in touched.items()
            if (fields := codec.to_forget(part))
        },
        due={patient: at for one in effects for patient, at in one.due.items()},
        alerts=alerts,
        gone_alerts=[alert for alert in gone if alert not in alerts],
        summaries={
            patient: codec.to_summary(patient, part.state, latest[patient])
            for patient, part in touched.items()
        },
    )
