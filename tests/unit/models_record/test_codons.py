"""Hotspot codons: every way in which laboratories write a variant, and what it does there."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from connectors.facts import Presence, Variant
from connectors.genomics.hgvs import normalised
from models.codons import CODONS, Effect, codon_of, effect

_IDH1, _IDH2 = CODONS
_HGVS = ("hgvs_c", "hgvs_p", "hgvs_g")


def told(**said: Any) -> Variant:
    known = {name: normalised(text) if name in _HGVS else text for name, text in said.items()}
    return Variant(
        id="v", rank=(1, 1.0, 0, ""), presence=Presence.PRESENT, time=1.0, source_class="", **known
    )


def effect_of(**said: Any) -> Effect:
    v = told(**said)
    codon = codon_of(v)
    assert codon is not None
    return effect(v, codon)


@pytest.mark.parametrize(
    "said",
    [
        {"gene": "IDH1", "hgvs_p": "p.Arg132His"},
        {"gene": "IDH1", "hgvs_p": "p.(Arg132His)"},
        {"gene": "IDH1", "hgvs_p": "p.R132H"},
        {"gene": "IDH1", "hgvs_p": "p.Arg132delinsHis"},
        {"gene": "IDH1", "hgvs_p": "p.Gly131_Arg132delinsAlaHis"},
        {"gene": "HGNC:5382", "hgvs_p": "IDH1:p.R132H"},
        {"gene": "", "hgvs_p": "NP_005887.2:p.(Arg132Cys)"},
        {"gene": "IDH1", "hgvs_c": "c.395G>A"},
        {"gene": "IDH1", "hgvs_c": "c.394C>T", "transcript": "ENST00000345146.7"},
        {"gene": "", "hgvs_c": "NM_005896.4(IDH1):c.395G>T"},
        {"gene": "IDH1", "hgvs_c": "NM_005896.2:c.394_395delinsGT"},
        {"gene": "", "hgvs_g": "NC_000002.12:g.208248388C>T"},
        {"gene": "", "hgvs_g": "NC_000002.11:g.209113113G>A"},
        {"gene": "", "hgvs_g": "chr2:g.208248388C>T", "assembly": "GRCh38.p14"},
        {"gene": "IDH2", "hgvs_p": "p.Arg172Lys"},
        {"gene": "IDH2", "hgvs_c": "NM_002168.4:c.514A>T"},
        {"gene": "", "hgvs_g": "NC_000015.10:g.90088606C>T"},
        {"gene": "", "hgvs_g": "NC_000015.9:g.90631837C>A"},
    ],
)
def test_another_amino_acid_at_the_codon_is_missense(said: dict[str, str]) -> None:
    assert effect_of(**said) is Effect.MISSENSE


@pytest.mark.parametrize(
    "protein",
    [
        "p.Arg132Ter",
        "p.R132*",
        "p.R132X",
        "p.Arg132fs",
        "p.Arg132Hisfs*4",
        "p.Arg132del",
        "p.Arg132dup",
        "p.Arg132_Gly133insXaa",
        "p.Gly131_Arg132del",
        "p.Arg132delinsHisHis",
        "p.Arg132Xaa",
    ],
)
def test_what_breaks_the_codon_is_not_missense(protein: str) -> None:
    assert effect_of(gene="IDH1", hgvs_p=protein) is Effect.OTHER


@pytest.mark.parametrize(
    ("said", "what"),
    [
        ({"hgvs_p": "p.Arg132="}, Effect.SILENT),
        ({"hgvs_p": "p.Arg132Arg"}, Effect.SILENT),
        ({"hgvs_p": "p.="}, Effect.SILENT),
        ({"hgvs_c": "c.396T>A"}, Effect.SILENT),
        ({"hgvs_c": "c.395="}, Effect.SILENT),
        ({"hgvs_c": "c.395del"}, Effect.OTHER),
        ({"hgvs_c": "c.394_396delinsTGA"}, Effect.OTHER),
        ({"hgvs_c": "c.395delinsAA"}, Effect.OTHER),
        ({"hgvs_p": "p.Arg1320His"}, Effect.ELSEWHERE),
        ({"hgvs_p": "p.Val178Ile"}, Effect.ELSEWHERE),
        ({"hgvs_c": "c.315C>T"}, Effect.ELSEWHERE),
        ({"hgvs_c": "c.414+9A>G"}, Effect.ELSEWHERE),
        ({"hgvs_c": "c.-12A>G"}, Effect.ELSEWHERE),
        ({"hgvs_p": "p.?"}, Effect.UNKNOWN),
        ({"hgvs_p": "p.Arg132?"}, Effect.UNKNOWN),
        ({"hgvs_p": "p.Gly132His"}, Effect.UNKNOWN),
        ({"hgvs_p": "p.[Arg132His];[=]"}, Effect.UNKNOWN),
        ({"hgvs_c": "c.395A>G"}, Effect.UNKNOWN),
        ({"hgvs_c": "c.(394_396)del"}, Effect.UNKNOWN),
        ({}, Effect.UNKNOWN),
    ],
)
def test_everything_else_is_told_apart(said: dict[str, str], what: Effect) -> None:
    assert effect_of(gene="IDH1", **said) is what


def test_a_shorter_transcript_counts_otherwise() -> None:
    """IDH2's others begin 52 and 130 residues later: what they call 172 is another one."""
    for said in (
        {"hgvs_p": "NP_001276839.1:p.Arg172Lys"},
        {"hgvs_c": "NM_001289910.1:c.515G>A"},
        {"hgvs_c": "c.515G>A", "transcript": "NM_001290114.2"},
    ):
        assert effect_of(gene="IDH2", **said) is Effect.UNKNOWN


