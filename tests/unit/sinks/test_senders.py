"""Each sender against a peer of somebody else's making: good, refusing, hanging, dead, with TLS."""

from __future__ import annotations

import base64
import time
from collections.abc import Iterator
from email import message_from_bytes, policy
from pathlib import Path
from typing import Any

import msgspec
import pytest
from fhir.resources.R4B.bundle import Bundle
from fhir.resources.R4B.communication import Communication
from fhir.resources.R4B.flag import Flag
from fhir.resources.R4B.riskassessment import RiskAssessment
from pydantic import TypeAdapter

from connectors.mllp.client import Respond
from connectors.sinks.notice import RefusedError, Sink, UnavailableError
from connectors.sinks.opening import CannotOpenError, Site, open_sink
from connectors.sinks.settings import Receiver, SinksSettings
from tests.unit.mllp.certificates import Authority
from tests.unit.mllp.running import until
from tests.unit.sinks.alerts import ALERT_ID, PATIENT, PERSON, alert, ended, notice
from tests.unit.sinks.peers import (
    SECRET,
    Hl7Peer,
    MailPeer,
    WebPeer,
    mail,
    mllp,
    server_tls,
    webhook,
)
from tests.unit.sinks.test_pcd05 import report

pytestmark = pytest.mark.filterwarnings("ignore:.*:DeprecationWarning:aiosmtpd")
SITE = Site(SinksSettings(link="https://t/{alert_id}"), ("MR",), time.time)


def sink(said: dict[str, Any], site: Site = SITE) -> Sink:
    """From settings as people write them."""
    settings: Any = TypeAdapter(Receiver).validate_python({"timeout_s": 20.0, **said})
    return open_sink("pager", settings, site)


@pytest.fixture
def fhir() -> Iterator[WebPeer]:
    with WebPeer() as peer:
        yield peer


# ── webhook ─────────────────────────────────────────────────────────────────────────────────


async def test_a_webhook_verifies_and_keeps_its_id_over_attempts(web: WebPeer) -> None:
    """By the receivers' library; the id is what a receiver drops repetitions by."""
    s = sink(webhook(web))
    web.statuses = [503]
    with pytest.raises(UnavailableError, match="answered 503"):
        await s.send(notice())
    await s.send(notice())
    await s.send(notice())
    await s.close()
    assert web.bad_signatures == 0
    assert len(set(web.ids)) == 1
    assert web.bodies[0]["data"]["alerts"][0]["alert_id"] == ALERT_ID


@pytest.mark.parametrize("status", [400, 401, 404, 410, 422, 301])
async def test_what_will_not_pass_is_refused(web: WebPeer, status: int) -> None:
    """Redirections too: an alert goes nowhere but where the settings say."""
    s = sink(webhook(web))
    web.status = status
    web.more_headers = {"location": web.url}
    with pytest.raises(RefusedError, match=f"answered {status}"):
        await s.send(notice())
    await s.close()
    assert web.bodies == []


@pytest.mark.parametrize(("status", "after"), [(429, "7"), (503, "7"), (500, ""), (408, "soon")])
async def test_what_may_pass_is_tried_again_when_the_receiver_says(
    web: WebPeer, status: int, after: str
) -> None:
    """Retry-After, where it can be read."""
    s = sink(webhook(web))
    web.status, web.more_headers = status, {"retry-after": after} if after else {}
    with pytest.raises(UnavailableError) as caught:
        await s.send(notice())
    await s.close()
    assert caught.value.retry_after_s == (7.0 if after == "7" else None)


async def test_a_web_service_that_hangs_or_is_gone_is_unavailable(web: WebPeer) -> None:
    """In the time that is set."""
    web.delay_s = 3.0
    s = sink(webhook(web, timeout_s=0.5))
    with pytest.raises(UnavailableError, match="no answer in time"):
        await s.send(notice())
    await s.close()
    s = sink(webhook(web))
    web.stop()
    with pytest.raises(UnavailableError, match="cannot be reached"):
        await s.send(notice())
    web.delay_s = 0.0
    web.start()
    await s.send(notice())
    await s.close()


