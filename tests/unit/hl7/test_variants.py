"""Clinical-genomics reports: groups of OBX as variants, amended in any order."""

from __future__ import annotations

from itertools import permutations

import pytest

from connectors.facts import Examined, Observation, Presence, Variant
from models.record import PatientRecord
from tests.unit.hl7.reading import lines, read

PID = "PID|1||42^^^HOSP^MR"


def report(hour: int, *obx: str, status: str = "F") -> bytes:
    changed = "|" * 15 + f"20260101{hour:02}0000+0000" + f"|||{status}"
    obr = f"OBR|1||G1^LAB|81247-9^Panel^LN|||20251230{changed}"
    numbered = [f"OBX|{n}|{text}||||||{status}" for n, text in enumerate(obx, 1)]
    return lines(PID, obr, *numbered)


def variants(raw: bytes) -> list[Variant]:
    return [f for f in read(raw).facts if isinstance(f, Variant)]


BRAF = (
    "CWE|48018-6^Gene^LN|2a|HGNC:1097^BRAF^HGNC",
    "ST|48004-6^c.HGVS^LN|2a|NM_004333.6:c.1799T>A",
    "ST|48005-3^p.HGVS^LN|2a|p.Val600Glu",
    "CWE|48002-0^Source^LN|2a|LA6684-0^Somatic^LN",
    "CWE|53037-8^Significance^LN|2a|LA6668-3^Pathogenic^LN",
    "CWE|62374-4^Assembly^LN|2a|LA14029-5^GRCh37^LN",
    "NR|81254-5^Start-End^LN|2a|140453136^140453136",
    "NM|81258-6^Frequency^LN|2a|0.31",
    "NM|82121-5^Depth^LN|2a|211",
    "CWE|69548-6^Assessment^LN|2a|LA9633-4^Present^LN",
)


def test_a_group_is_a_variant() -> None:
    (found,) = variants(report(1, *BRAF))
    assert (found.gene, found.hgvs_c, found.hgvs_p) == (
        "BRAF", "NM_004333.6:c.1799T>A", "p.Val600Glu",
    )  # fmt: skip
    assert (found.presence, found.source_class, found.significance) == (
        Presence.PRESENT, "somatic", "pathogenic",
    )  # fmt: skip
    assert (found.assembly, found.position, found.end) == ("GRCh37", 140453136, 140453136)
    assert (found.allele_fraction, found.depth) == (0.31, 211)


def test_descriptions_are_in_one_spelling_and_other_words_as_they_came() -> None:
    spelled = [
        line.replace("p.Val600Glu", "p.(V600E)").replace("NM_004333.6:", "NM_004333.6(BRAF):")
        for line in BRAF
    ]
    (plain,), (found,) = variants(report(1, *BRAF)), variants(report(1, *spelled))
    assert (found.hgvs_c, found.hgvs_p) == (plain.hgvs_c, plain.hgvs_p)
    for words, meant in {"V600E": "p.Val600Glu", "no V600E": "no V600E"}.items():
        told = [line.replace("p.Val600Glu", words) for line in BRAF]
        assert [v.hgvs_p for v in variants(report(1, *told))] == [meant]


@pytest.mark.parametrize(
    ("answer", "presence"),
    [
        ("CWE|69548-6^A^LN|2a|LA9634-2^Absent^LN", Presence.ABSENT),
        ("CWE|69548-6^A^LN|2a|LA18198-4^No call^LN", Presence.NO_CALL),
        ("ST|69548-6^A^LN|2a|LA9634-2\\S\\Absent\\S\\LN", Presence.ABSENT),
        ("ST|69548-6^A^LN|2a|Not detected", Presence.ABSENT),
        ("ST|69548-6^A^LN|2a|Not examined", Presence.NOT_EXAMINED),
        ("ST|69548-6^A^LN|2a|who knows", Presence.NO_CALL),
        ("CWE|69548-6^A^LN|2a|LA18197-6^Unknown genomic origin^LN", Presence.NO_CALL),
        ("CWE|69548-6^A^LN|2a|LA6683-2^Germline^LN", Presence.NO_CALL),
        ("CWE|69548-6^A^LN|2a|LA99999-9^?^LN", Presence.NO_CALL),
        ("NM|69548-6^A^LN|2a|1", Presence.NO_CALL),
        ("ST|69548-6^A^LN|2a|LA99999-9\\S\\Not tested\\S\\LN", Presence.NOT_EXAMINED),
        ("ST|48004-6^c^LN|2a|c.1A>G", Presence.PRESENT),
    ],
)
def test_absent_not_called_and_not_examined_are_three_things(
    answer: str, presence: Presence
) -> None:
    (found,) = variants(report(1, "CWE|48018-6^Gene^LN|2a|HGNC:1097^BRAF^HGNC", answer))
    assert found.presence is presence


