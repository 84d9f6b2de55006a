"""VCF files: variants of one patient, whatever the file looks like."""

from __future__ import annotations

import gzip
import json
import random
from itertools import permutations
from pathlib import Path
from typing import Any

import pytest

from connectors import wire
from connectors.facts import Presence, Variant
from connectors.identity import Identifier, IdentityKey
from connectors.interpret import interpret
from connectors.interpretation import Interpretation, Profile
from models import genome
from models.record import PatientRecord

HEARD = 1_767_268_800.0
KEY = IdentityKey(bytes(32))
SUBJECT = "HOSP|MR|42"
CHR1 = "##contig=<ID=chr1,length=248956422>"


def file(
    *records: str, samples: str = "S1", header: tuple[str, ...] = (CHR1,), date: str = ""
) -> bytes:
    """A VCF; a record is CHROM POS REF ALT FILTER INFO FORMAT and one field a sample."""
    lines = ["##fileformat=VCFv4.2", *([f"##fileDate={date}"] if date else []), *header]
    columns = f"#CHROM POS ID REF ALT QUAL FILTER INFO FORMAT {samples}"
    lines.append(columns.replace(" ", "\t"))
    for record in records:
        chrom, pos, ref, alt, passed, info, *rest = record.split()
        lines.append("\t".join([chrom, pos, ".", ref, alt, ".", passed, info, *rest]))
    return "\n".join([*lines, ""]).encode()


def read(
    raw: bytes, parameters: str = "", subject: str = SUBJECT, heard: float = HEARD
) -> Interpretation:
    content = wire.VCF + parameters
    message = wire.WireMessage(raw, "t/0/0", heard, "LAB", "", content, subject=subject)
    (found,) = interpret(message, KEY, Profile())
    return found


def variants(found: Interpretation) -> list[Variant]:
    assert found.outcome == "facts", found.issues
    return [fact for fact in found.facts if isinstance(fact, Variant)]


@pytest.mark.parametrize(
    ("record", "presence", "zygosity"),
    [
        ("1 100 A G PASS . GT 0/1", Presence.PRESENT, "heterozygous"),
        ("chr1 100 A G . . GT 1|1", Presence.PRESENT, "homozygous"),
        ("X 100 A G PASS . GT 1", Presence.PRESENT, "hemizygous"),
        ("MT 100 A G PASS . GT:AD:DP 1:20,80:100", Presence.PRESENT, "heteroplasmic"),
        ("chrM 100 A G PASS . GT:AD:DP 1:0,100:100", Presence.PRESENT, "homoplasmic"),
        ("1 100 A G PASS . GT 0/0", Presence.ABSENT, ""),
        ("1 100 A G PASS . GT ./.", Presence.NO_CALL, ""),
        ("1 100 A G PASS . GT ./1", Presence.PRESENT, ""),
        ("1 100 A G PASS . GT ./0", Presence.NO_CALL, ""),
        ("1 100 A G LowQual . GT 0/1", Presence.NO_CALL, ""),
        ("1 100 A <DEL> PASS SVTYPE=DEL;END=900 GT 0/1", Presence.PRESENT, "heterozygous"),
        ("1 100 A ]X:4916]A PASS SVTYPE=BND;SOMATIC PR 45", Presence.PRESENT, ""),
        ("1 100 A G PASS SOMATIC GT 0/1", Presence.PRESENT, ""),
    ],
)
def test_what_a_genotype_says(record: str, presence: Presence, zygosity: str) -> None:
    (found,) = variants(read(file(record)))
    assert (found.presence, found.zygosity) == (presence, zygosity)
    assert (found.assembly, found.position) == ("GRCh38", 100)


def test_depths_fractions_copies_and_ends() -> None:
    sv, snv = variants(
        read(
            file("1 100 A <DEL> PASS END=900 GT:CN 0/1:1", "1 50 A G PASS . GT:AD:DP 0/1:30,10:40")
        )
    )
    assert (sv.end, sv.copy_number, sv.change) == (900, 1.0, "DEL")
    assert (snv.depth, snv.allele_fraction, snv.change) == (40, 0.25, "SNV")


def test_several_alternatives_are_several_variants() -> None:
    found = variants(read(file("1 100 A G,T,<NON_REF>,* PASS . GT 1/2")))
    assert [(v.alt, v.zygosity) for v in found] == [("G", "heterozygous"), ("T", "heterozygous")]


