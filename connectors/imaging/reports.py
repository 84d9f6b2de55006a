"""Measurements of a structured report as observations of its patient.

Identity: what is followed (tracking id), else the place in the report, within the series; so a
corrected report, which comes in the series of the one that it corrects, replaces it measurement by
measurement. A final report counts before a preliminary one, then the one with the later content
time. Values count as long as their study does.
"""

from __future__ import annotations

import math
from typing import Final

from connectors.apart import Apart, BrokeError
from connectors.facts import Observation, Rank
from connectors.identity import IdentityKey
from connectors.imaging.codes import coded, laterality_of, system_of
from connectors.imaging.elements import ObjectError
from connectors.imaging.objects import Picture, Segmentation, Selection, read
from connectors.imaging.other_objects import map_picture, map_segmentation, map_selection
from connectors.imaging.patient import identified, moment
from connectors.imaging.report_contents import Measurement, Report
from connectors.interpretation import (
    About,
    Interpretation,
    Issue,
    NoFacts,
    Profile,
    RefusedError,
    Site,
)
from connectors.quarantine import Reason
from connectors.wire import WireMessage

LONGEST_S: Final = 30.0  # to read one object: every other message waits for it
_process = Apart(LONGEST_S)


def interpret_object(message: WireMessage, key: IdentityKey, site: Site) -> list[Interpretation]:
    """What one object says. Never raises, whatever the bytes."""
    out = Interpretation(
        "quarantine", message_type="DICOM SR", source=message.source, sent=message.heard
    )
    try:
        found, profile = _read(message.raw), site.of(message.source)
        if isinstance(found, Selection):
            out.message_type = "DICOM KO"
            map_selection(found, message, key, profile, out)
        elif isinstance(found, Segmentation):
            out.message_type = "DICOM SEG"
            map_segmentation(found, message, key, profile, out)
        elif isinstance(found, Picture):
            out.message_type = "DICOM"
            map_picture(found, message, key, profile, out)
        else:
            _map(found, message, key, profile, out)
    except RefusedError as refused:
        out.refuse(refused.issue)
    return [out]


def _read(raw: bytes) -> Report | Selection | Segmentation | Picture:
    try:
        return _process.run(read, raw)
    except ObjectError as error:
        raise RefusedError(Reason.BAD_DICOM, str(error)) from None
    except BrokeError:
        raise RefusedError(Reason.BAD_DICOM, "reading it broke, or took too long") from None


def _map(
    report: Report, message: WireMessage, key: IdentityKey, profile: Profile, out: Interpretation
) -> None:
    identifier, identity = identified(report.patient, profile)
    if not report.study or not report.series:
        raise RefusedError(Reason.NO_STUDY, "no StudyInstanceUID or SeriesInstanceUID", "")
    latest = message.heard + profile.max_future_s
    said = report.content_date and report.content_date + report.content_time
    written = moment(said, report.offset, latest, profile)
    if written is None:
        raise RefusedError(Reason.NO_TIME, "no content date", "(0008,0023)")
    out.sent = written
    about = About(key.pseudonym(identifier), identity)
    final = int(report.complete and not report.preliminary)
    rank: Rank = (final, written, int(bool(report.replaces)), key.short(report.sop_instance))
    for number, measured in enumerate(report.measurements, 1):
        try:
            fact = _observation(measured, report, written, latest, rank, key, profile)
        except RefusedError as refused:
            reason, detail, _ = refused.issue
            out.issues.append(Issue(reason, detail, f"NUM[{number}]"))
        else:
            about.facts.append(fact)
    out.patients = [about]
    if about.facts:
        out.outcome, out.reason = "facts", ""
    elif out.issues:
        out.reason = out.issues[0].reason
    else:
        out.outcome, out.reason = "no_facts", NoFacts.NOTHING_MAPPED


def _observation(
    measured: Measurement,
    report: Report,
    written: float,
    latest: float,
    rank: Rank,
    key: IdentityKey,
    profile: Profile,
) -> Observation:
    """One measurement. Raises `RefusedError`."""
    if not measured.code.value:
        raise RefusedError(Reason.NO_CODE, "a measurement without a concept name")
    value: float | None = None
    if measured.value:
        try:
            value = float(measured.value)
        except ValueError:
            raise RefusedError(Reason.NOT_A_NUMBER, "a measured value that is none") from None
        if not math.isfinite(value):
            raise RefusedError(Reason.NOT_A_NUMBER, "a measured value that is not finite")
    elif not measured.why:
        raise RefusedError(Reason.NO_VALUE, "neither a value nor why there is none")
    time = moment(measured.observed, report.offset, latest, profile)
    study = key.study(report.study)
    tracking = key.short("tracking", measured.tracking) if measured.tracking else ""
    which = (tracking, measured.place[-1]) if tracking else measured.place
    instance, number = measured.segment
    return Observation(
        id=key.short("sr", study, report.series, report.title.value, *which),
        rank=rank,
        code=measured.code.value,
        system=system_of(measured.code),
        name=measured.code.meaning,
        time=written if time is None else time,
        status="F" if rank[0] else "P",
        value=value,
        unit="" if measured.unit.value == "1" else measured.unit.value,
        study=study,
        object=key.short("object", report.sop_instance),
        site=coded(measured.site),
        laterality=laterality_of(measured.laterality),
        tracking=tracking,
        segment=f"{key.short('object', instance)}#{number}" if instance else "",
    )
