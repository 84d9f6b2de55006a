"""The whole of Tocsin on real Kafka and Redis, and what a hospital around it does. For tests."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TypeVar

import psutil
from confluent_kafka import Consumer, KafkaException, TopicPartition
from redis import Redis

from connectors import contract, facts, topics
from connectors.hl7 import build
from connectors.mllp.client import Answer, MllpClient
from streams.bench.backlog import Backlog
from streams.local.state import read_running, read_state
from streams.local.up import Endpoints, down, up
from streams.settings import Settings

T = TypeVar("T")

VITALS = {
    "heart rate": (("8867-4", "Heart rate", "LN"), "/min"),
    "systolic": (("8480-6", "Systolic blood pressure", "LN"), "mm[Hg]"),
    "mean": (("8478-0", "Mean blood pressure", "LN"), "mm[Hg]"),
    "respiration": (("9279-1", "Respiratory rate", "LN"), "/min"),
    "saturation": (("2708-6", "Oxygen saturation", "LN"), "%"),
    "temperature": (("8310-5", "Body temperature", "LN"), "Cel"),
    "consciousness": (("9269-2", "Glasgow coma score total", "LN"), "{score}"),
    "lactate": (("2524-7", "Lactate", "LN"), "mmol/L"),
    "urea": (("3094-0", "Urea nitrogen", "LN"), "mg/dL"),
    "creatinine": (("2160-0", "Creatinine", "LN"), "mg/dL"),
    "platelets": (("777-3", "Platelets", "LN"), "10*3/uL"),
    "bilirubin": (("1975-2", "Bilirubin total", "LN"), "mg/dL"),
    "ph": (("2744-1", "pH of arterial blood", "LN"), "[pH]"),
    "bicarbonate": (("1963-8", "Bicarbonate", "LN"), "mmol/L"),
}
WELL = {
    "heart rate": 74.0, "systolic": 128.0, "mean": 88.0, "respiration": 15.0, "saturation": 98.0,
    "temperature": 36.9, "consciousness": 15.0, "lactate": 1.0, "urea": 14.0, "creatinine": 0.8,
    "platelets": 240.0, "bilirubin": 0.6, "ph": 7.40, "bicarbonate": 25.0,
}  # fmt: skip
DYING = {
    "heart rate": 148.0, "systolic": 66.0, "mean": 44.0, "respiration": 36.0, "saturation": 81.0,
    "temperature": 34.6, "consciousness": 3.0, "lactate": 13.0, "urea": 88.0, "creatinine": 4.4,
    "platelets": 31.0, "bilirubin": 9.0, "ph": 7.02, "bicarbonate": 9.0,
}  # fmt: skip


@dataclass
class System:
    """Endpoints, and hands to work with."""

    endpoints: Endpoints
    settings: Settings

    @property
    def home(self) -> Path:
        return Path(self.endpoints.home)

    def redis(self) -> Redis:
        return Redis.from_url(self.endpoints.redis)

    def mllp(self) -> MllpClient:
        host, _, port = self.endpoints.mllp.rpartition(":")
        return MllpClient(host, int(port))

    def process(self, name: str) -> psutil.Process:
        """One of Tocsin's processes."""
        running = wait_for(lambda: read_running(self.home)[name].pid, f"{name} runs")
        return psutil.Process(running.pid)

    def server(self, name: str) -> psutil.Process:
        """`kafka` or `redis`."""
        return psutil.Process(read_state(self.home).servers[name].pid)

    def read(self, topic: str) -> list[tuple[int, int, bytes]]:
        """A whole topic: (partition, offset, value)."""
        consumer = Consumer(
            {
                "bootstrap.servers": self.endpoints.kafka,
                "group.id": "test",
                "enable.auto.commit": False,
                "log_level": 0,
            }
        )
        try:
            ends = {}
            for number in consumer.list_topics(topic, timeout=60).topics[topic].partitions:
                place = TopicPartition(topic, number)
                low, high = consumer.get_watermark_offsets(place, timeout=60)
                if high > low:
                    ends[number] = high
            consumer.assign([TopicPartition(topic, number, 0) for number in ends])
            out: list[tuple[int, int, bytes]] = []
            while ends:
                for message in consumer.consume(1_000, 0.5):
                    if message.error() is None:
                        out.append((message.partition(), message.offset(), message.value()))
                        if message.offset() + 1 >= ends.get(message.partition(), 0):
                            ends.pop(message.partition(), None)
            return sorted(out, key=lambda r: r[:2])
        finally:
            consumer.close()

    def alerts(self) -> list[contract.Alert]:
        return [contract.decode_alert(value) for _, _, value in self.read(topics.ALERTS)]

    def scores(self) -> list[contract.Score]:
        return [contract.decode_score(value) for _, _, value in self.read(topics.SCORES)]

    def quarantine(self) -> list[contract.Quarantined]:
        return [contract.decode_quarantined(v) for _, _, v in self.read(topics.QUARANTINE)]

    def messages(self) -> list[facts.MessageFacts]:
        return [m for _, _, v in self.read(topics.FACTS) for m in facts.decode(v).messages]

    def patient_keys(self) -> dict[bytes, dict[bytes, bytes]]:
        """All that Redis holds of patients."""
        redis = self.redis()
        return {key: redis.hgetall(key) for key in redis.scan_iter("tocsin:*:patient:*")}

    def settle(self) -> None:
        """Wait until every message is among the facts, and every record of facts, up to a tick
        from then on, is applied and told."""
        kafka = self.settings.kafka.model_copy(update={"bootstrap": self.endpoints.kafka})
        backlog = Backlog(kafka, self.redis())

        def sequenced() -> bool:
            try:
                return not backlog.messages()
            except KafkaException:  # a broker that was just started does not know its groups yet
                return False

        try:
            wait_for(sequenced, "every message is among the facts")
        finally:
            backlog.close()
        asked = time.time()

        def ticked() -> bool:
            last = {p: facts.decode(v).tick for p, _, v in self.read(topics.FACTS)}
            return len(last) == self.settings.kafka.partitions and all(
                t is not None and t.at > asked for t in last.values()
            )

        wait_for(ticked, "a tick in every partition")
        ends = {p: o for p, o, _ in self.read(topics.FACTS)}
        redis = self.redis()

        def applied() -> bool:
            return all(
                int(redis.hget(f"tocsin:{{{p}}}:position", "offset") or -1) >= offset
                for p, offset in ends.items()
            )

        wait_for(applied, "every record is applied")


