"""Over HTTP into the running system, with the server and the broker killed in between."""

from __future__ import annotations

import contextlib
import json
import socket
import tempfile
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import psutil
import pytest
import requests

from connectors import topics
from connectors.facts import Examined, Presence, Stage, StudyEvent
from connectors.identity import Identifier, load_key
from models import genome, reported
from models.record import PatientRecord
from models.studies import studies
from streams.local.up import PROCESSES, down, up
from streams.settings import Settings
from tests.acceptance.system import System, wait_for
from tests.unit.fhir.resources import bundle, patient, report, study, variant
from tests.unit.fhir.test_fhir_report import BRAF
from tests.unit.genomics.test_vcf import file

pytestmark = [pytest.mark.kafka, pytest.mark.redis, pytest.mark.slow, pytest.mark.timeout(600)]

TOKEN = "a-token-that-is-long-enough"
WANTED = [c for c in PROCESSES if c.name in ("http", "sequencer")]


class Sender:
    """A laboratory and an archive."""

    def __init__(self, system: System) -> None:
        self.system, self.url = system, system.endpoints.http
        key = load_key("", system.settings.home)
        self.patient = key.pseudonym(Identifier("HOSP", "MR", "42"))

    def send(self, path: str, content: object, **headers: str) -> requests.Response:
        raw = content if isinstance(content, bytes) else json.dumps(content).encode()
        said = {"content-type": "application/fhir+json", "authorization": f"Bearer {TOKEN}"}
        return requests.post(self.url + path, data=raw, headers=said | headers, timeout=300)

    def record(self) -> PatientRecord:
        found = PatientRecord()
        for message in self.system.messages():
            if message.patient == self.patient:
                found.fold_facts(message.facts)
        return found

    def stages(self) -> list[Stage]:
        events = [f for f in self.record().facts.values() if isinstance(f, StudyEvent)]
        return [study.stage for study in studies(events)]


@pytest.fixture
def sender(tmp_path: Path) -> Iterator[Sender]:
    tokens = tmp_path / "tokens"
    tokens.write_text(f"LAB {TOKEN}\n")
    with tempfile.TemporaryDirectory(prefix="tocsin-http-") as folder:
        settings = Settings(
            home=Path(folder),
            sequencer={"tick_s": 1.0},
            telemetry={"trace_ratio": 0.0},
            http={"tokens": tokens, "answer_timeout_s": 240.0},
        )
        try:
            yield Sender(System(up(settings, processes=WANTED), settings))
        finally:
            down(settings.home)


def test_from_the_request_to_the_facts(sender: Sender) -> None:
    of_file = {"subject": "HOSP|MR|42"}
    vcf = file("chr1 100 A G PASS . GT 0/1", "chr1 200 C T PASS . GT 0/0")
    assert sender.send("/fhir/ImagingStudy", study()).status_code == 202
    assert sender.send("/fhir", bundle(report(variant(*BRAF)))).status_code == 202
    stated = "; sample=S1; source-class=germline; assembly=GRCh38"
    for path, raw, kind in (("/vcf", vcf, "text/vcf"), ("/bed", b"1\t50\t300\n", "text/x-bed")):
        answer = sender.send(path, raw, **of_file, **{"content-type": kind + stated})
        assert answer.status_code == 202, answer.text
    refused = sender.send("/fhir", b"{", authorization="Bearer nobody-knows-this-token")
    assert refused.status_code == 401

    def facts() -> list[object]:
        return list(sender.record().facts.values())

    wait_for(lambda: any(isinstance(f, Examined) for f in facts()), "the regions")
    wait_for(lambda: len(genome.variants(sender.record().facts.values())) == 3, "the variants")
    # Imaging is on another topic: nothing says which of the two is read first.
    wait_for(lambda: sender.stages() == [Stage.AVAILABLE], "the study")
    known = sender.record().facts.values()
    at = [reported.presence_at(known, "GRCh38", "1", n) for n in (100, 200, 250, 400)]
    assert at == [
        Presence.PRESENT, Presence.ABSENT, Presence.ABSENT, Presence.NOT_EXAMINED,
    ]  # fmt: skip

    # An available study makes the sequencer ask the archive.
    def asked() -> bool:
        return any(b"study_uid" in v for _, _, v in sender.system.read(topics.WIRE_IMAGING))

    wait_for(asked, "the archive is asked")

    # Nothing that is read, nobody's, malformed: each with its reason, and nothing else.
    assert sender.send("/fhir", bundle(patient())).status_code == 202
    nobody = study() | {"subject": {"reference": "Patient/7"}, "contained": []}
    assert sender.send("/fhir/ImagingStudy", nobody).status_code == 202
    assert sender.send("/fhir", b"{").status_code == 400
    wait_for(lambda: len(sender.system.quarantine()) == 3, "what lies in quarantine")
    assert {(q.reason, q.source) for q in sender.system.quarantine()} == {
        ("unsupported_content", "LAB"), ("no_patient", "LAB"), ("bad_fhir", "LAB"),
    }  # fmt: skip

    # Nothing of a person in facts or logs.
    for value in (v for _, _, v in sender.system.read(topics.FACTS)):
        assert b"HOSP" not in value and b"1.2.826.0.1.99" not in value
    log = (sender.system.home / "log" / "http.log").read_text()
    assert "HOSP" not in log and TOKEN not in log


def test_the_server_and_the_broker_are_killed(sender: Sender) -> None:
    # The server dies in the middle of a body: no answer, so it is sent again.
    port = int(sender.url.rpartition(":")[2])
    raw = json.dumps(study()).encode()
    with socket.create_connection(("127.0.0.1", port)) as half:
        head = (
            "POST /fhir HTTP/1.1\r\nhost: localhost\r\ncontent-type: application/fhir+json\r\n"
            f"authorization: Bearer {TOKEN}\r\ncontent-length: {len(raw)}\r\n\r\n"
        )
        half.sendall(head.encode() + raw[:50])
        time.sleep(0.5)
        _kill(sender.system.process("http"))
        half.settimeout(60)
        with contextlib.suppress(ConnectionResetError):
            assert half.recv(1) == b""
    wait_for(lambda: _listens(port), "the server is back")
    assert sender.send("/fhir", study(uid="1.2.0")).status_code == 202

    # The broker dies under load: answers wait, and everything that was answered is there.
    answers: dict[int, int] = {}

    def send(number: int) -> None:
        answers[number] = sender.send("/fhir", study(uid=f"1.2.{number}")).status_code

    threads = [threading.Thread(target=send, args=(n,)) for n in range(1, 31)]
    for number, thread in enumerate(threads):
        thread.start()
        if number == 10:
            _kill(sender.system.server("kafka"))
    time.sleep(3)
    assert len(answers) < 30
    up(sender.system.settings, processes=WANTED)
    for thread in threads:
        thread.join(300)
    assert answers == dict.fromkeys(range(1, 31), 202)
    wait_for(lambda: len(sender.stages()) == 31, "all studies")
    assert set(sender.stages()) == {Stage.AVAILABLE}
    assert sender.system.quarantine() == []


def _listens(port: int) -> bool:
    with socket.socket() as s:
        return s.connect_ex(("127.0.0.1", port)) == 0


def _kill(process: psutil.Process) -> None:
    process.kill()
    process.wait(60)
