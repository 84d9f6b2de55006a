"""OBX-5 by value type, and OBX-11 by table 0085."""

from __future__ import annotations

import pytest

from connectors.hl7.tables import STATUSES, VALUE_TYPES
from connectors.quarantine import Reason
from tests.unit.hl7.reading import observed, read, result


@pytest.mark.parametrize(
    ("kind", "sent", "unit", "value", "comparator"),
    [
        ("NM", "4.1", "mmol/L", 4.1, ""),
        ("NM", " -.5 ", "", -0.5, ""),
        ("NM", "+7.", "", 7.0, ""),
        ("NM", "37.0~37.1", "Cel", "37.0\n37.1", ""),
        ("SN", "<^5", "ng/L", 5.0, "<"),
        ("SN", ">=^32", "ug/mL", 32.0, ">="),
        ("SN", "=^440", "", 440.0, ""),
        ("SN", "^182", "mg/dl", 182.0, ""),
        ("SN", "^1^:^128", "", "1:128", ""),
        ("SN", "^10^-^20", "", "10-20", ""),
        ("SN", "^2^+", "", "2+", ""),
        ("CWE", "LA6683-2^Germline^LN", "", "LA6683-2", ""),
        ("CE", "^Not detected", "", "Not detected", ""),
        ("CWE^Coded^HL70125", "^^^^^^^^as written", "", "as written", ""),
        ("CE", "a^A~b^B", "", "a\nb", ""),
        ("ST", "98.6", "[degF]", 98.6, ""),
        ("ST", "<0.01", "ng/mL", 0.01, "<"),
        ("ST", "98.6", "", "98.6", ""),
        ("ST", "see note", "mg/dL", "see note", ""),
        ("TX", "one~~two", "", "one\n\ntwo", ""),
        ("FT", r"one\.br\two", "", "one\ntwo", ""),
        ("DT", "20260101", "", "20260101", ""),
        ("TM", "0632-0500", "", "0632-0500", ""),
        ("NR", "1^10", "", "1^10", ""),
        ("ED", "App^IM^PNG^Base64^iVBORw0KGgo", "", "[ED IM/PNG]", ""),
        ("RP", "https://a.example/1^App^AP^PDF", "", "[RP AP/PDF]", ""),
        ("XPN", "Doe^Jane", "", "[XPN]", ""),
        ("NM", '""', "", None, ""),
    ],
)
def test_a_value_is_read_by_its_type(
    kind: str, sent: str, unit: str, value: float | str | None, comparator: str
) -> None:
    found = read(result(f"OBX|1|{kind}|11^A^L||{sent}|{unit}|||||F"))
    assert [(o.value, o.comparator, o.unit) for o in observed(found)] == [(value, comparator, unit)]
    assert found.issues == []


