"""Messages out of files."""

from __future__ import annotations

from pathlib import Path

import pytest

from connectors.mllp.files import messages_of
from connectors.mllp.frames import wrap

A, B = b"MSH|^~\\&|A\rPID|1\r", b"MSH|^~\\&|B\rPID|2\r"


@pytest.mark.parametrize(
    ("data", "expected"),
    [
        pytest.param(A, [A], id="one"),
        pytest.param(A + B, [A, B], id="two"),
        pytest.param(A.rstrip() + b"\r\r\r" + B, [A, B], id="blank lines"),
        pytest.param((A + B).replace(b"\r", b"\n"), [A, B], id="line feeds"),
        pytest.param(b"\r\n" + (A + B).replace(b"\r", b"\r\n"), [A, B], id="CRLF"),
        pytest.param(b"\xef\xbb\xbf" + A, [A], id="mark"),
        pytest.param(A.rstrip(), [A], id="no line end at the end"),
        pytest.param(wrap(A) + b"\n" + wrap(b"x\n"), [A, b"x\n"], id="frames as they are"),
        pytest.param(wrap(A) + wrap(B)[:-1], [A, B + b"\x1c"], id="frame broken off"),
        pytest.param(b"note\n" + A, [b"note\r", A], id="something before"),
        pytest.param(
            A.replace(b"PID|1", b"NTE|1||MSH|x"),
            [A.replace(b"PID|1", b"NTE|1||MSH|x")],
            id="MSH within",
        ),
        pytest.param(A.replace(b"1", b"\xe4\xff"), [A.replace(b"1", b"\xe4\xff")], id="8-bit"),
        pytest.param(b"FHS|^~\\&\r" + A + B, [b"FHS|^~\\&\r" + A + B], id="batch"),
        pytest.param(b"\x00\n\x01", [b"\x00\n\x01"], id="no message"),
        pytest.param(b"\n \n", [], id="nothing"),
        pytest.param(b"", [], id="empty"),
    ],
)
def test_messages_of_a_file(data: bytes, expected: list[bytes]) -> None:
    assert messages_of(data) == expected


@pytest.mark.shared
def test_every_sample_file_is_one_message(shared: Path) -> None:
    files = sorted((shared / "data" / "hl7v2" / "messages").rglob("*.hl7"))
    counts = {len(messages_of(f.read_bytes())) for f in files}
    assert counts == {1}
