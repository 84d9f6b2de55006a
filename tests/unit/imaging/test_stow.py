"""Objects that an archive pushes: each is read as if it had been fetched."""

from __future__ import annotations

import random
from typing import Any

import pytest
from pydicom import dcmread
from pydicom.data import get_testdata_file
from pydicom.uid import CTImageStorage

from connectors import wire
from connectors.facts import ImagingObject, Observation, Stage, StudyEvent
from connectors.identity import Identifier, IdentityKey
from connectors.interpret import interpret
from connectors.interpretation import Interpretation, Profile, StudyToFetch
from models.record import PatientRecord
from models.studies import studies
from tests.unit.imaging.objects import STUDY, lesion, part10, rejection, report, segmentation

HEARD = 1_767_272_400.0  # 2026-01-01 13:00 UTC
KEY = IdentityKey(bytes(32))
CONTENT = f'{wire.STOW}; type="application/dicom"; boundary="xyz"'
LUNG = ("39607008", "SCT", "Lung")
REPORT = ("1.2.840.10008.5.1.4.1.1.88.33", "1.2.826.0.1.99.3")


def read(raw: bytes, content: str = CONTENT) -> list[Interpretation]:
    return interpret(wire.WireMessage(raw, "t/0/0", HEARD, "PACS", "", content), KEY, Profile())


def body(*parts: bytes, eol: bytes = b"\r\n") -> bytes:
    head = b"Content-Type: application/dicom" + eol + eol
    return b"".join(b"--xyz\r\n" + head + part + b"\r\n" for part in parts) + b"--xyz--\r\n"


def picture() -> bytes:
    path = get_testdata_file("CT_small.dcm")
    assert path is not None
    dataset: Any = dcmread(path)
    dataset.StudyInstanceUID, dataset.PatientID, dataset.IssuerOfPatientID = STUDY, "42", "HOSP"
    return part10(dataset)


def test_each_object_is_read_for_itself() -> None:
    found = read(body(report(lesion("12.5")), segmentation(LUNG), rejection("113001", REPORT)))
    assert [one.outcome for one in found] == ["facts"] * 3
    kinds = [type(f) for one in found for f in one.facts]
    assert kinds.count(Observation) == 1
    assert kinds.count(ImagingObject) == 3
    record = PatientRecord()
    for one in found:
        record.fold_facts(one.facts)
    assert record.series("103339001") == []  # the note came with what it rejects


def test_a_picture_says_that_its_study_is_available() -> None:
    (found,) = read(body(picture()))
    (event,) = [f for f in found.facts if isinstance(f, StudyEvent)]
    assert (event.stage, event.study, event.modality) == (
        Stage.AVAILABLE, KEY.study(STUDY), "CT",
    )  # fmt: skip
    assert found.fetch == [StudyToFetch(STUDY)]
    assert found.pseudonym == KEY.pseudonym(Identifier("HOSP", "MR", "42"))


def test_pushed_twice_and_picture_by_picture_is_one_study() -> None:
    record = PatientRecord()
    for raw in (body(picture()), body(picture(), picture()), body(picture())):
        for one in read(raw):
            record.fold_facts(one.facts)
    assert [len(one.fetch) for one in read(body(picture(), picture()))] == [1, 0]
    events = [f for f in record.facts.values() if isinstance(f, StudyEvent)]
    assert [s.stage for s in studies(events)] == [Stage.AVAILABLE]
    assert len(events) == 1


def test_a_damaged_part_leaves_the_others() -> None:
    found = read(body(report(lesion("12.5")), b"damaged", report(lesion("7", "1.2.9"))))
    assert [one.outcome for one in found] == ["facts", "quarantine", "facts"]
    assert found[1].issues[0].location.startswith("part 2")


@pytest.mark.parametrize(
    ("raw", "content"),
    [
        (b"", CONTENT),
        (body(), CONTENT),
        (body(report(lesion("1")))[:-8], CONTENT),
        (body(report(lesion("1"))), wire.STOW),
        (body(report(lesion("1"))), f"{wire.STOW}; boundary=other"),
        (b"--xyz\r\ncontent-type: text/plain\r\n\r\nx\r\n--xyz--", CONTENT),
        (b"--xyz\r\n" * 3_000 + b"--xyz--", CONTENT),
    ],
)
def test_what_is_no_such_body_says_why(raw: bytes, content: str) -> None:
    (found,) = read(raw, content)
    assert found.outcome == "quarantine"
    assert found.reason in ("bad_dicom", "oversized")


def test_lines_may_end_in_either_way_and_bytes_may_be_any() -> None:
    (found,) = read(body(report(lesion("12.5")), eol=b"\n"))
    assert found.outcome == "facts"
    chance = random.Random(5)
    raw = body(report(lesion("12.5")), picture())
    for _ in range(25):
        damaged = bytearray(raw)
        for _ in range(chance.randrange(1, 9)):
            damaged[chance.randrange(len(damaged))] = chance.randrange(256)
        for one in read(bytes(damaged[: chance.randrange(1, len(damaged))])):
            assert one.outcome in ("facts", "no_facts", "quarantine")
            assert (one.outcome == "facts") == bool(one.facts)


def test_pictures_of_nobody_have_a_reason() -> None:
    dataset: Any = dcmread(get_testdata_file("CT_small.dcm"))
    assert dataset.SOPClassUID == CTImageStorage
    dataset.PatientID = ""
    (found,) = read(body(part10(dataset)))
    assert (found.outcome, found.reason) == ("quarantine", "no_patient")