@pytest.mark.parametrize(
    ("written", "kept"),
    [
        ("a g", "A G"),
        ("aC Acn", "AC ACN"),
        ("a <dup:Tandem>", "A <dup:Tandem>"),
        ("a ]chrx_alt:9]a", "A ]chrx_alt:9]A"),
        ("a a[<ctg1>:7[", "A A[<ctg1>:7["),
        ("a a.", "A A."),
    ],
)
def test_bases_mean_the_same_in_either_case_and_names_stay(written: str, kept: str) -> None:
    (found,) = variants(read(file(f"1 100 {written} PASS . GT 0/1")))
    (capitals,) = variants(read(file(f"1 100 {kept} PASS . GT 0/1")))
    assert f"{found.ref} {found.alt}" == kept
    assert found == capitals


@pytest.mark.parametrize("alleles", ["a g", "A G"])
@pytest.mark.parametrize("told", ["g", "G"])
def test_annotations_are_found_in_either_case(alleles: str, told: str) -> None:
    snpeff = '##INFO=<ID=ANN,Number=.,Type=String,Description="Annotation">'
    vep = '##INFO=<ID=CSQ,Number=.,Type=String,Description="Format: Allele|SYMBOL">'
    ann = f"ANN={told}|missense_variant|MODERATE|APC|E|transcript|NM_1.3|c|16/16|c.5T>A||||||"
    for header, info in ((snpeff, ann), (vep, f"CSQ={told}|APC")):
        record = f"1 100 {alleles} PASS {info} GT 0/1"
        (found,) = variants(read(file(record, header=(header, CHR1))))
        assert found.gene == "APC"


@pytest.mark.parametrize("order", sorted(set(permutations(("0/1", "0/0", "0/1")))))
def test_an_allele_with_contradicting_genotypes_is_not_called_and_told_of(
    order: tuple[str, ...],
) -> None:
    twice = [f"1 100 A G PASS . GT:AD:DP {genotype}:5,5:10" for genotype in order]
    found = read(file(*twice, "1 200 A T PASS . GT 0/1"))
    doubtful, clear = variants(found)
    assert (doubtful.presence, doubtful.zygosity) == (Presence.NO_CALL, "")
    assert (doubtful.depth, doubtful.allele_fraction) == (None, None)
    assert clear.presence is Presence.PRESENT
    assert [issue.reason for issue in found.issues] == ["ambiguous"]
    assert found.issues[0].location in ("record 2", "record 3")


@pytest.mark.parametrize(
    "pair",
    [
        ("A G PASS . GT 0/1", "A G LowQual . GT 0/1"),
        ("A G PASS . GT 0/1", "A G PASS . GT 1/1"),
        ("A G PASS . GT 0/1", "a g PASS . GT ./."),
        ("A G,G PASS . GT 0/1", "A T PASS . GT 0/1"),
    ],
)
def test_what_else_contradicts(pair: tuple[str, str]) -> None:
    found = read(file(*(f"1 100 {record}" for record in pair)))
    assert [issue.reason for issue in found.issues] == ["ambiguous"]
    assert [v.presence for v in variants(found) if v.alt == "G"] == [Presence.NO_CALL]


@pytest.mark.parametrize("again", ["0/1", "1/0", "1|0"])
def test_the_same_allele_repeated_is_one_variant(again: str) -> None:
    found = read(file(RECORD, f"1 100 A G PASS . GT {again}"))
    assert found.facts == read(file(RECORD)).facts
    assert found.issues == []


def test_deletions_that_begin_together_are_told_apart_by_their_ends() -> None:
    found = read(file("1 9 A <DEL> PASS END=50 GT 0/1", "1 9 A <DEL> PASS END=90 GT 0/0"))
    assert [(v.end, v.presence) for v in variants(found)] == [
        (50, Presence.PRESENT),
        (90, Presence.ABSENT),
    ]
    assert found.issues == []


@pytest.mark.parametrize(
    ("header", "said", "taken", "reasons"),
    [
        ((CHR1,), "GRCh37", "GRCh37", ["other_assembly"]),
        (("##reference=hg19.fa",), "GRCh38", "GRCh38", ["other_assembly"]),
        ((CHR1,), "GRCh38", "GRCh38", []),
        ((), "GRCh37", "GRCh37", []),
        (("##reference=hg19_lifted_to_hg38.fa",), "GRCh37", "GRCh37", []),
    ],
)
def test_an_assembly_other_than_the_files_own_counts_and_is_told_of(
    header: tuple[str, ...], said: str, taken: str, reasons: list[str]
) -> None:
    found = read(file(RECORD, header=header), f"; assembly={said}")
    assert [v.assembly for v in variants(found)] == [taken]
    assert [issue.reason for issue in found.issues] == reasons


