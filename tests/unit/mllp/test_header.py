"""The MSH segment from raw bytes."""

from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from connectors.hl7.header import HeaderError, scan
from connectors.quarantine import Reason

MSH = b"MSH|^~\\&|LAB|HOSP|TOCSIN|WARD|20260101120000||ORU^R01^ORU_R01|42|P|2.5.1|||AL|NE||UTF-8"


def test_every_field_is_found() -> None:
    header = scan(MSH + b"\rPID|1|\xff\xfe\r")
    assert (header.field, header.encoding) == ("|", "^~\\&")
    assert (header.application, header.facility) == ("LAB", "HOSP")
    assert (header.receiving_application, header.receiving_facility) == ("TOCSIN", "WARD")
    assert (header.time, header.message_type) == ("20260101120000", "ORU^R01^ORU_R01")
    assert (header.control_id, header.processing_id, header.version) == ("42", "P", "2.5.1")
    assert (header.accept, header.application_accept, header.charset) == ("AL", "NE", "UTF-8")
    assert (header.kind, header.version_number) == ("ORU^R01", (2, 5, 1))


@pytest.mark.parametrize("end", [b"", b"\r", b"\n", b"\r\n"])
@pytest.mark.parametrize("begin", [b"", b"\xef\xbb\xbf", b"\r\n", b" "])
def test_line_ends_and_what_stands_before_do_not_matter(begin: bytes, end: bytes) -> None:
    assert scan(begin + MSH + end + (b"PID|1" if end else b"")).charset == "UTF-8"


def test_delimiters_are_those_of_the_message() -> None:
    header = scan(b"MSH$%~\\&$LAB$HOSP$$$2026$$ADT%A01$7$P$2.3\rPID$1\r")
    assert (header.kind, header.control_id, header.version) == ("ADT^A01", "7", "2.3")


def test_bytes_beyond_ascii_survive() -> None:
    header = scan("MSH|^~\\&|LÄB||||||ADT|ü1|P|2.5".encode())
    assert header.application.encode("latin-1").decode() == "LÄB"


@pytest.mark.parametrize(
    ("kind", "is_acknowledgement"),
    [("ACK", True), ("ACK^R01^ACK", True), ("MCF", True), ("ADT^A01", False), ("ORA^R41", False)],
)
def test_acknowledgements_are_known(kind: str, is_acknowledgement: bool) -> None:
    header = scan(f"MSH|^~\\&|A|B|C|D|2026||{kind}|1|P|2.5".encode())
    assert header.is_acknowledgement is is_acknowledgement


@pytest.mark.parametrize(
    ("raw", "reason"),
    [
        (b"PID|1|2\r", Reason.NOT_HL7),
        (b"\x89PNG\r\n\x1a\n", Reason.NOT_HL7),
        (b" ", Reason.NOT_HL7),
        (b"MSH", Reason.BAD_HEADER),
        (b"MSH|\rPID|1", Reason.BAD_HEADER),
        (b"MSH||A|B", Reason.BAD_HEADER),
        (b"MSHABCDEF|A|B", Reason.BAD_HEADER),
        (b"MSH|^^\\&|A|B", Reason.BAD_HEADER),
        (b"MSH|^~\\&#!|A|B", Reason.BAD_HEADER),
        (b"MSH|^~\\&|A|B|C|D|2026|||1|P|2.5", Reason.BAD_HEADER),
        (b"MSH|^~\\&|A|B|C|D|2026||ADT^A01|1|P|", Reason.BAD_HEADER),
        (MSH.decode().encode("utf-16"), Reason.BAD_CHARSET),
        (MSH.decode().encode("utf-16-le"), Reason.BAD_CHARSET),
        (MSH.decode().encode("utf-16-be"), Reason.BAD_CHARSET),
        (b"FHS|^~\\&|A|B\rBHS|^~\\&|A|B\r" + MSH, Reason.UNSUPPORTED_TYPE),
    ],
)
def test_unusable_headers_have_a_reason(raw: bytes, reason: Reason) -> None:
    with pytest.raises(HeaderError) as caught:
        scan(raw)
    assert caught.value.reason == reason


def test_what_can_be_read_of_a_bad_header_is_there_for_the_answer() -> None:
    with pytest.raises(HeaderError) as caught:
        scan(b"MSH|^~\\&|A|B|C|D|2026||ADT^A01|1|P|")
    assert caught.value.header is not None
    assert caught.value.header.control_id == "1"
    assert caught.value.location == "MSH-12"


def test_a_batch_is_answered_to_its_own_control_id() -> None:
    with pytest.raises(HeaderError) as caught:
        scan(b"BHS|^~\\&|LAB|HOSP|||2026||||B-17\rMSH|^~\\&\r")
    assert caught.value.header is not None
    assert (caught.value.header.control_id, caught.value.header.facility) == ("B-17", "HOSP")


@given(st.binary(max_size=200) | st.binary(max_size=100).map(lambda b: b"MSH|^~\\&|" + b))
def test_any_bytes_are_a_header_or_a_reason(raw: bytes) -> None:
    try:
        assert scan(raw).version
    except HeaderError as error:
        assert error.detail


@pytest.mark.shared
def test_headers_of_other_systems_are_read(shared: Path) -> None:
    """All the sample messages have a usable header (their bodies are another matter)."""
    files = sorted((shared / "data" / "hl7v2" / "messages").rglob("*.hl7"))
    assert len(files) > 1_000
    for file in files:
        assert scan(file.read_bytes()).code


def test_a_version_of_thousands_of_digits_is_no_version() -> None:
    """Python refuses to make a number of it; the sender must get an answer all the same."""
    raw = b"MSH|^~\\&|LAB|HOSP|||2026||ORU^R01|1|P|2." + b"1" * 5_000 + b"\rPID|1||4711\r"
    assert scan(raw).version_number == ()
