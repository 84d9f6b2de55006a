"""A past alert recomputed from the log, and compared byte for byte (`tocsin reproduce`)."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import msgspec
from confluent_kafka import OFFSET_END

from connectors import contract, topics
from connectors.contract import Alert
from connectors.journal import Journal, Progress
from models.risk import RiskModel
from streams.errors import UserError
from streams.partition import Output
from streams.replaying import Replay, decoded


@dataclass(frozen=True, slots=True)
class Revision:
    """One revision of an alert, as it was told and as it is computed now."""

    told: bytes
    again: bytes | None  # None: it does not come about

    @property
    def alert(self) -> Alert:
        """As it was told."""
        return contract.decode_alert(self.told)

    @property
    def same(self) -> bool:
        """Byte for byte."""
        return self.told == self.again

    def differences(self) -> list[str]:
        """The parts that differ, with both values."""
        if self.again is None:
            return ["it does not come about"]
        told, again = (msgspec.json.decode(raw) for raw in (self.told, self.again))
        return list(_differences("", told, again))


def told_of(journal: Journal, alert_id: str, progress: Progress | None = None) -> list[bytes]:
    """All revisions on `tocsin.alerts`, each once. Raises `UserError` when there is none."""
    found: dict[int, bytes] = {}
    for stored in journal.read(topics.ALERTS, {}, progress=progress):
        if alert_id.encode() in stored.value:
            alert = contract.decode_alert(stored.value)
            if alert.alert_id == alert_id:
                found[alert.revision] = stored.value
    if not found:
        raise UserError(
            f"{topics.ALERTS} holds no alert {alert_id}: `tocsin tail alerts --from-start` shows "
            "those that there are."
        )
    return [found[revision] for revision in sorted(found)]


def check_models(alerts: Sequence[Alert], models: Sequence[RiskModel]) -> None:
    """Raises `UserError` when the bundle is not the one that the alert was raised with."""
    risk = alerts[0].risk
    digests = {model.risk: model.digest for model in models}
    if risk not in digests:
        raise UserError(f"The alert is of the risk {risk}, and worker.risks does not name it.")
    raised = sorted({alert.score.model for alert in alerts})
    others = [digest for digest in raised if digest != digests[risk]]
    if others:
        raise UserError(
            f"The alert was raised by another bundle of {risk}: {', '.join(others)}, and the one "
            f"here is {digests[risk]}. Name the folder that holds it with --bundles."
        )


async def reproduce(
    journal: Journal,
    told: Sequence[bytes],
    models: Sequence[RiskModel],
    partitions: int,
    progress: Progress | None = None,
) -> list[Revision]:
    """Each revision again, from the first record of its patient on."""
    alerts = [contract.decode_alert(raw) for raw in told]
    first, last = alerts[0], max(alert.score.log.offset for alert in alerts)
    partition = first.score.log.partition
    replay = Replay(partition, models, only=first.patient)
    await replay.run(decoded(_until(journal, partition, last, partitions, progress)))
    again = {_key(output): output.value for output in replay.outputs if _is_alert(output)}
    return [
        Revision(raw, again.get((alert.alert_id, alert.revision)))
        for raw, alert in zip(told, alerts, strict=True)
    ]


def _until(
    journal: Journal, partition: int, last: int, partitions: int, progress: Progress | None
) -> Iterator[tuple[int, bytes]]:
    """A partition of the facts from its beginning up to an offset."""
    start = dict.fromkeys(range(partitions), OFFSET_END)
    start[partition] = 0
    for number, stored in enumerate(journal.read(topics.FACTS, start)):
        if stored.partition != partition:
            continue
        if not number and stored.offset:
            raise UserError(
                f"Partition {partition} of {topics.FACTS} begins at offset {stored.offset}: what "
                "came before is lost, so the alert cannot be computed again."
            )
        if stored.offset > last:
            return
        yield stored.offset, stored.value
        if progress is not None:
            progress(stored.offset, last)


def _is_alert(output: Output) -> bool:
    return output.topic == topics.ALERTS


def _key(output: Output) -> tuple[str, int]:
    alert = contract.decode_alert(output.value)
    return alert.alert_id, alert.revision


def _differences(path: str, told: object, again: object) -> Iterator[str]:
    if isinstance(told, dict) and isinstance(again, dict):
        for key in sorted(told.keys() | again.keys()):
            yield from _differences(f"{path}.{key}", told.get(key), again.get(key))
    elif told != again:
        yield f"{path.lstrip('.')}: told {told!r}, now {again!r}"