def test_snpeff_annotation_names_gene_and_change() -> None:
    header = ('##INFO=<ID=ANN,Number=.,Type=String,Description="Annotation">', CHR1)
    ann = "ANN=G|missense_variant|MODERATE|APC|E|transcript|NM_1.3|c|16/16|c.5T>A|p.Val2Asp|||||"
    (found,) = variants(read(file(f"1 100 A G PASS {ann} GT 0/1", header=header)))
    assert (found.gene, found.transcript) == ("APC", "NM_1.3")
    assert (found.hgvs_c, found.hgvs_p) == ("c.5T>A", "p.Val2Asp")


def test_the_patient_is_who_the_subject_says() -> None:
    found = read(file("1 100 A G PASS . GT 0/1"))
    assert found.pseudonym == KEY.pseudonym(Identifier("HOSP", "MR", "42"))
    assert "42" not in json.dumps([str(f) for f in found.facts])


RECORD = "1 100 A G PASS . GT 0/1"


@pytest.mark.parametrize(
    ("raw", "parameters", "subject", "reason"),
    [
        (file(RECORD), "", "", "no_patient"),
        (file(RECORD), "", "HOSP|MR", "no_patient"),
        (file(RECORD), "", "|MR|42", "no_patient"),
        (file(RECORD, header=()), "", SUBJECT, "no_assembly"),
        (file(RECORD, header=()), "; assembly=hg99", SUBJECT, "unsupported_content"),
        (file(RECORD + " 0/1", samples="S1 S2"), "", SUBJECT, "no_sample"),
        (file(RECORD + " 0/1", samples="S1 S1"), "; sample=S1", SUBJECT, "no_sample"),
        (file(RECORD), "; sample=S9", SUBJECT, "no_sample"),
        (file("1 100 A G PASS .").replace(b"\tFORMAT\tS1", b""), "", SUBJECT, "no_sample"),
        (b"", "", SUBJECT, "bad_vcf"),
        (b"hello", "", SUBJECT, "bad_vcf"),
        (b"##fileformat=VCFv4.2\n", "", SUBJECT, "bad_vcf"),
        (file("1 ten A G PASS . GT 0/1"), "", SUBJECT, "bad_vcf"),
        (file(RECORD)[:-6], "", SUBJECT, "bad_vcf"),
        (file(RECORD + "\t0/1"), "", SUBJECT, "bad_vcf"),
        (gzip.compress(file(RECORD))[:-9], "", SUBJECT, "bad_vcf"),
        (b"\x1f\x8b" + bytes(40), "", SUBJECT, "bad_vcf"),
        (gzip.compress(bytes(300_000_000), 1), "", SUBJECT, "oversized"),
    ],
)
def test_what_cannot_be_used_is_refused_with_a_reason(
    raw: bytes, parameters: str, subject: str, reason: str
) -> None:
    found = read(raw, parameters, subject)
    assert (found.outcome, found.reason, found.facts) == ("quarantine", reason, [])
    assert found.issues[0].detail


def test_a_file_of_a_whole_genome_is_refused() -> None:
    records = [f"1 {n} A G PASS . GT 0/1" for n in range(1, 20_050)]
    assert read(file(*records)).reason == "too_many_variants"


def test_a_record_without_a_sequence_is_told_of_and_the_rest_taken() -> None:
    found = read(file("1 90 . G PASS . GT 0/1", RECORD))
    assert [v.position for v in variants(found)] == [100]
    assert [(i.reason, i.location) for i in found.issues] == [("bad_vcf", "record 1")]


def test_gzip_and_plain_give_the_same() -> None:
    raw = file(RECORD, "1 200 A T PASS . GT 1/1")
    halves = gzip.compress(raw[:90]) + gzip.compress(raw[90:])  # as BGZF: several members
    assert read(raw).facts == read(gzip.compress(raw)).facts == read(halves).facts


def test_a_newer_file_replaces_the_older_one_in_any_order() -> None:
    """Also where it has nothing any more; sent twice, it is the same file."""
    first = read(file(RECORD, "1 200 A T PASS . GT 0/1", date="20260101"))
    second = read(file("1 200 A T PASS . GT 1/1", date="20260102"), heard=HEARD + 99)
    third = read(file(date="20260103"), heard=HEARD + 200_000)
    digests = set()
    for order in permutations((first, second, second)):
        record = PatientRecord()
        for found in order:
            record.fold_facts(found.facts)
        (left,) = genome.variants(record.facts.values())
        assert (left.position, left.zygosity) == (200, "homozygous")
        digests.add(record.digest())
    assert len(digests) == 1
    record.fold_facts(third.facts)
    assert genome.variants(record.facts.values()) == []


