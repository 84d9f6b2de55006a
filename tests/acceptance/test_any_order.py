"""The order proof through the running system: a sample of sequences, each in many orders.

Every order gets patients of its own. They share nothing but what was said of them, so all must end
in the same state, score and alert. (`tests/unit/streams/test_order_proof.py` runs all permutations
in memory.)
"""

from __future__ import annotations

import itertools
import random
import re
import time
from collections.abc import Callable

import pytest

from connectors import facts
from connectors.contract import Alert, AlertState
from connectors.hl7 import build
from streams import codec
from tests.acceptance.system import DYING, WELL, System, admission, results, send
from tests.acceptance.test_merge_and_quarantine import joined

pytestmark = [pytest.mark.kafka, pytest.mark.redis, pytest.mark.slow]

ORDERS = 6  # of each sequence
NOW = float(int(time.time()))
_KEYED = re.compile(rb"p-[a-z2-7]{20,}|[0-9a-f]{12,}")  # pseudonyms, hashes
_ENDED = (AlertState.RESOLVED, AlertState.WITHDRAWN)


def minutes(count: float) -> float:
    return NOW - 3_600 + 60 * count


def moved(patient: str, at: float, event: str, **times: float) -> bytes:
    segments = build.message(f"ADT^{event}", f"{patient}-{event}-{at:.0f}", at)
    segments += [
        build.evn(event, recorded=at, occurred=times.pop("occurred", at)),
        build.pid([(patient, "HOSP", "MR")]),
        build.pv1("I", ward="W9", bed="9", visit=f"V{patient}", **times),
    ]
    return build.join(segments)


def unlinked(survivor: str, other: str, at: float) -> bytes:
    return joined("ADT^A37", at, survivor, "PV1|1|I", build.pid([(other, "HOSP", "MR")]))


def corrected(x: str, _: str) -> list[bytes]:
    return [
        admission(x, minutes(0)),
        results(x, minutes(5), DYING, order=f"{x}a"),
        results(x, minutes(5), WELL, order=f"{x}a", status="C", sent=minutes(15)),
        results(x, minutes(9), WELL, order=f"{x}b"),
        moved(x, minutes(12), "A02"),
        results(x, minutes(20), WELL, order=f"{x}c"),
    ]


def of_the_wrong_patient(x: str, y: str) -> list[bytes]:
    return [
        admission(x, minutes(0)),
        admission(y, minutes(1)),
        results(x, minutes(5), DYING, order=f"{x}a"),
        results(x, minutes(5), DYING, order=f"{x}a", status="W", sent=minutes(9)),
        results(y, minutes(5), DYING, order=f"{y}a", sent=minutes(10)),
        results(x, minutes(6), WELL, order=f"{x}b"),
    ]


def cancelled(x: str, _: str) -> list[bytes]:
    return [
        admission(x, minutes(0)),
        results(x, minutes(5), DYING, order=f"{x}a"),
        moved(x, minutes(9), "A11", occurred=minutes(0), admitted=minutes(0)),
        results(x, minutes(7), DYING, order=f"{x}b"),
        results(x, minutes(8), DYING, order=f"{x}c"),
    ]


def discharged_and_not(x: str, _: str) -> list[bytes]:
    return [
        admission(x, minutes(0)),
        results(x, minutes(5), DYING, order=f"{x}a"),
        moved(x, minutes(7), "A03", discharged=minutes(7)),
        moved(x, minutes(9), "A13", occurred=minutes(7)),
        results(x, minutes(6), DYING, order=f"{x}b"),
    ]


def merged(x: str, y: str) -> list[bytes]:
    return [
        admission(x, minutes(0)),
        results(x, minutes(5), DYING, order=f"{x}a"),
        joined("ADT^A31", minutes(6), y),
        joined("ADT^A40", minutes(30), y, f"MRG|{x}^^^HOSP^MR"),
        results(y, minutes(31), DYING, order=f"{y}a"),
    ]


def merged_and_parted(x: str, y: str) -> list[bytes]:
    return [*merged(x, y), unlinked(y, x, minutes(40))]


Story = Callable[[str, str], list[bytes]]
# The sequence, and in whom an alert is open at the end.
STORIES: list[tuple[Story, str]] = [
    (corrected, ""),
    (of_the_wrong_patient, "y"),
    (cancelled, ""),
    (discharged_and_not, "x"),
    (merged, "y"),
    (merged_and_parted, "xy"),
]


def shuffled(messages: list[bytes], chance: random.Random) -> list[bytes]:
    """Another order, with one message twice."""
    again = [*messages, chance.choice(messages)]
    chance.shuffle(again)
    return again


def end_of(system: System, number: str, pseudonym: str, open_alerts: list[Alert]) -> object:
    """What became of a patient, without what names them or the other one of their story."""
    (fields,) = (f for key, f in system.patient_keys().items() if key.decode().endswith(pseudonym))
    patient = codec.to_state(pseudonym, fields).patient
    every = [*patient.own.values()]
    every += [f for p in patient.parts.values() if not p.meta.withdrawn for f in p.facts.values()]
    anonymous = sorted(
        _KEYED.sub(b"#", facts.encode(fact).replace(number[:-1].encode(), b"N")) for fact in every
    )
    scores = {
        risk: (s.as_of, s.log_odds, s.abstained, s.evidence)
        for risk, s in codec.to_scores(fields).items()
    }
    mine = [(a.risk, a.severity, a.since) for a in open_alerts if a.patient == pseudonym]
    return anonymous, scores, mine


def pseudonyms(system: System) -> dict[str, str]:
    """Patient number → pseudonym, by the control ids of what they were admitted or updated with."""
    found: dict[str, str] = {}
    for message in system.messages():
        if message.part is None and message.message_type in ("ADT^A01", "ADT^A31"):
            number = message.control_id.removeprefix("ADT^A31-").partition("-")[0]
            found[number] = message.patient
    return found


async def test_every_order_ends_in_the_same_state_score_and_alert(system: System) -> None:
    chance = random.Random(20261125)
    cases = list(itertools.product(range(len(STORIES)), range(ORDERS)))
    # All orders of all stories at once: they come through the log mixed, as in a hospital.
    queues = []
    for story, order in cases:
        told, _ = STORIES[story]
        messages = told(f"QX{story}{order}X1", f"QX{story}{order}X2")
        queues.append(messages if order == 0 else shuffled(messages, chance))
    while any(queues):
        queue = chance.choice([q for q in queues if q])
        (answer,) = await send(system, queue.pop(0))
        assert answer.code == "AA"
    system.settle()

    names = pseudonyms(system)
    newest = {a.alert_id: a for a in sorted(system.alerts(), key=lambda a: a.revision)}
    open_alerts = [a for a in newest.values() if a.state not in _ENDED]
    for story, (told, alerting) in enumerate(STORIES):
        for role, digit in (("x", "1"), ("y", "2")):
            numbers = [f"QX{story}{order}X{digit}" for order in range(ORDERS)]
            if numbers[0] not in names:
                assert role == "y"
                continue
            ends = [end_of(system, n, names[n], open_alerts) for n in numbers]
            for order, end in enumerate(ends):
                assert end == ends[0], (told.__name__, role, order)
            has_alert = any(a.patient == names[numbers[0]] for a in open_alerts)
            assert has_alert == (role in alerting), (told.__name__, role)
