"""The HTTP port: what is taken, what is refused and why, and when the answer comes."""

from __future__ import annotations

import asyncio
import base64
import contextlib
import gzip
import json
import random
import ssl
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import httpx
import msgspec
import pytest

from connectors import topics, wire
from connectors.admission import Admission
from connectors.backlog import Backlog
from connectors.http.senders import Senders, SendersError
from connectors.http.server import HttpError, serve_into
from connectors.mllp.acknowledge import Mode
from connectors.settings import AdmissionSettings, HttpSettings
from tests.unit.fhir.resources import bundle, patient, report, study
from tests.unit.http.running import NOW, Running, running
from tests.unit.imaging.objects import lesion
from tests.unit.imaging.objects import report as structured
from tests.unit.mllp.certificates import Authority

VCF = b"##fileformat=VCFv4.2\n#CHROM\tPOS\n"
FHIR = {"content-type": "application/fhir+json"}
OF_FILE = {"content-type": "text/vcf; sample=S1; source-class=germline", "subject": "HOSP|MR|42"}
STORED = [{"00081190": {"vr": "UR", "Value": ["http://pacs/dicom-web/studies/1.2.3"]}}]
TRACE = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"


@pytest.fixture
async def server() -> AsyncIterator[Running]:
    async with running() as found:
        yield found


async def post(
    server: Running, path: str, content: Any, headers: dict[str, str] | None = None, **how: Any
) -> httpx.Response:
    raw = content if isinstance(content, bytes) else json.dumps(content).encode()
    method = how.pop("method", "POST")
    async with httpx.AsyncClient(**how) as client:
        return await client.request(
            method, server.url + path, content=raw, headers=FHIR if headers is None else headers
        )


def said(answer: httpx.Response) -> tuple[str, str]:
    """Reason and words, whichever way they are told."""
    told = answer.json()
    if told.get("resourceType") == "OperationOutcome":
        assert answer.headers["content-type"] == "application/fhir+json"
        details = told["issue"][0]["details"]
        return details["coding"][0]["code"], details["text"]
    assert answer.headers["content-type"] == "application/problem+json"
    assert told["status"] == answer.status_code
    return told["reason"], told["detail"]


@pytest.mark.parametrize(
    ("path", "method", "content", "topic"),
    [
        ("/fhir/ImagingStudy", "POST", study(), topics.WIRE_IMAGING),
        ("/fhir/ImagingStudy/s1", "PUT", study(), topics.WIRE_IMAGING),
        ("/fhir", "POST", study(), topics.WIRE_IMAGING),
        ("/fhir", "POST", bundle(patient(), study(), kind="transaction"), topics.WIRE_IMAGING),
        ("/fhir/$process-message", "POST", bundle(study(), kind="message"), topics.WIRE_IMAGING),
        ("/fhir/DiagnosticReport", "POST", report(), topics.WIRE_GENOMICS),
        ("/fhir/DiagnosticReport/d1", "PUT", report(), topics.WIRE_GENOMICS),
        ("/fhir/Bundle", "POST", bundle(report()), topics.WIRE_GENOMICS),
        ("/fhir/", "POST", bundle(patient()), topics.WIRE_GENOMICS),  # the sequencer says why not
    ],
)
async def test_fhir_goes_to_the_log_as_it_came(
    server: Running, path: str, method: str, content: dict[str, Any], topic: str
) -> None:
    answer = await post(server, path, content, {**FHIR, "traceparent": TRACE}, method=method)
    assert answer.status_code == 202
    assert answer.json()["issue"][0]["severity"] == "information"
    (record,) = server.log.records
    assert (record.topic, record.value) == (topic, json.dumps(content).encode())
    assert record.headers == {
        "content-type": wire.FHIR,
        "source": "HTTP",
        "received-at": f"{NOW:.6f}",
        "traceparent": TRACE,
    }


