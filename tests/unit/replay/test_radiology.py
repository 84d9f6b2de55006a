"""Radiomics as structured reports: what Tocsin reads of them is what the cohort says."""

from __future__ import annotations

import io

import pytest
from pydicom import dcmread

from connectors import wire
from connectors.cohorts.tumour import LOCAL, Result, TumourPatient
from connectors.cohorts.ucsf_pdgm import RADIOMICS, radiomic_code
from connectors.facts import Observation
from connectors.identity import Identifier, IdentityKey
from connectors.interpret import interpret
from connectors.interpretation import Profile
from connectors.replay import radiology
from connectors.replay.archive_delivery import ArchiveError, announce, store
from connectors.settings import ArchiveSettings

AT = 1_700_000_000.0
AUTHORITY = "UCSF-PDGM"
KEY = IdentityKey(bytes(32))


def patient(number: int = 7) -> TumourPatient:
    images = [
        Result(0, "imaging", radiomic_code(f, i), LOCAL, name, 1.23456789e-3 * n, unit)
        for n, (f, i, name, unit) in enumerate(RADIOMICS, 1)
    ]
    other = Result(7, "ehr", "who-cns-grade", LOCAL, "Grade", 4.0, "{grade}")
    return TumourPatient(number, 60.0, "F", (*images, other), 1)


def test_a_report_says_what_the_cohort_says() -> None:
    raw = radiology.report_of(patient(), AT, AUTHORITY)
    message = wire.WireMessage(raw, "t/0/0", AT + 60, "ARCHIVE", "", wire.DICOM)
    (found,) = interpret(message, KEY, Profile())
    assert found.outcome == "facts" and found.issues == []
    assert found.pseudonym == KEY.pseudonym(Identifier(AUTHORITY, "MR", "7"))
    said = [f for f in found.facts if isinstance(f, Observation)]
    assert [(f.code, f.system) for f in said] == [
        (r.code, LOCAL) for r in radiology.measured(patient())
    ]
    for fact, result in zip(said, radiology.measured(patient()), strict=True):
        assert fact.value == pytest.approx(float(result.value), rel=1e-8)
        assert fact.unit == ("" if result.unit == "1" else result.unit)
        assert fact.time == AT
        assert fact.study == KEY.study(radiology.study_of(patient(), AUTHORITY))


def test_the_same_patient_gives_the_same_bytes_and_another_another_study() -> None:
    one, again = (radiology.report_of(patient(), AT, AUTHORITY) for _ in range(2))
    assert one == again
    other = dcmread(io.BytesIO(radiology.report_of(patient(8), AT, AUTHORITY)))
    assert other.StudyInstanceUID != dcmread(io.BytesIO(one)).StudyInstanceUID


def test_the_notice_names_the_report() -> None:
    (notice,) = radiology.notice_of([patient()], AUTHORITY)
    report = dcmread(io.BytesIO(radiology.report_of(patient(), AT, AUTHORITY)))
    assert notice.StudyInstanceUID == report.StudyInstanceUID
    (series,) = notice.ReferencedSeriesSequence
    (instance,) = series.ReferencedSOPSequence
    assert series.SeriesInstanceUID == report.SeriesInstanceUID
    assert instance.ReferencedSOPInstanceUID == report.SOPInstanceUID


def test_other_feeds_do_not_say_what_images_say() -> None:
    rest = radiology.without_images(patient())
    assert [r.kind for r in rest.results] == ["ehr"]
    assert (rest.record_id, rest.age, rest.sex, rest.label) == (7, 60.0, "F", 1)


def test_an_archive_that_is_away_is_an_error_in_words() -> None:
    settings = ArchiveSettings(url="http://127.0.0.1:9/dicom-web", timeout_s=1.0)
    report = radiology.report_of(patient(), AT, AUTHORITY)
    with pytest.raises(ArchiveError, match=r"127\.0\.0\.1:9"):
        store(settings, [report], lambda _: None)
    with pytest.raises(ArchiveError, match=r"127\.0\.0\.1:9"):
        announce("127.0.0.1:9", "TOCSIN", radiology.notice_of([patient()], AUTHORITY))
