"""Structured reports: measurements with what tells them apart, corrected in any order."""

from __future__ import annotations

import random
from itertools import permutations

import pytest
from pydicom.dataset import Dataset
from pydicom.uid import CTImageStorage

from connectors import wire
from connectors.facts import Observation
from connectors.identity import Identifier, IdentityKey
from connectors.interpret import interpret
from connectors.interpretation import Interpretation, Profile
from models.record import PatientRecord
from tests.unit.imaging import objects
from tests.unit.imaging.objects import (
    DIAMETER,
    LENGTH_UNIT,
    SERIES,
    STUDY,
    container,
    echo,
    lesion,
    num,
    report,
)

HEARD = 1_767_272_400.0
KEY = IdentityKey(bytes(32))
ECHO = ("125200", "DCM", "Adult Echocardiography Procedure Report")


def read(raw: bytes) -> Interpretation:
    message = wire.WireMessage(raw, "t/0/0", HEARD, "ARCHIVE", "", wire.DICOM)
    (found,) = interpret(message, KEY, Profile())
    return found


def values(found: Interpretation) -> list[Observation]:
    assert found.outcome == "facts", found.issues
    return [fact for fact in found.facts if isinstance(fact, Observation)]


def test_a_lesion_of_a_measurement_report() -> None:
    found = read(report(lesion("12.5")))
    (one,) = values(found)
    assert (one.code, one.system, one.value, one.unit) == ("103339001", "SCT", 12.5, "mm")
    assert (one.site, one.laterality, one.study) == ("39607008^SCT", "L", KEY.study(STUDY))
    assert one.time == 1_767_254_400.0  # content time, 08:00
    assert one.tracking and one.object
    assert found.pseudonym == KEY.pseudonym(Identifier("HOSP", "MR", "42"))


def test_an_echo_report_tells_methods_apart() -> None:
    found = values(read(report(echo("35"), title=ECHO)))
    assert [(o.code, o.system, o.value, o.unit) for o in found] == [
        ("10230-1", "LN", 35.0, "%"),
        ("10230-1", "LN", 50.0, "%"),
    ]
    assert len({o.id for o in found}) == 2
    assert {o.site for o in found} == {"87878005^SCT"}


def test_nothing_that_identifies_is_in_a_fact() -> None:
    text = str(read(report(lesion("12.5"))).facts)
    for secret in (STUDY, SERIES, "DOE", "JANE", "A77", "19500101", "1.2.826.0.1.99.7"):
        assert secret not in text


def test_a_corrected_report_replaces_the_one_before_in_any_order() -> None:
    """Preliminary, final, corrected: and one of them twice."""
    preliminary = read(report(lesion("11"), time="081000", PreliminaryFlag="PRELIMINARY"))
    final = read(report(lesion("12"), time="080000", instance="1.2.826.0.1.99.31"))
    corrected = read(
        report(
            lesion("13"),
            time="090000",
            instance="1.2.826.0.1.99.32",
            replaces="1.2.826.0.1.99.31",
        )
    )
    digests = set()
    for order in permutations((preliminary, final, corrected, final)):
        record = PatientRecord()
        for one in order:
            record.fold_facts(one.facts)
        assert [v.value for v in record.series("103339001")] == [13.0]
        digests.add(record.digest())
    assert len(digests) == 1


def test_two_lesions_stay_two() -> None:
    both = read(report(lesion("12", "1.2.3.1"), lesion("30", "1.2.3.2")))
    assert sorted(o.value for o in values(both) if isinstance(o.value, float)) == [12.0, 30.0]
    assert len({o.id for o in values(both)}) == 2


def test_a_value_that_could_not_be_measured_says_so() -> None:
    why = ("114006", "DCM", "Measurement failure")
    (one,) = values(read(report(num(DIAMETER, None, LENGTH_UNIT, why=why))))
    assert one.value is None


def _image() -> bytes:
    dataset = Dataset()
    dataset.SOPClassUID, dataset.SOPInstanceUID = CTImageStorage, "1.2.3"
    return objects.part10(dataset)


def _nested(levels: int) -> Dataset:
    item = num(DIAMETER, "1", LENGTH_UNIT)
    for _ in range(levels):
        item = container(("x", "L", "x"), [item])
    return item


@pytest.mark.parametrize(
    ("raw", "reason"),
    [
        (b"", "bad_dicom"),
        (b"\0" * 128 + b"DICM", "bad_dicom"),
        (b"hello" * 99, "bad_dicom"),
        (_image(), "no_patient"),  # a picture, and nobody's
        (report(_nested(80)), "bad_dicom"),
        (report(lesion("1"), patient=""), "no_patient"),
        (report(lesion("1"), StudyInstanceUID=""), "no_study"),
        (report(lesion("1"), ContentDate=""), "no_time"),
        (report(lesion("1"), ContentDate="29990101"), "time_in_future"),
        (report(lesion("1")).replace(b"20260101", b"20261399"), "bad_time"),
        (report(lesion("1"), IssuerOfPatientID=""), "no_patient"),
        (report(num(DIAMETER, None, LENGTH_UNIT)), "no_value"),
        (report(num(("", "", ""), "1", LENGTH_UNIT)), "no_code"),
    ],
)
def test_what_cannot_be_understood_is_refused(raw: bytes, reason: str) -> None:
    found = read(raw)
    assert (found.outcome, found.reason, found.facts) == ("quarantine", reason, [])


def test_a_bad_measurement_leaves_the_others() -> None:
    found = read(report(num(("", "", ""), "1", LENGTH_UNIT), lesion("2")))
    assert [o.value for o in values(found)] == [2.0]
    assert [(i.reason, i.location) for i in found.issues] == [("no_code", "NUM[1]")]


@pytest.mark.parametrize("undefined", [False, True])
def test_half_an_object_is_never_half_a_report(undefined: bool) -> None:
    """Cut off anywhere: refused, whether its sequences say their length or their end."""
    whole = report(lesion("1", "1.2.3.1"), lesion("2", "1.2.3.2"), undefined=undefined)
    for length in range(0, len(whole), 7):
        assert read(whole[:length]).outcome == "quarantine", length
    assert len(values(read(whole))) == 2


def test_mutated_objects_never_raise() -> None:
    """Whatever the bytes: one outcome, and the process that reads them goes on."""
    chance = random.Random(3)
    whole = report(lesion("12.5"), echo("35"))
    for _ in range(400):
        raw = bytearray(whole)
        for _ in range(chance.randint(1, 8)):
            place = chance.randrange(len(raw))
            raw[place : place + chance.randint(0, 4)] = chance.randbytes(chance.randint(0, 4))
        assert read(bytes(raw)).outcome in ("facts", "no_facts", "quarantine")
    assert read(whole).outcome == "facts"