@pytest.mark.parametrize(
    ("path", "content_type"),
    [
        ("/dicom-web/studies", "application/dicom+json; event=stow"),
        ("/dicom-web/studies/1.2.3", "application/dicom+json; event=stow; study=1.2.3"),
    ],
)
async def test_a_notice_of_an_archive(server: Running, path: str, content_type: str) -> None:
    answer = await post(server, path, STORED, {"content-type": "application/dicom+json"})
    assert answer.status_code == 202
    (record,) = server.log.records
    assert (record.topic, record.headers["content-type"]) == (topics.WIRE_IMAGING, content_type)


@pytest.mark.parametrize("raw", [VCF, b"\xef\xbb\xbf" + VCF, gzip.compress(VCF)])
async def test_a_file_with_its_patient_in_the_header(server: Running, raw: bytes) -> None:
    answer = await post(server, "/vcf?assembly=GRCh38&source=SEQ", raw, OF_FILE)
    assert answer.status_code == 202
    (record,) = server.log.records
    assert (record.topic, record.value) == (topics.WIRE_GENOMICS, raw)
    assert record.headers["subject"] == "HOSP|MR|42"
    assert record.headers["source"] == "SEQ"
    assert record.headers["traceparent"].startswith("00-")
    stated = record.headers["content-type"]
    assert stated.startswith(wire.VCF)
    assert wire.parameters(stated) == {
        "sample": "S1", "source-class": "germline", "assembly": "GRCh38",
    }  # fmt: skip


async def test_the_patient_may_be_named_in_the_address(server: Running) -> None:
    answer = await post(server, "/vcf?subject=HOSP%7CMR%7C42", VCF, {"content-type": "text/vcf"})
    assert answer.status_code == 202
    assert server.log.records[0].headers["subject"] == "HOSP|MR|42"


async def test_regions_beside_a_file(server: Running) -> None:
    headers = {"content-type": "text/x-bed; sample=S1; of=uncallable", "subject": "HOSP|MR|42"}
    assert (await post(server, "/bed", b"1\t10\t20\n", headers)).status_code == 202
    assert wire.parameters(server.log.records[0].headers["content-type"]) == {
        "sample": "S1", "of": "uncallable",
    }  # fmt: skip


@pytest.mark.parametrize(
    ("path", "content", "headers", "status", "reason"),
    [
        ("/fhir", b"{", FHIR, 400, "bad_fhir"),
        ("/fhir", b"", FHIR, 400, "bad_fhir"),
        ("/fhir", b"\xff\xfe{\x00}\x00", FHIR, 400, "bad_fhir"),
        ("/fhir", b"[" * 5_000, FHIR, 400, "bad_fhir"),
        ("/fhir", {"status": "available"}, FHIR, 400, "bad_fhir"),
        ("/fhir", {"resourceType": "Bundle", "type": "nonsense"}, FHIR, 400, "bad_fhir"),
        ("/fhir/ImagingStudy", patient(), FHIR, 422, "unsupported_content"),
        ("/dicom-web/studies", b"{", {"content-type": "application/json"}, 400, "bad_dicom"),
        ("/dicom-web/studies", [7], {"content-type": "application/json"}, 400, "bad_dicom"),
        ("/dicom-web/studies/x", STORED, {"content-type": "application/json"}, 400, "no_study"),
        ("/vcf", b"MZ\x00", OF_FILE, 400, "bad_vcf"),
        ("/vcf", VCF, {"content-type": "text/vcf"}, 422, "no_patient"),
        ("/vcf", VCF, {**OF_FILE, "subject": "x" * 400}, 422, "no_patient"),
        ("/vcf?sample=%22%3B", VCF, OF_FILE, 422, "unsupported_content"),
        ("/bed", b"\n", {**OF_FILE, "content-type": "text/bed"}, 400, "bad_bed"),
    ],
)
async def test_what_is_malformed_is_refused_with_a_reason_and_kept(
    server: Running, path: str, content: Any, headers: dict[str, str], status: int, reason: str
) -> None:
    answer = await post(server, path, content, headers)
    assert answer.status_code == status
    assert said(answer)[0] == reason
    assert len(said(answer)[1]) > 5
    (record,) = server.log.records
    kept = json.loads(record.value)
    raw = content if isinstance(content, bytes) else json.dumps(content).encode()
    assert (record.topic, kept["reason"]) == (topics.QUARANTINE, reason)
    assert base64.b64decode(kept["raw_base64"]) == raw
    assert "42" not in json.dumps({k: v for k, v in kept.items() if k == "detail"})