def test_a_variant_that_could_not_be_determined_is_not_called() -> None:
    (found,) = variants(report(1, "ST|48004-6^c^LN|2a|", status="X"))
    assert found.presence is Presence.NO_CALL


@pytest.mark.parametrize(
    ("counting", "position", "end"),
    [("LA30100-4", 11, 15), ("LA30101-2", 11, 16), ("LA30102-0", 10, 15), ("", 10, 15)],
)
def test_positions_are_counted_from_one_however_they_were_sent(
    counting: str, position: int, end: int
) -> None:
    (found,) = variants(
        report(
            1,
            "ST|48004-6^c^LN|2a|NM_004333.6:c.1799T>A",
            "NR|81254-5^Start-End^LN|2a|10^15",
            f"CWE|92822-6^Coordinates^LN|2a|{counting}^x^LN",
            "ST|48013-7^Sequence^LN|2a|NC_000007.14",
        )
    )
    assert (found.chromosome, found.assembly) == ("7", "GRCh38")
    assert (found.position, found.end) == (position, end)


@pytest.mark.parametrize(
    ("answer", "source"),
    [("LA18194-3", "germline"), ("LA18195-0", "somatic"), ("LA10429-1", ""), ("LA18197-6", "")],
)
def test_what_is_neither_germline_nor_somatic_counts_as_neither(answer: str, source: str) -> None:
    (found,) = variants(
        report(1, "ST|48004-6^c^LN|2a|c.1A>G", f"CWE|48002-0^Source^LN|2a|{answer}^text^LN")
    )
    assert found.source_class == source


def test_a_code_of_another_list_is_no_answer() -> None:
    (found,) = variants(
        report(
            1,
            "ST|48004-6^c^LN|2a|c.1A>G",
            "CWE|53034-5^Allelic state^LN|2a|LA6683-2^Germline^LN",
            "CWE|62374-4^Assembly^LN|2a|LA9633-4^Present^LN",
            "CWE|53037-8^Significance^LN|2a|LA6576-8^Positive^LN",
        )
    )
    assert (found.zygosity, found.assembly, found.significance) == ("", "", "")


@pytest.mark.parametrize(
    ("answer", "change"),
    [
        ("CWE|48019-4^Type^LN|2a|LA6692-3^Deletion^LN", "deletion"),
        ("ST|48019-4^Type^LN|2a|LA14034-5\\S\\Copy number loss\\S\\LN", "copy number loss"),
        ("ST|48019-4^Type^LN|2a|Deletion", "Deletion"),
        ("CWE|48019-4^Type^LN|2a|LA6668-3^Pathogenic^LN", ""),
    ],
)
def test_what_kind_of_change_it_is_comes_as_an_answer_or_in_words(answer: str, change: str) -> None:
    (found,) = variants(report(1, "ST|48004-6^c^LN|2a|c.1A>G", answer))
    assert found.change == change


def test_genes_studied_without_a_finding() -> None:
    genes = "CWE|48018-6^Gene^LN|1a|HGNC:1^TP53^HGNC~HGNC:2^IDH1^HGNC"
    negative = "CWE|51968-6^Overall^LN|1|LA6577-6^Negative^LN"
    assert [v.presence for v in variants(report(1, genes, negative))] == [Presence.ABSENT] * 2
    assert {v.presence for v in variants(report(1, genes))} == {Presence.NO_CALL}


