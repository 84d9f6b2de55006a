"""Rejection notes and segmentations from a real archive, by DICOMweb, C-GET and C-MOVE."""

from __future__ import annotations

import io
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
import requests
from pydicom import dcmread
from pydicom.data import get_testdata_file
from pydicom.uid import (
    ComprehensiveSRStorage,
    DeflatedExplicitVRLittleEndian,
    ExplicitVRBigEndian,
)

from connectors import facts, topics
from connectors.facts import ImagingObject, Observation, Stage, StudyEvent
from connectors.identity import Identifier, load_key
from models.record import PatientRecord
from models.studies import segment_of, studies
from streams.local.process import free_port
from streams.local.up import PROCESSES, down, up
from streams.settings import Settings
from tests.acceptance.system import System, wait_for
from tests.integration.imaging.orthanc import Orthanc
from tests.integration.imaging.test_archive import images, measured
from tests.unit.imaging.objects import (
    DIAMETER,
    STUDY,
    lesion,
    measured_in,
    part10,
    rejection,
    report,
    segmentation,
    written_as,
)

pytestmark = [pytest.mark.kafka, pytest.mark.redis, pytest.mark.slow]

SEG, SECOND = "1.2.826.0.1.99.60", "1.2.826.0.1.99.71"
LUNG, LIVER = ("39607008", "SCT", "Lung"), ("10200004", "SCT", "Liver")


class Radiology:
    """The archive, a script that says what it has stored, and Tocsin."""

    def __init__(self, archive: Orthanc, system: System) -> None:
        self.archive, self.system = archive, system
        key = load_key("", system.settings.home)
        self.patient = key.pseudonym(Identifier("HOSP", "MR", "42"))

    def stored(self) -> None:
        """The answer to a store request, forwarded."""
        url = f"http://archive/dicom-web/studies/{STUDY}"
        answer = requests.post(
            f"{self.system.endpoints.http}/dicom-web/studies",
            json={"00081190": {"vr": "UR", "Value": [url]}},
            timeout=30,
        )
        assert answer.status_code == 202, answer.text

    def record(self) -> PatientRecord:
        found = PatientRecord()
        for message in self.system.messages():
            if message.patient == self.patient:
                found.fold_facts(message.facts)
        return found

    def values(self) -> list[object]:
        return [o.value for o in self.record().series(DIAMETER[0])]


@pytest.fixture(params=["dicomweb", "c-get", "c-move"])
def radiology(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Radiology]:
    move_port = free_port()
    (tmp_path / "site.yaml").write_text("sources: [{match: ARCHIVE, facility: HOSP}]")
    with (
        Orthanc(tmp_path, move_port) as archive,
        tempfile.TemporaryDirectory(prefix="tocsin-radiology-") as folder,
    ):
        asked = {
            "dicomweb": {"url": archive.url, "user": "tocsin", "password": "secret"},
            "c-get": {"address": f"127.0.0.1:{archive.dicom}"},
            "c-move": {
                "address": f"127.0.0.1:{archive.dicom}",
                "retrieve": "c-move",
                "move_port": move_port,
            },
        }[request.param]
        settings = Settings(
            home=Path(folder),
            sequencer={"tick_s": 1.0, "site": tmp_path / "site.yaml"},
            telemetry={"trace_ratio": 0.0},
            archive={**asked, "timeout_s": 10.0},
        )
        wanted = [c for c in PROCESSES if c.name in ("imaging", "http", "sequencer")]
        try:
            yield Radiology(archive, System(up(settings, processes=wanted), settings))
        finally:
            down(settings.home)