@pytest.mark.parametrize(
    ("path", "headers", "status", "reason"),
    [
        ("/fhir", {"content-type": "application/fhir+xml"}, 415, "unsupported_content"),
        (
            "/vcf",
            {"content-type": "text/plain", "subject": "HOSP|MR|42"},
            415,
            "unsupported_content",
        ),
        ("/fhir", {**FHIR, "content-encoding": "gzip"}, 415, "encoded"),
        ("/fhir/Patient", FHIR, 404, "no_such_place"),
        ("/nothing", FHIR, 404, "no_such_place"),
        ("/vcf?source=%00", OF_FILE, 400, "bad_source"),
        ("/fhir", {**FHIR, "origin": "http://evil.example"}, 403, "forbidden"),
        ("/fhir", {**FHIR, "host": "rebound.example"}, 403, "forbidden"),
        ("/fhir", {**FHIR, "host": "["}, 403, "forbidden"),
    ],
)
async def test_what_is_not_for_this_port_leaves_no_trace(
    server: Running, path: str, headers: dict[str, str], status: int, reason: str
) -> None:
    answer = await post(server, path, b"{}", headers)
    assert answer.status_code == status
    assert said(answer)[0] == reason
    assert server.log.records == []


async def test_another_method_says_which_ones_there_are(server: Running) -> None:
    async with httpx.AsyncClient() as client:
        answer = await client.get(server.url + "/vcf")
    assert (answer.status_code, answer.headers["allow"]) == (405, "POST")


async def test_fhir_clients_are_told_what_they_may_send(server: Running, tmp_path: Path) -> None:
    async with httpx.AsyncClient() as client:
        answer = await client.get(server.url + "/fhir/metadata")
        assert answer.headers["content-type"] == "application/fhir+json"
        told = answer.json()
        assert (told["resourceType"], told["fhirVersion"]) == ("CapabilityStatement", "4.0.1")
        kinds = [one["type"] for one in told["rest"][0]["resource"]]
        assert kinds == ["ImagingStudy", "DiagnosticReport"]
    file = tmp_path / "tokens"
    file.write_text(f"LAB {TOKEN}\n")
    async with running(tokens=file) as guarded, httpx.AsyncClient() as client:
        assert (await client.get(guarded.url + "/fhir/metadata")).status_code == 401


@pytest.mark.parametrize("announced", [True, False])
async def test_a_body_that_is_too_large_keeps_its_beginning(announced: bool) -> None:
    async def chunks() -> AsyncIterator[bytes]:
        for _ in range(100):
            yield b"[" * 10_000

    content: Any = b"[" * 1_000_000 if announced else chunks()
    async with running(max_body_bytes=200_000) as server, httpx.AsyncClient() as client:
        answer = await client.post(server.url + "/fhir", content=content, headers=FHIR)
        assert (answer.status_code, said(answer)[0]) == (413, "oversized")
        kept = json.loads(server.log.records[0].value)
        assert len(base64.b64decode(kept["raw_base64"])) == 65_536
        # The connection goes on.
        again = await client.post(server.url + "/fhir", content=json.dumps(study()), headers=FHIR)
        assert again.status_code == 202


async def test_what_the_broker_does_not_take_is_refused_after_all(server: Running) -> None:
    server.log.largest = 100_000
    answer = await post(server, "/vcf", VCF + b"x" * 200_000, OF_FILE)
    assert (answer.status_code, said(answer)[0]) == (413, "oversized")
    assert [r.topic for r in server.log.records] == [topics.QUARANTINE]


