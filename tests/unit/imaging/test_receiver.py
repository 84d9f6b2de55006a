"""The DICOM port: a request is answered with success when the log has it, and not before."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest
from pydicom.dataset import Dataset
from pynetdicom import AE
from pynetdicom.sop_class import (  # type: ignore[attr-defined]
    InstanceAvailabilityNotification,
    ModalityPerformedProcedureStep,
    Verification,
)

from connectors import contract, topics, wire
from connectors.facts import Stage, StudyEvent
from connectors.identity import IdentityKey
from connectors.imaging.receiver import MOST_BYTES, Receiver
from connectors.interpret import interpret
from connectors.interpretation import Interpretation, Profile
from connectors.settings import ImagingSettings
from tests.unit.imaging.objects import notice, step
from tests.unit.journal import MemoryJournal

NOW = 1_767_272_400.0
UID = "1.2.826.0.1.99.5"
MPPS, IAN = ModalityPerformedProcedureStep, InstanceAvailabilityNotification


def interpreted(journal: MemoryJournal) -> list[Interpretation]:
    found = []
    for record in journal.of(topics.WIRE_IMAGING):
        headers = {name: value.decode() for name, value in record.headers}
        content = headers[topics.HEADER_CONTENT_TYPE]
        message = wire.WireMessage(record.value, "t/0/0", NOW, "MR1", "", content)
        found += interpret(message, IdentityKey(bytes(32)), Profile())
    return found


def set_aside(journal: MemoryJournal) -> list[tuple[str, str]]:
    found = [contract.decode_quarantined(r.value) for r in journal.of(topics.QUARANTINE)]
    return [(record.reason, record.source) for record in found]


class Modality:
    def __init__(self, port: int) -> None:
        self.port = port

    def ask(self, sop_class: Any, send: Any, title: str = "MR1", called: str = "TOCSIN") -> int:
        entity = AE(ae_title=title)
        entity.add_requested_context(sop_class)
        association = entity.associate("127.0.0.1", self.port, ae_title=called)
        if not association.is_established:
            return -1
        try:
            answer = send(association)
            status = answer[0] if isinstance(answer, tuple) else answer
            return int(status.Status)
        finally:
            association.release()

    def create(self, dataset: Dataset, uid: str = UID, sop_class: Any = MPPS) -> int:
        return self.ask(sop_class, lambda a: a.send_n_create(dataset, sop_class, uid))

    def change(self, dataset: Dataset, uid: str = UID) -> int:
        return self.ask(MPPS, lambda a: a.send_n_set(dataset, MPPS, uid))


@pytest.fixture
def journal() -> MemoryJournal:
    return MemoryJournal()


@pytest.fixture
def modality(journal: MemoryJournal) -> Iterator[Modality]:
    receiver = Receiver(ImagingSettings(), journal, lambda: NOW)
    try:
        yield Modality(receiver.start())
    finally:
        receiver.stop()


def completed() -> Dataset:
    dataset = Dataset()
    dataset.PerformedProcedureStepStatus = "COMPLETED"
    dataset.PerformedProcedureStepEndDate = "20260101"
    dataset.PerformedProcedureStepEndTime = "080000"
    return dataset


def stages(journal: MemoryJournal) -> list[Stage]:
    return [f.stage for i in interpreted(journal) for f in i.facts if isinstance(f, StudyEvent)]


def test_a_step_begins_and_ends(journal: MemoryJournal, modality: Modality) -> None:
    assert modality.create(step("IN PROGRESS")) == 0
    assert modality.change(completed()) == 0
    assert stages(journal) == [Stage.IN_PROGRESS, Stage.ACQUIRED]


def test_an_empty_element_does_not_take_the_patient_away(
    journal: MemoryJournal, modality: Modality
) -> None:
    assert modality.create(step("IN PROGRESS")) == 0
    change = completed()
    change.PatientID = ""
    assert modality.change(change) == 0
    assert stages(journal) == [Stage.IN_PROGRESS, Stage.ACQUIRED]


def test_what_the_standard_says_of_steps_out_of_turn(
    journal: MemoryJournal, modality: Modality
) -> None:
    assert modality.change(completed()) == 0x0112  # never created
    assert modality.create(step("IN PROGRESS")) == 0
    assert modality.create(step("IN PROGRESS")) == 0x0111  # created twice
    assert modality.change(completed()) == 0
    assert modality.change(completed()) == 0x0110  # final
    assert len(journal.of(topics.WIRE_IMAGING)) == 2


def test_with_the_broker_away_the_sender_keeps_it(
    journal: MemoryJournal, modality: Modality
) -> None:
    journal.away = True
    assert modality.create(step("IN PROGRESS")) == 0x0110
    assert modality.create(notice(), "1.2.3", IAN) == 0x0110
    journal.away = False
    assert modality.create(step("IN PROGRESS")) == 0  # it was not kept: it is no duplicate
    assert modality.create(notice(), "1.2.3", IAN) == 0
    assert [i.reason for i in interpreted(journal)] == ["", "awaits_archive"]


def test_a_receiver_that_was_restarted_knows_the_open_steps(journal: MemoryJournal) -> None:
    first = Receiver(ImagingSettings(), journal, lambda: NOW)
    assert Modality(first.start()).create(step("IN PROGRESS")) == 0
    first.stop()
    garbled = [(topics.HEADER_CONTENT_TYPE, b"x; event=mpps")]
    journal.append(topics.WIRE_IMAGING, b"\xff", garbled)
    second = Receiver(ImagingSettings(), journal, lambda: NOW)
    try:
        assert Modality(second.start()).change(completed()) == 0
    finally:
        second.stop()
    assert stages(journal) == [Stage.IN_PROGRESS, Stage.ACQUIRED]


def test_two_receivers_know_each_others_steps(journal: MemoryJournal) -> None:
    receivers = [Receiver(ImagingSettings(), journal, lambda: NOW) for _ in range(2)]
    first, second = (Modality(one.start()) for one in receivers)
    try:
        assert first.create(step("IN PROGRESS")) == 0
        assert second.change(completed()) == 0
    finally:
        for one in receivers:
            one.stop()


def test_records_name_who_called(journal: MemoryJournal, modality: Modality) -> None:
    """So that the site file can say how each modality is read."""
    modality.create(step("IN PROGRESS"))
    (record,) = journal.of(topics.WIRE_IMAGING)
    assert dict(record.headers)[topics.HEADER_SOURCE] == b"MR1"


def test_what_is_too_large_is_set_aside_before_it_is_decoded(
    journal: MemoryJournal, modality: Modality
) -> None:
    dataset = step("IN PROGRESS")
    dataset.add_new(0x00091010, "OB", bytes(MOST_BYTES))
    assert modality.create(dataset) == 0x0110
    assert (set_aside(journal), journal.of(topics.WIRE_IMAGING)) == ([("oversized", "MR1")], [])
    assert modality.create(step("IN PROGRESS")) == 0  # it was not kept: it is no duplicate


def test_bytes_that_are_no_dataset_are_set_aside(
    journal: MemoryJournal, modality: Modality, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As a modality with a fault in its encoder would send them."""
    monkeypatch.setattr("pynetdicom.association.encode", lambda *_, **__: b"\xff" * 99)
    assert modality.create(step("IN PROGRESS")) == 0x0110
    assert set_aside(journal) == [("bad_dicom", "MR1")]


def test_only_known_titles_may_call(journal: MemoryJournal) -> None:
    receiver = Receiver(ImagingSettings(callers=("MR1",)), journal, lambda: NOW)
    try:
        modality = Modality(receiver.start())
        echo = lambda association: association.send_c_echo()  # noqa: E731
        assert modality.ask(Verification, echo) == 0
        assert modality.ask(Verification, echo, title="OTHER") == -1
        assert modality.ask(Verification, echo, called="OTHER") == -1
    finally:
        receiver.stop()


def test_a_dataset_that_makes_no_sense_is_logged_and_goes_to_quarantine(
    journal: MemoryJournal, modality: Modality
) -> None:
    """Taken in, since the log keeps everything; what it means is said afterwards."""
    without_status = step("IN PROGRESS")
    del without_status.PerformedProcedureStepStatus
    assert modality.create(without_status, "1.2.9") == 0
    (found,) = interpreted(journal)
    assert (found.outcome, found.reason) == ("quarantine", "unknown_status")
