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
        variant("v", gene="IDH1", significance="likely pathogenic"),
        variant("v", assembly="GRCh38", chromosome="2", position=208_248_388, ref="C", alt="T"),
        variant("v", assembly="GRCh37", chromosome="15", position=90_631_838, ref="C", alt="T"),
    ],
)
def test_a_hotspot_or_a_pathogenic_gene_is_a_mutation(found: Variant) -> None:
    assert answers(IDH, found) == ["mutated"]


@pytest.mark.parametrize(
    "found",
    [
        variant("v", gene="IDH1", hgvs_p="p.Arg132="),
        variant("v", gene="IDH1", hgvs_p="p.Gly105Ser", significance="benign"),
        variant("v", gene="IDH1", hgvs_p="p.Arg132His", significance="benign"),
        variant("v", gene="IDH1", hgvs_c="NM_005896.4:c.299G>A", significance="likely pathogenic"),
        variant("v", gene="IDH2", hgvs_p="p.Arg140Gln", significance="pathogenic"),
        variant("v", gene="IDH1", hgvs_p="p.Arg132Ter", significance="pathogenic"),
        variant("v", gene="IDH1", significance="uncertain"),
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


def of(source: str, *facts: Any) -> list[Any]:
    """The same, of another genome."""
    return [replace(one, source_class=source) for one in facts]


def test_germline_variants_say_nothing_of_the_tumour() -> None:
    assert answers(IDH, *of("germline", R132H)) == []
    assert answers(IDH, *of("germline", NO_IDH1, NO_IDH2)) == []
    assert answers(IDH, *of("germline", examined(_IDH1, _IDH2))) == []
    assert answers(CODELETION, *of("germline", *LOST)) == []


def test_of_a_genome_that_nobody_names_a_hotspot_counts_and_its_absence_does_not() -> None:
    assert answers(IDH, *of("", R132H)) == ["mutated"]
    assert answers(CODELETION, *of("", *LOST)) == ["codeleted"]
    assert answers(IDH, *of("", NO_IDH1, NO_IDH2)) == []
    assert answers(IDH, NO_IDH1, *of("", NO_IDH2)) == []
    assert answers(IDH, *of("", examined(_IDH1, _IDH2))) == []
    assert answers(CODELETION, *of("", KEPT)) == []
    assert answers(IDH, *of("", variant("v", gene="IDH2", significance="pathogenic"))) == []


def test_wild_type_takes_both_genes() -> None:
    assert answers(IDH, NO_IDH1, NO_IDH2) == ["wildtype"]
    assert answers(IDH, NO_IDH1) == []


def test_that_one_hotspot_is_absent_is_no_wild_type() -> None:
    """As immunohistochemistry and tests of a single variant say it."""
    one = variant("a", Presence.ABSENT, gene="IDH1", hgvs_p="p.Arg132His")
    other = variant("b", Presence.ABSENT, gene="IDH2", hgvs_p="p.Arg172Lys")
    assert answers(IDH, one, other) == []


@pytest.mark.parametrize(
    "found",
    [
        {"hgvs_p": "p.[Arg132His];[=]"},
        {"hgvs_p": "p.Arg132fs"},
        {"hgvs_c": "NM_001289910.1:c.359G>A", "gene": "IDH2"},
        {"hgvs_p": "p.Arg140Gln", "gene": "IDH2", "significance": "pathogenic"},
        {},
    ],
)
def test_no_wild_type_beside_what_is_not_understood(found: dict[str, str]) -> None:
    told = variant("v", report="r", **({"gene": "IDH1"} | found))
    assert answers(IDH, examined(_IDH1, _IDH2), told) == []


@pytest.mark.parametrize(
    ("presence", "found"),
    [
        (Presence.PRESENT, {"gene": "IDH1", "hgvs_p": "p.Val178Ile"}),
        (Presence.PRESENT, {"gene": "IDH1", "hgvs_p": "p.Arg132="}),
        (Presence.PRESENT, {"gene": "IDH2", "change": "copy number gain", "copy_number": 3.0}),
        (Presence.NO_CALL, {"gene": "IDH1", "hgvs_c": "NM_005896.4:c.414+9A>G"}),
    ],
)
def test_wild_type_beside_what_leaves_the_codon_as_it_is(
    presence: Presence, found: dict[str, Any]
) -> None:
    told = variant("v", presence, report="r", **found)
    assert answers(IDH, examined(_IDH1, _IDH2), told) == ["wildtype"]


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


LOST = [
    variant("1p", chromosome="1", position=1, end=121_000_000, change="deletion"),
    variant("19q", chromosome="19", position=28_000_000, end=58_600_000, copy_number=1.0),
]
KEPT = variant("k", Presence.ABSENT, chromosome="1", position=1, end=121_000_000, alt="<DEL>")


def test_both_arms_lost_is_codeletion() -> None:
    assert answers(CODELETION, *LOST) == ["codeleted"]
    assert answers(CODELETION, LOST[0]) == []
    assert answers(CODELETION, KEPT) == ["intact"]


def stretch(chromosome: str, first: float, last: float, **more: Any) -> Variant:
    """Lost bases, in millions."""
    place = {"position": int(first * 1e6) + 1, "end": int(last * 1e6)}
    known = {"copy_number": 1.0, "report": "array"}
    name = f"{chromosome}:{first}"
    return variant(name, chromosome=chromosome, **place, **(known | more))


IN_PARTS = [
    stretch("1", 0.9, 13),
    stretch("1", 13.1, 72),
    stretch("1", 74, 120.5),
    stretch("19", 27.8, 41),
    stretch("19", 41.2, 59),
]


@given(st.permutations(IN_PARTS))
@settings(max_examples=30, deadline=None)
def test_an_arm_may_be_lost_in_stretches_in_any_order(found: list[Variant]) -> None:
    assert answers(CODELETION, *found) == ["codeleted"]


@pytest.mark.parametrize("missing", range(len(IN_PARTS)))
def test_a_part_of_an_arm_is_no_codeletion(missing: int) -> None:
    rest = [one for number, one in enumerate(IN_PARTS) if number != missing]
    assert answers(CODELETION, *rest) == []


def test_what_is_no_loss_of_an_arm_alone_is_no_codeletion() -> None:
    one_p, nineteen = stretch("1", 1, 121), stretch("19", 28, 58)
    whole = [stretch("1", 1, 248), nineteen]
    both_arms = [one_p, stretch("1", 144, 248), nineteen]
    monosomy = [one_p, stretch("19", 0.2, 24.4), stretch("19", 27, 58)]
    two_copies = [one_p, stretch("19", 28, 58, copy_number=2.0, alt="<DEL>")]
    reports = [stretch("1", 1, 60), stretch("1", 60, 121, report="another"), nineteen]
    copy_neutral = [one_p, stretch("19", 28, 58, copy_number=None, change="LOH")]
    not_called = [one_p, replace(nineteen, presence=Presence.NO_CALL)]
    for found in (whole, both_arms, monosomy, two_copies, reports, copy_neutral, not_called):
        assert answers(CODELETION, *found) == []
    assert answers(CODELETION, one_p, nineteen) == ["codeleted"]


_Q = "19q11q13.43(27500000_58600000)"


@pytest.mark.parametrize(
    ("iscn", "known"),
    [
        (f"arr[GRCh38] 1p36.33p11.2(849467_121000000)x1,{_Q}x1", True),
        (f"arr[GRCh37] 1p36.33p12(849,467_120,500,000)x1,{_Q} x1", True),
        ("arr[GRCh38] 1p36.33p11.2(849467_121000000)x1", False),
        (f"arr[GRCh38] 1p36.33p35(849467_30000000)x1,{_Q}x1", False),
        (f"arr[GRCh38] 1p36.33p11.2(849467_121000000)x1~2,{_Q}x1", False),
        (f"arr[GRCh38] 1p36.33p11.2(849467_121000000)x2 hmz,{_Q}x1", False),
        (f"arr[GRCh38] 1p36.33p11.2(849467_121000000)x10,{_Q}x1", False),
        (f"arr[GRCh38] 1p36.33p11.2(849467_121000000)x1[0.2],{_Q}x1", False),
        ("46,XX,del(1)(p36p11),del(19)(q12q13)", False),
        ("ish 1p36(D1Z2x1),19q13(GLTSCR1x1)", False),
    ],
)
def test_arms_by_an_arrays_nomenclature(iscn: str, known: bool) -> None:
    assert answers(CODELETION, variant("a", iscn=iscn)) == (["codeleted"] if known else [])


def test_arms_by_their_names() -> None:
    arms = {
        name: variant(name, cytoband=name, change="copy number loss", report="r")
        for name in ("1p", "1q", "19q", "19p", "1p36")
    }
    assert answers(CODELETION, arms["1p"], arms["19q"]) == ["codeleted"]
    assert answers(CODELETION, arms["1p36"], arms["19q"]) == []
    assert answers(CODELETION, arms["1p"], arms["1q"], arms["19q"]) == []
    assert answers(CODELETION, arms["1p"], arms["19q"], arms["19p"]) == []
    gained = replace(arms["19q"], change="copy number gain")
    assert answers(CODELETION, arms["1p"], gained) == []
    absent = replace(arms["19q"], presence=Presence.ABSENT)
    assert answers(CODELETION, arms["1p"], absent) == ["intact"]
    assert answers(CODELETION, replace(absent, source_class="")) == []


@given(st.text(alphabet="arseq[]GRCh38 119pq.(),_x12~-", max_size=60))
def test_no_nomenclature_breaks_it(text: str) -> None:
    assert answers(CODELETION, variant("a", iscn=f"arr{text}")) in ([], ["codeleted"])


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