SEQUENCE = "ST|48013-7^Genomic reference sequence^LN|1a|NC_000005.9"


def examined(raw: bytes) -> list[Examined]:
    return [f for f in read(raw).facts if isinstance(f, Examined)]


def test_ranges_examined_are_regions_of_the_report() -> None:
    (one,) = examined(
        report(
            1,
            SEQUENCE,
            "NR|51959-5^Range(s)^LN|1a.a|112043201^112181936",
            "NR|51959-5^Range(s)^LN|1a.b|112181937^112181940~200^300",
            "ST|48013-7^Sequence^LN|1b|NC_000001.10",
            "NR|51959-5^Range(s)^LN|1b.a|10^20",
        )
    )
    assert one.assembly == "GRCh37"
    assert one.ranges == [("1", 10, 20), ("5", 200, 300), ("5", 112_043_201, 112_181_940)]
    zero = examined(
        report(1, SEQUENCE, "CWE|92822-6^C^LN|1a|LA30100-4^x^LN", "NR|51959-5^R^LN|1a.a|9^20")
    )
    assert zero[0].ranges == [("5", 10, 20)]


def test_regions_are_of_the_genome_that_the_report_is_of() -> None:
    """A germline report has not looked at the tumour."""
    lines = (SEQUENCE, "NR|51959-5^R^LN|1a.a|1^5")
    assert [e.source_class for e in examined(report(1, *lines))] == [""]
    assert [e.source_class for e in examined(report(1, *lines, *BRAF))] == ["somatic"]
    germline = [line.replace("LA6684-0", "LA6683-2") for line in BRAF]
    genes = "CWE|48018-6^Gene^LN|1a|HGNC:1^TP53^HGNC"
    (gene,) = [v for v in variants(report(1, genes, *germline)) if v.gene == "TP53"]
    assert gene.source_class == "germline"
    assert [e.source_class for e in examined(report(1, *lines, *germline))] == ["germline"]


def test_a_variant_is_of_the_genome_that_the_report_names_and_not_of_another_variants() -> None:
    somatic = "CWE|48002-0^Source^LN|1|LA6684-0^Somatic^LN"
    in_words = somatic.replace("CWE", "ST").replace("LA6684-0^Somatic^LN", "Somatic")
    germline = "CWE|48002-0^Source^LN|2b|LA6683-2^Germline^LN"
    one, other = "ST|48004-6^c^LN|2a|c.1A>G", "ST|48004-6^c^LN|2b|c.2A>G"
    for general in (somatic, in_words):
        assert [v.source_class for v in variants(report(1, general, one))] == ["somatic"]
    found = {v.hgvs_c: v.source_class for v in variants(report(1, one, other, germline))}
    assert found == {"c.1A>G": "", "c.2A>G": "germline"}


@pytest.mark.parametrize(
    ("specimens", "source"),
    [
        (["SPM|1|||TUMOR^Tumor^HL70487"], "somatic"),
        (["SPM|1|||T1^Tumour^L^258435002^Tumor tissue^SCT"], "somatic"),
        (["SPM|1|||TUMOR^Tumor^HL70487", "SPM|2|||BLD^Blood^HL70487"], ""),
        (["SPM|1|||BLD^Whole blood^HL70487"], ""),
        (["SPM|1"], ""),
        ([], ""),
    ],
)
def test_what_a_tumours_specimen_lacks_the_tumour_lacks(specimens: list[str], source: str) -> None:
    raw = report(
        1,
        "CWE|48018-6^Gene^LN|1a|HGNC:5382^IDH1^HGNC",
        "CWE|51968-6^Overall^LN|1|LA6577-6^Negative^LN",
        SEQUENCE,
        "NR|51959-5^R^LN|1a.a|1^5",
        "ST|48004-6^c^LN|2a|c.1A>G",
        "CWE|69548-6^A^LN|2a|LA9634-2^Absent^LN",
        "ST|48004-6^c^LN|2b|c.2A>G",
    )
    raw += "".join(f"{line}\r" for line in specimens).encode()
    assert [e.source_class for e in examined(raw)] == [source]
    found = {v.gene or v.hgvs_c: v.source_class for v in variants(raw)}
    assert found == {"IDH1": source, "c.1A>G": source, "c.2A>G": ""}


