"""Which answers go out, and their bytes."""

from __future__ import annotations

import pytest

from connectors.hl7.header import Header, scan
from connectors.mllp.acknowledge import PAUSED, Acknowledger, Mode, codes, refusal
from connectors.quarantine import Reason

AT = 1_767_268_800.0  # 2026-01-01 12:00:00 UTC


def header(
    *, accept: str = "", application: str = "", version: str = "2.5.1", kind: str = "ORU^R01"
) -> Header:
    return scan(
        f"MSH|^~\\&|LAB|HOSP|TOCSIN|WARD|2026||{kind}|m-1|T|{version}|||{accept}|{application}".encode()
    )


# MSH-15, MSH-16, answers to a message that is safe, answers to one that is refused. The rows of
# section 2.9.2 of HL7 v2.5.1, and table 0155.
MODES = [
    ("", "", ("AA",), ("AR",)),
    ("NE", "NE", (), ()),
    ("AL", "NE", ("CA",), ("CR",)),
    ("SU", "NE", ("CA",), ()),
    ("ER", "NE", (), ("CR",)),
    ("NE", "AL", ("AA",), ("AR",)),
    ("NE", "SU", ("AA",), ()),
    ("NE", "ER", (), ("AR",)),
    ("AL", "AL", ("CA", "AA"), ("CR",)),
    ("AL", "SU", ("CA", "AA"), ("CR",)),
    ("AL", "ER", ("CA",), ("CR",)),
    ("SU", "AL", ("CA", "AA"), ("AR",)),
    ("ER", "AL", ("AA",), ("CR",)),
    ("ER", "ER", (), ("CR",)),
    ("AL", "", ("CA",), ("CR",)),
    ("", "AL", ("AA",), ("AR",)),
    ("al", "ne", ("CA",), ("CR",)),
    ("XX", "NE", ("CA",), ("CR",)),
]


@pytest.mark.parametrize(("accept", "application", "safe", "refused"), MODES)
def test_answers_by_mode(
    accept: str, application: str, safe: tuple[str, ...], refused: tuple[str, ...]
) -> None:
    h = header(accept=accept, application=application)
    assert codes(h, accepted=True) == safe
    assert codes(h, accepted=False) == refused


# A source's own mode: answers to a message that is safe, that is refused, and while it is paused;
# whatever MSH-15 and MSH-16 ask.
OWN_MODES = [
    (Mode.ALWAYS, ("AA",), ("AR",), ("AE",)),
    (Mode.COMMIT, ("CA",), ("CR",), ("CE",)),
    (Mode.BOTH, ("CA", "AA"), ("CR",), ("CE",)),
    (Mode.ERRORS, (), ("AR",), ("AE",)),
    (Mode.NEVER, (), (), ()),
]


@pytest.mark.parametrize(("mode", "safe", "refused", "paused"), OWN_MODES)
@pytest.mark.parametrize("asked", [("", ""), ("NE", "NE"), ("AL", "AL"), ("ER", "")])
def test_answers_by_the_sources_own_mode(
    mode: Mode,
    safe: tuple[str, ...],
    refused: tuple[str, ...],
    paused: tuple[str, ...],
    asked: tuple[str, str],
) -> None:
    h = header(accept=asked[0], application=asked[1])
    assert codes(h, accepted=True, mode=mode) == safe
    assert codes(h, accepted=False, mode=mode) == refused
    assert codes(h, accepted=False, mode=mode, letter=PAUSED.letter) == paused


def test_every_mode_is_tried() -> None:
    assert {mode for mode, *_ in OWN_MODES} | {Mode.MESSAGE} == set(Mode)


@pytest.mark.parametrize("mode", Mode)
def test_no_mode_answers_an_acknowledgement(mode: Mode) -> None:
    assert codes(header(kind="ACK^R01"), accepted=True, mode=mode) == ()


@pytest.mark.parametrize("kind", ["ACK", "ACK^R01^ACK", "MCF"])
@pytest.mark.parametrize(("accept", "application"), [("", ""), ("AL", "AL")])
def test_an_acknowledgement_is_never_acknowledged(kind: str, accept: str, application: str) -> None:
    h = header(kind=kind, accept=accept, application=application)
    assert codes(h, accepted=True) == codes(h, accepted=False) == ()


def test_what_has_no_header_is_refused_in_original_mode() -> None:
    assert codes(None, accepted=False) == ("AR",)


