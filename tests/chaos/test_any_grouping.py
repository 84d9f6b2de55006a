"""The shipped models give the same bytes however records are grouped and states are forgotten.

`tests/unit/streams/test_passes.py` holds the engine to that with a small model. Here are the real
ones, with all that they remember from question to question; 49 once failed.
"""

from __future__ import annotations

import random
from collections.abc import Sequence
from typing import NamedTuple

import pytest

from connectors import contract, facts, topics
from connectors.contract import LogPosition
from connectors.facts import FactRecord
from connectors.identity import IdentityKey
from connectors.sequencer import Sequencer
from connectors.settings import IdentitySettings, SequencerSettings
from connectors.site import Site
from connectors.wire import WireMessage
from models.risk import RiskModel
from streams import codec
from streams.engine import Effects, Engine, Step
from streams.passes import Encoded, to_write
from streams.state import PatientState
from streams.store import Fields
from tests.chaos import reference, ward
from tests.chaos.reference import Told
from tests.chaos.system import KEY

NOW = 1_780_000_000.0


class Outcome(NamedTuple):
    scores: dict[tuple[int, str, str], bytes]  # offset, patient, risk
    told: Told
    stored: dict[str, Fields]


@pytest.fixture(scope="module")
def models() -> list[RiskModel]:
    return reference.models(("deterioration", "sepsis", "news2"))


def records(seed: int) -> list[FactRecord]:
    """A ward's messages, one or some in a record, as they lie in the log."""
    rng = random.Random(seed)
    messages = ward.admit(seed, 100, NOW, patients=10, results=16).messages
    site = Site(SequencerSettings(), IdentitySettings())
    found: list[FactRecord] = []
    while messages:
        size = rng.choice((1, 1, 1, 2, 5, 20))
        some, messages = messages[:size], messages[size:]
        wire = [WireMessage(m.raw, "w/0/0", NOW, "", "00-0-0-0") for m in some]
        sequencer = Sequencer(IdentityKey(KEY), site, 1, 1_000, lambda: NOW)
        found += sequencer.sequence(wire).records.get(0, [])
    return [facts.decode(facts.encode(record)) for record in found]


def play(
    log: Sequence[FactRecord], models: list[RiskModel], rng: random.Random, most: int, lost: float
) -> Outcome:
    """Passes of up to `most` records; before each, a share of the states is read from the store."""
    engine, states = Engine(models), dict[str, PatientState]()
    out = Outcome({}, {}, {})
    at = 0
    while at < len(log):
        some = list(enumerate(log[at : at + rng.randint(1, most)], at))
        names = {m.patient for _, record in some for m in record.messages}
        for name in names:
            if name not in states or rng.random() < lost:
                states[name] = codec.to_state(name, dict(out.stored.get(name, {})))
        steps = [Step(record, LogPosition(topic=topics.FACTS, partition=0, offset=offset))
                 for offset, record in some]  # fmt: skip
        effects = engine.apply_all({name: states[name] for name in names}, steps)
        _keep(out, [offset for offset, _ in some], effects)
        at += len(some)
    return out


def _keep(out: Outcome, offsets: Sequence[int], effects: Sequence[Effects]) -> None:
    write = to_write(offsets[-1], [Encoded.of(one) for one in effects], [])
    for name, fields in write.patients.items():
        out.stored.setdefault(name, {}).update(fields)
    for name, forgotten in write.forgotten.items():
        for field in forgotten:
            out.stored[name].pop(field, None)
    for offset, one in zip(offsets, effects, strict=True):
        for score in one.scores:
            out.scores[offset, score.patient, score.risk] = contract.encode(score)
        for alert in one.alerts:
            out.told[alert.alert_id, alert.revision] = contract.encode(alert)
        for touched in one.touched.values():
            codec.stored(touched)


@pytest.mark.parametrize("seed", [1, 49])
def test_any_grouping_and_any_forgetting_gives_equal_bytes(
    seed: int, models: list[RiskModel]
) -> None:
    log = records(seed)
    one_by_one = play(log, models, random.Random(0), 1, 0.0)
    for most, lost in ((1, 0.2), (60, 0.1)):
        assert play(log, models, random.Random(seed), most, lost) == one_by_one
