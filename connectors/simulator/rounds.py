"""What is measured of a simulated patient, and when it is reported."""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING

from connectors.cohorts.physionet2012 import MECHANICAL_VENTILATION
from connectors.replay.timed import Timed
from connectors.simulator.interface import CHARTING, LABORATORY, Report, Row
from connectors.simulator.people import SimulatedPatient
from connectors.simulator.variables import (
    ADMISSION,
    BY_NAME,
    INVASIVE,
    MEAN_PRESSURE,
    PANELS,
    VENTILATION,
    VITAL_SIGNS,
    Panel,
)

if TYPE_CHECKING:
    from connectors.simulator.hospital import Hospital

_MINUTE, _HOUR = 60.0, 3600.0
_SHORTEST_S = 5 * _MINUTE  # between two chartings
_IN_CRISIS_S = 15 * _MINUTE  # at most, while the patient gets worse
_WARD_FACTOR = 4.0  # general wards chart more rarely than intensive care, which was fitted
_PRELIMINARY = 0.3  # of laboratory reports
_STATUS_ONLY = 0.1  # of preliminary ones: made final without sending the values again


def begin(hospital: Hospital, patient: SimulatedPatient, at: float) -> None:
    """The first charting, and the first orders of every panel that this patient gets."""
    patient.rounds += 1  # what was planned before a discharge that was cancelled does not go on
    hospital.schedule(at + patient.random.uniform(2, 10) * _MINUTE, _Bedside(hospital, patient))
    body = patient.care.panels.get(ADMISSION.name)
    if body and ADMISSION.name not in patient.reported:
        patient.reported.add(ADMISSION.name)
        hospital.report(_body(hospital, patient, at + 5 * _MINUTE, list(body)), at + 5 * _MINUTE)
    for panel in PANELS:
        if panel.name in patient.care.panels:
            first = at + patient.random.uniform(0.2, 1.5) * _HOUR
            hospital.schedule(first, _Collection(hospital, patient, panel))


def call_for_help(hospital: Hospital, patient: SimulatedPatient, at: float) -> None:
    """A patient got worse: urgent blood gas and chemistry, and a charting now."""
    hospital.schedule(at + 10 * _MINUTE, _Bedside(hospital, patient, repeat=False))
    for panel in PANELS:
        if panel.name in ("gas", "chemistry"):
            patient.care.panels.setdefault(panel.name, dict.fromkeys(panel.measures, 0.9))
            hospital.schedule(
                at + 15 * _MINUTE, _Collection(hospital, patient, panel, repeat=False)
            )


class _Bedside:
    """Charts the vital signs, and comes again."""

    def __init__(
        self, hospital: Hospital, patient: SimulatedPatient, *, repeat: bool = True
    ) -> None:
        self._hospital = hospital
        self._patient = patient
        self._round = patient.rounds
        self._repeat = repeat

    def __call__(self, at: float) -> Iterable[Timed]:
        patient = self._patient
        if not patient.present or patient.rounds != self._round:
            return ()
        names = [
            n for n, chance in patient.care.bedside.items() if patient.random.random() < chance
        ]
        rows = _bedside_rows(patient, names, at)
        if rows:
            order = self._hospital.interface.next_order("V")
            report = Report(patient, CHARTING, VITAL_SIGNS, order, at, rows)
            self._hospital.report(report, at + patient.random.uniform(5, 90))
        if self._repeat:
            self._hospital.schedule(at + self._pause(at), self)
        return ()  # the messages themselves are sent through the hospital

    def _pause(self, at: float) -> float:
        patient = self._patient
        pause = patient.care.practice.bedside.interval(patient.random) * _HOUR
        if patient.in_crisis(at):
            return max(_SHORTEST_S, min(pause, _IN_CRISIS_S))
        return max(_SHORTEST_S, pause * (1.0 if patient.in_intensive_care else _WARD_FACTOR))


def _bedside_rows(patient: SimulatedPatient, names: list[str], at: float) -> list[Row]:
    rows = []
    for name, value in patient.course.read(names, patient.hours(at)).items():
        measure = MEAN_PRESSURE if name == MEAN_PRESSURE.name else BY_NAME[name]
        invasive = patient.care.invasive and patient.in_intensive_care
        code = INVASIVE[name] if invasive and name in INVASIVE else measure.code
        rows.append(Row(code, float(value), measure.unit))
    if "fio2" in names and patient.care.ventilated:
        rows.append(Row(VENTILATION, MECHANICAL_VENTILATION, ""))
    return rows


def _body(hospital: Hospital, patient: SimulatedPatient, at: float, names: list[str]) -> Report:
    values = patient.course.read(names, patient.hours(at))
    rows = [Row(BY_NAME[n].code, float(v), BY_NAME[n].unit) for n, v in values.items()]
    order = hospital.interface.next_order("B")
    return Report(patient, CHARTING, ADMISSION.code, order, at, rows)


class _Collection:
    """Takes a specimen; its report follows, preliminary first or final at once."""

    def __init__(
        self,
        hospital: Hospital,
        patient: SimulatedPatient,
        panel: Panel,
        *,
        repeat: bool = True,
    ) -> None:
        self._hospital = hospital
        self._patient = patient
        self._panel = panel
        self._round = patient.rounds
        self._repeat = repeat

    def __call__(self, at: float) -> Iterable[Timed]:
        patient, panel = self._patient, self._panel
        if not patient.present or patient.rounds != self._round:
            return ()
        chances = patient.care.panels[panel.name]
        names = [n for n, chance in chances.items() if patient.random.random() < chance]
        values = patient.course.read(names, patient.hours(at))
        rows = [Row(BY_NAME[n].code, float(v), BY_NAME[n].unit) for n, v in values.items()]
        if rows:
            order = self._hospital.interface.next_order("L")
            self._report(Report(patient, LABORATORY, panel.code, order, at, rows), at)
        if self._repeat:
            ordering = patient.care.practice.panels[panel.name]
            factor = 1.0 if patient.in_intensive_care else 2.0
            pause = max(ordering.interval(patient.random) * factor, 0.5) * _HOUR
            self._hospital.schedule(at + pause, self)
        return ()  # the messages themselves are sent through the hospital

    def _report(self, report: Report, at: float) -> None:
        random, hospital = report.patient.random, self._hospital
        fast = self._panel.name == "gas"  # measured on the ward's own analyser
        done = at + random.uniform(*((3, 10) if fast else (40, 90))) * _MINUTE
        if fast or random.random() >= _PRELIMINARY:
            hospital.report(report, done)
            return
        hospital.schedule(at + random.uniform(15, 35) * _MINUTE, self._sends(report, "P"))
        if random.random() < _STATUS_ONLY:
            hospital.schedule(done, self._sends(report, "U", values=False))
        else:
            hospital.report(report, done)

    def _sends(self, report: Report, status: str, *, values: bool = True) -> _Sends:
        return _Sends(self._hospital, report, status, values)


class _Sends:
    """One message of a report, undisturbed."""

    def __init__(self, hospital: Hospital, report: Report, status: str, values: bool) -> None:
        self._hospital = hospital
        self._report = report
        self._status = status
        self._values = values

    def __call__(self, at: float) -> Iterable[Timed]:
        return (self._hospital.interface.oru(self._report, at, self._status, values=self._values),)
