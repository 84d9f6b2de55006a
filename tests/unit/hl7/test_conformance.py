"""What is wrong with a message, in words."""

from __future__ import annotations

import pytest

from connectors.hl7.conformance import explain
from tests.unit.hl7.reading import lines

GOOD = lines(
    "PID|1||42^^^HOSP^MR||Doe^Jane",
    "OBR|1||F1|1^Panel^L|||20260101",
    "OBX|1|NM|2823-3^Potassium^LN||4.1|mmol/L|||||F",
    kind="ORU^R01^ORU_R01",
)


def test_nothing_is_wrong_with_a_good_message() -> None:
    assert explain(GOOD) == []


@pytest.mark.parametrize(
    ("bad", "finding"),
    [
        (GOOD.replace(b"|Doe^Jane", b""), "PID-5 is required and missing."),
        (GOOD.replace(b"2823-3^Potassium^LN", b""), "OBX-3 is required and missing."),
        (GOOD.replace(b"|F\r", b"|Zanzibar\r"), "OBX-11 has a value outside its table."),
        (GOOD.replace(b"PID|", b"/* Zanzibar */ PID|"), "Line 2 is no segment."),
        (GOOD.replace(b"2.5.1", b"9.9"), "hl7apy cannot read it: unsupported version."),
        (GOOD.replace(b"|ORU^R01^ORU_R01", b"|"), "MSH-9 (message type) is empty"),
        (GOOD.replace(b"Jane", b"\xff"), "not text in the declared charset"),
    ],
)
def test_findings_name_the_place_and_never_the_value(bad: bytes, finding: str) -> None:
    told = explain(bad)
    assert any(finding in sentence for sentence in told), told
    assert not any("Zanzibar" in sentence or "Doe" in sentence for sentence in told)
