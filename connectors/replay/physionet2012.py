"""A PhysioNet 2012 patient as the messages that a hospital's interface would have sent.

ADT^A01 at admission to intensive care, one ORU^R01 for each bedside charting time, one for each
laboratory order, and an ADT^A08 at 48 h, which adds no observation: it moves the patient's clock to
the end of the record, where the challenge asks for the answer. Nothing after it changes a score,
unless a discharge is asked for.

Age is that of the data set at minute 0; who lies in intensive care at New Year gets a year older.

An observation of minute m is sent at start + 60 m seconds, exactly; MSH-7, OBR-7 and OBR-22 agree.
"""

from __future__ import annotations

from collections.abc import Iterator
from itertools import groupby
from typing import NamedTuple

from connectors.cohorts.physionet2012 import HOURS, CohortPatient, Event
from connectors.hl7 import build
from connectors.replay.names import Name, synthetic_name
from connectors.replay.timed import Timed

AUTHORITY = "PHYSIONET2012"
SOURCE = ("REPLAY", AUTHORITY)
LENGTH_S = HOURS * 3600.0
_YEAR_S = 31_556_952  # mean Gregorian year, as models.record.PatientRecord.age counts


class Panel(NamedTuple):
    """What is ordered and resulted together."""

    code: build.Code
    letter: str  # in the filler order number


VITALS = Panel(("85353-1", "Vital signs panel", "LN"), "V")
_GAS = Panel(("24336-0", "Gas panel - Arterial blood", "LN"), "G")
_BLOOD_COUNT = Panel(("58410-2", "CBC panel - Blood by Automated count", "LN"), "H")
_CHEMISTRY = Panel(("24323-8", "Comprehensive metabolic 2000 panel", "LN"), "C")
_TROPONIN = Panel(("18487-9", "Troponin panel", "LN"), "T")
_LIPIDS = Panel(("24331-1", "Lipid 1996 panel - Serum or Plasma", "LN"), "L")

_PANELS: dict[str, Panel] = {
    **dict.fromkeys(("2744-1", "2019-8", "2703-7", "2708-6", "2524-7"), _GAS),
    **dict.fromkeys(("4544-3", "777-3", "6690-2"), _BLOOD_COUNT),
    **dict.fromkeys(("2951-2", "2823-3", "1963-8", "19123-9", "3094-0", "2160-0"), _CHEMISTRY),
    **dict.fromkeys(("2345-7", "1751-7", "6768-6", "1742-6", "1920-8", "1975-2"), _CHEMISTRY),
    **dict.fromkeys(("10839-9", "6598-7"), _TROPONIN),
    "2093-3": _LIPIDS,
}


def messages_for(
    patient: CohortPatient, start: float, *, discharge: bool = False
) -> Iterator[Timed]:
    """The patient's messages in order, the record's minute 0 being `start` (epoch seconds).

    With `discharge` an ADT^A03 follows the last message one second later, with the time of death
    for those who died in hospital.
    """
    sender = _Sender(patient, start)
    yield sender.adt("A01", start)
    for minute, at_once in groupby(patient.events, key=lambda e: e.minute):
        panels: dict[Panel, list[Event]] = {}
        for event in at_once:
            panels.setdefault(_PANELS.get(event.code, VITALS), []).append(event)
        for panel in sorted(panels, key=lambda p: p.letter):
            yield sender.oru(panel, minute, panels[panel])
    yield sender.adt("A08", start + LENGTH_S)
    if discharge:
        yield sender.adt("A03", start + LENGTH_S + 1.0)


def birth_year(age: float, at: float) -> int:
    """The year of birth that makes `PatientRecord.age` say `age` at that time."""
    return int(1970 + at / _YEAR_S) - int(age)


class _Sender:
    """Knows the patient and counts control ids."""

    def __init__(self, patient: CohortPatient, start: float) -> None:
        self._patient = patient
        self._start = start
        self._number = str(patient.record_id)
        self._sent = 0
        self._name: Name = synthetic_name(AUTHORITY, self._number, patient.sex)

    def adt(self, event: str, at: float) -> Timed:
        ended = at if event == "A03" else None
        segments = self._header(f"ADT^{event}^{_STRUCTURES[event]}", at)
        segments.append(build.evn(event, recorded=at, occurred=at))
        segments.append(self._pid(died_at=ended if self._patient.died else None))
        segments.append(self._pv1(discharged=ended))
        return self._timed(at, segments)

    def oru(self, panel: Panel, minute: int, events: list[Event]) -> Timed:
        at = self._start + minute * 60.0
        segments = self._header("ORU^R01^ORU_R01", at)
        segments += [self._pid(), self._pv1()]
        order = f"{self._number}-{panel.letter}{minute}"
        segments.append(
            build.obr(panel.code, filler=order, authority=AUTHORITY, observed=at, changed=at)
        )
        for n, event in enumerate(events, 1):
            code = (event.code, event.name, "LN")
            segments.append(build.obx(code, event.value, set_id=n, unit=event.unit))
        return self._timed(at, segments)

    def _header(self, type: str, at: float) -> list[str]:
        self._sent += 1
        control_id = f"P{self._number}.{self._sent}"
        return [build.msh(type, control_id, at, source=SOURCE)]

    def _pid(self, died_at: float | None = None) -> str:
        age = self._patient.age
        return build.pid(
            [(self._number, AUTHORITY, "MR")],
            family=self._name.family,
            given=self._name.given,
            birth_date="" if age is None else str(birth_year(age, self._start)),
            sex=self._patient.sex,
            died_at=died_at,
        )

    def _pv1(self, discharged: float | None = None) -> str:
        return build.pv1(
            "I",
            ward=self._patient.icu_type or "ICU",
            visit=self._number,
            visit_authority=AUTHORITY,
            admitted=self._start,
            discharged=discharged,
        )

    def _timed(self, at: float, segments: list[str]) -> Timed:
        return Timed(at, build.join(segments), self._number)


_STRUCTURES = {"A01": "ADT_A01", "A03": "ADT_A03", "A08": "ADT_A01"}