@pytest.mark.parametrize(
    "lines",
    [
        ["NR|51959-5^R^LN|1a.a|1^5"],
        [SEQUENCE.replace("NC_000005.9", "NM_000546.6"), "NR|51959-5^R^LN|1a.a|1^5"],
        [SEQUENCE, "ST|51959-5^R^LN|1a.a|exons 1 to 5"],
        [SEQUENCE, "NR|51959-5^R^LN|1a.a|9^5"],
    ],
)
def test_ranges_that_nobody_can_place_are_set_aside(lines: list[str]) -> None:
    found = read(report(1, *lines, *BRAF))
    assert examined(report(1, *lines)) == []
    assert [issue.reason for issue in found.issues] == ["no_assembly"]
    assert len([f for f in found.facts if isinstance(f, Variant)]) == 1


def test_deleted_ranges_are_gone_in_any_order() -> None:
    lines = (SEQUENCE, "NR|51959-5^R^LN|1a.a|1^5")
    said, gone = report(1, *lines), report(2, SEQUENCE, "NR|51959-5^R^LN|1a.a|", status="D")
    for order in permutations((said, gone)):
        record = PatientRecord()
        for raw in order:
            record.fold_facts(read(raw).facts)
        assert [f.removed for f in record.facts.values() if isinstance(f, Examined)] == [True]


def test_molecular_results_stay_observations() -> None:
    found = read(report(1, "CWE|81695-9^MSI^LN||LA14122-8^MSI-Stable^LN", *BRAF)).facts
    assert [f.code for f in found if isinstance(f, Observation)] == ["81695-9"]
    assert len([f for f in found if isinstance(f, Variant)]) == 1


def test_an_amended_report_replaces_variant_by_variant_in_any_order() -> None:
    first = report(1, *BRAF, "ST|48004-6^c^LN|2b|c.35G>A", "CWE|48018-6^G^LN|2b|KRAS")
    amended = report(2, *(t.replace("LA6668-3", "LA26333-7") for t in BRAF), status="C")
    deleted = report(3, "ST|48004-6^c^LN|2b|", "CWE|48018-6^G^LN|2b|", status="D")
    digests = set()
    for order in permutations((first, amended, deleted)):
        record = PatientRecord()
        for raw in (*order, order[0]):
            record.fold_facts(read(raw).facts)
        digests.add(record.digest())
    assert len(digests) == 1
    standing = [f for f in record.facts.values() if isinstance(f, Variant) and not f.removed]
    assert [(v.gene, v.significance) for v in standing] == [("BRAF", "uncertain")]


IDH_PANEL = (
    "CWE|48018-6^Gene^LN|1a|HGNC:5382^IDH1^HGNC~HGNC:5383^IDH2^HGNC",
    "CWE|48002-0^Source^LN|1a|LA6684-0^Somatic^LN",
    "CWE|51968-6^Overall^LN|1|LA6577-6^Negative^LN",
)


def idh_after(*messages: bytes) -> list[object]:
    """What is known of IDH in the end; the same in whatever order the messages come."""
    found = []
    for order in permutations(messages):
        record = PatientRecord()
        for raw in (*order, order[0]):
            record.fold_facts(read(raw).facts)
        found.append([o.value for o in record.series("idh-status")])
    assert all(one == found[0] for one in found)
    return list(found[0])


@pytest.mark.parametrize("status", ["D", "W"])
def test_a_negative_panel_that_is_deleted_or_was_anothers_is_gone(status: str) -> None:
    """Deleted results come without values, so without the names of the genes."""
    panel = report(1, *IDH_PANEL)
    gone = report(2, *(f"{text.rpartition('|')[0]}|" for text in IDH_PANEL), status=status)
    assert idh_after(panel) == ["wildtype"]
    assert idh_after(panel, gone) == []
    assert idh_after(panel, gone, report(3, *IDH_PANEL)) == ["wildtype"]