def test_germline_and_somatic_files_stand_beside_each_other() -> None:
    record = PatientRecord()
    for parameter in ("; source-class=germline", "; source-class=somatic"):
        record.fold_facts(read(file(RECORD), parameter).facts)
    found = genome.variants(record.facts.values())
    assert sorted(v.source_class for v in found) == ["germline", "somatic"]
    assert [v.zygosity for v in found if v.source_class == "somatic"] == [""]


def test_mutated_files_never_raise() -> None:
    """Whatever the bytes: one outcome, and the process that reads them goes on."""
    chance = random.Random(7)
    whole = file(RECORD, "1 200 A T,<DEL> PASS SVTYPE=DEL;END=300 GT:AD:DP 0/1:3,4,5:12")
    for _ in range(300):
        raw = bytearray(whole if chance.random() < 0.7 else gzip.compress(whole))
        for _ in range(chance.randint(1, 6)):
            place = chance.randrange(len(raw))
            raw[place : place + chance.randint(0, 3)] = chance.randbytes(chance.randint(0, 3))
        found = read(bytes(raw))
        assert found.outcome in ("facts", "quarantine")
    assert read(file(RECORD)).outcome == "facts"


EXPECTED: dict[str, tuple[str, str, set[Any]]] = {
    # file: (content type, expected conversion, positions where we differ on purpose)
    "vcf_example1.vcf": (
        "; source-class=somatic; assembly=GRCh37",
        "expected_example1_wo_patient.json",
        {26, 27, 18, 25},  # ./. is not called; SVTYPE on a base change is ours; no FORMAT GT
    ),
    "vcf_example4.vcf": (
        "; source-class=somatic; assembly=GRCh38",
        "expected_example4.json",
        {16551, 16562, 60018, 60021, 60027},  # their conversion leaves chromosome M out
    ),
    "NB6TK328_filtered.vcf": ("; source-class=germline", "expected_annotation.json", set()),
    "vcf_structural_variants.vcf": (
        "; source-class=germline; assembly=GRCh37",
        "expected_fhir_germline_structural.json",
        {
            92313236,
            128,
            232864349,
            42523949,  # genotype ./.: not called
            42523951,
        },  # 0/2 of four copy numbers: theirs has no zygosity
    ),
}
ZYGOSITY = {"LA6705-3": "homozygous", "LA6706-1": "heterozygous", "LA6707-9": "hemizygous"}


@pytest.mark.shared
@pytest.mark.parametrize("name", EXPECTED)
def test_agrees_with_another_converter(shared: Path, name: str) -> None:
    """Position, REF and zygosity of each variant; differences are listed with their reason."""
    parameters, expected, ours = EXPECTED[name]
    folder = shared / "data" / "vcf"
    found = {
        (v.position, v.ref, v.zygosity)
        for v in variants(read((folder / name).read_bytes(), parameters))
        if v.presence is Presence.PRESENT and v.position not in ours
    }
    assert found == {
        told for told in _told(json.loads((folder / expected).read_text())) if told[0] not in ours
    }


def _told(report: dict[str, Any]) -> set[tuple[int, str, str]]:
    found = set()
    for resource in report["contained"]:
        if resource.get("code", {}).get("coding", [{}])[0].get("code") != "69548-6":
            continue
        part = {c["code"]["coding"][0]["code"]: c for c in resource["component"]}
        low = (part.get("81254-5") or part["81302-2"])["valueRange"]["low"]["value"]
        state = part.get("53034-5")
        code = state["valueCodeableConcept"]["coding"][0]["code"] if state else ""
        found.add((low, part["69547-8"]["valueString"], ZYGOSITY.get(code, "")))
    return found


@pytest.mark.shared
@pytest.mark.parametrize(
    ("name", "parameters"),
    [
        ("HG00403A.vcf.gz", ""),
        ("HG00404_b37.vcf", ""),
        ("NB6TK328_filtered.vcf", ""),
        ("vcf_example1.vcf", "; assembly=GRCh37"),
        ("vcf_example2.vcf", "; assembly=GRCh37"),
        ("vcf_example3.vcf", ""),
        ("vcf_example4.vcf", "; assembly=GRCh38"),
        ("vcf_example4.vcf.gz", "; assembly=GRCh38"),
        ("vcf_structural_variants.vcf", "; assembly=GRCh37"),
        ("vcftests.vcf", "; assembly=GRCh38"),
    ],
)
def test_every_file_of_others_ingests(shared: Path, name: str, parameters: str) -> None:
    """As many variants, with the same alternatives, as plain splitting of the text finds."""
    raw = (shared / "data" / "vcf" / name).read_bytes()
    found = variants(read(raw, parameters))
    present = [(v.position, v.alt) for v in found if v.presence is Presence.PRESENT]
    assert sorted(present) == sorted(_present(gzip.decompress(raw) if name.endswith("gz") else raw))
    assert len(present) > 0