def test_the_place_counts_before_an_annotation_of_another_transcript() -> None:
    place = {"assembly": "GRCh38", "chromosome": "15", "position": 90_088_606}
    named = {"gene": "IDH2", "transcript": "ENST00000540499.2", "hgvs_p": "p.Arg120Lys"}
    assert effect_of(ref="C", alt="T", **place, **named) is Effect.MISSENSE


_PLACES = [(c, a, first + i) for c in CODONS for a, first in c.first.items() for i in range(3)]


@pytest.mark.parametrize(("codon", "assembly", "position"), _PLACES)
def test_alleles_that_do_not_fit_the_genome_say_nothing(
    codon: Any, assembly: str, position: int
) -> None:
    """Another assembly, another strand, counted from 0: exactly one base fits."""
    place = {"assembly": assembly, "chromosome": codon.chromosome, "position": position}
    found = [effect_of(gene=codon.gene, ref=ref, alt="N", **place) for ref in "ACGT"]
    assert set(found) == {Effect.UNKNOWN}
    fits = [
        ref
        for ref in "ACGT"
        if any(
            effect_of(gene=codon.gene, ref=ref, alt=alt, **place) is not Effect.UNKNOWN
            for alt in "ACGT"
        )
    ]
    assert len(fits) == 1


def test_genome_and_transcript_agree_on_every_change_of_a_base() -> None:
    complement = dict(zip("ACGT", "TGCA", strict=True))
    for codon in CODONS:
        for place, old in enumerate(codon.bases):
            for new in set("ACGT") - {old}:
                by_cdna = effect_of(
                    gene=codon.gene, hgvs_c=f"c.{3 * codon.number - 2 + place}{old}>{new}"
                )
                for assembly, first in codon.first.items():
                    by_place = effect_of(
                        gene="", assembly=assembly, chromosome=codon.chromosome,
                        position=first + 2 - place, ref=complement[old], alt=complement[new],
                    )  # fmt: skip
                    assert by_place is by_cdna


def test_a_change_of_copies_leaves_the_bases_alone() -> None:
    gain = {"assembly": "GRCh38", "chromosome": "2", "position": 1, "end": 240_000_000}
    assert codon_of(told(change="copy number gain", **gain)) is None
    assert codon_of(told(alt="<DUP>", ref="N", **gain)) is None
    assert effect_of(gene="IDH1", copy_number=3.0, **gain) is Effect.ELSEWHERE


def test_other_genes_have_no_codon_here() -> None:
    assert codon_of(told(gene="TP53", hgvs_p="p.Arg132His")) is None
    assert codon_of(told(hgvs_p="p.Arg132His")) is None


_REFERENCES = st.sampled_from(["", "NP_005887.2:", "np_005887.2:", "IDH1:", "NP_005887.2(IDH1):"])
_NEW = st.sampled_from([("His", "H"), ("Cys", "C"), ("Gly", "G"), ("Ser", "S"), ("Leu", "L")])


@given(_REFERENCES, _NEW, st.booleans(), st.booleans(), st.sampled_from(["", " ", "  "]))
def test_the_spelling_of_a_description_does_not_matter(
    reference: str, new: tuple[str, str], short: bool, predicted: bool, space: str
) -> None:
    change = f"R132{new[1]}" if short else f"Arg132{new[0]}"
    text = f"{space}{reference}p.{f'({change})' if predicted else change}{space}"
    assert effect_of(gene="IDH1", hgvs_p=text) is Effect.MISSENSE


@given(st.text(max_size=40), st.sampled_from(_HGVS))
def test_no_text_breaks_it(text: str, field: str) -> None:
    v = told(gene="IDH1", **{field: text})
    assert isinstance(effect(v, _IDH1), Effect)
    assert isinstance(effect(v, _IDH2), Effect)


@pytest.mark.parametrize("new", ["Foo", "Asx", "Glx", "Xaa", "Ter", "Z", "B"])
def test_what_is_no_single_amino_acid_is_no_missense(new: str) -> None:
    assert effect_of(gene="IDH1", hgvs_p=f"p.Arg132{new}") is not Effect.MISSENSE


@pytest.mark.parametrize(
    "said",
    [
        {"gene": "IDH1", "hgvs_c": f"NM_005896.4:c.{'9' * 5_000}A>T"},
        {"gene": "IDH1", "hgvs_p": f"p.Arg{'9' * 5_000}His"},
        {"gene": "IDH1", "chromosome": "2", "assembly": "GRCh38", "hgvs_g": f"g.{'9' * 5_000}A>T"},
    ],
)
def test_a_place_of_thousands_of_digits_is_none_and_stops_nobody(said: dict[str, str]) -> None:
    assert effect_of(**said) in {Effect.UNKNOWN, Effect.ELSEWHERE}