@contextmanager
def running(
    home: Path, risks: tuple[str, ...] = ("deterioration",), shadow: tuple[Path, ...] = ()
) -> Iterator[System]:
    """Everything up, and down again. `risks`: one, so that a bed has one alert."""
    settings = Settings(
        home=home,
        sequencer={"tick_s": 1.0},
        telemetry={"trace_ratio": 0.0},
        worker={"risks": risks, "shadow": shadow},
    )
    try:
        yield System(up(settings), settings)
    finally:
        down(home)


def wait_for(what: Callable[[], T], description: str, seconds: float = 120.0) -> T:
    """Until it is true; the value. Patient: a busy machine takes long."""
    end = time.monotonic() + seconds
    while True:
        try:
            value = what()
        except (KeyError, psutil.NoSuchProcess, AttributeError):
            value = None  # type: ignore[assignment]
        if value:
            return value
        assert time.monotonic() < end, f"waited {seconds:g} s in vain until {description}"
        time.sleep(0.1)


def admission(patient: str, at: float, *, ward: str = "ICU", bed: str = "1") -> bytes:
    """ADT^A01."""
    segments = build.message("ADT^A01", f"{patient}-adm-{at:.0f}", at)
    segments += [
        build.evn("A01", recorded=at, occurred=at),
        _pid(patient),
        build.pv1("I", ward=ward, bed=bed, visit=f"V{patient}", admitted=at),
    ]
    return build.join(segments)


def results(
    patient: str, at: float, values: dict[str, float], *, order: str = "", status: str = "F",
    sent: float | None = None,
) -> bytes:  # fmt: skip
    """ORU^R01 with those vitals and laboratory values."""
    said = at if sent is None else sent
    order = order or f"{patient}-{at:.3f}"
    segments = build.message("ORU^R01", f"{order}-{status}-{said:.3f}", said)
    segments += [
        _pid(patient),
        build.obr(("panel", "Panel", "L"), filler=order, observed=at, changed=said, status=status),
    ]
    for number, (name, value) in enumerate(values.items(), 1):
        code, unit = VITALS[name]
        segments.append(build.obx(code, value, set_id=number, unit=unit, status=status))
    return build.join(segments)


def _pid(patient: str) -> str:
    return build.pid(
        [(patient, "HOSP", "MR")], family=f"FAMILY{patient}", given="GIVEN", birth_date="19480101",
        sex="M",
    )  # fmt: skip


async def send(system: System, *messages: bytes) -> list[Answer]:
    """Over MLLP, one connection, in order."""
    async with system.mllp() as client:
        return [await client.send(message) for message in messages]
