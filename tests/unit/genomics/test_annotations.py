"""Gene and HGVS of a VCF record, by whichever annotator."""

from __future__ import annotations

import pytest

from connectors.facts import Variant
from tests.unit.genomics.test_vcf import CHR1, file, read

FORMAT = (
    "Allele|Consequence|IMPACT|SYMBOL|Gene|Feature_type|Feature|HGVSc|HGVSp|ALLELE_NUM|PICK|"
    "CANONICAL|MANE_SELECT"
)
VEP = (
    '##INFO=<ID=CSQ,Number=.,Type=String,Description="Consequence annotations from Ensembl VEP. '
    f'Format: {FORMAT}">'
)
SNPEFF = '##INFO=<ID=ANN,Number=.,Type=String,Description="Functional annotations">'


def csq(
    allele: str, gene: str, transcript: str, *, impact: str = "MODERATE", number: str = "",
    pick: str = "", canonical: str = "", mane: str = "", hgvs_c: str = "c.7G>A", hgvs_p: str = "",
) -> str:  # fmt: skip
    return "|".join(
        (
            *(allele, "x", impact, gene, "ENSG", "Transcript", transcript),
            *(f"{transcript}:{hgvs_c}", hgvs_p, number, pick, canonical, mane),
        )
    )


def variant(info: str, ref: str = "G", alt: str = "A", header: str = VEP) -> list[Variant]:
    raw = file(f"chr1 100 {ref} {alt} PASS {info} GT 0/1", header=(CHR1, header))
    return [f for f in read(raw).facts if isinstance(f, Variant)]


def test_vep_names_gene_transcript_and_hgvs() -> None:
    entry = csq("A", "AR", "ENST00000374690.9", hgvs_p="ENSP00000363822.3:p.Val3Met")
    (one,) = variant(f"CSQ={entry}")
    assert (one.gene, one.transcript) == ("AR", "ENST00000374690.9")
    assert (one.hgvs_c, one.hgvs_p) == (
        "ENST00000374690.9:c.7G>A", "ENSP00000363822.3:p.Val3Met",
    )  # fmt: skip


def test_an_escaped_equals_sign() -> None:
    (one,) = variant(f"CSQ={csq('A', 'AR', 'ENST1', hgvs_p='ENSP1.1:p.Val3%3D')}")
    assert one.hgvs_p == "ENSP1.1:p.Val3="


@pytest.mark.parametrize(
    ("second", "gene"),
    [
        ({"pick": "1"}, "B"),
        ({"mane": "NM_1.1"}, "B"),
        ({"canonical": "YES"}, "B"),
        ({"impact": "HIGH"}, "B"),
        ({"impact": "MODIFIER"}, "A"),
        ({}, "A"),
    ],
)
def test_which_of_several_transcripts(second: dict[str, str], gene: str) -> None:
    (one,) = variant(f"CSQ={csq('A', 'A', 'ENST1')},{csq('A', 'B', 'ENST2', **second)}")
    assert one.gene == gene


@pytest.mark.parametrize(
    ("ref", "alt", "allele"), [("GA", "G", "-"), ("G", "GTT", "TT"), ("GA", "GTC", "TC")]
)
def test_vep_names_what_is_left_of_an_allele(ref: str, alt: str, allele: str) -> None:
    (one,) = variant(f"CSQ={csq(allele, 'AR', 'ENST1')}", ref, alt)
    assert one.gene == "AR"


def test_each_alternative_has_its_own() -> None:
    info = f"CSQ={csq('x', 'ONE', 'ENST1', number='1')},{csq('y', 'TWO', 'ENST2', number='2')}"
    assert [v.gene for v in variant(info, alt="A,T")] == ["ONE", "TWO"]


@pytest.mark.parametrize(
    "info", [".", "CSQ=", "CSQ=A", "CSQ=T|x|HIGH|AR", "CSQ=,,,", "CSQ=A|x|HIGH"]
)
def test_what_says_nothing_names_nothing(info: str) -> None:
    (one,) = variant(info)
    assert (one.gene, one.hgvs_c) == ("", "")


def test_snpeff_as_before_and_vep_where_it_says_nothing() -> None:
    ann = "A|missense|MODERATE|APC|ENSG|transcript|ENST3|protein_coding|1/2|c.7G>A|p.Val3Met|||||"
    (one,) = variant(f"ANN={ann}", header=SNPEFF)
    assert (one.gene, one.hgvs_p) == ("APC", "p.Val3Met")
    (one,) = variant(f"CSQ={csq('A', 'AR', 'ENST1')}", header=f"{SNPEFF}\n{VEP}")
    assert one.gene == "AR"
