"""Facts against another converter's FHIR: every difference has a reason of its own."""

from __future__ import annotations

from collections import Counter
from pathlib import Path

import pytest

from tests.unit.pairs.agreement import Compared, Why, charges, compare, summary

pytestmark = pytest.mark.shared


@pytest.fixture(scope="module")
def rows(shared: Path) -> list[Compared]:
    return list(compare(shared / "data" / "hl7v2_to_fhir_pairs"))


def test_no_difference_is_unexplained(rows: list[Compared]) -> None:
    assert [row for row in rows if not row.agree and row.why is None] == []


def test_every_reason_is_needed(rows: list[Compared]) -> None:
    assert {row.why for row in rows if row.why} == set(Why)


def test_units_and_statuses_of_what_both_have_are_the_same(rows: list[Compared]) -> None:
    for field in ("observation.unit", "observation.status", "Immunization.code"):
        assert set(summary(rows)[field]) == {"agree"}


def test_agreement_does_not_shrink(rows: list[Compared]) -> None:
    counts = Counter(row.agree for row in rows)
    assert counts[True] >= 690, counts


def test_charges_are_read_from_their_fields() -> None:
    raw = b"MSH|^~\\&\rFT1|1||||||71045^X ray^C4|||||||||||||||||99^Visit\r"
    assert charges(raw) == {"71045"}
