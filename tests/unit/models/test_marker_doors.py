"""Markers through every door: HL7, FHIR or VCF in, the score of a glioma out, or left as it was.

Each laboratory's report is read as the sequencer reads it and folded into a patient of whom the
operation and histology are known; what is asked is whether the score moves, and what it says.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from itertools import permutations
from pathlib import Path

import pytest
from msgspec.structs import replace

from connectors.facts import AnyFact
from connectors.interpretation import Interpretation
from models.bundle import read as read_bundle
from models.inputs import DAY_S
from models.multimodal import MultimodalModel
from models.questions import GLIOMA
from models.risk import Assessment
from models.rule import SHIPPED
from tests.unit.fhir import resources as fhir
from tests.unit.genomics import test_bed as bed
from tests.unit.genomics import test_vcf as vcf
from tests.unit.hl7 import test_variants as hl7
from tests.unit.hl7.reading import read as read_hl7
from tests.unit.models.test_multimodal import OPERATION, person, record

AS_OF = max(fhir.HEARD, vcf.HEARD) + DAY_S
SHIFT = AS_OF - 30 * DAY_S - OPERATION[0].time  # the operation was a month ago

GENES = {"IDH1": "HGNC:5382", "IDH2": "HGNC:5383"}
CHR2, CHR15, CHR1 = (
    "##contig=<ID=chr2,length=242193529,assembly=GRCh38>",
    "##contig=<ID=chr15,length=101991189,assembly=GRCh38>",
    "##contig=<ID=chr1,length=248956422,assembly=GRCh38>",
)
ANN = '##INFO=<ID=ANN,Number=.,Type=String,Description="Annotations">'


@pytest.fixture(scope="module")
def glioma() -> MultimodalModel:
    return MultimodalModel(GLIOMA, read_bundle(SHIPPED / GLIOMA.risk, GLIOMA.risk))


def scored(model: MultimodalModel, facts: Iterable[AnyFact]) -> Assessment:
    operation = [replace(o, time=o.time + SHIFT) for o in OPERATION]
    return model.assess([(record([*person(), *operation, *facts]), AS_OF)])[0]


def said(assessment: Assessment) -> dict[str, object]:
    """What the score says that it rests on, of the markers."""
    return {
        c.feature: c.value
        for e in assessment.evidence
        if e.modality == "genomics"
        for c in e.top
        if c.value is not None
    }


def by_hl7(*obx: str, status: str = "F", specimen: str = "") -> list[Interpretation]:
    raw = hl7.report(1, *obx, status=status)
    return [read_hl7(raw + f"SPM|1|||{specimen}\r".encode() if specimen else raw)]


def by_fhir(*held: fhir.Json, status: str = "final") -> list[Interpretation]:
    return [fhir.read(fhir.report(*held, status=status))]


def by_vcf(*records: str, parameters: str = "", regions: bytes = b"") -> list[Interpretation]:
    header = (CHR1, CHR2, CHR15, ANN)
    found = [vcf.read(vcf.file(*records, header=header), f"; sample=S1{parameters}")]
    if regions:
        found.append(bed.read(regions, f"; sample=S1; assembly=GRCh38{parameters}"))
    return found


def obx(group: str, gene: str, *more: str, source: str = "LA6684-0") -> list[str]:
    lines = [f"CWE|48018-6^Gene^LN|{group}|{GENES[gene]}^{gene}^HGNC" if gene else "", *more]
    lines += [f"CWE|48002-0^Source^LN|{group}|{source}^x^LN"] if source else []
    return [line for line in lines if line]


def p_hgvs(group: str, text: str) -> str:
    return f"ST|48005-3^p.HGVS^LN|{group}|{text}"


def c_hgvs(group: str, text: str) -> str:
    return f"ST|48004-6^c.HGVS^LN|{group}|{text}"


def assessed(group: str, code: str) -> str:
    return f"CWE|69548-6^Assessment^LN|{group}|{code}^x^LN"


def absent(source: str = "LA6684-0") -> list[str]:
    return [
        line
        for group, gene in (("2a", "IDH1"), ("2b", "IDH2"))
        for line in obx(group, gene, assessed(group, "LA9634-2"), source=source)
    ]


def gene(name: str) -> fhir.Json:
    return fhir.part("48018-6", fhir.concept(GENES[name], name))


def somatic(code: str = "LA6684-0") -> fhir.Json:
    return fhir.part("48002-0", fhir.concept(code))


def loss(group: str, sequence: str, first: int, last: int, *more: str) -> list[str]:
    return [
        f"ST|48013-7^Sequence^LN|{group}|{sequence}",
        f"NR|81254-5^Start-End^LN|{group}|{first}^{last}",
        f"CWE|48019-4^Type^LN|{group}|LA14034-5^Copy number loss^LN",
        assessed(group, "LA9633-4"),
        *more,
    ]


R132H = "chr2 208248388 C T PASS . GT:AD:DP 0/1:60,40:100"
# SnpEff's, of a transcript of IDH2 that begins 52 residues later.
SHORTER = (
    "T|missense_variant|MODERATE|IDH2|IDH2|transcript|NM_001289910.1|protein_coding|4/11|"
    "c.359G>A|p.Arg120Lys|446/1577|359/1203|120/400||"
)
CODONS = b"chr2\t208248000\t208249000\nchr15\t90088000\t90089000\n"
PANEL = b"chr17\t7600000\t7700000\n"  # TP53 and no IDH
TUMOUR = "; source-class=somatic"
ONE_P, NINETEEN_Q = (
    loss("2c", "NC_000001.11", 800_000, 121_000_000),
    loss("2d", "NC_000019.10", 27_500_000, 58_500_000),
)
PARTS = [
    fhir.variant(
        fhir.part("48013-7", fhir.concept(sequence)),
        fhir.part("81254-5", (first, last)),
        fhir.part("82155-3", 1),
        fhir.part("48019-4", fhir.concept("LA14034-5", "Copy number loss")),
    )
    for sequence, first, last in (
        ("NC_000001.11", 900_000, 60_000_000),
        ("NC_000001.11", 60_000_200, 120_500_000),
        ("NC_000019.10", 27_800_000, 58_000_000),
    )
]

MOVES: dict[str, tuple[Callable[[], list[Interpretation]], dict[str, object]]] = {
    "HL7: a hotspot of the tumour": (
        lambda: by_hl7(*obx("2a", "IDH1", p_hgvs("2a", "p.(Arg132His)"))),
        {"IDH": "mutated"},
    ),
    "HL7: a hotspot, and nobody says of what": (
        lambda: by_hl7(*obx("2a", "IDH1", c_hgvs("2a", "NM_005896.4:c.394C>T"), source="")),
        {"IDH": "mutated"},
    ),
    "HL7: in a laboratory's own words": (
        lambda: by_hl7(*obx("2a", "IDH1", p_hgvs("2a", "IDH1 R132H"))),
        {"IDH": "mutated"},
    ),
    "HL7: both genes of the tumour without a finding": (
        lambda: by_hl7(*absent()),
        {"IDH": "wildtype"},
    ),
    "HL7: nobody says of what, but the specimen is a tumour": (
        lambda: by_hl7(*absent(""), specimen="TUMOR^Tumor^HL70487"),
        {"IDH": "wildtype"},
    ),
    "HL7: both arms lost": (
        lambda: by_hl7(*ONE_P, *NINETEEN_Q),
        {"1p/19q": "codeleted"},
    ),
    "HL7: arms by their names": (
        lambda: by_hl7(
            *(
                line
                for group, arm in (("2c", "1p"), ("2d", "19q"))
                for line in (
                    f"ST|48001-2^Location^LN|{group}|{arm}",
                    f"CWE|48019-4^Type^LN|{group}|LA14034-5^Copy number loss^LN",
                    assessed(group, "LA9633-4"),
                )
            )
        ),
        {"1p/19q": "codeleted"},
    ),
    "FHIR: arms by their names": (
        lambda: by_fhir(
            *(
                fhir.variant(fhir.part("48001-2", arm), fhir.part("82155-3", 1))
                for arm in ("1p", "19q")
            )
        ),
        {"1p/19q": "codeleted"},
    ),
    "HL7: methylated sites, counted": (
        lambda: by_hl7("NM|mgmt-methylation-index^MGMT^99TCS||12|{sites}"),
        {"MGMT promoter": "12"},
    ),
    "HL7: methylated alleles in percent, and the laboratory's word for it": (
        lambda: by_hl7(
            "NM|mgmt-methylation-index^MGMT^99TCS||12|%",
            "ST|mgmt-methylation^MGMT^99TCS||methylated",
        ),
        {"MGMT promoter": "methylated"},
    ),
    "FHIR: a hotspot as g.HGVS alone": (
        lambda: by_fhir(
            fhir.variant(fhir.part("81290-9", "NC_000002.12:g.208248388C>T"), somatic())
        ),
        {"IDH": "mutated"},
    ),
    "FHIR: IDH2": (
        lambda: by_fhir(fhir.variant(gene("IDH2"), fhir.part("48005-3", "NP_002159.2:p.R172K"))),
        {"IDH": "mutated"},
    ),
    "FHIR: regions of the tumour, and nothing there": (
        lambda: by_fhir(*_studied(), *_tp53(somatic())),
        {"IDH": "wildtype"},
    ),
    "FHIR: an arm lost in two stretches": (
        lambda: by_fhir(*PARTS),
        {"1p/19q": "codeleted"},
    ),
    "VCF: a hotspot in a file without a source class": (
        lambda: by_vcf(R132H),
        {"IDH": "mutated"},
    ),
    "VCF: a hotspot by its place, annotated on another transcript": (
        lambda: by_vcf(f"chr15 90088606 C T PASS ANN={SHORTER} GT 0/1", parameters=TUMOUR),
        {"IDH": "mutated"},
    ),
    "VCF: both codons of the tumour examined": (
        lambda: by_vcf("chr17 7674220 C T PASS . GT 0/1", parameters=TUMOUR, regions=CODONS),
        {"IDH": "wildtype"},
    ),
    "VCF: both arms lost": (
        lambda: by_vcf(
            "chr1 800000 N <DEL> PASS SVTYPE=DEL;END=121000000 GT:CN 0/1:1",
            "chr19 27500000 N <DEL> PASS SVTYPE=DEL;END=58500000 GT:CN 0/1:1",
            parameters=TUMOUR,
        ),
        {"1p/19q": "codeleted"},
    ),
}


def _studied(bad: bool = False) -> list[fhir.Json]:
    ranges = ("NC_000002.12", 208_248_000, 208_249_000), ("NC_000015.10", 90_088_000, 90_089_000)
    found = [
        fhir.observation(
            "53041-0",
            fhir.part("48013-7", fhir.concept(sequence)),
            fhir.part("51959-5", (first, last)),
        )
        for sequence, first, last in ranges
    ]
    if bad:
        low = fhir.part("51959-5", (208_248_300, 208_248_400))
        low["code"] = fhir.concept("uncallable-regions", system="tbd")
        found[0]["component"].append(low)
    return found


def _tp53(*more: fhir.Json) -> list[fhir.Json]:
    named = fhir.part("48018-6", fhir.concept("HGNC:11998", "TP53"))
    return [fhir.variant(named, fhir.part("48005-3", "p.Arg175His"), *more)]


STAYS: dict[str, Callable[[], list[Interpretation]]] = {
    "HL7: a germline hotspot": lambda: by_hl7(
        *obx("2a", "IDH1", p_hgvs("2a", "p.Arg132His"), source="LA6683-2")
    ),
    "HL7: no finding in the germline": lambda: by_hl7(*absent("LA6683-2")),
    "HL7: no finding, and nobody says in what": lambda: by_hl7(*absent("")),
    "HL7: no finding in blood": lambda: by_hl7(*absent(""), specimen="BLD^Blood^HL70487"),
    "HL7: one of the genes alone": lambda: by_hl7(
        *obx("2a", "IDH1", assessed("2a", "LA9634-2"))
    ),
    "HL7: a stop in the codon": lambda: by_hl7(*obx("2a", "IDH1", p_hgvs("2a", "p.Arg132Ter"))),
    "HL7: a frameshift": lambda: by_hl7(*obx("2a", "IDH1", p_hgvs("2a", "p.R132fs"))),
    "HL7: silent": lambda: by_hl7(*obx("2a", "IDH1", p_hgvs("2a", "p.Arg132="))),
    "HL7: the hotspot of leukaemias": lambda: by_hl7(
        *obx("2a", "IDH2", p_hgvs("2a", "p.Arg140Gln"))
    ),
    "HL7: of unknown significance elsewhere": lambda: by_hl7(
        *obx("2a", "IDH1", p_hgvs("2a", "p.Val178Ile")),
        "CWE|53037-8^S^LN|2a|LA26333-7^Uncertain^LN",
    ),
    "HL7: indeterminate": lambda: by_hl7(
        *obx("2a", "IDH1", p_hgvs("2a", "p.Arg132His"), assessed("2a", "LA11884-6"))
    ),
    "HL7: cannot be obtained": lambda: by_hl7(
        *obx("2a", "IDH1", p_hgvs("2a", "")), status="X"
    ),
    "HL7: one hotspot was not found": lambda: by_hl7(
        *obx("2a", "IDH1", p_hgvs("2a", "p.Arg132His"), assessed("2a", "LA9634-2")),
        *obx("2b", "IDH2", p_hgvs("2b", "p.Arg172Lys"), assessed("2b", "LA9634-2")),
    ),
    "HL7: a negative panel without the genes": lambda: by_hl7(
        "CWE|48018-6^Gene^LN|1a|HGNC:11998^TP53^HGNC",
        "CWE|48002-0^Source^LN|1a|LA6684-0^Somatic^LN",
        "CWE|51968-6^Overall^LN|1|LA6577-6^Negative^LN",
    ),
    "HL7: a panel of the genes that says nothing as a whole": lambda: by_hl7(
        "CWE|48018-6^Gene^LN|1a|HGNC:5382^IDH1^HGNC~HGNC:5383^IDH2^HGNC",
        "CWE|48002-0^Source^LN|1a|LA6684-0^Somatic^LN",
    ),
    "HL7: one arm": lambda: by_hl7(*ONE_P),
    "HL7: a part of an arm": lambda: by_hl7(
        *loss("2c", "NC_000001.11", 800_000, 30_000_000), *NINETEEN_Q
    ),
    "HL7: methylated alleles in percent": lambda: by_hl7(
        "NM|mgmt-methylation-index^MGMT^99TCS||12|%"
    ),
    "HL7: a number that nobody explains": lambda: by_hl7(
        "NM|mgmt-methylation-index^MGMT^99TCS||12"
    ),
    "HL7: a ratio of FISH": lambda: by_hl7("NM|FISH1P^1p36/1q25^L||0.52"),
    "FHIR: regions of nobody's genome": lambda: by_fhir(*_studied(), *_tp53()),
    "FHIR: regions of the germline": lambda: by_fhir(*_studied(), *_tp53(somatic("LA6683-2"))),
    "FHIR: too few reads at the codon": lambda: by_fhir(
        *_studied(bad=True), *_tp53(somatic())
    ),
    "FHIR: entered in error": lambda: by_fhir(
        fhir.variant(gene("IDH1"), fhir.part("48005-3", "p.Arg132His"), somatic()),
        status="entered-in-error",
    ),
    "FHIR: not performed": lambda: by_fhir(
        fhir.variant(
            gene("IDH1"), somatic(), present="", dataAbsentReason=fhir.concept("not-performed")
        )
    ),
    "VCF: codons of nobody's genome": lambda: by_vcf(
        "chr17 7674220 C T PASS . GT 0/1", regions=CODONS
    ),
    "VCF: the germline": lambda: by_vcf(
        R132H, parameters="; source-class=germline", regions=CODONS
    ),
    "VCF: a filter objects": lambda: by_vcf(
        R132H.replace("PASS", "weak_evidence"), parameters=TUMOUR, regions=CODONS
    ),
    "VCF: not called": lambda: by_vcf(
        R132H.replace("0/1:60,40", "./.:1,0"), parameters=TUMOUR, regions=CODONS
    ),
    "VCF: another panel": lambda: by_vcf(
        "chr17 7674220 C T PASS . GT 0/1", parameters=TUMOUR, regions=PANEL
    ),
    "VCF: another base than the genome's": lambda: by_vcf(
        R132H.replace(" C T ", " A G "), parameters=TUMOUR
    ),
    "VCF: a base is lost in the codon": lambda: by_vcf(
        "chr2 208248387 AC A PASS . GT 0/1", parameters=TUMOUR, regions=CODONS
    ),
    "VCF: silent": lambda: by_vcf("chr2 208248387 A G PASS . GT 0/1", parameters=TUMOUR),
    "VCF: a copy of both chromosomes": lambda: by_vcf(
        "chr1 1 N <DEL> PASS SVTYPE=DEL;END=248000000 GT 0/1",
        "chr19 1 N <DEL> PASS SVTYPE=DEL;END=58600000 GT 0/1",
        parameters=TUMOUR,
    ),
}  # fmt: skip


REFUSED = {
    "HL7: methylated alleles in percent": [("MGMT promoter", "unit_incompatible")],
    "HL7: a number that nobody explains": [("MGMT promoter", "unit_missing")],
}


def _facts(found: list[Interpretation]) -> list[AnyFact]:
    assert all(one.outcome == "facts" and one.issues == [] for one in found)
    return [fact for one in found for fact in one.facts]


@pytest.mark.parametrize("name", MOVES)
def test_what_a_tumour_is_said_to_have_moves_the_score_and_is_its_reason(
    name: str, glioma: MultimodalModel
) -> None:
    report, reason = MOVES[name]
    before, after = scored(glioma, []), scored(glioma, _facts(report()))
    assert after.log_odds != before.log_odds
    assert said(after) == reason


@pytest.mark.parametrize("name", STAYS)
def test_all_else_leaves_the_score_as_it_was(name: str, glioma: MultimodalModel) -> None:
    before, after = scored(glioma, []), scored(glioma, _facts(STAYS[name]()))
    assert (after.log_odds, after.evidence) == (before.log_odds, before.evidence)
    assert after.missing.modalities == before.missing.modalities == ["genomics"]
    assert [(r.feature, r.reason) for r in after.missing.set_aside] == REFUSED.get(name, [])


def test_the_order_of_reports_does_not_matter(glioma: MultimodalModel) -> None:
    found = [
        *by_hl7(*absent()),
        *by_fhir(fhir.variant(gene("IDH1"), fhir.part("48005-3", "p.R132H"), somatic())),
        *by_vcf("chr17 7674220 C T PASS . GT 0/1", parameters=TUMOUR, regions=CODONS),
    ]
    scores = {scored(glioma, _facts(list(order))).log_odds for order in permutations(found)}
    assert len(scores) == 1


GERMLINE = ("HG00404_b37.vcf", "NB6TK328_filtered.vcf", "vcf_example3.vcf")


@pytest.mark.shared
@pytest.mark.parametrize("name", GERMLINE)
def test_a_public_germline_file_leaves_the_score_as_it_was_until_a_hotspot_is_in_it(
    name: str, shared: Path, glioma: MultimodalModel
) -> None:
    """Nobody says whose genome it is; all of it was examined."""
    raw = _undated((shared / "data" / "vcf" / name).read_bytes())
    sample = f"; sample={_sample(raw)}; assembly=GRCh37"
    looked = bed.read(b"chr2\t1\t240000000\nchr15\t1\t102000000\n", sample)
    before = scored(glioma, [])
    plain = scored(glioma, [*vcf.read(raw, sample).facts, *looked.facts])
    assert (plain.log_odds, plain.evidence) == (before.log_odds, before.evidence)
    spiked = vcf.read(_with_hotspot(raw), sample)
    assert said(scored(glioma, [*spiked.facts, *looked.facts])) == {"IDH": "mutated"}


def _sample(raw: bytes) -> str:
    (columns,) = (line for line in raw.splitlines() if line.startswith(b"#CHROM"))
    return columns.decode().split("\t")[-1].strip()


def _undated(raw: bytes) -> bytes:
    """As if it were of today: these are years old."""
    kept = [line for line in raw.splitlines() if not line.startswith(b"##fileDate=")]
    return b"\n".join([*kept, b""])


def _with_hotspot(raw: bytes) -> bytes:
    """The same file with p.Arg132His of IDH1 as its first record, in its own names."""
    lines = raw.splitlines()
    first = next(n for n, line in enumerate(lines) if not line.startswith(b"#"))
    prefix = "chr" if lines[first].startswith(b"chr") else ""
    record = f"{prefix}2\t209113112\t.\tC\tT\t.\tPASS\t.\tGT\t0/1".encode()
    return b"\n".join([*lines[:first], record, *lines[first:], b""])


@pytest.mark.parametrize(
    ("raw", "reason"),
    [
        (vcf.file(R132H, header=()), "no_assembly"),
        (vcf.file(R132H + " 0/1", samples="T N", header=(CHR2,)), "no_sample"),
        (vcf.file(R132H, header=(CHR2,))[:-12], "bad_vcf"),
        (vcf.file(R132H, header=(CHR2,)).replace(b"\t", b" "), "bad_vcf"),
        (vcf.file(R132H, header=(CHR2,)).decode().encode("utf-16"), "bad_vcf"),
        (b"", "bad_vcf"),
    ],
)
def test_a_file_that_cannot_be_read_goes_to_quarantine_with_the_reason(
    raw: bytes, reason: str
) -> None:
    found = vcf.read(raw)
    assert (found.outcome, found.reason, found.facts) == ("quarantine", reason, [])
