"""A field anew: delimiters, headers, batches and charsets of the message itself."""

from __future__ import annotations

import contextlib

import pytest
from hypothesis import given
from hypothesis import strategies as st

from streams.errors import UserError
from streams.mending import as_text, charset_of, rewritten, with_field

HEAD = "MSH|^~\\&|LAB|HOSP|||20260101||ORU^R01|C1|P|2.5.1"


def message(charset: str, name: str, codec: str) -> bytes:
    return f"{HEAD}||||||{charset}\rPID|1||7||{name}\r".encode(codec)


@pytest.mark.parametrize(
    ("raw", "change", "expected"),
    [
        (b"FHS|^~\\&|A|B\rBHS|^~\\&|C|D\rMSH|^~\\&|E\r", "FHS-3=X", b"FHS|^~\\&|X|B\r"),
        (b"FHS|^~\\&|A|B\rBHS|^~\\&|C|D\rMSH|^~\\&|E\r", "BHS-4=X", b"BHS|^~\\&|C|X\r"),
        (b"FHS|^~\\&|A|B\rBHS|^~\\&|C|D\rMSH|^~\\&|E\r", "MSH-3=X", b"MSH|^~\\&|X\r"),
        (b"BHS|^~\\&|C\rMSH|^~\\&|E\rBTS|9\r", "BTS-1=1", b"BTS|1\r"),
        (b"MSH|^~\\&|A\rMSH|^~\\&|B\r", "MSH[2]-3=X", b"MSH|^~\\&|A\rMSH|^~\\&|X\r"),
        (b"MSH#^~\\&#A\rPID#1#\r", "PID-3=7^^^H", b"PID#1##7^^^H\r"),
        (b"MSH|^~\\&|A\nPID|1\n", "PID-3=7", b"MSH|^~\\&|A\rPID|1||7\r"),
        (b"\xef\xbb\xbfMSH|^~\\&|A\rPID|1\r", "PID-3=7", b"\xef\xbb\xbfMSH|^~\\&|A\rPID|1||7\r"),
        (b"\r\n MSH|^~\\&|A\rPID|1\r", "MSH-3=B", b"MSH|^~\\&|B\r"),
    ],
)
def test_fields_by_the_messages_own_delimiters(raw: bytes, change: str, expected: bytes) -> None:
    assert expected in with_field(raw, change)


@pytest.mark.parametrize(
    ("declared", "codec", "name"),
    [
        ("", "utf-8", "J\u00fcrgen"),
        ("UNICODE UTF-8", "utf-8", "\u5c71\u7530"),
        ("8859/1", "latin-1", "J\u00fcrgen"),
        ("8859/5", "iso8859-5", "\u0418\u0432\u0430\u043d"),
        ("BIG-5", "big5", "\u529f\u80fd"),  # whose second bytes include the separator's
        ("GB 18030-2000", "gb18030", "\u738b"),
        ("KS X 1001", "euc_kr", "\uae40"),
    ],
)
def test_a_value_is_written_in_the_charset_of_the_message(
    declared: str, codec: str, name: str
) -> None:
    raw = message(declared, name, codec)
    assert charset_of(raw) is not None
    assert with_field(raw, f"PID-9={name}") == raw[:-1] + f"||||{name}\r".encode(codec)


def test_a_character_that_holds_a_delimiters_byte_is_not_cut() -> None:
    name = "\u8a31"  # B3 5C in Big5: half of it is the escape character
    other = next(c for c in map(chr, range(0x4E00, 0x9FFF)) if _second(c) == ord("|"))
    raw = message("BIG-5", name + other, "big5")
    assert with_field(raw, "PID-3=8") == raw.replace(b"||7||", b"||8||")


def _second(character: str) -> int:
    try:
        return character.encode("big5")[1]
    except UnicodeError:
        return 0


def test_the_sites_charset_goes_first() -> None:
    raw = message("8859/1", "Doe", "latin-1")
    assert with_field(raw, "PID-9=\u00fc", "utf-8").endswith("\u00fc\r".encode())


def test_bytes_that_are_no_text_stay() -> None:
    raw = message("", "Doe", "utf-8").replace(b"Doe", b"D\xff\xe9")
    assert with_field(raw, "PID-9=\u00fc") == raw[:-1] + b"||||" + "\u00fc\r".encode()


@pytest.mark.parametrize(
    ("declared", "value", "sentence"),
    [
        ("8859/1", "\u5c71", "iso8859-1"),
        ("KLINGON", "\u00fc", "ASCII"),
    ],
)
def test_a_value_that_the_charset_has_not(declared: str, value: str, sentence: str) -> None:
    with pytest.raises(UserError, match=sentence):
        with_field(message(declared, "Doe", "ascii"), f"PID-9={value}")


def test_a_charset_that_is_not_known_can_be_mended() -> None:
    raw = with_field(message("KLINGON", "Doe", "ascii"), "MSH-18=8859/1")
    assert raw == message("8859/1", "Doe", "ascii")


@pytest.mark.parametrize("change", ["PID-3=a\rb", "PID-3=a\nZZZ|1", "FHS-3=x", "BHS-1=#"])
def test_more_changes_that_cannot_be_made(change: str) -> None:
    with pytest.raises(UserError):
        with_field(message("", "Doe", "ascii"), change)


@given(st.binary(max_size=200), st.sampled_from(["PID-3=7", "MSH-18=\u00fc", "BHS[2]-4=x"]))
def test_any_bytes_are_mended_or_refused(raw: bytes, change: str) -> None:
    for start in (b"", b"MSH|^~\\&|", b"BHS|^~\\&|A\r"):
        with contextlib.suppress(UserError):
            assert with_field(start + raw, change)


@pytest.mark.parametrize(
    ("raw", "override"),
    [
        (b"MSH|^~\\&|A\rPID|1||4711\r", ""),
        ("MSH|^~\\&|A||||||||||||||||UNICODE UTF-8\rPID|1||||Müller\r".encode(), ""),
        ("MSH|^~\\&|A\rPID|1||||Müller\r".encode("latin-1"), "latin-1"),
        (b"\xef\xbb\xbfMSH|^~\\&|A\rPID|1\r", ""),
        (b"MSH|^~\\&|A\rPID|1||\xff\xfe\r", ""),
    ],
)
def test_an_unedited_text_gives_the_same_bytes(raw: bytes, override: str) -> None:
    """Lines that a person may edit, and back, whatever the charset."""
    assert rewritten(raw, as_text(raw, override), override) == raw


def test_text_that_the_charset_does_not_know_is_refused() -> None:
    """Rather than written as something else."""
    raw = "MSH|^~\\&|A\rPID|1||||Müller\r".encode("latin-1")
    with pytest.raises(UserError, match="not text in"):
        rewritten(raw, as_text(raw, "latin-1") + "漢", "latin-1")
