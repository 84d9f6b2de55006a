"""A tumour's markers from variants: what counts, what does not, and that order does not matter."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from msgspec.structs import replace

from connectors.facts import AnyFact, Examined, Observation, Presence, Statement, Variant
from models.genome import CODELETION, IDH
from models.record import EVER, PatientRecord

DAY = 86_400.0


def variant(
    name: str, presence: Presence = Presence.PRESENT, day: float = 1, **more: Any
) -> Variant:
    at = day * DAY
    known = {"rank": (1, at, 0, ""), "time": at, "source_class": "somatic"}
    return Variant(id=name, presence=presence, **known, **more)


def answers(code: str, *facts: AnyFact, until: float = 1e9) -> list[Any]:
    record = PatientRecord()
    record.fold_facts(facts)
    return [o.value for o in record.between(code, EVER, until)]


R132H = variant("r132h", gene="IDH1", hgvs_p="NP_005887.2:p.Arg132His")
NO_IDH1 = variant("idh1", Presence.ABSENT, gene="IDH1")
NO_IDH2 = variant("idh2", Presence.ABSENT, gene="IDH2")


@pytest.mark.parametrize(
    "found",
    [
        R132H,
        variant("v", gene="IDH2", hgvs_p="p.Arg172Lys"),
        variant("v", gene="IDH1", hgvs_c="NM_005896.4:c.299G>A", significance="likely pathogenic"),
        variant("v", assembly="GRCh38", chromosome="2", position=208_248_388, ref="C", alt="T"),
        variant("v", assembly="GRCh37", chromosome="15", position=90_631_838, ref="C", alt="T"),
    ],
)
def test_a_hotspot_or_a_pathogenic_variant_is_a_mutation(found: Variant) -> None:
    assert answers(IDH, found) == ["mutated"]


@pytest.mark.parametrize(
    "found",
    [
        variant("v", gene="IDH1", hgvs_p="p.Arg132="),
        variant("v", gene="IDH1", hgvs_p="p.Gly105Ser", significance="benign"),
        variant("v", gene="IDH1", hgvs_p="p.Arg132His", significance="benign"),
        variant("v", gene="IDH1", hgvs_p="p.Val178Ile"),
        variant("v", gene="TP53", hgvs_p="p.Arg175His", significance="pathogenic"),
        variant("v", Presence.NO_CALL, gene="IDH1", hgvs_p="p.Arg132His"),
        variant("v", Presence.NOT_EXAMINED, gene="IDH1"),
        variant("v", assembly="GRCh38", chromosome="2", position=208_248_387, ref="A", alt="G"),
        variant("v", assembly="GRCh37", chromosome="2", position=208_248_388, ref="C", alt="T"),
        variant("v", chromosome="2", position=208_248_388, ref="C", alt="T"),
        NO_IDH1,
    ],
)
def test_what_is_harmless_unread_or_half_is_no_answer(found: Variant) -> None:
    assert answers(IDH, found) == []


def test_germline_variants_say_nothing_of_the_tumour() -> None:
    inherited = Variant(
        id="v", rank=(1, 1.0, 0, ""), presence=Presence.PRESENT, time=1.0,
        source_class="germline", gene="IDH1", hgvs_p="p.Arg132His",
    )  # fmt: skip
    assert answers(IDH, inherited) == []


def test_wild_type_takes_both_genes() -> None:
    assert answers(IDH, NO_IDH1, NO_IDH2) == ["wildtype"]


def examined(*ranges: tuple[str, int, int], bad: tuple[str, int, int] | None = None) -> Examined:
    return Examined(
        id="e", rank=(1, DAY, 0, ""), time=DAY, source_class="somatic", assembly="GRCh38",
        ranges=list(ranges), uncallable=[bad] if bad else [], report="r",
    )  # fmt: skip


_IDH1, _IDH2 = ("2", 208_248_000, 208_249_000), ("15", 90_088_000, 90_089_000)


def test_a_file_that_looked_at_both_codons_and_found_nothing_says_wild_type() -> None:
    assert answers(IDH, examined(_IDH1, _IDH2)) == ["wildtype"]
    assert answers(IDH, examined(_IDH1)) == []
    assert answers(IDH, examined(_IDH1, _IDH2, bad=("2", 208_248_388, 208_248_388))) == []
    unread = variant("v", Presence.NO_CALL, gene="IDH1", hgvs_p="p.Arg132His", report="r")
    assert answers(IDH, examined(_IDH1, _IDH2), unread) == []


def test_a_later_report_that_finds_nothing_does_not_undo_a_mutation() -> None:
    later = [variant(g, Presence.ABSENT, 30, gene=g) for g in ("IDH1", "IDH2")]
    assert answers(IDH, R132H, *later) == ["mutated"]


def test_a_mutation_that_is_withdrawn_is_gone() -> None:
    gone = replace(R132H, removed=True, rank=(1, 2 * DAY, 1, ""))
    assert answers(IDH, R132H, gone) == []


def test_an_older_file_of_the_sample_counts_no_more() -> None:
    old = variant("v", gene="IDH1", hgvs_p="p.Arg132His", report="file")
    newer = Statement(
        id="file", rank=(1, 5 * DAY, 0, ""), kind=Statement.DOCUMENT, code="", system="", time=DAY
    )
    assert answers(IDH, old, newer) == []


def test_what_comes_later_does_not_change_what_was_known() -> None:
    mutated = variant("late", day=20, gene="IDH1", hgvs_p="p.Arg132His")
    facts = [NO_IDH1, NO_IDH2, mutated, variant("again", Presence.ABSENT, 25, gene="IDH1")]
    assert answers(IDH, *facts[:2], until=10 * DAY) == answers(IDH, *facts, until=10 * DAY)
    assert answers(IDH, *facts) == ["wildtype", "mutated"]


def test_both_arms_lost_is_codeletion() -> None:
    one = variant("1p", chromosome="1", position=1, end=121_000_000, change="deletion")
    other = variant("19q", chromosome="19", position=28_000_000, end=58_600_000, copy_number=1.0)
    whole = variant("1", chromosome="1", position=1, end=248_000_000, change="deletion")
    assert answers(CODELETION, one, other) == ["codeleted"]
    assert answers(CODELETION, one) == []
    assert answers(CODELETION, whole, other) == []
    kept = variant("k", Presence.ABSENT, chromosome="1", position=1, end=121_000_000, alt="<DEL>")
    assert answers(CODELETION, kept) == ["intact"]


def test_folding_says_from_when_on_scores_may_differ() -> None:
    record = PatientRecord()
    assert record.fold_facts([NO_IDH1]).since is None
    assert record.fold_facts([NO_IDH2]).since == DAY
    assert record.fold_facts([NO_IDH2]).since is None
    assert record.knows(frozenset({IDH})) and record.newest([IDH], 2 * DAY) == DAY


_CODED = Observation(
    id="o",
    rank=(1, DAY, 0, ""),
    code=IDH,
    system="99TCS",
    time=DAY / 2,
    status="F",
    value="mutated",
)


@given(st.permutations([R132H, NO_IDH1, NO_IDH2, _CODED, examined(_IDH1, _IDH2)]))
@settings(max_examples=60, deadline=None)
def test_any_order_gives_the_same_series(facts: list[AnyFact]) -> None:
    record = PatientRecord()
    for fact in facts:
        record.fold_facts([fact])
        record.series(IDH)  # read in between: nothing stale may stay
    fresh = PatientRecord()
    fresh.fold_facts(facts)
    assert record.series(IDH) == fresh.series(IDH)
    assert [o.value for o in record.series(IDH)] == ["mutated", "mutated"]
