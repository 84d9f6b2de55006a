"""Whatever the bytes: one outcome, no exception, the same answer twice."""

from __future__ import annotations

from hypothesis import example, given, settings
from hypothesis import strategies as st

from connectors.facts import FactRecord, MessageFacts, decode, encode
from connectors.hl7.interpret import NoFacts, Profile
from connectors.quarantine import Reason
from tests.unit.hl7.reading import HEARD, lines, read

SEED = lines(
    "EVN|A01|20260101110000+0000",
    'PID|1|7|42^1^M10^HOSP&1.2&ISO^MR~""^^^X||O\\T\\N^J||19560412|F' + "|" * 21 + "20260101|Y",
    "PV1|1|I|W3^1^2" + "|" * 16 + "V9" + "|" * 25 + "20260101110000+0000",
    "ORC|RE|P1|F1",
    "OBR|1|P1|F1^LAB|1^Panel^L|||20260101110000+0000" + "|" * 15 + "20260101115800|||F",
    "OBX|1|NM|2823-3^K^LN|1|6.1~6|mmol/L|3.5-5.1|HH|||C|||20260101110000-0500",
    "OBX|2|SN|10839-9^T^LN^T^T^L||<^0.01^:^5|ng/mL|||||P",
    "OBX|3|ED|1^D^L||A^IM^PNG^Base64^AAAA||||||F",
    "OBX|4||3^E^L||||||||D",
    "OBX|5|TX|4^N^L||text",
    "ADD| and more||||||F",
)
PIECES = [b"|", b"^", b"~", b"\\", b"&", b"\r", b"\n", b'""', b"\\X", b"\\.br\\", b"\xff", b"\0"]
PIECES += [b"MSH", b"OBX|1|NM|", b"PID|", b"OBR|", b"\xc3", b"99999999", b"-", b"ADT^A03", b"DSC|x"]
ZONES = ["UTC", "Europe/Vienna", "America/St_Johns"]


@st.composite
def mutated(draw: st.DrawFn) -> bytes:
    """A message cut, repeated and overwritten here and there."""
    raw = bytearray(SEED)
    for _ in range(draw(st.integers(1, 6))):
        start = draw(st.integers(0, len(raw)))
        length = draw(st.integers(0, 12))
        piece = draw(st.sampled_from(PIECES) | st.binary(max_size=6))
        raw[start : start + length] = piece
    return bytes(raw)


def check(raw: bytes, profile: Profile) -> None:
    found = read(raw, profile=profile)
    if found.outcome == "facts":
        assert found.facts
        assert found.reason == ""
        assert found.pseudonym
        message = MessageFacts(
            patient=found.pseudonym, sent=found.sent, heard=HEARD, wire="", facts=found.facts
        )
        # What the log holds is what was meant, to the type: the fold's bytes depend on it.
        record = FactRecord(messages=[message])
        assert decode(encode(record)) == record
        assert encode(decode(encode(record))) == encode(record)
    elif found.outcome == "no_facts":
        assert found.reason in list(NoFacts)
    else:
        assert found.facts == []
        assert found.issues[0].reason == Reason(found.reason)
    again = read(raw, profile=profile)
    assert (again.outcome, again.reason, again.facts, again.issues) == (
        found.outcome,
        found.reason,
        found.facts,
        found.issues,
    )


@given(st.binary(max_size=300), st.sampled_from(["", "latin-1", "utf-16", "nonsense"]))
@example(b"MSH|^~\\&", "")
@settings(max_examples=300)
def test_any_bytes_have_one_outcome(raw: bytes, charset: str) -> None:
    check(raw, Profile(charset=charset))
    check(b"MSH|^~\\&|" + raw, Profile(charset=charset))


@given(mutated(), st.sampled_from(ZONES), st.sampled_from(["", "latin-1"]))
@settings(max_examples=1_000, deadline=None)
def test_any_mutation_of_a_message_has_one_outcome(raw: bytes, zone: str, charset: str) -> None:
    check(raw, Profile(charset=charset, time_zone=zone))


def test_the_message_that_is_mutated_is_a_good_one() -> None:
    found = read(SEED)
    assert (found.outcome, len(found.facts), found.issues) == ("facts", 8, [])