async def test_an_answer_that_never_ends_holds_nobody_up(web: WebPeer, fhir: WebPeer) -> None:
    """The time limit is for everything together; a success is one, unless its body is needed."""
    web.drips = fhir.drips = True
    s = sink(webhook(web, timeout_s=3.0))
    await s.send(notice())
    assert len(web.bodies) == 1
    web.status = 500
    with pytest.raises(UnavailableError, match="no answer in time"):
        await s.send(notice())
    await s.close()
    s = sink({"kind": "fhir", "url": fhir.url, "bundle": "batch", "timeout_s": 2.0})
    with pytest.raises(UnavailableError, match="no answer in time"):
        await s.send(notice())
    await s.close()


async def test_a_certificate_is_checked_everywhere(tmp_path: Path) -> None:
    """One of the named CA is good, another is not; the words say what is wrong."""
    ours, theirs = Authority(tmp_path, "ours"), Authority(tmp_path, "theirs")
    tls = server_tls(*ours.issue("peer"))
    with WebPeer(SECRET, tls) as web, Hl7Peer(tls) as system, MailPeer(tls) as mailbox:
        kinds = [
            webhook(web),
            mllp(system),
            mail(mailbox, security="starttls"),
            {"kind": "fhir", "url": web.url},
        ]
        for said in kinds[:3]:
            trusting = {"enabled": True, "ca": ours.certificate}
            s = sink({**said, "tls": trusting})
            await s.send(notice())
            await s.close()
        for said in kinds:
            s = sink({**said, "tls": {"enabled": True, "ca": theirs.certificate}})
            with pytest.raises(UnavailableError, match="its certificate is not trusted"):
                await s.send(notice())
            await s.close()
        assert (len(web.bodies), len(system.messages), len(mailbox.mails)) == (1, 1, 1)


def test_files_that_are_not_there_are_named(tmp_path: Path) -> None:
    """And never their content."""
    bad = tmp_path / "secret"
    bad.write_text("whsec_not base64")
    base = {"kind": "webhook", "url": "https://h/x"}
    with pytest.raises(CannotOpenError, match=r"sinks\.receivers\.pager: .*nothing No such file"):
        sink({**base, "secret_file": tmp_path / "nothing"})
    with pytest.raises(CannotOpenError) as caught:
        sink({**base, "secret_file": bad})
    assert "not base64" not in str(caught.value)
    with pytest.raises(CannotOpenError, match=r"ca .*nothing"):
        sink({**base, "secret": SECRET, "tls": {"ca": tmp_path / "nothing"}})


# ── FHIR ────────────────────────────────────────────────────────────────────────────────────


async def test_a_fhir_server_gets_a_valid_transaction(fhir: WebPeer) -> None:
    """With the token, and with the pseudonym alone."""
    s = sink({"kind": "fhir", "url": fhir.url, "token": "t0ken"})
    await s.send(notice())
    await s.send(notice(ended(), told=True))
    await s.close()
    for body in fhir.bodies:
        Bundle.model_validate_json(msgspec.json.encode(body))
    assert fhir.headers[0]["authorization"] == "Bearer t0ken"
    kinds = [e["resource"]["resourceType"] for e in fhir.bodies[0]["entry"]]
    assert kinds == ["RiskAssessment", "Flag", "Communication"]
    assert PATIENT in str(fhir.bodies[0])


async def test_a_fhir_server_may_know_the_patient(fhir: WebPeer) -> None:
    """By the preferred identifier; with a password of the old kind."""
    s = sink({"kind": "fhir", "url": fhir.url, "user": "u", "password": "p", "identity": True})
    await s.send(notice(people={PATIENT: PERSON}))
    await s.close()
    identifier = fhir.bodies[0]["entry"][0]["resource"]["subject"]["identifier"]
    assert identifier["value"] == "4711"
    expected = base64.b64encode(b"u:p").decode()
    assert fhir.headers[0]["authorization"] == f"Basic {expected}"


