"""Plans a cohort's replay in hospital time and sends it.

Times are moved so that the last event of the replay lies shortly before now and nothing lies in the
future; what lies between two events of one patient stays exact. PhysioNet 2012 has no calendar and
MIMIC-III an own one for every patient, so patients are laid out one after the other: each one's
last event comes `stagger` seconds after that of the patient before.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from enum import StrEnum
from itertools import islice
from pathlib import Path
from typing import NamedTuple

from connectors.cohorts import hancock, ucsf_pdgm
from connectors.cohorts import mimic3 as mimic3_cohort
from connectors.cohorts import physionet2012 as physionet_cohort
from connectors.cohorts import physionet2019 as sepsis_cohort
from connectors.cohorts.tumour import TumourPatient
from connectors.replay import mimic3, physionet2012, physionet2019, radiology, tumours
from connectors.replay.timed import Timed, in_time_order

MARGIN_S = 60.0  # between the last event and now
# At a limited speed, years between two stays of one patient are not waited for.
LONGEST_PAUSE_S = 3600.0


class CohortName(StrEnum):
    """The cohorts that can be replayed."""

    PHYSIONET2012 = "physionet2012"
    PHYSIONET2019 = "physionet2019"
    MIMIC3 = "mimic3"
    UCSF_PDGM = "ucsf-pdgm"
    HANCOCK = "hancock"


class Study(NamedTuple):
    """A patient's images."""

    patient: TumourPatient
    at: float  # epoch seconds


@dataclass(frozen=True, slots=True)
class Replay:
    """A planned replay; `messages` are in time order and made while they are read."""

    messages: Iterator[Timed]
    patients: int
    skipped: Counter[str]  # rows of the data set that are not sent, by reason
    studies: tuple[Study, ...] = ()  # whose reports go to an archive, by time


def plan(
    cohort: CohortName,
    data: Path,
    now: float,
    *,
    patients: int | None = None,
    stagger: float = 60.0,
    discharge: bool = False,
    archive: bool = False,
) -> Replay:
    """Read the cohort and lay its patients out in time, ending at `now` (epoch seconds).

    `discharge` adds discharges to PhysioNet 2012 and 2019, whose records end without one;
    MIMIC-III always has them. `archive` takes what images say out of the messages: it is for an
    archive (`Replay.studies`). Raises `CohortError` for data that are not the set.
    """
    if cohort is CohortName.MIMIC3:
        return _plan_mimic3(data, now, patients, stagger)
    if cohort in _TUMOURS:
        return _plan_tumours(cohort, data, now, patients, stagger, archive)
    if cohort is CohortName.PHYSIONET2019:
        return _plan_physionet2019(data, now, patients, stagger, discharge)
    return _plan_physionet2012(data, now, patients, stagger, discharge)


def _ends(now: float, count: int, stagger: float) -> list[float]:
    """When each patient's last event is, on whole seconds."""
    return [float(int(now - MARGIN_S - stagger * (count - 1 - i))) for i in range(count)]


def _plan_physionet2012(
    data: Path, now: float, limit: int | None, stagger: float, discharge: bool
) -> Replay:
    found = list(islice(physionet_cohort.load(data), limit))
    length = physionet2012.LENGTH_S + (1.0 if discharge else 0.0)
    streams = [
        physionet2012.messages_for(patient, end - length, discharge=discharge)
        for patient, end in zip(found, _ends(now, len(found), stagger), strict=True)
    ]
    return Replay(in_time_order(streams), len(found), Counter())


def _plan_physionet2019(
    data: Path, now: float, limit: int | None, stagger: float, discharge: bool
) -> Replay:
    found = list(islice(sepsis_cohort.load(data), limit))
    after = 1.0 if discharge else 0.0
    streams = [
        physionet2019.messages_for(
            patient, end - physionet2019.length_s(patient) - after, discharge=discharge
        )
        for patient, end in zip(found, _ends(now, len(found), stagger), strict=True)
    ]
    return Replay(in_time_order(streams), len(found), Counter())


_TUMOURS = {CohortName.UCSF_PDGM: ucsf_pdgm.load, CohortName.HANCOCK: hancock.load}


def _plan_tumours(
    cohort: CohortName,
    data: Path,
    now: float,
    limit: int | None,
    stagger: float,
    archive: bool,
) -> Replay:
    found = list(islice(_TUMOURS[cohort](data), limit))
    starts = [
        end - tumours.last_day(patient) * tumours.DAY_S
        for patient, end in zip(found, _ends(now, len(found), stagger), strict=True)
    ]
    studies = [Study(p, at) for p, at in zip(found, starts, strict=True) if radiology.measured(p)]
    streams = [
        tumours.messages_for(
            radiology.without_images(patient) if archive else patient, start, cohort.value.upper()
        )
        for patient, start in zip(found, starts, strict=True)
    ]
    kept = tuple(sorted(studies, key=lambda s: s.at)) if archive else ()
    return Replay(in_time_order(streams), len(found), Counter(), kept)


def _plan_mimic3(data: Path, now: float, limit: int | None, stagger: float) -> Replay:
    cohort = mimic3_cohort.load(data, limit)
    found = [p for p in cohort.patients if p.movements or p.charted or p.resulted]
    if len(found) < len(cohort.patients):
        cohort.skipped["patient without any event"] += len(cohort.patients) - len(found)
    streams = [
        mimic3.messages_for(patient, end - patient.span()[1])
        for patient, end in zip(found, _ends(now, len(found), stagger), strict=True)
    ]
    return Replay(in_time_order(streams), len(found), cohort.skipped)
