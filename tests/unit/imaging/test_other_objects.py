"""Rejection notes and segmentations: what they say of a study, in any order."""

from __future__ import annotations

import random
from itertools import permutations
from typing import Any

import pytest
from pydicom.uid import ComprehensiveSRStorage, CTImageStorage, SegmentationStorage

from connectors import wire
from connectors.facts import AnyFact, ImagingObject, Observation, Stage, StudyEvent
from connectors.identity import IdentityKey
from connectors.interpret import interpret
from connectors.interpretation import Interpretation, Profile
from models.record import PatientRecord
from models.studies import segment_of, studies
from tests.unit.imaging.objects import (
    DIAMETER,
    STUDY,
    as_json,
    lesion,
    measured_in,
    rejection,
    report,
    segmentation,
    step,
)

HEARD = 1_767_272_400.0  # 2026-01-01 13:00 UTC
KEY = IdentityKey(bytes(32))
REPORT = (ComprehensiveSRStorage, "1.2.826.0.1.99.3")
PICTURE = (CTImageStorage, "1.2.826.0.1.99.4")
LUNG = ("39607008", "SCT", "Lung")
LIVER = ("10200004", "SCT", "Liver")
SEG = "1.2.826.0.1.99.60"


def read(raw: bytes, content: str = wire.DICOM, heard: float = HEARD) -> Interpretation:
    message = wire.WireMessage(raw, "t/0/0", heard, "ARCHIVE", "", content)
    (found,) = interpret(message, KEY, Profile())
    return found


def known(instances: int, heard: float = HEARD) -> Interpretation:
    """What the archive says of the study."""
    study = step("COMPLETED")
    study.StudyInstanceUID, study.NumberOfStudyRelatedInstances = STUDY, instances
    return read(as_json(study), f"{wire.DICOM_JSON}; event=study", heard)


def folded(*found: Interpretation) -> PatientRecord:
    record = PatientRecord()
    for one in found:
        assert one.outcome == "facts", one.issues
        record.fold_facts(one.facts)
    return record


def of_kind(record: PatientRecord, kind: type) -> list[Any]:
    return [f for f in record.facts.values() if isinstance(f, kind)]


def stage(record: PatientRecord) -> Stage:
    (one,) = studies(of_kind(record, StudyEvent), of_kind(record, ImagingObject))
    return one.stage


@pytest.mark.parametrize("code", ["113001", "113037", "113038", "113039"])
def test_a_rejected_report_loses_its_values_in_any_order(code: str) -> None:
    measured, note = read(report(lesion("12.5"))), read(rejection(code, REPORT))
    digests = set()
    for order in permutations([measured, note, known(10)]):
        record = folded(*order, order[0])
        assert record.series(DIAMETER[0]) == []
        assert stage(record) is Stage.AVAILABLE  # nine of ten objects stand
        digests.add(record.digest())
    assert len(digests) == 1


def test_a_rejected_picture_leaves_the_values_of_the_report() -> None:
    record = folded(read(report(lesion("12.5"))), read(rejection("113001", PICTURE)), known(10))
    assert [o.value for o in record.series(DIAMETER[0])] == [12.5]


def test_a_note_that_names_everything_rejects_the_study() -> None:
    measured = read(report(lesion("12.5"), instance="1.2.3.4"))  # a report that it does not name
    note = read(rejection("113037", REPORT, PICTURE))
    for order in permutations([measured, note, known(3)]):  # the note is the third
        record = folded(*order)
        assert stage(record) is Stage.REJECTED
        assert record.series(DIAMETER[0]) == []
    # More came later: it is not all of the study any more.
    for order in permutations([measured, note, known(3), known(9, HEARD + 60.0)]):
        record = folded(*order)
        assert stage(record) is Stage.AVAILABLE
        assert [o.value for o in record.series(DIAMETER[0])] == [12.5]


def test_a_rejection_changes_scores_from_the_first_value_that_goes() -> None:
    record = folded(read(report(lesion("12.5"))))
    at = record.series(DIAMETER[0])[0].time
    assert record.fold_facts(read(rejection("113038", REPORT)).facts).since == at
    assert record.fold_facts(read(rejection("113038", REPORT)).facts).since is None


def test_another_selection_says_nothing() -> None:
    found = read(rejection("113000", REPORT))  # "Of Interest"
    assert (found.outcome, found.reason) == ("no_facts", "nothing_mapped")


def test_a_note_that_names_nothing_is_set_aside() -> None:
    found = read(rejection("113001"))
    assert found.outcome == "facts"  # of a study, and of no object of it
    assert [f.count for f in found.facts if isinstance(f, ImagingObject)] == [0]


def test_a_segmentation_tells_where_a_value_was_measured() -> None:
    measured = read(report(lesion("12.5", "1.2.3", measured_in(2, SEG)), lesion("7", "1.2.4")))
    seg = read(segmentation(LUNG, LIVER))
    for order in permutations([measured, seg]):
        record = folded(*order)
        values = {o.value: o for o in of_kind(record, Observation)}
        segment = segment_of(values[12.5], of_kind(record, ImagingObject))
        assert segment is not None
        assert (segment.number, segment.site, segment.laterality) == (2, "10200004^SCT", "R")
        assert segment.what == "52988006^SCT"
        assert segment.tracking == KEY.short("tracking", f"{SEG}.2")
        assert segment_of(values[7.0], of_kind(record, ImagingObject)) is None


def test_a_segmentation_is_an_object_of_its_study() -> None:
    (fact,) = read(segmentation(LUNG, LIVER)).facts
    assert isinstance(fact, ImagingObject)
    assert (fact.kind, fact.study) == (ImagingObject.SEGMENTATION, KEY.study(STUDY))
    assert [s.number for s in fact.segments] == [1, 2]


def test_a_rejected_segmentation_is_named() -> None:
    facts: list[AnyFact] = read(rejection("113001", (SegmentationStorage, SEG), PICTURE)).facts
    kinds = [(f.kind, f.count) for f in facts if isinstance(f, ImagingObject)]
    assert kinds == [(ImagingObject.NOTE, 2), (ImagingObject.REJECTED, 0)]


@pytest.mark.parametrize("raw", [segmentation(LUNG), rejection("113001", REPORT)])
def test_damaged_objects_have_one_outcome(raw: bytes) -> None:
    chance = random.Random(3)
    for _ in range(40):
        damaged = bytearray(raw)
        for _ in range(chance.randrange(1, 6)):
            damaged[chance.randrange(132, len(damaged))] = chance.randrange(256)
        if chance.random() < 0.3:
            damaged = damaged[: chance.randrange(len(damaged))]
        found = read(bytes(damaged))
        assert found.outcome in ("facts", "no_facts", "quarantine")
        assert (found.outcome == "facts") == bool(found.facts)
