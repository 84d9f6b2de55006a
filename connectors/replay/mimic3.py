"""A MIMIC-III patient as the messages that a hospital's interface would have sent.

ADT^A04 in the emergency room, A01, a A02 for each transfer, A03 (with the time of death in PID-29
for those who died); one ORU^R01 for each charting time and one for each laboratory order (equal
specimen and time). A chart value that was found wrong later is sent and then deleted (OBX-11 D) at
the time of its storing.

MSH-7 is the event's own time. Outpatient results carry no visit.
"""

from __future__ import annotations

from bisect import bisect_right
from collections import Counter
from collections.abc import Callable, Iterator
from functools import partial
from itertools import groupby

from connectors.cohorts.mimic3 import Charted, MimicPatient, Movement
from connectors.cohorts.mimic3_labs import Resulted
from connectors.hl7 import build
from connectors.replay.names import synthetic_name
from connectors.replay.stay import VITALS, birth_year
from connectors.replay.timed import Timed

AUTHORITY = "MIMIC3"
SOURCE = ("REPLAY", AUTHORITY)

_STRUCTURES = {"A01": "ADT_A01", "A02": "ADT_A02", "A03": "ADT_A03", "A04": "ADT_A01"}
# At one time: arrivals first, results next, a discharge last.
_ORDER = {"A04": 0, "A01": 1, "A02": 2, "ORU": 3, "A03": 4}

# Time in the set, order within that time, what makes the message (given its control id).
_Planned = tuple[float, int, Callable[[str], list[str]]]


def messages_for(patient: MimicPatient, shift: float) -> Iterator[Timed]:
    """The patient's messages in order, every time moved by `shift` seconds."""
    sender = _Sender(patient, shift)
    planned = sorted(sender.planned(), key=lambda p: p[:2])
    for n, (time, _, made) in enumerate(planned, 1):
        number = str(patient.subject_id)
        yield Timed(time + shift, build.join(made(f"M{number}.{n}")), number)


class _Sender:
    """Knows the patient and where they are."""

    def __init__(self, patient: MimicPatient, shift: float) -> None:
        self._patient = patient
        self._shift = shift
        self._number = str(patient.subject_id)
        self._name = synthetic_name(AUTHORITY, self._number, patient.sex)
        self._begin = patient.span()[0]
        self._times = [m.time for m in patient.movements]
        at = next((m.time for m in patient.movements if m.event == "A01"), self._begin) + shift
        self._birth = "" if patient.age is None else str(birth_year(patient.age, at))

    def planned(self) -> Iterator[_Planned]:
        """Everything that is to be sent, in no order."""
        for movement in self._patient.movements:
            yield movement.time, _ORDER[movement.event], partial(self._adt, movement)
        for time, charted in groupby(self._patient.charted, key=lambda c: c.time):
            yield from self._charting(time, list(charted))
        orders = groupby(self._patient.resulted, key=lambda r: (r.time, r.specimen))
        for n, ((time, specimen), results) in enumerate(orders):
            made = partial(self._labs, f"{self._number}-L{n}", specimen, time, list(results))
            yield time, _ORDER["ORU"], made

    def _charting(self, time: float, rows: list[Charted]) -> Iterator[_Planned]:
        order = f"{self._number}-V{int(time - self._begin)}"
        seen: Counter[str] = Counter()
        wrong: dict[float, list[tuple[str, Charted]]] = {}
        numbered: list[tuple[str, Charted]] = []
        for row in rows:
            seen[row.code] += 1
            # Two arms, two lines: a second value of one code and time needs its own sub-id.
            sub_id = str(seen[row.code]) if seen[row.code] > 1 else ""
            numbered.append((sub_id, row))
            if row.withdrawn_at is not None:
                wrong.setdefault(row.withdrawn_at, []).append((sub_id, row))
        yield time, _ORDER["ORU"], partial(self._vitals, order, time, time, numbered, "F")
        for at, gone in wrong.items():
            yield at, _ORDER["ORU"], partial(self._vitals, order, time, at, gone, "D")

    # ── messages ────────────────────────────────────────────────────────────────────────────

    def _adt(self, movement: Movement, control_id: str) -> list[str]:
        at = movement.time + self._shift
        died = None if movement.died_at is None else movement.died_at + self._shift
        event = movement.event
        return [
            build.msh(f"ADT^{event}^{_STRUCTURES[event]}", control_id, at, source=SOURCE),
            build.evn(event, recorded=at, occurred=at),
            self._pid(died),
            build.pv1(
                "E" if event == "A04" else "I",
                ward=movement.ward,
                visit=movement.visit,
                visit_authority=AUTHORITY,
                admitted=at if event in ("A01", "A04") else None,
                discharged=at if event == "A03" else None,
            ),
        ]

    def _vitals(
        self,
        order: str,
        observed: float,
        sent: float,
        rows: list[tuple[str, Charted]],
        status: str,
        control_id: str,
    ) -> list[str]:
        segments = self._report(VITALS.code, order, observed, sent, control_id)
        for n, (sub_id, row) in enumerate(rows, 1):
            code = (row.code, row.name, "LN")
            value = row.value if status == "F" else None
            segments.append(
                build.obx(code, value, set_id=n, unit=row.unit, sub_id=sub_id, status=status)
            )
        return segments

    def _labs(
        self, order: str, specimen: str, time: float, results: list[Resulted], control_id: str
    ) -> list[str]:
        segments = self._report(("LAB", specimen, "L"), order, time, time, control_id)
        seen: Counter[str] = Counter()
        for n, result in enumerate(results, 1):
            seen[result.code] += 1
            segments.append(
                build.obx(
                    (result.code, result.name, result.system),
                    result.value,
                    set_id=n,
                    unit=result.unit,
                    unit_system="UCUM" if result.ucum else "L",
                    sub_id=str(seen[result.code]) if seen[result.code] > 1 else "",
                    flag="A" if result.abnormal else "",
                    comparator=result.comparator,
                )
            )
        return segments

    def _report(
        self, what: build.Code, order: str, observed: float, sent: float, control_id: str
    ) -> list[str]:
        """The segments before the first OBX; times of observation and of sending in the set."""
        at = sent + self._shift
        segments = [build.msh("ORU^R01^ORU_R01", control_id, at, source=SOURCE), self._pid()]
        place = self._place(observed)
        if place is not None:
            segments.append(
                build.pv1(
                    "E" if place.event == "A04" else "I",
                    ward=place.ward,
                    visit=place.visit,
                    visit_authority=AUTHORITY,
                )
            )
        segments.append(
            build.obr(
                what,
                filler=order,
                authority=AUTHORITY,
                observed=observed + self._shift,
                changed=at,
            )
        )
        return segments

    def _place(self, time: float) -> Movement | None:
        """The movement that says where the patient was; None outside a stay."""
        before = bisect_right(self._times, time)
        latest = self._patient.movements[before - 1] if before else None
        return None if latest is None or latest.event == "A03" else latest

    def _pid(self, died_at: float | None = None) -> str:
        return build.pid(
            [(self._number, AUTHORITY, "MR")],
            family=self._name.family,
            given=self._name.given,
            birth_date=self._birth,
            sex=self._patient.sex,
            died_at=died_at,
        )