# ── when ────────────────────────────────────────────────────────────────────────────────────


async def test_nothing_is_answered_before_the_broker_has_it(server: Running) -> None:
    server.log.hold()
    asked = asyncio.create_task(post(server, "/fhir", study()))
    await server.log_has(1)
    await asyncio.sleep(0.05)
    assert not asked.done()
    server.log.release()
    assert (await asked).status_code == 202


async def test_as_many_bodies_as_may_be_are_held_and_all_are_taken_in_the_end() -> None:
    async with running(max_requests=3) as server:
        server.log.hold()
        asked = [asyncio.create_task(post(server, "/fhir", study(uid=f"1.{n}"))) for n in range(9)]
        await server.log_has(3)
        await asyncio.sleep(0.1)
        assert server.log.most_waiting == 3
        server.log.release()
        assert {one.status_code for one in await asyncio.gather(*asked)} == {202}
        assert len(server.log.records) == 9


async def test_a_broker_that_is_away_is_said_after_a_while_and_holds_its_place() -> None:
    async with running(answer_timeout_s=1.0, max_requests=1) as server:
        server.log.hold()
        for reason in ("broker", "busy"):  # the first still holds the only place
            answer = await post(server, "/fhir", study())
            assert (answer.status_code, said(answer)[0]) == (503, reason)
            assert int(answer.headers["retry-after"]) > 0
        server.log.release()
        assert (await post(server, "/fhir", study())).status_code == 202


@pytest.mark.parametrize("largest", [1, 0])
async def test_a_record_that_is_too_large_gives_its_place_back_however_late(largest: int) -> None:
    async with running(answer_timeout_s=1.0, max_requests=1) as server:
        usual, server.log.largest = server.log.largest, largest
        server.log.hold()
        assert (await post(server, "/fhir", study())).status_code == 503
        server.log.release()  # only now the broker says that it takes no such thing
        await post(server, "/fhir", study())  # too large in time: recorded as that, or not even
        server.log.largest = usual
        assert (await post(server, "/fhir", study())).status_code == 202


async def test_a_record_that_is_lost_is_no_success(server: Running) -> None:
    server.log.hold()
    asked = asyncio.create_task(post(server, "/fhir", study()))
    await server.log_has(1)
    server.log.fail(0)
    assert (await asked).status_code == 503


async def test_a_sender_that_is_slow_does_not_keep_its_place() -> None:
    async with running(body_timeout_s=1.0, max_requests=1) as server:
        reader, writer = await asyncio.open_connection("127.0.0.1", server.port)
        head = "POST /fhir HTTP/1.1\r\nhost: localhost\r\ncontent-type: application/fhir+json\r\n"
        writer.write(f"{head}content-length: 100\r\n\r\n{{".encode())
        assert b"408" in await reader.readline()
        writer.close()
        assert (await post(server, "/fhir", study())).status_code == 202


async def test_a_body_that_is_cut_off_is_not_taken(server: Running) -> None:
    _, writer = await asyncio.open_connection("127.0.0.1", server.port)
    head = "POST /fhir HTTP/1.1\r\nhost: localhost\r\ncontent-type: application/fhir+json\r\n"
    raw = json.dumps(study()).encode()
    writer.write(f"{head}content-length: {len(raw) + 1}\r\n\r\n".encode() + raw)
    await writer.drain()
    writer.close()
    await writer.wait_closed()
    await asyncio.sleep(0.1)
    assert server.log.records == []
    assert (await post(server, "/fhir", study())).status_code == 202


async def test_a_stop_answers_what_was_taken() -> None:
    async with running() as server:
        server.log.hold()
        asked = asyncio.create_task(post(server, "/fhir", study()))
        await server.log_has(1)
        server.stop.set()
        await asyncio.sleep(0.1)
        server.log.release()
        assert (await asked).status_code == 202
        await server.task