def test_a_gene_whose_variant_an_amendment_tells_is_not_absent_any_more() -> None:
    variant_now = (
        "CWE|48018-6^Gene^LN|2a|HGNC:5382^IDH1^HGNC",
        "ST|48005-3^p.HGVS^LN|2a|p.Arg132His",
    )
    positive = [text.replace("LA6577-6^Negative", "LA6576-8^Positive") for text in IDH_PANEL]
    amended = report(2, *positive, *variant_now, status="C")
    record = PatientRecord()
    for raw in (report(1, *IDH_PANEL), amended):
        record.fold_facts(read(raw).facts)
    standing = [f for f in record.facts.values() if isinstance(f, Variant) and not f.removed]
    assert {(v.gene, v.hgvs_p, v.presence) for v in standing} == {
        ("IDH1", "p.Arg132His", Presence.PRESENT),
        ("IDH2", "", Presence.NO_CALL),
    }
    assert idh_after(report(1, *IDH_PANEL), amended) == ["mutated"]


def test_a_negative_report_says_so_by_code_or_in_words() -> None:
    for words in ("Negative", "LA6577-6\\S\\Negative\\S\\LN", "negative"):
        lines = [*IDH_PANEL[:2], f"ST|51968-6^Overall^LN|1|{words}"]
        assert idh_after(report(1, *lines)) == ["wildtype"]
    for words in ("Inconclusive", "Not negative", "LA9663-1^Inconclusive^LN"):
        assert idh_after(report(1, *IDH_PANEL[:2], f"CWE|51968-6^Overall^LN|1|{words}")) == []


@pytest.mark.parametrize(
    ("type_and_value", "position", "end"),
    [
        ("NR|81254-5^S^LN|2a|10^15", 10, 15),
        ("SN|81254-5^S^LN|2a|^10^-^15", 10, 15),
        ("ST|81254-5^S^LN|2a|10 - 15", 10, 15),
        ("ST|81254-5^S^LN|2a|chr7:10-15", 10, 15),
        ("ST|81254-5^S^LN|2a|10", 10, None),
        ("NM|81254-5^S^LN|2a|10", 10, None),
        ("ST|81254-5^S^LN|2a|exon 10-15", None, None),
        ("ST|81254-5^S^LN|2a|123456789012-5", None, None),
    ],
)
@pytest.mark.parametrize("sequence", ["NC_000007.14", "chr7", "7"])
def test_a_place_in_every_form(
    type_and_value: str, position: int | None, end: int | None, sequence: str
) -> None:
    (found,) = variants(
        report(
            1,
            "ST|48004-6^c^LN|2a|c.1A>G",
            type_and_value,
            f"ST|48013-7^Sequence^LN|2a|{sequence}",
            "CWE|62374-4^Assembly^LN|2a|LA26806-2^GRCh38^LN",
        )
    )
    assert (found.chromosome, found.position, found.end) == ("7", position, end)


def test_a_number_with_a_bound_is_none() -> None:
    """More than one copy is no loss of one."""
    found = [
        variants(report(1, "ST|48004-6^c^LN|2a|c.1A>G", f"SN|82155-3^CN^LN|2a|{value}"))[0]
        for value in (">^1", "^1", "<^1")
    ]
    assert [v.copy_number for v in found] == [None, 1.0, None]
    (percent,) = variants(
        report(1, "ST|48004-6^c^LN|2a|c.1A>G", "NM|81258-6^VAF^LN|2a|0.5|percent")
    )
    assert percent.allele_fraction == 0.005


def test_an_assessment_that_was_deleted_is_no_finding() -> None:
    segments = ["OBX|1|ST|48004-6^c^LN|2a|c.1A>G||||||F", "OBX|2|CWE|69548-6^A^LN|2a|||||||D"]
    obr = "OBR|1||G1^LAB|81247-9^Panel^LN|||20251230"
    (found,) = variants(lines(PID, obr, *segments))
    assert found.presence is Presence.NO_CALL
