"""What a ward sends in one run, and what must be known of each patient afterwards.

Every value carries its patient: the digits behind the point are the patient's number. What must be
known is worked out here, in a few lines of its own, from what is sent: of the versions of a result
the final one beats the preliminary one, then the later one counts; a deleted one is gone.
"""

from __future__ import annotations

import random
from dataclasses import dataclass, field
from typing import NamedTuple

from connectors.hl7 import build
from tests.acceptance.system import DYING, VITALS, WELL

AUTHORITY = "HOSP"
_DIGITS = 5  # behind the point: the patient's number
Known = tuple[str, float, float, str]  # LOINC code, epoch of observation, value, status


class Message(NamedTuple):
    """One message to send."""

    patient: str
    raw: bytes


@dataclass
class Ward:
    """One run's patients."""

    patients: dict[str, int] = field(default_factory=dict)  # MRN → number in its values
    messages: list[Message] = field(default_factory=list)  # as sent, with repetitions
    known: dict[str, set[Known]] = field(default_factory=dict)  # by MRN
    dying: set[str] = field(default_factory=set)  # must have an open alert of `news2` in the end


def admit(seed: int, first: int, now: float, patients: int = 20, results: int = 22) -> Ward:
    """A ward whose patients are numbered from `first` on; all times lie in the hour before `now`.

    Of each patient: an admission, results (some preliminary, corrected, deleted, late or doubled),
    some discharged. A few are dying.
    """
    rng = random.Random(f"ward-{seed}-{first}")
    ward = Ward()
    queues: list[list[Message]] = []
    for number in range(first, first + patients):
        mrn = f"C{number:06d}"
        ward.patients[mrn] = number
        is_dying = number % 6 == 0
        if is_dying:
            ward.dying.add(mrn)
        start = round(now) - 3_500.0 + rng.randrange(60)
        queue = [Message(mrn, admission(mrn, start, rng))]
        queue += _results(ward, rng, mrn, number, start, results, is_dying)
        if not is_dying and rng.random() < 0.2:
            at = start + 3_300.0
            queue.append(Message(mrn, discharge(mrn, at)))
        queues.append(queue)
    while queues:  # patients take turns; each one's messages keep nearly their order
        queue = rng.choice(queues)
        ward.messages.append(queue.pop(0))
        if not queue:
            queues.remove(queue)
    return ward


def _results(
    ward: Ward, rng: random.Random, mrn: str, number: int, start: float, count: int, is_dying: bool
) -> list[Message]:
    versions: list[Message] = []
    known: set[Known] = set()
    for panel in range(count):
        at = start + 60.0 + panel * 120.0 + rng.randrange(60)
        ill = is_dying and panel >= count // 2
        names = rng.sample(sorted(VITALS), rng.randint(2, 5))
        if ill:
            names = ["respiration", "saturation", "systolic", "heart rate", "temperature"]
        story = rng.choices(("final", "corrected", "deleted", "preliminary"), (14, 2, 1, 2))[0]
        if is_dying and panel == count - 1:
            story = "final"
        order = f"{mrn}-{panel}"
        stages = {"final": "F", "corrected": "FC", "deleted": "FD", "preliminary": "PF"}[story]
        for said, status in enumerate(stages):
            values = {n: _value(rng, n, number, ill) for n in names}
            raw = _report(mrn, order, at, at + 30.0 * said, status, values)
            versions.append(Message(mrn, raw))
            if rng.random() < 0.04:
                versions.append(Message(mrn, raw))  # sent twice
        if status != "D":
            known |= {(VITALS[n][0][0], at, value, status) for n, value in values.items()}
    ward.known[mrn] = known
    for place in range(len(versions) - 1):  # some come late
        if rng.random() < 0.15:
            versions[place], versions[place + 1] = versions[place + 1], versions[place]
    return versions


def _value(rng: random.Random, name: str, number: int, ill: bool) -> float:
    base = int((DYING if ill else WELL)[name]) + rng.choice((0, 0, 1))
    return round(base + number / 10**_DIGITS, _DIGITS)


def number_of(value: float) -> int:
    """The patient's number that a value carries."""
    return round(value % 1 * 10**_DIGITS)


def _report(
    mrn: str, order: str, at: float, said: float, status: str, values: dict[str, float]
) -> bytes:
    segments = build.message("ORU^R01", f"{order}-{status}", said)
    report = "C" if status == "D" else status
    segments += [
        _pid(mrn),
        build.obr(("panel", "Panel", "L"), filler=order, observed=at, changed=said, status=report),
    ]
    for place, (name, value) in enumerate(values.items(), 1):
        code, unit = VITALS[name]
        segments.append(build.obx(code, value, set_id=place, unit=unit, status=status))
    return build.join(segments)


def admission(mrn: str, at: float, rng: random.Random) -> bytes:
    """To a bed of the intensive care unit."""
    segments = build.message("ADT^A01", f"{mrn}-adm", at)
    bed = str(rng.randrange(1, 40))
    visit = build.pv1("I", ward="ICU", bed=bed, visit=f"V{mrn}", admitted=at)
    return build.join([*segments, build.evn("A01", recorded=at, occurred=at), _pid(mrn), visit])


def discharge(mrn: str, at: float) -> bytes:
    """From there."""
    segments = build.message("ADT^A03", f"{mrn}-dis", at)
    visit = build.pv1("I", ward="ICU", visit=f"V{mrn}", discharged=at)
    return build.join([*segments, build.evn("A03", recorded=at, occurred=at), _pid(mrn), visit])


def _pid(mrn: str) -> str:
    return build.pid(
        [(mrn, AUTHORITY, "MR")], family=f"FAMILY{mrn}", given="G", birth_date="19480101", sex="M"
    )
