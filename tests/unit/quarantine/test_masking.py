"""What people see of a message in quarantine, and how they mend a field."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from connectors.masking import masked
from streams.errors import UserError
from streams.mending import with_field

RAW = (
    b"MSH|^~\\&|LAB|HOSP|||20260101||ORU^R01|C1|P|2.5.1\r"
    b"PID|1||4711^^^HOSP^MR||Doe^Jane||19500101|F|||1 Main St\r"
    b"NK1|1|Doe^Jim\r"
    b"OBR|1||F9^LAB|1^Panel^L|||20260101|||||||||Dr^House\r"
    b"OBX|1|NM|2823-3^K^LN||4.1|mmol/L|||||F\r"
    b"OBX|2|TX|N^Note^L||Jane called||||||F\r"
    b"ZPI|1|Jane|0664\r"
)


def test_nothing_that_names_a_person_is_shown() -> None:
    text = masked(RAW)
    for secret in ("4711", "Doe", "Jane", "Jim", "Main", "House", "F9", "1950", "0664", "called"):
        assert secret not in text
    for shown in ("ORU^R01", "2823-3^K^LN", "4.1", "mmol/L", "20260101", "|F"):
        assert shown in text


def test_the_shape_stays() -> None:
    assert masked(RAW).splitlines()[1] == (
        "PID|1||9999^^^xxxx^xx||xxx^xxxx||99999999|F|||9 xxxx xx"
    )


@given(st.binary(max_size=300))
def test_any_bytes_can_be_shown(raw: bytes) -> None:
    masked(raw)


@pytest.mark.parametrize(
    ("change", "line"),
    [
        ("PID-3=1^^^H", b"PID|1||1^^^H||Doe"),
        ("OBX[2]-5=x", b"OBX|2|TX|N^Note^L||x||"),
        ("NK1-4=far", b"NK1|1|Doe^Jim||far\r"),
        ("MSH-9=ADT^A01", b"||ADT^A01|C1"),
    ],
)
def test_a_field_anew(change: str, line: bytes) -> None:
    assert line in with_field(RAW, change)


@pytest.mark.parametrize(
    "change", ["PID=1", "pid-3=1", "OBX[9]-5=1", "MSH-1=#", "PID-0=1", "PID-999=1"]
)
def test_a_change_that_cannot_be_made(change: str) -> None:
    with pytest.raises(UserError):
        with_field(RAW, change)
