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

from connectors.cohorts.physionet2012 import HOURS, CohortPatient
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

AUTHORITY = "PHYSIONET2012"
LENGTH_S = HOURS * 3600.0

_LIPIDS = Panel(("24331-1", "Lipid 1996 panel - Serum or Plasma", "LN"), "L")

_PANELS: dict[str, Panel] = {
    **dict.fromkeys(("2744-1", "2019-8", "2703-7", "2708-6", "2524-7"), GAS),
    **dict.fromkeys(("4544-3", "777-3", "6690-2"), BLOOD_COUNT),
    **dict.fromkeys(("2951-2", "2823-3", "1963-8", "19123-9", "3094-0", "2160-0"), CHEMISTRY),
    **dict.fromkeys(("2345-7", "1751-7", "6768-6", "1742-6", "1920-8", "1975-2"), CHEMISTRY),
    **dict.fromkeys(("10839-9", "6598-7"), TROPONIN),
    "2093-3": _LIPIDS,
}


def messages_for(
    patient: CohortPatient, start: float, *, discharge: bool = False
) -> Iterator[Timed]:
    """The patient's messages in order, the record's minute 0 being `start` (epoch seconds).

    With `discharge` an ADT^A03 follows the last message one second later, with the time of death
    for those who died in hospital.
    """
    ward = patient.icu_type or "ICU"
    sender = StaySender(
        AUTHORITY,
        str(patient.record_id),
        patient.sex,
        None if patient.age is None else birth_year(patient.age, start),
        start,
        "P",
        bool(patient.died),
    )
    yield sender.adt("A01", start, ward)
    for minute, at_once in groupby(patient.events, key=lambda e: e.minute):
        place = Place(start + minute * 60.0, ward, minute)
        yield from sender.results(_PANELS, VITALS, at_once, place)
    yield sender.adt("A08", start + LENGTH_S, ward)
    if discharge:
        yield sender.adt("A03", start + LENGTH_S + 1.0, ward)
