"""The rule that says which messages go first."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from connectors.hl7 import build
from connectors.urgency import is_urgent

HEAD = build.join(build.message("ORU^R01", "1", 1_767_268_800.0)).rstrip(b"\r")


def with_segments(*segments: str) -> bytes:
    return b"\r".join([HEAD, *(s.encode() for s in segments)]) + b"\r"


def potassium(flag: str) -> str:
    return build.obx(("2823-3", "Potassium", "LN"), 4.1, unit="mmol/L", flag=flag)


@pytest.mark.parametrize("flag", ["HH", "LL", "AA", ">", "<"])
def test_a_result_that_its_sender_flags_as_critical_is(flag: str) -> None:
    assert is_urgent(with_segments(potassium("N"), potassium(flag)))


@pytest.mark.parametrize("flag", ["", "N", "H", "L", "A", "HHH", "U"])
def test_other_flags_do_not_make_it_urgent(flag: str) -> None:
    assert not is_urgent(with_segments(potassium(flag)))


def test_one_of_several_flags_is_enough() -> None:
    obx = "OBX|1|NM|2823-3^K^LN||7.1|mmol/L|3.5-5|"
    assert is_urgent(with_segments(f"{obx}H~HH"))
    assert is_urgent(with_segments(f"{obx}HH^above panic^HL70078|||F"))


@pytest.mark.parametrize(
    ("segment", "urgent"),
    [
        ("TQ1|1||||||||S^STAT^HL70485", True),
        ("TQ1|1||||||||STAT", True),
        ("TQ1|1||||||||R", False),
        ("OBR|1||2|3^x|S||20260101", True),
        ("OBR|1||2|3^x|STAT", True),
        ("OBR|1||2|3^x|R", False),
        (f"OBR|1||2|3^x|{'|' * 22}^^^^^S", True),
        (f"OBR|1||2|3^x|{'|' * 22}^^^^^R", False),
        ("PID|1||4711||A^B||1948|M|||||||||S", False),  # single
    ],
)
def test_an_order_that_is_to_be_done_at_once_is(segment: str, urgent: bool) -> None:  # a table
    assert is_urgent(with_segments(segment, potassium("N"))) is urgent


@pytest.mark.parametrize(
    ("code", "value", "unit", "urgent"),
    [
        ("9279-1", 8, "/min", True),
        ("9279-1", 9, "/min", False),
        ("9279-1", 24, "/min", False),
        ("9279-1", 25, "/min", True),
        ("59408-5", 91, "%", True),
        ("59408-5", 92, "%", False),
        ("8480-6", 90, "mm[Hg]", True),
        ("8480-6", 91, "mm[Hg]", False),
        ("8480-6", 220, "mm[Hg]", True),
        ("8867-4", 40, "/min", True),
        ("8867-4", 130, "/min", False),
        ("8867-4", 131.5, "/min", True),
        ("8310-5", 35.0, "Cel", True),
        ("8310-5", 35.1, "Cel", False),
        ("8310-5", 35.0, "[degF]", False),
        ("2823-3", 1, "mmol/L", False),
    ],
)
def test_a_vital_sign_that_scores_three_by_itself_is(
    code: str,
    value: float,
    unit: str,
    urgent: bool,  # a table
) -> None:
    assert is_urgent(with_segments(build.obx((code, "x", "LN"), value, unit=unit))) is urgent


@pytest.mark.parametrize(
    ("event", "urgent"),
    [("ADT^A01", True), ("ADT^A04", True), ("ADT^A08", False), ("ADT^A03", False)],
)
def test_the_beginning_of_a_stay_goes_before_the_results_of_it(
    event: str,
    urgent: bool,  # a table
) -> None:
    assert is_urgent(build.join(build.message(event, "1", 1_767_268_800.0))) is urgent


def test_a_segment_may_end_as_files_do() -> None:
    assert is_urgent(with_segments(potassium("HH")).replace(b"\r", b"\n"))


@given(st.binary(max_size=300))
def test_any_bytes_are_judged(raw: bytes) -> None:
    is_urgent(raw)
    is_urgent(HEAD + b"\rOBX|" + raw)


def test_no_message_takes_long_to_judge() -> None:
    """Each in a process of seconds, were time to grow with the square of its length."""
    million = b"x" * 1_000_000
    for segment in (
        b"OBX|1|NM|" + million,
        b"OBX|1|NM|8867-4^" + million,
        b"OBX|1|NM|" + million + b"|1|",
        b"OBX|1|NM|8867-4||" + b"1" * 1_000_000,
        b"OBX|" + b"~" * 1_000_000,
        b"OBR|" * 250_000,
        b"OBX|" * 250_000,
        b"OBX|1|NM|" * 100_000,
    ):
        assert not is_urgent(b"MSH|^~\\&|\r" + segment)
