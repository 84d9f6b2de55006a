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

from connectors.cohorts.physionet2019 import COLUMNS, CohortPatient
from connectors.replay.stay import (
    BLOOD_COUNT,
    CHEMISTRY,
    GAS,
    TROPONIN,
    VITALS,
    Panel,
    Place,
    StaySender,
    birth_year,
)
from connectors.replay.timed import Timed

AUTHORITY = "PHYSIONET2019"
HOUR_S = 3600.0

_COAGULATION = Panel(("34528-0", "PT and aPTT panel - Platelet poor plasma", "LN"), "K")
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
        for panel in (GAS, BLOOD_COUNT, _COAGULATION, TROPONIN)
        for name in _NAMED[panel.letter]
    },
    "1994-3": GAS,  # ionised calcium is measured with the gases
}


def messages_for(
    patient: CohortPatient, start: float, *, discharge: bool = False
) -> Iterator[Timed]:
    """The patient's messages in order; intensive care begins at `start` (epoch seconds).

    With `discharge` an ADT^A03 follows the last message one second later.
    """
    came, ward = round(start - patient.hospital_h * HOUR_S, 3), patient.unit or "ICU"
    sender = StaySender(
        AUTHORITY,
        patient.record_id,
        patient.sex,
        None if patient.age is None else birth_year(patient.age, start),
        came,
        "S",
    )
    if patient.hospital_h:
        yield sender.adt("A01", came, "ADMISSION")
        yield sender.adt("A02", start, ward)
    else:
        yield sender.adt("A01", start, ward)
    for hour, at_once in groupby(patient.events, key=lambda e: e.hour):
        place = Place(start + hour * HOUR_S, ward, hour)
        yield from sender.results(_PANELS, CHEMISTRY, at_once, place)
    yield sender.adt("A08", start + length_s(patient), ward)
    if discharge:
        yield sender.adt("A03", start + length_s(patient) + 1.0, ward)


def length_s(patient: CohortPatient) -> float:
    """Seconds from the start of intensive care to the end of the record."""
    return (patient.hours[-1] if patient.hours else 0) * HOUR_S
