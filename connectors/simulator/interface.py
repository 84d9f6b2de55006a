"""What the hospital's systems send: registration, bedside charting, laboratory."""

from __future__ import annotations

from typing import NamedTuple

from connectors.hl7 import build
from connectors.replay.timed import Timed
from connectors.simulator.people import AUTHORITY, SimulatedPatient

REGISTRATION = ("REG", AUTHORITY)
CHARTING = ("CHART", AUTHORITY)
LABORATORY = ("LIS", AUTHORITY)

_STRUCTURES = {
    **dict.fromkeys(("A01", "A04", "A08", "A13"), "ADT_A01"),
    "A02": "ADT_A02",
    "A03": "ADT_A03",
    "A11": "ADT_A09",
}


class Row(NamedTuple):
    """One result. `group` is OBX-4."""

    code: build.Code
    value: float | str | build.Code
    unit: str
    group: str = ""
    type: str = ""  # OBX-2, where the value does not say it


class Report(NamedTuple):
    """Results that belong together, about one patient."""

    patient: SimulatedPatient
    source: tuple[str, str]
    what: build.Code
    order: str
    observed: float
    rows: list[Row]


class Interface:
    """Writes messages and numbers them."""

    def __init__(self, seed: int) -> None:
        self._prefix = f"S{seed}."
        self._sent = 0
        self._orders = 0

    def next_order(self, letter: str) -> str:
        """A filler order number."""
        self._orders += 1
        return f"{letter}{self._orders}"

    def adt(
        self,
        event: str,
        at: float,
        patient: SimulatedPatient,
        *,
        occurred: float | None = None,
        died: bool = False,
    ) -> Timed:
        """An ADT message; `occurred` is EVN-6, by default `at`."""
        segments = [
            self._msh(f"ADT^{event}^{_STRUCTURES[event]}", at, REGISTRATION),
            build.evn(event, recorded=at, occurred=at if occurred is None else occurred),
            _pid(patient, at if died else None),
            _pv1(patient, at if event == "A03" else None),
        ]
        return Timed(at, build.join(segments), patient.number)

    def oru(self, report: Report, at: float, status: str = "F", *, values: bool = True) -> Timed:
        """A report with one status for all of it; `values` False leaves OBX-5 empty."""
        segments = [
            self._msh("ORU^R01^ORU_R01", at, report.source),
            _pid(report.patient),
            _pv1(report.patient),
            build.obr(
                report.what,
                filler=report.order,
                authority=report.source[0],
                observed=report.observed,
                changed=at,
                # Table 0123 knows neither deleted nor status-only: those are final or corrected.
                status={"D": "C", "W": "C", "U": "F"}.get(status, status),
            ),
        ]
        for n, row in enumerate(report.rows, 1):
            value = row.value if values else None
            segments.append(
                build.obx(
                    row.code, value, set_id=n, unit=row.unit, sub_id=row.group, type=row.type,
                    status=status,
                )
            )  # fmt: skip
        return Timed(at, build.join(segments), report.patient.number)

    def _msh(self, type: str, at: float, source: tuple[str, str]) -> str:
        self._sent += 1
        return build.msh(type, f"{self._prefix}{self._sent}", at, source=source)


def _pid(patient: SimulatedPatient, died_at: float | None = None) -> str:
    return build.pid(
        [(patient.number, AUTHORITY, "MR")],
        family=patient.name.family,
        given=patient.name.given,
        birth_date=patient.birth_date,
        sex=patient.sex,
        account=f"A{patient.number}",
        died_at=died_at,
    )


def _pv1(patient: SimulatedPatient, discharged: float | None = None) -> str:
    return build.pv1(
        patient.patient_class,
        ward=patient.ward,
        bed=patient.bed,
        visit=patient.visit,
        visit_authority=AUTHORITY,
        admitted=patient.admitted or patient.arrived,
        discharged=discharged,
    )
