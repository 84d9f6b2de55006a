"""From the modality to the facts: real Orthanc, dcmtk, Kafka and Redis, and Tocsin's processes."""

from __future__ import annotations

import asyncio
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

import psutil
import pytest
from pydicom import dcmread
from pydicom.data import get_testdata_file
from pydicom.dataset import Dataset
from pynetdicom import AE
from pynetdicom.sop_class import (  # type: ignore[attr-defined]
    InstanceAvailabilityNotification,
    ModalityPerformedProcedureStep,
)

from connectors import facts, topics
from connectors.facts import Stage, StudyEvent
from connectors.identity import Identifier, load_key
from models.record import PatientRecord
from models.studies import studies
from streams.local.process import free_port
from streams.local.state import Command, read_running
from streams.local.up import PROCESSES, down, up
from streams.settings import Settings
from tests.acceptance.system import System, send, wait_for
from tests.integration.imaging.orthanc import Orthanc
from tests.unit.imaging.objects import STUDY, echo, lesion, notice, report, step

pytestmark = [pytest.mark.kafka, pytest.mark.redis, pytest.mark.slow]

SECOND = "1.2.826.0.1.99.200"
LESION, EJECTION = "103339001", "10230-1"


class Hospital:
    """The archive, Tocsin, and what a modality does."""

    def __init__(self, archive: Orthanc, system: System, port: int) -> None:
        self.archive, self.system, self.port = archive, system, port
        key = load_key("", system.settings.home)
        self.patient = key.pseudonym(Identifier("HOSP", "MR", "42"))

    def create(self, sop_class: str, uid: str, dataset: Dataset) -> int:
        return self._request(sop_class, lambda a: a.send_n_create(dataset, sop_class, uid))

    def change(self, uid: str, dataset: Dataset) -> int:
        sop_class = ModalityPerformedProcedureStep
        return self._request(sop_class, lambda a: a.send_n_set(dataset, sop_class, uid))

    def _request(self, sop_class: str, ask: object) -> int:
        entity = AE(ae_title="MR1")
        entity.add_requested_context(sop_class)
        association = entity.associate("127.0.0.1", self.port, ae_title="TOCSIN")
        assert association.is_established
        try:
            status, _ = ask(association)  # type: ignore[operator]
            return int(status.Status)
        finally:
            association.release()

    def announce(self, uid: str = STUDY, availability: str = "ONLINE") -> None:
        dataset = notice(availability, uid)
        number = f"1.2.826.0.1.99.{time.monotonic_ns() % 10**9}"
        assert self.create(InstanceAvailabilityNotification, number, dataset) == 0

    def record(self) -> PatientRecord:
        found = PatientRecord()
        for message in self.system.messages():
            if message.patient == self.patient:
                found.fold_facts(message.facts)
        return found

    def values(self, code: str) -> list[object]:
        return [v.value for v in self.record().series(code)]

    def stages(self) -> dict[str, Stage]:
        events = [f for f in self.record().facts.values() if isinstance(f, StudyEvent)]
        return {study.study: study.stage for study in studies(events)}

    def kill_imaging(self) -> None:
        process = read_running(self.system.settings.home)["imaging"].pid
        assert process is not None
        psutil.Process(process.pid).kill()

        def again() -> bool:
            now = read_running(self.system.settings.home)["imaging"]
            started = now.pid is not None and now.pid.pid != process.pid
            return started and now.status == "running" and _listens(self.port)

        wait_for(again, "the imaging process is back")


def _listens(port: int) -> bool:
    with socket.socket() as s:
        return s.connect_ex(("127.0.0.1", port)) == 0


@pytest.fixture
def hospital(tmp_path: Path) -> Iterator[Hospital]:
    port = free_port()
    with (
        Orthanc(tmp_path) as archive,
        tempfile.TemporaryDirectory(prefix="tocsin-imaging-") as folder,
    ):
        home = Path(folder)
        settings = Settings(
            home=home,
            sequencer={"tick_s": 1.0},
            telemetry={"trace_ratio": 0.0},
            imaging={"port": port, "callers": ("MR1", "PYNETDICOM", "ECHOSCU")},
            archive={"url": archive.url, "user": "tocsin", "password": "secret", "timeout_s": 5.0},
        )
        wanted = [c for c in PROCESSES if c.name in ("mllp", "sequencer")]
        imaging = Command("imaging", (sys.executable, "-m", "streams.cli", "imaging"))
        try:
            yield Hospital(
                archive, System(up(settings, processes=[*wanted, imaging]), settings), port
            )
        finally:
            down(home)


async def _send(system: System, raw: bytes) -> None:
    await send(system, raw)