def test_an_acceptance_word_for_word() -> None:
    ack = Acknowledger("T1F-", lambda: AT)
    assert ack.write("AA", header()) == (
        b"MSH|^~\\&|TOCSIN|WARD|LAB|HOSP|20260101120000+0000||ACK^R01^ACK|T1F-1|T|2.5.1\r"
        b"MSA|AA|m-1\r"
    )


def test_a_refusal_word_for_word() -> None:
    ack = Acknowledger("T1F-", lambda: AT)
    refused = refusal(Reason.BAD_HEADER, "MSH-9 (message type) is empty", "MSH-9")
    assert ack.write("AR", header(), refused) == (
        b"MSH|^~\\&|TOCSIN|WARD|LAB|HOSP|20260101120000+0000||ACK^R01^ACK|T1F-1|T|2.5.1\r"
        b"MSA|AR|m-1|MSH-9 (message type) is empty\r"
        b"ERR||MSH^1^9|101^Required field missing^HL70357|E||||MSH-9 (message type) is empty\r"
    )


def test_a_refusal_of_what_has_no_header() -> None:
    raw = Acknowledger("T", lambda: AT).write("AR", None, refusal(Reason.NOT_HL7, "no MSH"))
    assert raw == (
        b"MSH|^~\\&|TOCSIN||||20260101120000+0000||ACK|T1|P|2.5.1\r"
        b"MSA|AR||no MSH\r"
        b"ERR||MSH^1|100^Segment sequence error^HL70357|E||||no MSH\r"
    )


@pytest.mark.parametrize(
    ("version", "kind"),
    [
        ("2.1", "ACK"),
        ("2.2", "ACK"),
        ("2.3", "ACK^R01"),
        ("2.3.1", "ACK^R01^ACK"),
        ("2.4", "ACK^R01^ACK"),
        ("2.8.2", "ACK^R01^ACK"),
        ("D", "ACK^R01^ACK"),
    ],
)
def test_message_type_by_version(version: str, kind: str) -> None:
    answer = scan(Acknowledger("T", lambda: AT).write("AA", header(version=version)))
    assert (answer.message_type, answer.version) == (kind, version)


def test_an_error_before_v25_is_one_field() -> None:
    refused = refusal(Reason.BAD_CHARSET, "UTF-16", "MSH-18")
    raw = Acknowledger("T", lambda: AT).write("AR", header(version="2.4"), refused)
    assert raw.split(b"\r")[2] == b"ERR|MSH^1^18^102&Data type error&HL70357"


def test_the_text_of_msa_is_gone_from_v27_on() -> None:
    raw = Acknowledger("T", lambda: AT).write(
        "AR", header(version="2.7"), refusal(Reason.OVERSIZED, "x")
    )
    assert raw.split(b"\r")[1] == b"MSA|AR|m-1"
    assert raw.split(b"\r")[2] == b"ERR||MSH^1|207^Application internal error^HL70357|E||||x"


def test_answers_use_the_senders_delimiters_and_cannot_break_out_of_them() -> None:
    h = scan(b"MSH$%~\\&$LAB$HOSP$$$2026$$ADT%A01$7$P$2.5")
    raw = Acknowledger("T", lambda: AT).write(
        "AR", h, refusal(Reason.OVERSIZED, "5 % more, $1 & co")
    )
    assert raw.split(b"\r")[0].startswith(b"MSH$%~\\&$$$LAB$HOSP$")
    assert raw.split(b"\r")[1] == b"MSA$AR$7$5   more,  1   co"


def test_control_ids_count_up() -> None:
    ack = Acknowledger("T", lambda: AT)
    assert [scan(ack.write("AA", header())).control_id for _ in range(3)] == ["T1", "T2", "T3"]


def test_bytes_beyond_ascii_are_echoed_as_sent() -> None:
    h = scan("MSH|^~\\&|LÄB||||2026||ADT^A01|ü|P|2.5".encode())
    raw = Acknowledger("T", lambda: AT).write("AA", h)
    assert "LÄB".encode() in raw
    assert raw.endswith("MSA|AA|ü\r".encode())


def test_an_echo_cannot_end_the_frame_of_the_answer() -> None:
    h = scan(b"MSH|^~\\&|LAB\x1c||||2026||ADT^A01|7\x1c|P|2.5\x1c")
    raw = Acknowledger("T", lambda: AT).write("AA", h)
    assert b"\x1c" not in raw
    assert scan(raw).receiving_application == "LAB"