async def test_random_bytes_leave_the_server_as_it_was(server: Running) -> None:
    chance = random.Random(7)
    for _ in range(60):
        _, writer = await asyncio.open_connection("127.0.0.1", server.port)
        begin = chance.choice(
            [b"", b"POST /fhir HTTP/1.1\r\n", b"\x16\x03\x01", b"GET / HTTP/9\r\n"]
        )
        writer.write(begin + chance.randbytes(chance.randrange(2_000)))
        with contextlib.suppress(ConnectionError):
            await writer.drain()
        writer.close()
    assert (await post(server, "/fhir", study())).status_code == 202
    assert len(server.log.records) == 1


# ── who ─────────────────────────────────────────────────────────────────────────────────────

TOKEN = "s3cret-and-long-enough"


async def test_a_token_names_the_source(tmp_path: Path) -> None:
    file = tmp_path / "tokens"
    file.write_text(f"# senders\nLAB of the house {TOKEN}\nPACS another-long-token\n")
    async with running(tokens=file) as server:
        for header, status in (
            ("", 401),
            (f"Bearer {TOKEN}x", 401),
            (f"Basic {TOKEN}", 401),
            (f"Bearer {TOKEN}", 202),
        ):
            answer = await post(server, "/fhir?source=X", study(), FHIR | {"authorization": header})
            assert answer.status_code == status
            assert status == 202 or answer.headers["www-authenticate"].startswith("Bearer")
        (record,) = server.log.records
        assert record.headers["source"] == "LAB of the house"


def test_a_changed_list_of_tokens_is_taken_over_and_a_wrong_one_is_not(tmp_path: Path) -> None:
    file = tmp_path / "tokens"
    file.write_text(f"LAB {TOKEN}\n")
    senders = Senders(HttpSettings(tokens=file))

    def source(token: str) -> str:
        from starlette.requests import Request  # noqa: PLC0415 - beside its only use

        headers = [(b"authorization", f"Bearer {token}".encode())]
        return senders.source_of(
            Request({"type": "http", "headers": headers, "query_string": b"", "method": "POST"})
        )

    assert source(TOKEN) == "LAB"
    file.write_text(f"LAB2 {TOKEN}-new\n")
    senders.look()
    assert source(f"{TOKEN}-new") == "LAB2"
    file.write_text("LAB2 short\n")
    senders.look()
    assert source(f"{TOKEN}-new") == "LAB2"


@pytest.mark.parametrize("text", ["", "LAB\n", "LAB short\n", f"{TOKEN}\n"])
def test_a_list_that_cannot_be_used_says_so_without_a_token(tmp_path: Path, text: str) -> None:
    file = tmp_path / "tokens"
    file.write_text(text)
    with pytest.raises(SendersError, match="tokens") as error:
        Senders(HttpSettings(tokens=file))
    assert TOKEN not in str(error.value)


@pytest.mark.parametrize("host", ["0.0.0.0", "192.0.2.1", "pacs.example"])  # noqa: S104 - refused
def test_without_a_way_to_know_senders_only_this_machine_is_served(host: str) -> None:
    with pytest.raises(SendersError, match=r"http\.tokens"):
        Senders(HttpSettings(host=host))


async def test_client_certificates(tmp_path: Path) -> None:
    authority, foreign = Authority(tmp_path, "ca"), Authority(tmp_path, "other")
    certificate, key = authority.issue("server")
    tls = {"certificate": certificate, "key": key, "client_ca": authority.certificate}
    async with running(tls=tls) as server:
        assert server.url.startswith("https://")
        for issuer, taken in ((authority, True), (foreign, False), (None, False)):
            trust = ssl.create_default_context(cafile=str(authority.certificate))
            if issuer is not None:
                trust.load_cert_chain(*issuer.issue(f"client-{taken}"))
            try:
                answer = await post(server, "/fhir", study(), verify=trust)
            except httpx.TransportError:
                assert not taken
            else:
                assert (taken, answer.status_code) == (True, 202)
        assert len(server.log.records) == 1


