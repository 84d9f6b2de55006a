"""What comes beside HL7: notices of imaging studies and files of variants, of the same patients.

As an integration engine publishes them: FHIR ImagingStudy on `tocsin.wire.imaging`, VCF on
`tocsin.wire.genomics`. One study for every 100 messages, one VCF for every 2,000.
"""

from __future__ import annotations

import asyncio
from collections.abc import Iterator, Sequence
from datetime import UTC, datetime
from typing import NamedTuple

import msgspec
from confluent_kafka import Producer

from connectors import topics, wire
from connectors.replay.timed import Timed
from connectors.settings import KafkaSettings

STUDY_EVERY, VCF_EVERY = 100, 2_000  # messages
VARIANTS = 100
_SOURCE = "BENCH"


class Posted(NamedTuple):
    """One record, and after how many messages it goes."""

    after: int
    topic: str
    content_type: str
    subject: str
    raw: bytes


def beside(messages: Sequence[Timed]) -> Iterator[Posted]:
    """What goes beside these messages, in order."""
    for n, message in enumerate(messages):
        if n % STUDY_EVERY and n % VCF_EVERY:
            continue
        subject = _subject(message.raw)
        if subject is None:
            continue
        if n % VCF_EVERY == VCF_EVERY // 2:
            yield Posted(n, topics.WIRE_GENOMICS, wire.VCF, "|".join(subject), _vcf(n))
        elif n % STUDY_EVERY == 0:
            raw = _study(n, message.time, subject)
            yield Posted(n, topics.WIRE_IMAGING, wire.FHIR, "", raw)


def _subject(raw: bytes) -> tuple[str, str, str] | None:
    """Authority, type and number of PID-3; None where a message names nobody."""
    pid = next((line for line in raw.split(b"\r") if line.startswith(b"PID|")), b"")
    fields = pid.split(b"|")
    number = fields[3].split(b"~")[0].split(b"^") if len(fields) > 3 else []
    if len(number) < 5 or not number[0]:
        return None
    return number[3].decode("latin-1"), number[4].decode("latin-1"), number[0].decode("latin-1")


def _study(n: int, time: float, subject: tuple[str, str, str]) -> bytes:
    authority, kind, number = subject
    said = datetime.fromtimestamp(time, UTC).isoformat()
    identifier = {
        "type": {
            "coding": [{"system": "http://terminology.hl7.org/CodeSystem/v2-0203", "code": kind}]
        },
        "system": authority,
        "value": number,
    }
    study = {
        "resourceType": "ImagingStudy",
        "meta": {"lastUpdated": said},
        "identifier": [{"system": "urn:dicom:uid", "value": f"urn:oid:2.25.{10**12 + n}"}],
        "status": "registered",
        "started": said,
        "modality": [{"code": "MR"}],
        "subject": {"identifier": identifier},
        "numberOfInstances": 120,
    }
    return msgspec.json.encode(study)


def _vcf(n: int) -> bytes:
    lines = [
        "##fileformat=VCFv4.2",
        "##reference=GRCh38",
        "##contig=<ID=chr1,length=248956422>",
        '##FORMAT=<ID=GT,Number=1,Type=String,Description="Genotype">',
        "#CHROM\tPOS\tID\tREF\tALT\tQUAL\tFILTER\tINFO\tFORMAT\tS",
    ]
    lines += [
        f"chr1\t{1_000_000 + 1_000 * i + n % 1_000}\t.\tA\tG\t50\tPASS\t.\tGT\t0/1"
        for i in range(VARIANTS)
    ]
    return ("\n".join(lines) + "\n").encode()


async def publish(kafka: KafkaSettings, records: Sequence[Posted], rate: float | None) -> None:
    """Write them, each when its message goes at `rate` messages a second; all at once without."""
    producer = Producer(kafka.client() | {"acks": "all", "linger.ms": 5})
    before = 0
    for record in records:
        if rate is not None:
            await asyncio.sleep((record.after - before) / rate)
            before = record.after
        headers = {
            topics.HEADER_CONTENT_TYPE: record.content_type,
            topics.HEADER_SOURCE: _SOURCE,
            topics.HEADER_SUBJECT: record.subject,
        }
        producer.produce(
            record.topic,
            record.raw,
            headers={name: text for name, text in headers.items() if text},
        )
        producer.poll(0)
    await asyncio.to_thread(producer.flush)
