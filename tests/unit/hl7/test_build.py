"""Messages that are written are what is read."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from connectors.hl7 import build
from connectors.hl7.times import parse
from connectors.identity import Identifier
from tests.unit.hl7.reading import PANEL, POTASSIUM, SENT, observed, read

text = st.text(
    alphabet=st.characters(exclude_categories=["Cs", "Cc"]), min_size=1, max_size=20
).filter(lambda t: t == t.strip() and t != '""')


@given(text, text, text, st.floats(allow_nan=False, allow_infinity=False, width=32))
def test_any_text_and_number_survives_the_wire(
    number: str, name: str, order: str, value: float
) -> None:
    segments = build.message("ORU^R01^ORU_R01", "1", SENT)
    segments.append(build.pid([(number, "HOSP", "MR")], family=name))
    segments.append(build.obr(PANEL, filler=order, authority=name, observed=SENT))
    segments.append(build.obx(POTASSIUM, value, unit="mmol/L"))
    segments.append(build.obx(("x", name, "L"), name, set_id=2))
    found = read(build.join(segments))
    assert found.issues == []
    assert found.patients[0].identity is not None
    assert found.patients[0].identity.identifiers == (Identifier("HOSP", "MR", number),)
    assert found.patients[0].identity.family == name
    assert [o.value for o in observed(found)] == [value, name]


@given(st.integers(-2_208_988_800_000, 4_102_444_800_000))
def test_a_time_survives_to_the_millisecond(milliseconds: int) -> None:
    epoch = milliseconds / 1_000
    assert abs(parse(build.timestamp(epoch), "Europe/Vienna") - epoch) < 5e-4


def test_a_message_is_laid_out_as_hl7_says() -> None:
    segments = build.message("ADT^A01", "7", 0.5, source=("ADT", "GEN"))
    segments.append(build.pv1("I", ward="W3", bed="2", visit="9", admitted=0.0))
    assert build.join(segments).split(b"\r") == [
        b"MSH|^~\\&|ADT|GEN|TOCSIN||19700101000000.500+0000||ADT^A01|7|P|2.5.1||||||UNICODE UTF-8",
        b"PV1|1|I|W3^^2" + b"|" * 16 + b"9" + b"|" * 25 + b"19700101000000+0000",
        b"",
    ]