@pytest.mark.parametrize(
    ("segment", "reason", "field"),
    [
        ("OBX|1|NM|11^A^L||1,5||||||F", Reason.NOT_A_NUMBER, "-5"),
        ("OBX|1|NM|11^A^L||<5||||||F", Reason.NOT_A_NUMBER, "-5"),
        ("OBX|1|NM|11^A^L||1e5||||||F", Reason.NOT_A_NUMBER, "-5"),
        ("OBX|1|NM|11^A^L||NaN||||||F", Reason.NOT_A_NUMBER, "-5"),
        ("OBX|1|NM|11^A^L||" + "9" * 400 + "||||||F", Reason.NOT_A_NUMBER, "-5"),
        ("OBX|1|SN|11^A^L||<||||||F", Reason.NOT_A_NUMBER, "-5"),
        ("OBX|1|SN|11^A^L||about^5||||||F", Reason.BAD_VALUE, "-5"),
        ("OBX|1|NM|11^A^L||||||||F", Reason.NO_VALUE, "-5"),
        ("OBX|1|CE|11^A^L||^^||||||F", Reason.NO_VALUE, "-5"),
        ("OBX|1|ZZ|11^A^L||5||||||F", Reason.UNKNOWN_VALUE_TYPE, "-2"),
        ("OBX|1||11^A^L||5||||||F", Reason.UNKNOWN_VALUE_TYPE, "-2"),
        ("OBX|1|NM|^A^L||5||||||F", Reason.NO_CODE, "-3"),
        ("OBX|1|NM|||5||||||F", Reason.NO_CODE, "-3"),
        ("OBX|1|NM|11^A^L||5||||||NF", Reason.UNKNOWN_STATUS, "-11"),
        ("OBX|1|NM|11^A^L||5||||||F|||20260230", Reason.BAD_TIME, "-14"),
        ("OBX|1|NM|11^A^L||5||||||F|||20270101", Reason.TIME_IN_FUTURE, "-14"),
    ],
)
def test_one_bad_observation_leaves_the_others_standing(
    segment: str, reason: Reason, field: str
) -> None:
    found = read(result("OBX|1|NM|10^B^L||1||||||F", segment, "OBX|3|NM|12^C^L||3||||||F"))
    assert [o.value for o in observed(found)] == [1.0, 3.0]
    assert [(i.reason, i.location) for i in found.issues] == [(reason, f"OBX[2]{field}")]
    assert found.outcome == "facts"
    alone = read(result(segment))
    assert (alone.outcome, alone.reason, alone.facts) == ("quarantine", reason, [])


@pytest.mark.parametrize("status", sorted(STATUSES))
def test_every_status_of_table_0085_gives_a_fact_with_its_rank(status: str) -> None:
    (fact,) = observed(read(result(f"OBX|1|NM|11^A^L||5||||||{status}")))
    assert fact.rank[0] == (0 if status in "PRSINO" else 1)
    assert fact.rank[2] == (1 if status in "ACDW" else 0)
    assert fact.removed == (status in "DW")
    assert fact.value == (None if status in "DWX" else 5.0)


@pytest.mark.parametrize("status", ["D", "W", "X", "U", "I", "N", "O"])
def test_a_status_without_a_result_needs_neither_value_nor_type(status: str) -> None:
    (fact,) = observed(read(result(f"OBX|1||11^A^L||||||||{status}")))
    assert (fact.status, fact.value) == (status, None)


def test_status_only_updates_with_a_value_are_finals() -> None:
    found = read(result("OBX|1|NM|11^A^L||5||||||U", "OBX|2||12^A^L||||||||V"))
    assert [(o.status, o.value) for o in observed(found)] == [("F", 5.0), ("U", None)]


def test_a_blank_status_is_that_of_the_order_else_final() -> None:
    order = "OBR|1||F1^LAB|1^Panel^L|||20260101110000+0000" + "|" * 18
    for sent, status in (("P", "P"), ("C", "C"), ("A", "P"), ("F", "F"), ("", "F"), ("Z", "F")):
        found = read(result("OBX|1|NM|11^A^L||5", order=order + sent))
        assert [o.status for o in observed(found)] == [status]


def test_loinc_is_preferred_wherever_it_stands() -> None:
    found = read(
        result(
            "OBX|1|NM|K^Kalium^L^2823-3^Potassium^LN||4||||||F",
            "OBX|2|NM|2823-3^Potassium^LOINC||4||||||F",
            "OBX|3|NM|^^^K^Kalium^99LAB||4||||||F",
        )
    )
    codes = [(o.system, o.code) for o in observed(found)]
    assert codes == [("LN", "2823-3"), ("99LAB", "K")]  # the first two are one observation


def test_statuses_and_types_are_those_of_the_published_tables() -> None:
    """hl7apy carries the tables of each version."""
    from hl7apy.v2_5_1.tables import TABLES as V251  # noqa: PLC0415  # slow to import
    from hl7apy.v2_8_2.tables import TABLES as V282  # noqa: PLC0415

    assert set(V282["HL70085"][1]) == set(STATUSES)
    assert set(V251["HL70125"][1]) <= set(VALUE_TYPES)
