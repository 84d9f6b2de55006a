"""A PhysioNet 2019 patient as the messages that a hospital's interface would have sent.

ADT^A01 at admission to the hospital, ADT^A02 on the way to intensive care (none where the patient
came there at once), for each hour an ORU^R01 of the bedside values and one for each laboratory
order, and an ADT^A08 with the last hour of the record, which adds no observation: it moves the
patient's clock to where the challenge asks for its last answer.

Hour h of intensive care ends at start + 3,600 h seconds, exactly; MSH-7, OBR-7 and OBR-22 agree.
Age is that of the data set at admission to intensive care; it is not known to a day.
"""

from __future__ import annotations

from collections.abc import Iterator
from itertools import groupby

from connectors.cohorts.physionet2019 import COLUMNS, CohortPatient, Event
from connectors.hl7 import build
from connectors.replay.names import Name, synthetic_name
from connectors.replay.physionet2012 import VITALS, Panel, birth_year
from connectors.replay.timed import Timed

AUTHORITY = "PHYSIONET2019"
SOURCE = ("REPLAY", AUTHORITY)
HOUR_S = 3600.0

_GAS = Panel(("24336-0", "Gas panel - Arterial blood", "LN"), "G")
_BLOOD_COUNT = Panel(("58410-2", "CBC panel - Blood by Automated count", "LN"), "H")
_CHEMISTRY = Panel(("24323-8", "Comprehensive metabolic 2000 panel", "LN"), "C")
_COAGULATION = Panel(("34528-0", "PT and aPTT panel - Platelet poor plasma", "LN"), "K")
_TROPONIN = Panel(("18487-9", "Troponin panel", "LN"), "T")
_BEDSIDE = ("HR", "O2Sat", "Temp", "SBP", "MAP", "DBP", "Resp", "EtCO2", "FiO2")
_NAMED: dict[str, tuple[str, ...]] = {
    "G": ("BaseExcess", "pH", "PaCO2", "SaO2", "Lactate"),
    "H": ("Hct", "Hgb", "WBC", "Platelets"),
    "K": ("PTT", "Fibrinogen"),
    "T": ("TroponinI",),
}
_PANELS: dict[str, Panel] = {
    **{COLUMNS[name].code: VITALS for name in _BEDSIDE},
    **{
        COLUMNS[name].code: panel
        for panel in (_GAS, _BLOOD_COUNT, _COAGULATION, _TROPONIN)
        for name in _NAMED[panel.letter]
    },
    "1994-3": _GAS,  # ionised calcium is measured with the gases
}


def messages_for(
    patient: CohortPatient, start: float, *, discharge: bool = False
) -> Iterator[Timed]:
    """The patient's messages in order; intensive care begins at `start` (epoch seconds).

    With `discharge` an ADT^A03 follows the last message one second later.
    """
    sender = _Sender(patient, start)
    if patient.hospital_h:
        yield sender.adt("A01", sender.admitted, "ADMISSION")
        yield sender.adt("A02", start, sender.ward)
    else:
        yield sender.adt("A01", start, sender.ward)
    for hour, at_once in groupby(patient.events, key=lambda e: e.hour):
        panels: dict[Panel, list[Event]] = {}
        for event in at_once:
            panels.setdefault(_PANELS.get(event.code, _CHEMISTRY), []).append(event)
        for panel in sorted(panels, key=lambda p: p.letter):
            yield sender.oru(panel, hour, panels[panel])
    yield sender.adt("A08", start + length_s(patient), sender.ward)
    if discharge:
        yield sender.adt("A03", start + length_s(patient) + 1.0, sender.ward)


def length_s(patient: CohortPatient) -> float:
    """Seconds from the start of intensive care to the end of the record."""
    return (patient.hours[-1] if patient.hours else 0) * HOUR_S


class _Sender:
    """Knows the patient and counts control ids."""

    def __init__(self, patient: CohortPatient, start: float) -> None:
        self._patient = patient
        self._start = start
        self._number = patient.record_id
        self._sent = 0
        self._name: Name = synthetic_name(AUTHORITY, self._number, patient.sex)
        self.admitted = round(start - patient.hospital_h * HOUR_S, 3)
        self.ward = patient.unit or "ICU"

    def adt(self, event: str, at: float, ward: str) -> Timed:
        segments = self._header(f"ADT^{event}^{_STRUCTURES[event]}", at)
        segments.append(build.evn(event, recorded=at, occurred=at))
        segments += [self._pid(), self._pv1(ward, at if event == "A03" else None)]
        return self._timed(at, segments)

    def oru(self, panel: Panel, hour: int, events: list[Event]) -> Timed:
        at = self._start + hour * HOUR_S
        segments = self._header("ORU^R01^ORU_R01", at)
        segments += [self._pid(), self._pv1(self.ward)]
        order = f"{self._number}-{panel.letter}{hour}"
        segments.append(
            build.obr(panel.code, filler=order, authority=AUTHORITY, observed=at, changed=at)
        )
        for n, event in enumerate(events, 1):
            code = (event.code, event.name, "LN")
            segments.append(build.obx(code, event.value, set_id=n, unit=event.unit))
        return self._timed(at, segments)

    def _header(self, type: str, at: float) -> list[str]:
        self._sent += 1
        control_id = f"S{self._number}.{self._sent}"
        return [build.msh(type, control_id, at, source=SOURCE)]

    def _pid(self) -> str:
        age = self._patient.age
        return build.pid(
            [(self._number, AUTHORITY, "MR")],
            family=self._name.family,
            given=self._name.given,
            birth_date="" if age is None else str(birth_year(age, self._start)),
            sex=self._patient.sex,
        )

    def _pv1(self, ward: str, discharged: float | None = None) -> str:
        return build.pv1(
            "I",
            ward=ward,
            visit=self._number,
            visit_authority=AUTHORITY,
            admitted=self.admitted,
            discharged=discharged,
        )

    def _timed(self, at: float, segments: list[str]) -> Timed:
        return Timed(at, build.join(segments), self._number)


_STRUCTURES = {"A01": "ADT_A01", "A02": "ADT_A02", "A03": "ADT_A03", "A08": "ADT_A01"}
