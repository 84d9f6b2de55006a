"""Message sequences: every order, with repetitions, ends in the one right state."""

from __future__ import annotations

import random
from collections.abc import Callable
from itertools import permutations

import pytest

from connectors.hl7 import build
from models.record import PatientRecord, Presence
from tests.unit.hl7.reading import PANEL, PATIENT, POTASSIUM, SENT, fold

HOUR = 3_600.0
NOW = SENT + 20 * HOUR
LACTATE: build.Code = ("2524-7", "Lactate", "LN")


def at(hours: float) -> float:
    return SENT + hours * HOUR


def lab(  # a message has this many parts
    hours: float,
    status: str,
    value: float | None = None,
    *,
    code: build.Code = POTASSIUM,
    order: str = "F1",
    observed: float = 0.0,
    serial: float | None = None,
    changed: bool = True,
) -> bytes:
    """A result whose status changed `hours` after the beginning."""
    sent = at(hours)
    segments = build.message("ORU^R01^ORU_R01", f"L{hours}{status}", sent)
    segments.append(build.pid(PATIENT))
    segments.append(
        build.obr(
            PANEL,
            filler=order,
            authority="LAB",
            observed=at(observed),
            changed=sent if changed else None,
        )
    )
    segments.append(
        build.obx(
            code,
            value,
            unit="mmol/L",
            status=status,
            observed=None if serial is None else at(serial),
        )
    )
    return build.join(segments)


def adt(hours: float, event: str, *, of: float = 0.0, visit: str = "V1", ward: str = "W1") -> bytes:
    """A visit event recorded at `hours`, about a time `of`."""
    sent = at(hours)
    segments = build.message(f"ADT^{event}", f"A{hours}{event}", sent)
    segments.append(build.evn(recorded=sent, occurred=at(of)))
    segments.append(build.pid(PATIENT))
    times = {"admitted": at(of)} if event in ("A01", "A11") else {}
    if event in ("A03", "A13"):
        times = {"discharged": at(of)}
    segments.append(build.pv1("I", ward=ward, visit=visit, **times))
    return build.join(segments)


def shown(record: PatientRecord, code: build.Code = POTASSIUM) -> list[tuple[float, object, str]]:
    """Hour, value and status of what counts."""
    return [((o.time - SENT) / HOUR, o.value, record.status(o)) for o in record.series(code[0])]


def stays(record: PatientRecord) -> list[tuple[float, float | None, str]]:
    return [
        ((s.start - SENT) / HOUR, None if s.end is None else (s.end - SENT) / HOUR, s.ward)
        for s in record.stays()
    ]


View = Callable[[PatientRecord], object]

