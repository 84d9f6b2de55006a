"""A tumour patient as the messages that a hospital's interface would have sent.

ADT^A28 for the person, then one ORU^R01 for each day and kind of result. MSH-7, OBR-7 and OBR-22
are the day of the result. Molecular markers come as a clinical-genomics report
(`connectors.replay.molecular`).
"""

from __future__ import annotations

from collections.abc import Iterator
from itertools import groupby

from connectors.cohorts.tumour import LOCAL, Result, TumourPatient
from connectors.hl7 import build
from connectors.replay import molecular
from connectors.replay.names import synthetic_name
from connectors.replay.stay import birth_year
from connectors.replay.timed import Timed

DAY_S = 86_400.0
PANELS: dict[str, build.Code] = {
    "ehr": ("tumour-record", "Tumour documentation", LOCAL),
    "blood": ("58410-2", "CBC panel - Blood by Automated count", "LN"),
    "imaging": ("radiomics", "Quantitative MRI report", LOCAL),
    "pathology": ("histopathology", "Histopathology report", LOCAL),
    "tma": ("tissue-microarray", "Tissue microarray", LOCAL),
    "genomics": molecular.PANEL,
}


def messages_for(patient: TumourPatient, start: float, authority: str) -> Iterator[Timed]:
    """The patient's messages in order, day 0 being `start` (epoch seconds)."""
    yield _adt(patient, start, authority)
    for day, of_day in groupby(patient.results, key=lambda r: r.day):
        kinds: dict[str, list[Result]] = {}
        for result in of_day:
            kinds.setdefault(result.kind, []).append(result)
        for kind, results in kinds.items():
            yield _oru(patient, start, authority, day, kind, results)


def last_day(patient: TumourPatient) -> int:
    """The day of the last result."""
    return max((r.day for r in patient.results), default=0)


def _adt(patient: TumourPatient, at: float, authority: str) -> Timed:
    header = build.msh("ADT^A28^ADT_A05", f"T{patient.record_id}.A", at, source=_source(authority))
    return Timed(
        at,
        build.join([header, build.evn("A28", recorded=at), _pid(patient, at, authority)]),
        str(patient.record_id),
    )


def _oru(
    patient: TumourPatient,
    start: float,
    authority: str,
    day: int,
    kind: str,
    results: list[Result],
) -> Timed:
    at = start + day * DAY_S
    number = f"{patient.record_id}-{kind}-{day}"
    header = build.msh(
        "ORU^R01^ORU_R01", f"T{patient.record_id}.{kind}{day}", at, source=_source(authority)
    )
    order = build.obr(PANELS[kind], filler=number, authority=authority, observed=at, changed=at)
    values = [
        build.obx(o.code, o.value, set_id=n, unit=o.unit, sub_id=o.group, type=o.type)
        for n, o in enumerate(_lines(results), 1)
    ]
    segments = [header, _pid(patient, start, authority), order, *values]
    return Timed(at, build.join(segments), str(patient.record_id))


def _lines(results: list[Result]) -> list[molecular.Line]:
    lines = [molecular.Line((r.code, r.name, r.system), r.value, r.unit) for r in results]
    said = next((r.said for r in results if r.code == molecular.IDH), "")
    return molecular.reported(lines, molecular.variant_of(said))


def _source(authority: str) -> tuple[str, str]:
    return ("REPLAY", authority)


def _pid(patient: TumourPatient, start: float, authority: str) -> str:
    number = str(patient.record_id)
    name = synthetic_name(authority, number, patient.sex)
    return build.pid(
        [(number, authority, "MR")],
        family=name.family,
        given=name.given,
        birth_date="" if patient.age is None else str(birth_year(patient.age, start)),
        sex=patient.sex,
    )
