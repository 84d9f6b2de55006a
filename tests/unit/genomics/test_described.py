"""What both kinds of genomics reports have in common."""

from __future__ import annotations

import doctest

import pytest

from connectors.facts import Presence
from connectors.genomics import answers, sequences, specimens
from connectors.genomics.described import described
from connectors.site import loinc_is_right


def test_the_examples_in_the_documentation_hold() -> None:
    assert doctest.testmod(sequences).failed == 0


def test_every_answer_code_has_its_check_digit() -> None:
    """A mistyped code would be another answer, or none. `LA` adds the same to each of a length."""
    letters = {4: 5, 5: 2}
    for code in (code for of_list in answers.LISTS.values() for code in of_list):
        digits, check = code.removeprefix("LA").split("-")
        plain = (int(check) - letters[len(digits)]) % 10
        assert loinc_is_right(f"{digits}-{plain}"), code


@pytest.mark.parametrize(
    ("words", "presence"),
    [
        ("Detected", Presence.PRESENT),
        (" Not Detected", Presence.ABSENT),
        ("wild type", Presence.ABSENT),
        ("not tested", Presence.NOT_EXAMINED),
        ("who knows", Presence.NO_CALL),
    ],
)
def test_assessments_in_words(words: str, presence: Presence) -> None:
    assert answers.presence_of(words) is presence


def test_spdi_under_c_hgvs_is_no_hgvs_and_counts_from_zero() -> None:
    found = described({"48004-6": "NC_000001.10:25:A:G"}, {}, {})
    assert found["hgvs_c"] == ""
    assert (found["assembly"], found["chromosome"], found["position"]) == ("GRCh37", "1", 26)


@pytest.mark.parametrize(
    ("sequence", "place"),
    [
        ("NC_000001.10", ("1", "GRCh37")),
        ("NC_000024.10", ("Y", "GRCh38")),
        ("NC_000001.9", ("1", "")),
        ("NC_000025.1", ("", "")),
        ("NC_012920.1", ("M", "")),
        ("NM_000546.6", ("", "")),
    ],
)
def test_a_reference_sequence_names_chromosome_and_assembly(
    sequence: str, place: tuple[str, str]
) -> None:
    assert sequences.placed(sequence) == place


@pytest.mark.parametrize(
    ("said", "place"),
    [
        # The guide's example: a position on the gene's own sequence, and the genomic change.
        (
            {"48013-7": "NG_017064.1", "81290-9": "NC_000003.11:g.128625063C>T"},
            ("GRCh37", "3", 128_625_063),
        ),
        ({"48013-7": "NG_017064.1"}, ("", "", None)),
        ({"81290-9": "NC_000002.12:g.211713666_211713668del"}, ("GRCh38", "2", 7)),
        ({"62374-4": "GRCh37"}, ("GRCh37", "", 7)),
        ({}, ("", "", None)),
        ({"48000-4": "chrMT"}, ("", "M", 7)),
    ],
)
def test_a_place_on_anything_but_a_known_genome_is_none(
    said: dict[str, str], place: tuple[str, str, int | None]
) -> None:
    found = described(said, {}, {"81254-5": (7, 9)})
    assert (found["assembly"], found["chromosome"], found["position"]) == place


@pytest.mark.parametrize(
    ("sent", "fraction"), [(0.31, 0.31), (1.0, 1.0), (47.0, 0.47), (0.0, 0.0), (-1.0, None)]
)
def test_an_allele_fraction_is_between_0_and_1(sent: float, fraction: float | None) -> None:
    assert described({}, {"81258-6": sent}, {})["allele_fraction"] == fraction


@pytest.mark.parametrize(
    "chromosome", ["LA21255-7", "LA21255-7^Chromosome 2^LN", "chr2", "2", "Chromosome 2"]
)
@pytest.mark.parametrize("assembly", ["LA26806-2", "GRCh38", "hg38", "GRCh38.p14"])
def test_chromosome_and_assembly_by_code_or_by_name(chromosome: str, assembly: str) -> None:
    said = {
        question: answers.answer(question, text)
        for question, text in (("48000-4", chromosome), ("62374-4", assembly))
    }
    found = described(said, {}, {"81254-5": (208_248_388, 208_248_388)})
    place = found["assembly"], found["chromosome"], found["position"]
    assert place == ("GRCh38", "2", 208_248_388)


def test_a_protein_change_beside_the_dna_is_taken_where_none_is_told() -> None:
    both = {"48004-6": "NM_005896.4(IDH1):c.395G>A (p.Arg132His)"}
    found = described(both, {}, {})
    assert (found["hgvs_c"], found["hgvs_p"]) == ("NM_005896.4:c.395G>A", "p.Arg132His")
    told = described(both | {"48005-3": "R132C"}, {}, {})
    assert told["hgvs_p"] == "p.Arg132Cys"


@pytest.mark.parametrize(
    ("types", "source"),
    [
        ([["TUMOR"]], "somatic"),
        ([["258435002", "Tumor tissue", "SCT"]], "somatic"),
        ([["TUMOR"], ["258435002"]], "somatic"),
        ([["TUMOR"], ["BLD"]], ""),
        ([["TISS"]], ""),
        ([[]], ""),
        ([], ""),
    ],
)
def test_only_a_tumours_own_tissue_is_somatic(types: list[list[str]], source: str) -> None:
    assert specimens.source_of(types) == source
    assert specimens.source_class("", Presence.ABSENT, source) == source
    assert specimens.source_class("", Presence.PRESENT, source) == ""
    assert specimens.source_class("germline", Presence.ABSENT, source) == "germline"


@pytest.mark.parametrize(
    ("name", "meant"),
    [
        ("NM_005896.4(IDH1):c.395G>A (p.Arg132His)", ("NM_005896.4:c.395G>A", "p.Arg132His", "")),
        ("IDH1 p.R132H", ("", "IDH1:p.Arg132His", "")),
        ("NC_000002.12:g.208248388C>T", ("", "", "NC_000002.12:g.208248388C>T")),
        ("IDH1 hotspot", ("", "", "")),
        ("", ("", "", "")),
    ],
)
def test_a_variants_name_stands_for_a_description_that_is_missing(
    name: str, meant: tuple[str, str, str]
) -> None:
    found = described({"47998-0": name}, {}, {})
    assert (found["hgvs_c"], found["hgvs_p"], found["hgvs_g"]) == meant
    told = described({"47998-0": name, "48004-6": "c.394C>T"}, {}, {})
    assert (told["hgvs_c"], told["hgvs_p"], told["hgvs_g"]) == ("c.394C>T", "", "")


@pytest.mark.parametrize(
    ("words", "source"),
    [
        ("Somatic", "somatic"),
        ("LA6684-0^Somatic^LN", "somatic"),
        ("likely somatic", "somatic"),
        ("De novo", "germline"),
        ("GERMLINE", "germline"),
        ("fetal", ""),
        ("not somatic", ""),
    ],
)
def test_a_source_class_by_code_or_in_words(words: str, source: str) -> None:
    assert (
        described({"48002-0": answers.answer("48002-0", words)}, {}, {})["source_class"] == source
    )
