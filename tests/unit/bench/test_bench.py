"""The benchmark's own parts: its traffic is what it says, its sender loses no answer."""

from __future__ import annotations

import asyncio
import json
from collections import Counter
from collections.abc import Iterator

import pytest

from connectors import topics
from connectors.hl7.interpret import interpret
from connectors.identity import IdentityKey
from connectors.interpret import interpret as interpret_any
from connectors.interpretation import Interpretation, Profile
from connectors.mllp.frames import END, START, wrap
from connectors.replay.timed import Timed, control_id, message_type
from connectors.wire import WireMessage
from streams.bench import beside, report, sender, traffic
from streams.bench.resources import Machine, shares
from tests.bench import naive

BEGIN = 1_767_268_800.0


@pytest.fixture(scope="module")
def made() -> traffic.Traffic:
    return traffic.make(10, 1_200, BEGIN)


def test_history_comes_before_the_live_messages(made: traffic.Traffic) -> None:
    assert len(made.live) == 1_200
    assert max(m.time for m in made.history) < BEGIN <= min(m.time for m in made.live)


def test_the_mix_holds_orders_that_become_facts(made: traffic.Traffic) -> None:
    kinds = Counter(message_type(m.raw) for m in made.history + made.live)
    assert kinds["ORM^O01"] >= kinds["ORU^R01"] // 25
    assert {"ADT^A01", "ORU^R01"} <= kinds.keys()
    key = IdentityKey(bytes(32))
    for message in made.live:
        if message_type(message.raw) == "ORM^O01":
            read = interpret(message.raw, BEGIN + 86_400.0, key, Profile())
            assert read.outcome == "facts", read.issues


def test_the_same_arguments_give_the_same_bytes(made: traffic.Traffic) -> None:
    assert traffic.make(10, 1_200, BEGIN) == made


class Receiver(asyncio.Protocol):
    """Answers each frame, and cuts its answers where it likes."""

    def __init__(self, got: list[bytes], cuts: Iterator[int]) -> None:
        self._got, self._cuts, self._rest = got, cuts, b""

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = transport

    def data_received(self, data: bytes) -> None:
        *frames, self._rest = (self._rest + data).split(END)
        payloads = [frame.removeprefix(START) for frame in frames]
        self._got += payloads
        answers = b"".join(wrap(b"MSH|^~\\&\rMSA|AA|" + control_id(p).encode()) for p in payloads)
        while answers:
            at = next(self._cuts)
            self._transport.write(answers[:at])  # type: ignore[attr-defined]
            answers = answers[at:]


@pytest.mark.parametrize("rate", [None, 20_000.0])
async def test_every_message_is_sent_once_in_its_patients_order_and_timed(
    made: traffic.Traffic, rate: float | None
) -> None:
    got: list[bytes] = []
    sizes = iter(n % 37 + 1 for n in range(10**9))
    loop = asyncio.get_running_loop()
    server = await loop.create_server(lambda: Receiver(got, sizes), "127.0.0.1", 0)
    async with server:
        port = server.sockets[0].getsockname()[1]
        sent = await sender.send(f"127.0.0.1:{port}", made.live, rate)
    assert sent.messages == sent.accepted == len(sent.acks_s) == len(made.live)
    assert Counter(got) == Counter(m.raw for m in made.live)
    assert all(seconds >= 0 for seconds in sent.acks_s)
    place = {raw: n for n, raw in enumerate(got)}
    for patient in {m.key for m in made.live}:
        own = list(dict.fromkeys(m.raw for m in made.live if m.key == patient))
        first = [place[raw] for raw in own if Counter(got)[raw] == 1]
        assert first == sorted(first)


async def test_a_lost_connection_is_an_error_and_no_endless_wait() -> None:
    class Hangs(asyncio.Protocol):
        def connection_made(self, transport: asyncio.BaseTransport) -> None:
            asyncio.get_running_loop().call_later(0.05, transport.close)

    server = await asyncio.get_running_loop().create_server(Hangs, "127.0.0.1", 0)
    async with server:
        port = server.sockets[0].getsockname()[1]
        with pytest.raises(OSError, match="closed a connection"):
            await sender.send(f"127.0.0.1:{port}", [Timed(BEGIN, b"MSH|", "p")])


def test_the_obvious_build_reads_what_the_simulator_sends(made: traffic.Traffic) -> None:
    some = next(m for m in made.live if message_type(m.raw) == "ORU^R01")
    patient, found = naive.observations(some.raw)
    assert patient
    assert found
    assert 0.0 < naive.probability(found) < 1.0


def test_the_report_shows_the_figures_and_survives_gaps() -> None:
    figures = {
        "throughput_msg_s": 1234.5,
        "ack_ms": {"p50": 1.0, "p99": 2.0, "max": 3.0},
        "event_to_alert_ms": None,
        "curve": [
            {"sent_msg_s": 500, "scored_msg_s": 499.0, "event_to_score_ms": {"p50": 9, "p99": 30}},
            {"sent_msg_s": 1000, "scored_msg_s": 990.0, "event_to_score_ms": None},
        ],
        "note": "<script>",
    }
    page = report.page(figures)
    assert "1234.5" in page
    assert page.count("<polyline") >= 2
    assert "<script>" not in page
    assert json.dumps(figures["ack_ms"]["p99"]) in page


def test_the_shares_of_the_cores_add_up() -> None:
    before, after = Machine(10.0, 100.0), Machine(16.0, 102.0)
    assert shares(before, after, 4.0) == {"tocsin": 0.5, "others": 0.25, "idle": 0.25}
    assert Machine.now().busy > 0.0


def test_studies_and_variants_come_beside_and_become_facts_of_the_same_patients() -> None:
    live = traffic.make(10, 6_000, BEGIN).live
    records = list(beside.beside(live))
    kinds = Counter(record.topic for record in records)
    assert len(live) / 110 < kinds[topics.WIRE_IMAGING] <= len(live) / 95
    assert kinds[topics.WIRE_GENOMICS] >= 2
    key = IdentityKey(bytes(32))
    known = {
        told.pseudonym
        for message in live
        for told in interpret(message.raw, BEGIN + 86_400.0, key, Profile()).patients
    }
    for record in records:
        read = one_interpretation(record, key)
        assert read.outcome == "facts", read.issues
        assert {told.pseudonym for told in read.patients} <= known
        count = sum(len(told.facts) for told in read.patients)
        assert count >= (beside.VARIANTS if record.topic == topics.WIRE_GENOMICS else 1)


def one_interpretation(record: beside.Posted, key: IdentityKey) -> Interpretation:
    message = WireMessage(
        raw=record.raw,
        position=f"{record.topic}/0/{record.after}",
        heard=BEGIN + 86_400.0,
        source="BENCH",
        trace="",
        content_type=record.content_type,
        subject=record.subject,
    )
    (read,) = interpret_any(message, key, Profile())
    return read
