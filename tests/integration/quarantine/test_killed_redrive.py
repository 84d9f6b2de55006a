"""Sending again on a real broker, killed with -9 in the middle: nothing is forgotten."""

from __future__ import annotations

import subprocess
import sys
import uuid
from collections import Counter

import pytest

from connectors import contract, topics
from connectors.clock import wall_clock
from connectors.journal import KafkaJournal
from connectors.quarantine import Reason, quarantined
from connectors.quarantine_log import Item, QuarantineLog, State
from connectors.settings import KafkaSettings
from streams.local import topics as local_topics
from tests.unit.quarantine.fakes import MESSAGE

pytestmark = pytest.mark.kafka

ITEMS = 200
KILLED_AFTER = 20
REDRIVE = """
import sys
from connectors.clock import wall_clock
from connectors.journal import KafkaJournal
from connectors.quarantine_log import QuarantineLog, State
from connectors.settings import KafkaSettings

bootstrap, source = sys.argv[1:]
log = QuarantineLog(KafkaJournal(KafkaSettings(bootstrap=bootstrap)), wall_clock)
mine = [i for i in log.items() if i.record.source == source and i.state is State.OPEN]
for item in log.redrive(mine, "ann", "mapped"):
    print(item.record.id.ljust(4_096), flush=True)  # a full pipe holds it back until it is killed
"""


def fill(journal: KafkaJournal, source: str) -> None:
    """Messages of one source in the wire log, each with its item."""
    headers = [(topics.HEADER_SOURCE, source.encode())]
    journal.append(topics.WIRE_HL7, b"", headers, 0)  # a new topic has a leader from here on
    first = sum(1 for r in journal.read(topics.WIRE_HL7, {}) if r.partition == 0)
    for n in range(ITEMS):
        raw = MESSAGE.replace(b"|C1|", f"|{source}-{n}|".encode())
        journal.append(topics.WIRE_HL7, raw, headers, 0)
        record = quarantined(
            Reason.NO_PATIENT,
            "no usable identifier",
            raw=raw,
            received_at=wall_clock(),
            source=source,
            wire=f"{topics.WIRE_HL7}/0/{first + n}",
        )
        journal.append(topics.QUARANTINE, contract.encode(record), [], 0)


def items(settings: KafkaSettings, source: str) -> list[Item]:
    journal = KafkaJournal(settings)
    try:
        found = QuarantineLog(journal, wall_clock).items()
    finally:
        journal.close()
    return [item for item in found if item.record.source == source]


def test_what_a_killed_redrive_left_is_sent_by_the_next(kafka: str) -> None:
    settings = KafkaSettings(bootstrap=kafka)
    local_topics.create(settings)
    source = f"killed-{uuid.uuid4().hex[:8]}"
    journal = KafkaJournal(settings)
    fill(journal, source)

    command = [sys.executable, "-c", REDRIVE, kafka, source]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        told = [process.stdout.readline().strip() for _ in range(KILLED_AFTER)]
        process.kill()
    assert all(told)
    states = Counter(item.state for item in items(settings, source))
    assert KILLED_AFTER <= states[State.REDRIVEN] < ITEMS
    done = {i.record.id for i in items(settings, source) if i.state is State.REDRIVEN}
    assert set(told) <= done, "what was told to be sent is known to be sent"

    subprocess.run(command, check=True, capture_output=True, timeout=150)
    assert {i.state for i in items(settings, source)} == {State.REDRIVEN}
    sent = Counter(
        record.value
        for record in journal.read(topics.WIRE_HL7, {})
        if record.partition == 0
        and (topics.HEADER_SOURCE, source.encode()) in record.headers
        and any(name == topics.HEADER_REDRIVE_OF for name, _ in record.headers)
    )
    journal.close()
    # Each at least once; only what was under way when the process died may have come twice.
    assert len(sent) == ITEMS
    assert sum(sent.values()) <= ITEMS + 1