def images(folder: Path, uid: str) -> list[Path]:
    """Pictures of other makers: private tags, odd transfer syntaxes, all of one study."""
    found = []
    for number, name in enumerate(("CT_small.dcm", "MR_small_RLE.dcm", "JPEG2000.dcm")):
        path = get_testdata_file(name)
        assert path is not None
        dataset = dcmread(path)
        dataset.StudyInstanceUID, dataset.PatientID = uid, "42"
        dataset.IssuerOfPatientID = "HOSP"
        dataset.SOPInstanceUID = dataset.file_meta.MediaStorageSOPInstanceUID = f"{uid}.{number}"
        found.append(folder / f"{uid}-{number}.dcm")
        dataset.save_as(found[-1])
    return found


def measured(folder: Path, raw: bytes, name: str) -> Path:
    (folder / name).write_bytes(raw)
    return folder / name


def test_a_study_from_the_modality_to_the_facts(hospital: Hospital, tmp_path: Path) -> None:
    archive, mpps = hospital.archive, ModalityPerformedProcedureStep
    echoscu = ["echoscu", "-aec", "TOCSIN", "127.0.0.1", str(hospital.port)]
    subprocess.run(echoscu, check=True, capture_output=True, timeout=90)

    # The modality begins, Tocsin is killed, the modality ends.
    assert hospital.create(mpps, "1.2.826.0.1.99.5", step("IN PROGRESS")) == 0
    assert hospital.create(mpps, "1.2.826.0.1.99.5", step("IN PROGRESS")) == 0x0111  # twice
    hospital.kill_imaging()
    ended = Dataset()
    ended.PerformedProcedureStepStatus = "COMPLETED"
    ended.PerformedProcedureStepEndDate, ended.PerformedProcedureStepEndTime = "20260101", "080000"
    assert hospital.change("1.2.826.0.1.99.5", ended) == 0
    assert hospital.change("1.2.826.0.1.99.5", ended) == 0x0110  # final: it does not change
    assert hospital.change("1.2.826.0.1.99.6", ended) == 0x0112  # nobody knows this one
    wait_for(lambda: Stage.ACQUIRED in hospital.stages().values(), "the study is acquired")

    # The archive gets pictures and a report, and says so.
    report_file = measured(tmp_path, report(lesion("12.5"), echo("35")), "report.dcm")
    archive.store(*images(tmp_path, STUDY), report_file)
    hospital.announce()
    wait_for(lambda: hospital.values(LESION) == [12.5], "the measurement")
    assert sorted(hospital.values(EJECTION), key=str) == [35.0, 50.0]
    assert list(hospital.stages().values()) == [Stage.AVAILABLE]

    # Announced again and again: it is fetched again, and nothing changes.
    before = len(hospital.record().facts)
    logged = len(hospital.system.read(topics.WIRE_IMAGING))
    hospital.announce()
    hospital.announce()
    # Two notices, two requests, and each time what the archive says and its report.
    wait_for(lambda: len(hospital.system.read(topics.WIRE_IMAGING)) >= logged + 8, "asked again")
    time.sleep(2)
    assert hospital.values(LESION) == [12.5]
    assert len(hospital.record().facts) == before

    # The archive is killed; a study that is announced meanwhile comes when it is back.
    archive.kill()
    hospital.announce(SECOND)
    time.sleep(3)
    archive.start()
    second = report(lesion("30", "1.2.3.9"), instance=f"{SECOND}.3", StudyInstanceUID=SECOND)
    archive.store(measured(tmp_path, second, "second.dcm"))
    wait_for(lambda: set(hospital.values(LESION)) == {12.5, 30.0}, "the second")

    # A corrected report replaces the first.
    corrected = report(
        lesion("13.5"),
        echo("36"),
        time="090000",
        instance="1.2.826.0.1.99.33",
        replaces="1.2.826.0.1.99.3",
    )
    archive.store(measured(tmp_path, corrected, "corrected.dcm"))
    hospital.announce()
    wait_for(lambda: sorted(hospital.values(LESION), key=str) == [13.5, 30.0], "the correction")

    # The study is rejected: its measurements go.
    rejected = (
        "MSH|^~\\&|PACS|HOSP|||20260101100000+0000||OMG^O19|9|P|2.5.1\rPID|1||42^^^HOSP^MR\r"
        f"ORC|SC|P1|A77^RIS||CM\rOBR|1|P1|A77^RIS|X^X^L{'|' * 21}X\r"
        f"OBX|1|ST|113014^DICOM Study^DCM||{STUDY}||||||O\r"
    )
    asyncio.run(_send(hospital.system, rejected.encode()))
    wait_for(lambda: hospital.values(LESION) == [30.0], "the rejection")
    assert hospital.system.quarantine() == []
    for value in (facts.encode(m) for m in hospital.system.messages()):
        assert STUDY.encode() not in value and b"DOE" not in value
