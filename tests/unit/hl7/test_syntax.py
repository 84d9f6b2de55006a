"""Delimiters, escapes, repetitions, line ends and charsets."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from connectors.hl7 import build
from connectors.hl7.charset import CODECS, UnknownCharsetError, codec
from connectors.hl7.interpret import Profile
from connectors.hl7.syntax import ForeignLineError, segments, syntax_for
from tests.unit.hl7.reading import lines, observed, read, result

SYNTAX = syntax_for("|", "^~\\&", "utf-8")


@pytest.mark.parametrize(
    ("sent", "text"),
    [
        (r"a\F\b\S\c\T\d\R\e\E\f", "a|b^c&d~e\\f"),
        (r"line one\.br\line two", "line one\nline two"),
        (r"two\.sp2\down", "two\n\ndown"),
        (r"caf\XC3A9\!", "café!"),
        (r"bold \H\word\N\ end", "bold word end"),
        (r"C:\temp", r"C:\temp"),
        (r"C:\temp\F\x", r"C:\temp|x"),
        (r"not hex \Xzz\ stays", r"not hex \Xzz\ stays"),
        (r"not text \XFF\ stays", r"not text \XFF\ stays"),
        (r"unknown \Qq\ stays", r"unknown \Qq\ stays"),
        ("\\", "\\"),
        ('""', ""),
        ("  blanks  ", "blanks"),
    ],
)
def test_escapes_are_resolved_and_what_is_none_stays(sent: str, text: str) -> None:
    assert SYNTAX.text(sent) == text


@given(st.text(alphabet=st.characters(exclude_categories=["Cs", "Cc"])))
def test_what_is_written_is_read_back(text: str) -> None:
    assert SYNTAX.text(build.escape(text)) == ("" if text.strip() == '""' else text.strip())


def test_delimiters_come_from_the_message() -> None:
    raw = (
        b"MSH#!@%*#LAB#HOSP###20260101120000+0000##ORU!R01#C1#P#2.5.1\r"
        b"PID#1##7@42!!!HOSP*1.2*ISO!MR\r"
        b"OBR#1##F1!LAB#1!Panel!L###20260101110000+0000\r"
        b"OBX#1#ST#11!Note!L##a|b^c%F%d!x######F\r"
    )
    found = read(raw)
    assert found.message_type == "ORU^R01"
    assert found.patients[0].identity is not None
    assert [(i.authority, i.type, i.number) for i in found.patients[0].identity.identifiers] == [
        ("HOSP", "", "7"),
        ("HOSP", "MR", "42"),
    ]
    assert [(o.code, o.value) for o in observed(found)] == [("11", "a|b^c#d!x")]


@pytest.mark.parametrize("end", ["\r", "\n", "\r\n"])
def test_any_line_end_ends_a_segment(end: str) -> None:
    text = end.join(["MSH|^~\\&|A", "PID|1", "", "OBX|1|NM"]) + end
    assert [s[0] for s in segments(text, "|")] == ["MSH", "PID", "OBX"]


@pytest.mark.parametrize(
    "line", ["/* comment */", "PIDX|1", "PV|1", " OBX|1", "obx|1", "O\u00dcX|"]
)
def test_a_line_that_is_no_segment_is_named_by_its_number(line: str) -> None:
    with pytest.raises(ForeignLineError) as error:
        segments(f"MSH|^~\\&|A\r{line}\rPID|1", "|")
    assert error.value.number == 2


def test_an_add_segment_continues_the_field_before_it() -> None:
    found = read(result("OBX|1|TX|11^Note^L||begins", "ADD| and ends||||||F"))
    assert [o.value for o in observed(found)] == ["begins and ends"]


def test_undeclared_text_is_utf8_and_other_bytes_are_refused_not_replaced() -> None:
    note = "OBX|1|ST|11^Note^L||Größe||||||F"
    assert observed(read(result(note)))[0].value == "Größe"
    latin = result(note).decode().encode("latin-1")
    assert read(latin).reason == "bad_charset"
    assert observed(read(latin, profile=Profile(charset="latin-1")))[0].value == "Größe"


def test_msh_18_declares_the_charset_and_an_override_wins() -> None:
    text = "PID|1||42^^^HOSP^MR", "OBX|1|ST|11^Note^L||Größe||||||F"
    declared = lines(*text, charset="8859/1").decode().encode("latin-1")
    assert observed(read(declared))[0].value == "Größe"
    wrong = lines(*text, charset="ASCII")
    assert read(wrong).reason == "bad_charset"
    assert observed(read(wrong, profile=Profile(charset="UNICODE UTF-8")))[0].value == "Größe"


@pytest.mark.parametrize("declared", ["~ISO IR87", "ASCII~ISO IR14~ISO IR87", "ISO IR6~ISO IR159"])
def test_japanese_sets_beside_ascii_are_read_by_their_escape_sequences(declared: str) -> None:
    raw = lines("PID|1||42", "OBX|1|ST|1-8^a^LN||日本||||||F", charset=declared)
    found = read(raw.decode().encode("iso2022_jp"))
    assert [o.value for o in observed(found)] == ["日本"]


def test_unknown_and_unusable_charsets_are_refused() -> None:
    assert read(lines("PID|1||42", charset="x~y")).reason == "unsupported_charset"
    assert read(lines("PID|1||42", charset="UNICODE UTF-16")).reason == "unsupported_charset"
    utf16 = lines("PID|1||42").decode().encode("utf-16")
    assert read(utf16).reason == "bad_charset"


def test_every_charset_name_has_a_codec_that_carries_hl7() -> None:
    for name in CODECS:
        chosen = codec("", name, "~")
        assert "MSH|^~\\&\r".encode(chosen) == b"MSH|^~\\&\r"
    with pytest.raises(UnknownCharsetError):
        codec("utf-16", "", "~")


def test_of_a_repeated_msh_18_the_first_counts() -> None:
    assert codec("", "8859/1~UNICODE UTF-8", "~") == "iso8859-1"
    assert codec("", "~8859/1", "~") == "utf-8"