def test_values_segments_and_rejections(radiology: Radiology, tmp_path: Path) -> None:
    archive = radiology.archive
    # Pictures with private tags and odd transfer syntaxes, one of them with bad metadata.
    archive.store(*images(tmp_path, STUDY))
    _put(archive, _with_bad_metadata())
    first = written_as(
        DeflatedExplicitVRLittleEndian, report(lesion("12.5", "1.2.3", measured_in(2, SEG)))
    )
    other = report(lesion("30", "1.2.4"), instance=SECOND, SeriesInstanceUID=f"{SECOND}.1")
    second = written_as(ExplicitVRBigEndian, _with_private_tags(other))
    archive.store(measured(tmp_path, first, "first.dcm"))
    archive.store(measured(tmp_path, segmentation(LUNG, LIVER), "seg.dcm"))
    _put(archive, second)
    radiology.stored()
    wait_for(lambda: sorted(radiology.values(), key=str) == [12.5, 30.0], "the values")

    def segment() -> object:
        found = radiology.record().facts.values()
        (value,) = [o for o in found if isinstance(o, Observation) and o.value == 12.5]
        return segment_of(value, [o for o in found if isinstance(o, ImagingObject)])

    wait_for(segment, "the segmentation")
    assert getattr(segment(), "site", "") == "10200004^SCT"

    # A note rejects the first report.
    note = rejection("113038", (ComprehensiveSRStorage, "1.2.826.0.1.99.3"))
    archive.store(measured(tmp_path, note, "note.dcm"))
    radiology.stored()
    wait_for(lambda: radiology.values() == [30.0], "the rejection")
    radiology.stored()
    time.sleep(3)
    assert radiology.values() == [30.0]
    known = radiology.record().facts.values()
    (study,) = studies(
        [f for f in known if isinstance(f, StudyEvent)],
        [f for f in known if isinstance(f, ImagingObject)],
    )
    assert study.stage is Stage.AVAILABLE
    assert radiology.system.quarantine() == []
    for value in (v for _, _, v in radiology.system.read(topics.FACTS)):
        facts.decode(value)
        assert STUDY.encode() not in value and b"DOE" not in value


@pytest.fixture
def pushing(tmp_path: Path) -> Iterator[Radiology]:
    """Tocsin knows no archive; the archive pushes to it."""
    with (
        Orthanc(tmp_path) as archive,
        tempfile.TemporaryDirectory(prefix="tocsin-radiology-") as folder,
    ):
        settings = Settings(
            home=Path(folder), sequencer={"tick_s": 1.0}, telemetry={"trace_ratio": 0.0}
        )
        wanted = [c for c in PROCESSES if c.name in ("http", "sequencer")]
        try:
            yield Radiology(archive, System(up(settings, processes=wanted), settings))
        finally:
            down(settings.home)


def test_an_archive_pushes_what_it_stores(pushing: Radiology, tmp_path: Path) -> None:
    url = f"{pushing.system.endpoints.http}/dicom-web/"
    first = measured(tmp_path, report(lesion("12.5", "1.2.3", measured_in(2, SEG))), "first.dcm")
    pictures = images(tmp_path, STUDY)
    pushing.archive.push(url, first, *pictures)
    wait_for(lambda: pushing.values() == [12.5], "the value")
    note = rejection("113001", (ComprehensiveSRStorage, "1.2.826.0.1.99.3"))
    pushing.archive.push(url, measured(tmp_path, note, "note.dcm"), first)
    wait_for(lambda: pushing.values() == [], "the rejection")
    events = [f for f in pushing.record().facts.values() if isinstance(f, StudyEvent)]
    assert [s.stage for s in studies(events)] == [Stage.AVAILABLE]
    assert pushing.system.quarantine() == []


def _put(archive: Orthanc, raw: bytes) -> None:
    """Over Orthanc's own interface, which takes what dcmtk will not send."""
    url = f"http://127.0.0.1:{archive.http}/instances"
    requests.post(url, data=raw, auth=("tocsin", "secret"), timeout=30).raise_for_status()


def _with_private_tags(raw: bytes) -> bytes:
    dataset = dcmread(io.BytesIO(raw))
    block = dataset.private_block(0x0011, "ACME 1.0", create=True)
    block.add_new(0x01, "LO", "something of the vendor's")
    block.add_new(0x02, "UN", b"\x00\x01\xff")
    return part10(dataset)


def _with_bad_metadata() -> bytes:
    """A picture of the study whose file header names another class, object and maker."""
    path = get_testdata_file("CT_small.dcm")
    assert path is not None
    dataset = dcmread(path)
    dataset.StudyInstanceUID, dataset.PatientID, dataset.IssuerOfPatientID = STUDY, "42", "HOSP"
    dataset.SOPInstanceUID = f"{STUDY}.77"
    dataset.file_meta.MediaStorageSOPInstanceUID = "1.2.3"
    dataset.file_meta.MediaStorageSOPClassUID = ComprehensiveSRStorage
    dataset.file_meta.ImplementationVersionName = "NONSENSE"
    out = io.BytesIO()
    dataset.save_as(out)
    return out.getvalue()
