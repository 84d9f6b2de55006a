"""A past alert comes out of the log again, byte for byte; and what keeps it from that is said."""

from __future__ import annotations

import pytest
from msgspec.structs import replace

from connectors import contract, topics
from connectors.contract import Alert
from connectors.feedback import Action
from streams.errors import UserError
from streams.reproducing import check_models, reproduce, told_of
from tests.unit.journal import MemoryJournal
from tests.unit.streams.timeline import HeartRateRisk, admitted, heart_rate
from tests.unit.streams.ward import Ward

ROUTE = "escalation: [{steps: [{after: 10m, to: registrar}]}]"


async def story() -> tuple[Ward, MemoryJournal]:
    """Two patients; an alert that fires, escalates, is acknowledged, survives a policy, ends."""
    ward = Ward()
    await ward.say(admitted(0), heart_rate(0, 90.0), heart_rate(0, 120.0, patient="p-2"))
    await ward.policy(ROUTE)
    await ward.say(heart_rate(1, 112.0), heart_rate(1, 80.0, patient="p-2"))
    await ward.until(13)
    mine = [a for a in ward.told if a.patient == "p-1"]
    await ward.act(mine[-1], Action.ACKNOWLEDGE)
    await ward.policy("risks: {test: {fire: 0.7}}")
    await ward.say(heart_rate(14, 130.0))
    await ward.say(heart_rate(15, 80.0))
    journal = MemoryJournal()
    for raw in ward.log.raw:
        journal.append(topics.FACTS, raw, [])
    for output in ward.world.outputs:
        if output.topic == topics.ALERTS:
            journal.append(topics.ALERTS, output.value, [])
    return ward, journal


async def test_every_revision_is_the_same_to_the_byte() -> None:
    ward, journal = await story()
    alert = next(a for a in ward.told if a.patient == "p-1")
    found = await reproduce(
        journal, told_of(journal, alert.alert_id), [HeartRateRisk()], partitions=2
    )
    assert [(r.alert.state, r.alert.reason) for r in found] == [
        ("firing", "above_threshold"),
        ("escalated", "unacknowledged"),
        ("acknowledged", "acknowledged"),
        ("firing", "worsened"),
        ("resolved", "below_threshold"),
    ]
    assert all(r.same for r in found)


async def test_bytes_that_were_changed_are_noticed_and_the_difference_named() -> None:
    ward, journal = await story()
    alert = next(a for a in ward.told if a.patient == "p-1")
    told = told_of(journal, alert.alert_id)
    forged = contract.encode(replace(contract.decode_alert(told[0]), ward="W9"))
    first, *_ = await reproduce(journal, [forged, *told[1:]], [HeartRateRisk()], partitions=2)
    assert not first.same
    assert first.differences() == ["ward: told 'W9', now 'W1'"]


async def test_an_alert_that_never_was_is_said() -> None:
    _, journal = await story()
    with pytest.raises(UserError, match="holds no alert nonsense"):
        told_of(journal, "nonsense")


async def test_another_bundle_is_said_before_anything_is_computed() -> None:
    ward, _ = await story()

    class Other(HeartRateRisk):
        digest = "other"

    alerts: list[Alert] = ward.told
    with pytest.raises(UserError, match=r"another bundle of test: test-digest.*here is other"):
        check_models(alerts, [Other()])
    check_models(alerts, [HeartRateRisk()])


async def test_a_log_that_has_lost_its_beginning_is_said() -> None:
    ward, journal = await story()
    del journal.records[topics.FACTS, 0][:3]
    told = told_of(journal, ward.told[0].alert_id)
    with pytest.raises(UserError, match="begins at offset 3"):
        await reproduce(journal, told, [HeartRateRisk()], partitions=2)


async def test_an_alert_that_does_not_come_about_is_said() -> None:
    class Calm(HeartRateRisk):
        def _one(self, record, as_of):  # type: ignore[no-untyped-def]
            answer = super()._one(record, as_of)
            return type(answer)(as_of, 0.0, (), -3.0, 0.05, None, None, answer.missing)

    ward, journal = await story()
    told = told_of(journal, ward.told[0].alert_id)
    found = await reproduce(journal, told, [Calm()], partitions=2)
    assert found[0].differences() == ["it does not come about"]