async def test_a_subscriber_gets_each_resource_by_itself(fhir: WebPeer) -> None:
    """PUT below its endpoint, valid each; what fails in the middle goes again under equal ids."""
    s = sink({"kind": "fhir", "url": f"{fhir.url}/", "bundle": "rest-hook", "token": "t0ken"})
    fhir.statuses = [200, 503]
    with pytest.raises(UnavailableError, match="answered 503"):
        await s.send(notice())
    await s.send(notice())
    await s.close()
    assert fhir.requests[1:] == [
        f"PUT /hook/RiskAssessment/tocsin-{ALERT_ID}",
        f"PUT /hook/Flag/tocsin-{ALERT_ID}",
        f"PUT /hook/Communication/tocsin-{ALERT_ID}-1",
    ]
    assert fhir.requests[0] == fhir.requests[1]
    for kind, body in zip((RiskAssessment, Flag, Communication), fhir.bodies[1:], strict=True):
        kind.model_validate_json(msgspec.json.encode(body))
    assert fhir.headers[0]["authorization"] == "Bearer t0ken"
    assert fhir.headers[0]["content-type"] == "application/fhir+json"


async def test_a_test_leaves_no_resource_about_a_patient(fhir: WebPeer) -> None:
    """Just a Communication that says that it is a test."""
    s = sink({"kind": "fhir", "url": fhir.url})
    await s.send(notice(test=True))
    await s.close()
    (entry,) = fhir.bodies[0]["entry"]
    Bundle.model_validate_json(msgspec.json.encode(fhir.bodies[0]))
    assert entry["resource"]["payload"][0]["contentString"].startswith("TEST")
    assert "subject" not in entry["resource"]


@pytest.mark.parametrize(
    ("answer", "error"),
    [
        (b'{"entry":[{"response":{"status":"201 Created"}}]}', None),
        (b'{"entry":[{"response":{"status":"422"}}]}', RefusedError),
        (
            b'{"entry":[{"response":{"status":"201"}},{"response":{"status":"503"}}]}',
            UnavailableError,
        ),
        (b"<html>", UnavailableError),
    ],
)
async def test_a_batch_is_only_told_when_every_entry_is(
    fhir: WebPeer, answer: bytes, error: type[Exception] | None
) -> None:
    """A server answers 200 to a batch of failures."""
    s = sink({"kind": "fhir", "url": fhir.url, "bundle": "batch"})
    fhir.answer = answer
    if error is None:
        await s.send(notice())
    else:
        with pytest.raises(error):
            await s.send(notice())
    await s.close()


# ── MLLP ────────────────────────────────────────────────────────────────────────────────────


async def test_an_alert_manager_gets_pcd04(system: Hl7Peer) -> None:
    """Start, update and end on one connection."""
    s = sink(mllp(system, receiving=["AM", "HOSP"]))
    await s.send(notice())
    await s.send(notice(ended(), told=True))
    await s.close()
    phases = [
        str(next(o for o in m.segments("OBX") if str(o[4]).endswith(".3"))[5])
        for m in system.messages
    ]
    assert phases == ["start", "end"]
    assert str(system.messages[0].segment("MSH")[5]) == "AM"


async def test_a_chart_gets_the_score_in_original_mode(system: Hl7Peer) -> None:
    """ORU^R01 asks for nothing in MSH-15, so an application acknowledgement ends it."""
    s = sink(mllp(system, message="oru"))
    await s.send(notice())
    await s.close()
    assert str(system.messages[0].segment("MSH")[9]) == "ORU^R01^ORU_R01"


@pytest.mark.parametrize(
    ("code", "error"),
    [
        ("CE", RefusedError),
        ("AE", RefusedError),
        ("CR", UnavailableError),
        ("AR", UnavailableError),
    ],
)
async def test_a_negative_acknowledgement_counts(
    system: Hl7Peer, code: str, error: type[Exception]
) -> None:
    """E: the content is wrong. R: perhaps later."""
    s = sink(mllp(system))
    system.codes = [code]
    with pytest.raises(error, match=f"answered {code}"):
        await s.send(notice())
    await s.send(notice())
    await s.close()
    assert len(system.messages) == 1