def _present(text: bytes) -> list[tuple[int, str]]:
    found = []
    for line in text.decode().splitlines():
        if line.startswith("#") or not line.strip():
            continue
        _, pos, _, ref, alts, _, passed, _, form, sample = line.split("\t")
        genotype = dict(zip(form.split(":"), sample.split(":"), strict=False)).get("GT")
        copies = None if genotype is None else genotype.replace("|", "/").split("/")
        if passed not in (".", "PASS") or not set(ref) <= set("ACGTN") or not ref:
            continue
        for number, alt in enumerate(alts.split(","), 1):
            skipped = alt in ("<CGA_CNVWIN>", "<NON_REF>", "<*>", "*", ".")
            if not skipped and (copies is None or str(number) in copies):
                found.append((int(pos), alt))
    return found


_PAIR = "chr1 100 A G PASS SOMATIC GT 0/0 0/1"


@pytest.mark.parametrize(
    ("header", "samples", "of_normal", "of_tumour"),
    [
        (("##tumor_sample=T", "##normal_sample=N"), "N T", "germline", "somatic"),
        ((), "NORMAL TUMOR", "germline", "somatic"),
        (("##tumor_sample=T",), "N T", "", "somatic"),
        ((), "NORMAL S1", "", "somatic"),  # by the flag of the record, where it is found
    ],
)
def test_a_caller_of_somatic_variants_says_whose_column_it_is(
    header: tuple[str, ...], samples: str, of_normal: str, of_tumour: str
) -> None:
    raw = file(_PAIR, samples=samples, header=(CHR1, *header))
    normal, tumour = samples.split()
    found = [variants(read(raw, f"; sample={name}")) for name in (normal, tumour)]
    assert [v.source_class for one in found for v in one] == [of_normal, of_tumour]
    (said,) = variants(read(raw, f"; sample={normal}; source-class=somatic"))
    assert said.source_class == "somatic", "what is said beside the file counts"


def test_a_bed_beside_the_file_names_the_same_report() -> None:
    """What the header says is no part of the report's name: a BED has no such header."""
    header = (CHR1, "##tumor_sample=S1")
    plain, told = (
        variants(read(file("chr1 100 A G PASS . GT 0/1", header=h))) for h in ((CHR1,), header)
    )
    assert (plain[0].source_class, told[0].source_class) == ("", "somatic")
    assert plain[0].report == told[0].report


@pytest.mark.parametrize(
    ("alt", "info", "end"),
    [
        ("<DEL>", "SVTYPE=DEL;SVLEN=-800", 900),
        ("<DEL>", "SVTYPE=DEL;SVLEN=800", 900),  # VCF 4.4: without a sign, and no END
        ("<DEL>", "SVTYPE=DEL;END=900;SVLEN=-5", 900),
        ("<DUP:TANDEM>", "SVTYPE=DUP;SVLEN=800", 900),
        ("<CNV>", "SVTYPE=CNV;SVLEN=800", 900),
        ("<INS>", "SVTYPE=INS;SVLEN=800", None),
        ("<DEL>", "SVTYPE=DEL", None),
        ("<DEL>", "SVTYPE=DEL;SVLEN=.", None),
    ],
)
def test_a_stretch_ends_where_its_length_says(alt: str, info: str, end: int | None) -> None:
    (found,) = variants(read(file(f"1 100 A {alt} PASS {info} GT 0/1")))
    assert found.end == end


def test_each_of_two_stretches_has_its_own_length() -> None:
    raw = file("1 100 A <DEL>,<DUP> PASS SVLEN=50,800 GT 1/2")
    assert [v.end for v in variants(read(raw))] == [150, 900]


def test_a_somatic_record_without_genotypes_was_not_called_in_the_normal() -> None:
    """Strelka writes no GT."""
    raw = file("chr1 100 A G PASS SOMATIC DP 30 60", samples="NORMAL TUMOR")
    found = [variants(read(raw, f"; sample={s}"))[0] for s in ("NORMAL", "TUMOR")]
    assert [v.presence for v in found] == [Presence.NO_CALL, Presence.PRESENT]