class Paused:
    """Every source is paused."""

    def mode(self, source: str) -> Mode:
        return Mode.MESSAGE

    def is_paused(self, source: str) -> bool:
        return True


async def test_a_paused_source_is_told_to_come_back() -> None:
    async with running(sources=Paused()) as server:
        answer = await post(server, "/fhir", study())
        assert (answer.status_code, said(answer)[0]) == (503, "paused")
        assert server.log.records == []


async def test_while_scoring_is_behind_an_answer_comes_late() -> None:
    now = [100.0]
    admission = Admission(AdmissionSettings(max_delay_s=3.0), lambda: now[0])
    behind = Backlog(number=1, messages=1_000_000, rate=0.0, standing=False)
    admission.told({"a": behind})
    async with running(admission=admission) as server:
        posting = asyncio.create_task(post(server, "/fhir", study()))
        while not server.log.records:  # noqa: ASYNC110  # a fake's list
            await asyncio.sleep(0.005)
        refused = await post(server, "/fhir", b"{")
        assert refused.status_code == 400  # at once
        admission.step()
        assert not posting.done()
        now[0] += 3.0
        admission.told({"a": msgspec.structs.replace(behind, number=2)})
        admission.step()
        assert (await posting).status_code < 300


async def test_a_port_that_is_in_use_is_one_sentence(server: Running) -> None:
    own = HttpSettings(port=server.port)
    with pytest.raises(HttpError, match=r"http\.port"):
        await serve_into(
            server.log,
            own,
            None,  # type: ignore[arg-type] - it does not come to that
            Senders(own),
            Admission(AdmissionSettings()),
            on_ready=lambda _: None,
            stop=asyncio.Event(),
        )


# ── objects that an archive pushes ──────────────────────────────────────────────────────────

PUSHED = {"content-type": 'multipart/related; type="application/dicom"; boundary=xyz'}


def measured() -> bytes:
    return structured(lesion("12.5"))


def multipart(*parts: bytes, kind: str = "application/dicom", boundary: str = "xyz") -> bytes:
    head = f"Content-Type: {kind}\r\n\r\n".encode()
    body = b"".join(f"--{boundary}\r\n".encode() + head + part + b"\r\n" for part in parts)
    return body + f"--{boundary}--\r\n".encode()


async def test_pushed_objects_are_logged_as_they_came_and_named_in_the_answer(
    server: Running,
) -> None:
    body = multipart(measured(), b"no object at all")
    answer = await post(server, "/dicom-web/studies", body, PUSHED)
    assert (answer.status_code, answer.headers["content-type"]) == (202, "application/dicom+json")
    told = answer.json()
    assert [one["00081155"]["Value"] for one in told["00081199"]["Value"]] == [["1.2.826.0.1.99.3"]]
    assert len(told["00081198"]["Value"]) == 1
    (record,) = server.log.records
    assert (record.topic, record.value) == (topics.WIRE_IMAGING, body)
    assert wire.parameters(record.headers["content-type"])["boundary"] == "xyz"
    whole = await post(server, "/dicom-web/studies", multipart(measured()), PUSHED)
    assert whole.status_code == 200


@pytest.mark.parametrize(
    ("body", "headers"),
    [
        (multipart(b"no object"), PUSHED),
        (multipart(), PUSHED),
        (multipart(measured())[:-10], PUSHED),
        (multipart(measured(), kind="image/jpeg"), PUSHED),
        (multipart(measured(), boundary="other"), PUSHED),
        (multipart(measured()), {"content-type": "multipart/related"}),
        (b"", PUSHED),
    ],
)
async def test_a_push_that_cannot_be_read_is_refused(
    server: Running, body: bytes, headers: dict[str, str]
) -> None:
    answer = await post(server, "/dicom-web/studies", body, headers)
    assert (answer.status_code, said(answer)[0]) == (400, "bad_dicom")
    assert [r.topic for r in server.log.records] == [topics.QUARANTINE]