async def test_a_system_that_hangs_or_is_gone_is_unavailable(system: Hl7Peer) -> None:
    """And is told when it is back, with the same control id."""
    s = sink(mllp(system, timeout_s=3.0))
    await s.send(notice())
    system.silent = True
    with pytest.raises(UnavailableError, match="no acknowledgement in time"):
        await s.send(notice(alert(revision=2)))
    system.stop()
    with pytest.raises(UnavailableError, match=r"cannot be reached|in time"):
        await s.send(notice(alert(revision=2)))
    system.silent = False
    system.start()
    await s.send(notice(alert(revision=2)))
    await s.send(notice(alert(revision=2)))
    await s.close()
    ids = [str(m.segment("MSH")[10]) for m in system.messages]
    assert len(ids) == 3
    assert ids[1] == ids[2] != ids[0]


async def test_what_a_system_says_by_itself_is_heard_and_can_be_answered(system: Hl7Peer) -> None:
    """PCD-05 on the connection that PCD-04 went out on."""
    heard: list[bytes] = []

    def hear(payload: bytes, respond: Respond) -> None:
        heard.append(payload)
        if b"ORA^R41" in payload:
            respond(b"MSH|^~\\&|TOCSIN||AM|HOSP|2026||ACK^R41^ACK|R1|P|2.6\rMSA|CA|77\r")

    s = sink(mllp(system), SITE._replace(heard=hear))
    system.says = [report()]
    await s.send(notice())
    await until(lambda: bool(system.replies))
    await s.close()
    assert heard[1:] == [report()]  # after the acknowledgement
    assert str(system.replies[0].segment("MSA")[2]) == "77"


# ── mail ────────────────────────────────────────────────────────────────────────────────────


async def test_a_mail_server_gets_the_mail(mailbox: MailPeer) -> None:
    """As composed."""
    s = sink(mail(mailbox))
    await s.send(notice())
    await s.close()
    read = message_from_bytes(mailbox.mails[0], policy=policy.default)
    assert read["Subject"] == "Critical deterioration risk: firing (above threshold)"
    assert f"https://t/{ALERT_ID}" in str(read.get_content())


async def test_starttls_and_a_log_in(tmp_path: Path) -> None:
    """A wrong password may be mended, so it is tried again."""
    authority = Authority(tmp_path, "ca")
    with MailPeer(server_tls(*authority.issue("peer")), "tocsin", "right") as peer:
        said = mail(peer, security="starttls", user="tocsin", tls={"ca": authority.certificate})
        file = tmp_path / "password"
        file.write_text("right\n")
        good = sink({**said, "password_file": file})
        bad = sink({**said, "password": "wrong", "timeout_s": 3.0})  # the server never hangs up
        await good.send(notice())
        with pytest.raises(UnavailableError, match=r"answered 535|hung up"):
            await bad.send(notice())
        await good.close()
        await bad.close()
        assert len(peer.mails) == 1


async def test_without_starttls_nothing_is_sent(mailbox: MailPeer) -> None:
    """A server that does not offer what the settings ask for."""
    s = sink(mail(mailbox, security="starttls"))
    with pytest.raises(RefusedError, match="no STARTTLS"):
        await s.send(notice())
    await s.close()
    assert mailbox.mails == []


@pytest.mark.parametrize(
    ("answer", "error"), [("450 later", UnavailableError), ("550 unknown", RefusedError)]
)
async def test_a_mail_server_that_refuses(
    mailbox: MailPeer, answer: str, error: type[Exception]
) -> None:
    """4xx for now, 5xx for good."""
    s = sink(mail(mailbox))
    mailbox.refuse = answer
    with pytest.raises(error, match="no recipient"):
        await s.send(notice())
    mailbox.stop()
    with pytest.raises(UnavailableError, match="cannot be reached"):
        await s.send(notice())
    await s.close()
