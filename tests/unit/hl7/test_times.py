"""HL7 times become epoch seconds, or are refused."""

from __future__ import annotations

import pytest

from connectors.hl7 import times

NOON = 1_767_268_800.0  # 2026-01-01 12:00 UTC


@pytest.mark.parametrize(
    ("text", "zone", "expected"),
    [
        ("20260101120000+0000", "UTC", NOON),
        ("20260101120000", "UTC", NOON),
        ("202601011200", "UTC", NOON),
        ("2026010112", "UTC", NOON),
        ("20260101", "UTC", NOON - 43_200),
        ("202601", "UTC", NOON - 43_200),
        ("2026", "UTC", NOON - 43_200),
        ("20260101120000.25", "UTC", NOON + 0.25),
        ("20260101120000.2500-0500", "UTC", NOON + 5 * 3_600 + 0.25),
        ("20260101130000", "Europe/Vienna", NOON),
        ("20260101120000+0000", "Europe/Vienna", NOON),
        ("20260101174500+0545", "UTC", NOON),
        (" 20260101120000 ", "UTC", NOON),
        # Skipped by daylight saving: read with the offset before the change (UTC+1).
        ("20260329023000", "Europe/Vienna", 1_774_747_800.0),
        # Occurs twice: the first of the two (UTC+2).
        ("20261025023000", "Europe/Vienna", 1_792_888_200.0),
    ],
)
def test_a_time_is_read_to_its_precision_and_in_its_zone(
    text: str, zone: str, expected: float
) -> None:
    assert times.parse(text, zone) == expected


@pytest.mark.parametrize(
    "text",
    [
        "20260230",
        "20261301",
        "2026010124",
        "20260101120060",
        "202601011261",
        "1994050216163360",
        "2026-01-01",
        "2026010112000a",
        "20260101120000.",
        "202601011200.5",
        "20260101120000+25",
        "20260101120000+2500",
        "20260101120000+0060",
        "20260101120000Z",
        "٢٠٢٦",
        "00010101",
        "00000101",
        "18991230000000",
        "19",
        "9" * 5_000,
    ],
)
def test_a_time_that_does_not_exist_is_refused_without_repeating_it(text: str) -> None:
    with pytest.raises(times.BadTimeError) as error:
        times.parse(text, "UTC")
    assert text not in str(error.value)


def test_a_date_of_birth_keeps_its_precision() -> None:
    assert times.parse_date("1956") == "1956"
    assert times.parse_date("195604121230-0500") == "19560412"
    with pytest.raises(times.BadTimeError):
        times.parse_date("19560231")


@pytest.mark.parametrize(
    ("sent", "zone", "expected"),
    [
        ("20260101120000+0100", "UTC", "+0100"),
        ("202601011200-0500", "Europe/Vienna", "-0500"),
        ("20260701120000+0200", "Europe/Vienna", "Europe/Vienna"),  # it knows the winter, too
        ("20260101120000+0200", "Europe/Vienna", "+0200"),
        ("20260101120000", "Europe/Vienna", "Europe/Vienna"),
        ("", "Europe/Vienna", "Europe/Vienna"),
        ("yesterday-0500", "UTC", "UTC"),
        ("20260101120000+9999", "UTC", "UTC"),
        ("20269901120000+0100", "UTC", "UTC"),
        ("2026010112345678901234567890123456789+0100", "UTC", "UTC"),
    ],
)
def test_the_offset_of_msh_7_is_the_default_of_the_message(
    sent: str, zone: str, expected: str
) -> None:
    assert times.zone_of(sent, zone) == expected


def test_a_time_may_be_read_in_an_offset() -> None:
    assert times.parse("20260101130000", "+0100") == NOON
    assert times.parse("20260101120000+0000", "+0100") == NOON