# Name: messages, what is looked at, what it must be in the end.
SEQUENCES: dict[str, tuple[list[bytes], View, object]] = {
    "preliminary, final, corrected, and the preliminary sent again last": (
        [
            lab(1, "P", 4.0),
            lab(2, "F", 4.1),
            lab(3, "C", 4.4),
            lab(4, "P", 4.0),
            lab(2.5, "F", 4.2),
        ],
        shown,
        [(0.0, 4.4, "C")],
    ),
    "deleted, then issued again": (
        [lab(1, "P", 4.0), lab(2, "F", 4.1), lab(3, "D"), lab(4, "F", 4.9), lab(0.5, "P", 3.9)],
        shown,
        [(0.0, 4.9, "F")],
    ),
    "issued, deleted, issued again, deleted again": (
        [lab(1, "F", 4.1), lab(2, "D"), lab(3, "F", 4.2), lab(4, "D"), lab(0.5, "P", 4.0)],
        shown,
        [],
    ),
    "wrong patient": (
        [
            lab(1, "F", 4.1),
            lab(2, "C", 4.3),
            lab(3, "W"),
            lab(1, "F", 2.2, code=LACTATE, order="F2"),
            lab(2, "P", 9.9),
        ],
        lambda r: (shown(r), shown(r, LACTATE)),
        ([], [(0.0, 2.2, "F")]),
    ),
    "final without resending the value": (
        [lab(1, "P", 4.0), lab(2, "P", 4.2), lab(3, "U"), lab(0.5, "P", 3.9), lab(4, "P", 7.7)],
        shown,
        [(0.0, 4.2, "F")],
    ),
    "final without the value, then corrected": (
        [lab(1, "P", 4.0), lab(2, "U"), lab(3, "C", 4.6), lab(3.5, "P", 4.0), lab(2.5, "F", 4.1)],
        shown,
        [(0.0, 4.6, "C")],
    ),
    "cannot be obtained after all": (
        [lab(1, "P", 4.0), lab(2, "F", 4.1), lab(3, "X"), lab(0.5, "I"), lab(1.5, "P", 4.2)],
        shown,
        [],
    ),
    "serial values of one order": (
        [
            lab(1, "F", 4.0, serial=0.1),
            lab(1, "F", 4.5, serial=0.6),
            lab(2, "C", 4.7, serial=0.6),
            lab(3, "F", 4.8, serial=1.1),
            lab(0.5, "P", 3.0, serial=0.1),
        ],
        shown,
        [(0.1, 4.0, "F"), (0.6, 4.7, "C"), (1.1, 4.8, "F")],
    ),
    "one of two serial values deleted and issued again": (
        [
            lab(1, "F", 4.0, serial=0.1),
            lab(1, "F", 4.5, serial=0.6),
            lab(2, "D", serial=0.6),
            lab(3, "F", 4.9, serial=0.6),
            lab(0.5, "P", 4.4, serial=0.6),
        ],
        shown,
        [(0.1, 4.0, "F"), (0.6, 4.9, "F")],
    ),
    "a removal without a time removes every serial value": (
        [
            lab(1, "F", 4.0, serial=0.1),
            lab(1, "F", 4.5, serial=0.6),
            lab(2, "C", 4.6, serial=0.6),
            lab(3, "W"),
            lab(4, "F", 5.0, serial=0.9),
        ],
        shown,
        [(0.9, 5.0, "F")],
    ),
    "the time of the order corrected": (
        [
            lab(1, "P", 4.0),
            lab(2, "F", 4.1),
            lab(3, "C", 4.1, observed=0.4),
            lab(4, "C", 4.1, observed=0.2),
            lab(2.5, "F", 4.1, observed=0.9),
        ],
        shown,
        [(0.2, 4.1, "C")],
    ),
    "the time of a value corrected twice": (
        [
            lab(1, "P", 4.0, serial=0.1),
            lab(2, "F", 4.1, serial=0.1),
            lab(3, "C", 4.1, serial=0.4),
            lab(4, "C", 4.2, serial=0.7),
            lab(1.5, "P", 4.0, serial=0.1),
        ],
        shown,
        [(0.7, 4.2, "C")],
    ),
    "the time corrected, deleted there, issued again there": (
        [
            lab(1, "F", 4.1, serial=0.1),
            lab(2, "C", 4.1, serial=0.4),
            lab(3, "D", serial=0.4),
            lab(4, "F", 4.3, serial=0.4),
            lab(0.5, "P", 4.0, serial=0.1),
        ],
        shown,
        [(0.4, 4.3, "F")],
    ),
    "the time of the order replaced by a time of the value": (
        [
            lab(1, "P", 4.0),
            lab(2, "F", 4.1),
            lab(3, "C", 4.1, serial=0.4),
            lab(1, "F", 2.0, code=LACTATE),
            lab(1.5, "P", 4.0),
        ],
        lambda r: (shown(r), shown(r, LACTATE)),
        ([(0.4, 4.1, "C")], [(0.0, 2.0, "F")]),
    ),
    "status times missing: the message's own count": (
        [
            lab(1, "F", 4.1, changed=False),
            lab(2, "D", changed=False),
            lab(3, "F", 4.2, changed=False),
            lab(2.5, "P", 4.0, changed=False),
            lab(1.5, "C", 4.4, changed=False),
        ],
        shown,
        [(0.0, 4.2, "F")],
    ),
    "an admission cancelled and made again": (
        [
            adt(1, "A01", of=0.5),
            adt(2, "A11", of=0.5),
            adt(3, "A01", of=2.5),
            adt(4, "A02", of=4, ward="W2"),
            adt(5, "A08", of=5, ward="W3"),
        ],
        lambda r: (stays(r), r.presence(NOW)),
        ([(2.5, None, "W3")], Presence.PRESENT),
    ),
    "an admission cancelled, and an update after it": (
        [
            adt(1, "A01", of=0.5),
            adt(3, "A11", of=0.5),
            adt(2, "A02", of=2, ward="W2"),
            adt(4, "A08", of=4, ward="W2"),
            adt(1.5, "A08", of=1.5),
        ],
        lambda r: (stays(r), r.presence(NOW)),
        ([], Presence.CANCELLED),
    ),
    "a discharge cancelled": (
        [
            adt(1, "A01", of=0.5),
            adt(3, "A03", of=3),
            adt(4, "A13", of=3),
            adt(2, "A02", of=2, ward="W2"),
            adt(3.5, "A08", of=3.5, ward="W2"),
        ],
        lambda r: (stays(r), r.presence(NOW)),
        ([(0.5, None, "W2")], Presence.PRESENT),
    ),
    "a discharge cancelled, and the patient discharged again": (
        [
            adt(1, "A01", of=0.5),
            adt(3, "A03", of=3),
            adt(4, "A13", of=3),
            adt(6, "A03", of=6),
            adt(2, "A02", of=2, ward="W2"),
        ],
        lambda r: (stays(r), r.presence(NOW)),
        ([(0.5, 6.0, "W2")], Presence.DISCHARGED),
    ),
    "two visits": (
        [
            adt(1, "A01", of=0.5),
            adt(3, "A03", of=3),
            adt(6, "A01", of=6, visit="V2", ward="W5"),
            adt(7, "A11", of=0.5, visit="V3"),
            adt(2, "A02", of=2, ward="W2"),
        ],
        lambda r: (stays(r), r.presence(NOW)),
        ([(0.5, 3.0, "W2"), (6.0, None, "W5")], Presence.PRESENT),
    ),
    "no visit number: admitted again after a discharge": (
        [
            adt(1, "A01", of=0.5, visit=""),
            adt(3, "A03", of=3, visit=""),
            adt(6, "A01", of=6, visit="", ward="W5"),
            adt(2, "A02", of=2, visit="", ward="W2"),
            adt(7, "A08", of=7, visit="", ward="W6"),
        ],
        lambda r: (stays(r), r.presence(NOW)),
        ([(6.0, None, "W6")], Presence.PRESENT),
    ),
    "results and movements together": (
        [
            adt(1, "A01", of=0.5),
            lab(1, "P", 4.0),
            lab(3, "W"),
            adt(2, "A11", of=0.5),
            lab(2, "F", 4.1),
            lab(4, "F", 2.0, code=LACTATE, order="F2"),
        ],
        lambda r: (shown(r), shown(r, LACTATE), stays(r)),
        ([], [(0.0, 2.0, "F")], []),
    ),
}


@pytest.mark.parametrize("name", SEQUENCES)
def test_every_order_with_repetitions_ends_in_the_same_state(name: str) -> None:
    messages, view, expected = SEQUENCES[name]
    rng = random.Random(name)
    digests = set()
    for order in permutations(messages):
        repeated = [*order]
        for again in rng.choices(messages, k=rng.randrange(3)):
            repeated.insert(rng.randrange(len(repeated) + 1), again)
        record = fold(*repeated)
        digests.add(record.digest())
        assert view(record) == expected
    assert len(digests) == 1
