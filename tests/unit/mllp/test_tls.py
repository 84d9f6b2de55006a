"""TLS at the socket, with and without certificates of the senders."""

from __future__ import annotations

import ssl
from pathlib import Path

import pytest

from connectors.mllp.client import MllpClient
from connectors.mllp.server import MllpError, tls_context
from connectors.settings import MllpSettings, TlsServer
from tests.unit.mllp.certificates import Authority
from tests.unit.mllp.fakes import FakeLog
from tests.unit.mllp.running import CLOSED, Sender, message, server_on


@pytest.fixture
def authority(tmp_path: Path) -> Authority:
    return Authority(tmp_path, "hospital")


def settings(authority: Authority, *, client_ca: Path | None = None) -> MllpSettings:
    certificate, key = authority.issue("server")
    return MllpSettings(tls=TlsServer(certificate=certificate, key=key, client_ca=client_ca))


async def test_messages_go_through_tls(authority: Authority) -> None:
    log = FakeLog()
    trust = ssl.create_default_context(cafile=authority.certificate)
    big = message("big", body="x" * 500_000)
    async with (
        server_on(log, settings(authority)) as (host, port, _),
        MllpClient(host, port, tls=trust) as client,
    ):
        answers = [await client.submit(message(str(n))) for n in range(200)]
        assert {(await a).code for a in answers} == {"AA"}
        assert (await client.send(big)).code == "AA"
    assert log.records[-1].value == big
    assert len(log.records) == 201


async def test_a_sender_that_does_not_know_the_authority_is_told_at_once(
    authority: Authority,
) -> None:
    async with server_on(FakeLog(), settings(authority)) as (host, port, _):
        with pytest.raises(ssl.SSLCertVerificationError):
            async with MllpClient(host, port, tls=ssl.create_default_context()):
                pass


async def test_a_sender_without_tls_gets_nothing_and_others_go_on(authority: Authority) -> None:
    log = FakeLog()
    trust = ssl.create_default_context(cafile=authority.certificate)
    async with server_on(log, settings(authority)) as (host, port, _):
        async with Sender.to(host, port) as plain:
            assert await plain.ask(message("plain")) == CLOSED
        async with MllpClient(host, port, tls=trust) as client:
            assert (await client.send(message("next"))).code == "AA"
    assert [r.value for r in log.records] == [message("next")]


async def test_senders_must_show_a_certificate_when_an_authority_for_them_is_set(
    authority: Authority,
) -> None:
    log = FakeLog()
    with_client_ca = settings(authority, client_ca=authority.certificate)
    stranger = ssl.create_default_context(cafile=authority.certificate)
    known = ssl.create_default_context(cafile=authority.certificate)
    known.load_cert_chain(*authority.issue("sender"))
    async with server_on(log, with_client_ca) as (host, port, _):
        # In TLS 1.3 the sender learns of the refusal with its first read.
        with pytest.raises((ssl.SSLError, ConnectionError)):
            async with Sender.to(host, port, stranger) as sender:
                answer = await sender.ask(message("stranger"))
                assert answer == CLOSED
                raise ConnectionError
        async with MllpClient(host, port, tls=known) as client:
            assert (await client.send(message("known"))).code == "AA"
    assert [r.value for r in log.records] == [message("known")]


def test_files_that_cannot_be_used_are_one_sentence(authority: Authority, tmp_path: Path) -> None:
    certificate, key = authority.issue("server")
    _, other_key = authority.issue("other")
    for tls in (
        TlsServer(certificate=tmp_path / "absent.pem", key=key),
        TlsServer(certificate=certificate, key=other_key),
        TlsServer(certificate=certificate, key=key, client_ca=tmp_path / "absent.pem"),
    ):
        with pytest.raises(MllpError, match=r"mllp\.tls cannot be used"):
            tls_context(tls)


def test_tls_is_off_without_a_certificate() -> None:
    assert tls_context(TlsServer()) is None
