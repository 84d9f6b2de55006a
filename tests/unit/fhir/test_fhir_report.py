"""FHIR genomics reports: the same variants under the same rules as in HL7 and in files."""

from __future__ import annotations

import json
import random
import time
from itertools import permutations
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from connectors import wire
from connectors.codes import OWN, CodeMap, Meaning
from connectors.facts import Examined, Observation, Presence, Variant
from connectors.interpret import interpret
from connectors.interpretation import Interpretation, Profile
from models import genome, reported
from models.record import PatientRecord
from tests.unit.fhir.resources import (
    HEARD,
    KEY,
    PATIENT,
    SUBJECT,
    bundle,
    concept,
    observation,
    part,
    patient,
    read,
    report,
    variant,
)

HGVS = "http://varnomen.hgvs.org"
HGNC = "http://www.genenames.org"
NUCCORE = "http://www.ncbi.nlm.nih.gov/nuccore"
TBD = "http://hl7.org/fhir/uv/genomics-reporting/CodeSystem/tbd-codes-cs"

# As the guide's examples have it (SNVexample, VariantExample2).
BRAF = (
    part("48018-6", concept("HGNC:1097", "BRAF", HGNC)),
    part("48004-6", concept("NM_004333.6:c.1799T>A", system=HGVS)),
    part("48005-3", concept("NP_004324.2:p.(V600E)", system=HGVS)),
    part("48002-0", concept("LA6684-0", "Somatic")),
    part("62374-4", concept("LA14029-5", "GRCh37")),
    part("48013-7", concept("NC_000007.13", system=NUCCORE)),
    part("81254-5", (140453136, 140453136)),
    part("69547-8", "A"),
    part("69551-0", "T"),
    part("81258-6", 0.31),
    part("82121-5", 211),
)


def variants(found: Interpretation) -> list[Variant]:
    return [fact for fact in found.facts if isinstance(fact, Variant)]


def test_components_are_a_variant() -> None:
    found = read(report(variant(*BRAF)))
    assert (found.outcome, found.pseudonym, found.issues) == ("facts", PATIENT, [])
    (one,) = variants(found)
    assert (one.gene, one.hgvs_c, one.hgvs_p) == (
        "BRAF", "NM_004333.6:c.1799T>A", "NP_004324.2:p.Val600Glu",
    )  # fmt: skip
    assert (one.presence, one.source_class) == (Presence.PRESENT, "somatic")
    assert (one.assembly, one.chromosome, one.position) == ("GRCh37", "7", 140453136)
    assert (one.ref, one.alt, one.allele_fraction, one.depth) == ("A", "T", 0.31, 211)
    assert one.time == 1_767_052_800.0  # 2025-12-30


@pytest.mark.parametrize(
    ("more", "presence"),
    [
        ({"present": "LA9633-4"}, Presence.PRESENT),
        ({"present": "LA9634-2"}, Presence.ABSENT),
        ({"present": "LA18198-4"}, Presence.NO_CALL),
        ({"present": "LA11884-6"}, Presence.NO_CALL),
        ({"present": "LA18197-6"}, Presence.NO_CALL),  # of another list
        ({"present": "", "valueString": "Not tested"}, Presence.NOT_EXAMINED),
        ({"present": "", "valueBoolean": True}, Presence.NO_CALL),
        ({"present": ""}, Presence.PRESENT),
        ({"present": "", "dataAbsentReason": concept("not-performed")}, Presence.NOT_EXAMINED),
        ({"present": "", "dataAbsentReason": concept("error")}, Presence.NO_CALL),
        ({"present": "", "status": "cancelled"}, Presence.NO_CALL),
    ],
)
def test_absent_not_called_and_not_examined_are_three_things(
    more: dict[str, Any], presence: Presence
) -> None:
    (one,) = variants(read(report(variant(*BRAF, **more))))
    assert one.presence is presence


def test_significance_is_said_by_an_observation_of_its_own() -> None:
    significance = part("53037-8", concept("LA6668-3", "Pathogenic"))
    implied = {"code": concept("diagnostic-implication", system=TBD)}
    in_it = report(
        variant(*BRAF, id="v1"),
        observation("x", significance, derivedFrom=[{"reference": "#v1"}]) | implied,
    )
    by_url = bundle(
        patient(),
        report(result=[{"reference": "urn:uuid:v1"}]) | {"subject": {"reference": "Patient/p1"}},
        variant(*BRAF, id="v1"),
        observation("x", significance, derivedFrom=[{"reference": "urn:uuid:v1"}]) | implied,
    )
    for content in (in_it, by_url):
        found = read(content)
        assert [v.significance for v in variants(found)] == ["pathogenic"]
        assert found.issues == []


def test_an_implication_of_nothing_is_set_aside_and_the_variant_stays() -> None:
    lost = observation("x", part("53037-8", concept("LA6668-3")), derivedFrom=[{"reference": ""}])
    found = read(report(variant(*BRAF), lost))
    assert [v.significance for v in variants(found)] == [""]
    assert [issue.reason for issue in found.issues] == ["unresolved_reference"]


def test_molecular_results_stay_observations() -> None:
    found = read(
        report(
            observation("81695-9", valueCodeableConcept=concept("LA14122-8", "Stable")),
            observation("94076-7", valueQuantity={"value": 25.0, "code": "1/1000000"}),
            observation(
                "84413-4",
                part("48018-6", concept("HGNC:2621", "CYP2C19", HGNC)),
                valueCodeableConcept={"text": "*1/*2"},
            ),
            observation(
                "84413-4",
                part("48018-6", concept("HGNC:2623", "CYP2C9", HGNC)),
                valueCodeableConcept={"text": "*1/*1"},
            ),
            observation("53037-8", part("81259-4", concept("1")), derivedFrom=[]),
        )
    )
    assert found.issues == []
    told = {(f.code, f.sub_id, f.value, f.unit) for f in found.facts if isinstance(f, Observation)}
    assert told == {
        ("81695-9", "", "LA14122-8", ""),
        ("94076-7", "", 25.0, "1/1000000"),
        ("84413-4", "CYP2C19", "*1/*2", ""),
        ("84413-4", "CYP2C9", "*1/*1", ""),
    }


def test_a_laboratorys_own_codes_and_answers_mean_what_the_site_file_says() -> None:
    own = "http://lab.example/codes"
    meaning = Meaning("mgmt-status", OWN, "MGMT", "", {"pos": "methylated"})
    site = Profile(codes=CodeMap({(own, "MGMT"): meaning}, {"pct": "%"}))
    content = report(
        observation("x", valueCodeableConcept=concept("POS", system=own))
        | {"code": concept("MGMT", system=own)},
        observation("x", valueQuantity={"value": 12, "unit": "pct"})
        | {"code": concept("TUMOUR", system=own)},
    )
    found = read(content, profile=site)
    told = {(f.code, f.system, f.value, f.unit) for f in found.facts if isinstance(f, Observation)}
    assert told == {("mgmt-status", OWN, "methylated", ""), ("TUMOUR", own, 12.0, "%")}
    assert found.unmapped == {(own, "TUMOUR", "%"): 1}  # counted, so that somebody maps it


def test_regions_that_were_studied() -> None:
    def region(*components: dict[str, Any], **more: Any) -> dict[str, Any]:
        sequence = part("48013-7", concept("NC_000007.13", system=NUCCORE))
        return observation("53041-0", sequence, *components, **more)

    uncallable = part("x", (300, 310)) | {"code": concept("uncallable-regions", system=TBD)}
    found = read(
        report(
            region(part("51959-5", (100, 200)), part("51959-5", (201, 400)), uncallable),
            region(part("48018-6", concept("HGNC:1097", "BRAF", HGNC))),
            variant(
                part("48013-7", concept("NC_000007.13", system=NUCCORE)),
                part("81254-5", (150, None)),
            ),
        )
    )
    (looked,) = [f for f in found.facts if isinstance(f, Examined)]
    assert (looked.assembly, looked.ranges, looked.uncallable) == (
        "GRCh37", [("7", 100, 400)], [("7", 300, 310)],
    )  # fmt: skip
    at = {
        place: reported.presence_at(found.facts, "GRCh37", "7", place) for place in (150, 151, 305)
    }
    assert at == {150: Presence.PRESENT, 151: Presence.ABSENT, 305: Presence.NO_CALL}
    assert reported.presence_at(found.facts, "GRCh37", "7", 99) is Presence.NOT_EXAMINED
    assert reported.presence_at(found.facts, "GRCh38", "7", 151) is Presence.NOT_EXAMINED
    assert {v.gene: v.presence for v in variants(found) if v.gene} == {"BRAF": Presence.NO_CALL}


def test_regions_are_of_the_genome_that_the_report_is_of() -> None:
    place = part("48013-7", concept("NC_000007.13", system=NUCCORE))
    region = observation("53041-0", place, part("51959-5", (100, 200)))
    for held, source in (([], ""), ([variant(*BRAF)], "somatic")):
        found = read(report(region, *held))
        assert [f.source_class for f in found.facts if isinstance(f, Examined)] == [source]


def test_a_negative_report_makes_its_genes_wild_type() -> None:
    gene = observation("53041-0", part("48018-6", concept("HGNC:1097", "BRAF", HGNC)))
    concluded = report(gene, conclusionCode=[concept("LA6577-6")])
    observed = report(gene, observation("51968-6", valueCodeableConcept=concept("LA6577-6")))
    for content in (concluded, observed):
        assert [v.presence for v in variants(read(content))] == [Presence.ABSENT]


def test_an_amended_report_replaces_variant_by_variant_in_any_order() -> None:
    kras = (part("48018-6", concept("KRAS")), part("48004-6", concept("c.35G>A", system=HGVS)))
    first = report(variant(*BRAF), variant(*kras))
    amended = report(
        variant(*BRAF, part("53037-8", concept("LA26333-7")), status="corrected"),
        status="corrected",
        issued="2026-01-01T11:00:00Z",
    )
    removed = report(
        variant(*kras, status="entered-in-error"), status="amended", issued="2026-01-01T12:00:00Z"
    )
    digests = set()
    for order in permutations((first, amended, removed)):
        record = PatientRecord()
        for content in (*order, order[0]):
            record.fold_facts(read(content).facts)
        digests.add(record.digest())
        standing = genome.variants(record.facts.values())
        assert [(v.gene, v.significance) for v in standing] == [("BRAF", "uncertain")]
    assert len(digests) == 1


def test_a_report_in_error_takes_along_what_it_once_listed() -> None:
    first = report(variant(*BRAF))
    void = report(status="entered-in-error", issued="2026-01-01T12:00:00Z")
    again = report(variant(*BRAF), issued="2026-01-01T12:30:00Z")
    for order in permutations((first, void)):
        record = PatientRecord()
        for content in order:
            record.fold_facts(read(content).facts)
        assert genome.variants(record.facts.values()) == []
    for order in permutations((first, void, again)):
        record = PatientRecord()
        for content in order:
            record.fold_facts(read(content).facts)
        assert len(genome.variants(record.facts.values())) == 1


def test_two_reports_of_one_message_keep_their_own() -> None:
    def of(number: str, *places: str) -> dict[str, Any]:
        return report(
            identifier=[{"system": "LAB", "value": number}],
            result=[{"reference": f"urn:uuid:{place}"} for place in places],
        )

    found = read(
        bundle(of("G1", "a"), of("G2", "b"), variant(*BRAF, id="a"), variant(*BRAF, id="b"))
    )
    assert len({v.report for v in variants(found)}) == len(variants(found)) == 2


@pytest.mark.parametrize(
    ("broken", "reason", "at"),
    [({"status": "done"}, "unknown_status", "status"), ({"result": "x"}, "bad_fhir", "result")],
)
def test_a_bad_report_leaves_the_good_ones_of_its_bundle(
    broken: dict[str, Any], reason: str, at: str
) -> None:
    found = read(bundle(report(variant(*BRAF)) | broken, report(variant(*BRAF))))
    assert len(variants(found)) == 1
    assert [(i.reason, i.location) for i in found.issues] == [(reason, f"Bundle.entry[0].{at}")]


def test_a_status_that_its_sender_does_not_know_is_not_final() -> None:
    (one,) = variants(read(report(variant(*BRAF, status="unknown"), status="unknown")))
    (final,) = variants(read(report(variant(*BRAF))))
    assert one.presence is Presence.PRESENT
    assert (one.status, one.rank < final.rank) == ("P", True)


def test_the_order_number_is_the_same_as_in_hl7() -> None:
    filler = {"value": "G1", "system": "LAB2"} | {"type": concept("FILL")}
    raw = (
        "MSH|^~\\&|LIS|HOSP|||20260101110000+0000||ORU^R01|9|P|2.5.1\rPID|1||42^^^HOSP^MR\r"
        "OBR|1||G1^LAB2|51969-4^Report^LN\r"
        "OBX|1|CWE|69548-6^A^LN|2a|LA9633-4^Present^LN||||||F\r"
    )
    (hl7,) = interpret(wire.WireMessage(raw.encode(), "t/0/0", HEARD, "", ""), KEY, Profile())
    fhir = read(report(variant(*BRAF), identifier=[filler]))
    assert variants(hl7)[0].report == variants(fhir)[0].report


@pytest.mark.parametrize(
    ("content", "reason"),
    [
        (report(variant(part("81254-5", (5, 6)))), "no_assembly"),
        (report(observation("81695-9")), "no_value"),
        (report(observation("")), "no_code"),
        (report(result=[{"reference": "Observation/9"}]), "unresolved_reference"),
        (report(variant(*BRAF), status="done"), "unknown_status"),
        (report(variant(*BRAF), status=""), "unknown_status"),
        (report(variant(*BRAF, status="done")), "unknown_status"),
        (report(result="x"), "bad_fhir"),
        (report(variant(*BRAF), result=["x"]), "bad_fhir"),
        (report() | {"contained": [1]}, "bad_fhir"),
        (report() | {"contained": [patient(), variant(*BRAF), 1]}, "bad_fhir"),
        (report() | {"contained": patient()}, "bad_fhir"),
        (report(observation("94076-7", valueQuantity={"value": "many"})), "not_a_number"),
        (report(observation("94076-7", valuePeriod={"start": "2025"})), "unknown_value_type"),
        (
            report(category=[concept("RAD")]) | {"code": concept("24606-6")},
            "unsupported_content",
        ),
    ],
)
def test_what_cannot_be_used_says_why(content: dict[str, Any], reason: str) -> None:
    found = read(content)
    assert [issue.reason for issue in found.issues] == [reason]
    assert found.outcome == "quarantine"


# ── the same laboratories' files, converted by somebody else ────────────────────────────────

CONVERTED = {
    # converted: (file, its content type, positions that only one of the two tells, and why)
    "expected_example1_with_patient.json": (
        "vcf_example1.vcf", "; source-class=somatic; assembly=GRCh37",
        {26, 27, 18, 25},  # ./. is not called; SVTYPE on a base change is ours; no FORMAT GT
    ),
    "expected_example4.json": (
        "vcf_example4.vcf", "; source-class=somatic; assembly=GRCh38",
        {16551, 16562, 60018, 60021, 60027},  # their conversion leaves chromosome M out
    ),
    "expected_annotation.json": ("NB6TK328_filtered.vcf", "; source-class=germline", set()),
    "expected_fhir_germline_structural.json": (
        "vcf_structural_variants.vcf", "; source-class=germline; assembly=GRCh37",
        # ./. is not called; no GT; of 0/2 of four copy numbers they give no zygosity
        {92313236, 128, 232864349, 42523949, 42523951},
    ),
    "expected_fhir_somatic_structural.json": (
        "vcf_structural_variants.vcf", "; source-class=somatic; assembly=GRCh37",
        # as before, and two more of ./.: theirs tells all that somatic callers list
        {92313236, 128, 232864349, 42523949, 42523951, 15207583, 87625319},
    ),
}  # fmt: skip


@pytest.mark.shared
@pytest.mark.parametrize("name", CONVERTED)
def test_a_converted_file_gives_the_variants_of_the_file(shared: Path, name: str) -> None:
    """Place, bases, zygosity and class of each; alternatives only where their converter has any."""
    file, parameters, ours = CONVERTED[name]
    folder = shared / "data" / "vcf"
    fhir = read((folder / name).read_bytes(), subject=SUBJECT)
    message = wire.WireMessage(
        (folder / file).read_bytes(),
        "t/0/0",
        HEARD,
        "LAB",
        "",
        wire.VCF + parameters,
        subject=SUBJECT,
    )
    (vcf,) = interpret(message, KEY, Profile())
    assert fhir.pseudonym == vcf.pseudonym == PATIENT

    def told(found: Interpretation) -> set[tuple[Any, ...]]:
        return {
            (v.assembly, v.chromosome, v.position, v.ref, v.alt, v.zygosity, v.source_class)
            for v in variants(found)
            if v.presence is Presence.PRESENT and v.position not in ours
        }

    assert told(fhir) == told(vcf)
    assert len(told(fhir)) >= 3


@pytest.mark.shared
def test_every_converted_report_is_read_as_a_whole(shared: Path) -> None:
    """Each Observation of a variant is one; each position counts from 1, whatever HGVS is in it."""
    for file in sorted((shared / "data" / "vcf").glob("expected*.json")):
        content = json.loads(file.read_text())
        held = [o["code"]["coding"][0]["code"] for o in content["contained"]]
        found = read(content, subject=SUBJECT)
        assert len(variants(found)) == held.count("69548-6"), file.name
        assert {v.hgvs_c.startswith("NC_") for v in variants(found)} <= {False}
        assert (found.outcome == "facts") or not held.count("69548-6")


@pytest.mark.shared
def test_significance_of_a_converted_report_with_the_references_that_it_was_sent_with(
    shared: Path,
) -> None:
    """The files here have had their ids blanked; an implication follows its variant."""
    content = json.loads((shared / "data" / "vcf" / "expected_annotation.json").read_text())
    for number, one in enumerate(content["contained"]):
        one["id"] = f"o{number}"
        if "derivedFrom" in one:
            one["derivedFrom"] = [{"reference": f"#o{number - 1}"}]
    found = read(content, subject=SUBJECT)
    assert found.issues == []
    assert {v.hgvs_c: v.significance for v in variants(found)} == {
        "NM_001127510.3:c.5465T>A": "benign",
        "NM_000256.3:c.706A>G": "likely benign",
        "NM_130800.2:c.1516A>G": "benign",
        "NM_000059.4:c.7397T>C": "benign",
        "NM_001042723.2:c.7063C>T": "pathogenic",
    }


@pytest.mark.shared
def test_regions_of_a_converted_report_are_those_of_its_bed(shared: Path) -> None:
    """Their converter adds 1 to both ends of a BED, whose end is already the last base."""
    folder = shared / "data" / "vcf"
    found = read((folder / "expected_example3.json").read_bytes(), subject=SUBJECT)
    (looked,) = [f for f in found.facts if isinstance(f, Examined)]
    assert looked.ranges == [
        ("M", 50_001, 60_026), ("X", 50_001, 52_001), ("X", 55_001, 60_601),
    ]  # fmt: skip
    assert looked.uncallable == [("X", 60_001, 60_501)]


# ── anything ────────────────────────────────────────────────────────────────────────────────

_ANY = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(max_size=5),
    lambda inner: (
        st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner, max_size=3)
    ),
    max_leaves=8,
)


@given(_ANY, st.integers(0, 10**6))
def test_anything_in_the_place_of_anything_has_one_outcome(junk: Any, seed: int) -> None:
    content = report(
        variant(*BRAF, id="v1"),
        observation("53041-0", part("48013-7", concept("NC_000007.13")), part("51959-5", (1, 2))),
        observation("81695-9", valueCodeableConcept=concept("LA14122-8")),
        observation("x", part("53037-8", concept("LA6668-3")), derivedFrom=[{"reference": "#v1"}]),
    )
    chance = random.Random(seed)
    at: Any = content
    while True:  # walk down to some place and put junk there
        key = chance.choice(list(at) if isinstance(at, dict) else range(len(at)))
        below = at[key]
        if not isinstance(below, dict | list) or not below or chance.random() < 0.2:
            at[key] = junk
            break
        at = below
    found = read(content)
    assert found.outcome in ("facts", "no_facts", "quarantine")
    assert (found.outcome == "facts") == bool(found.facts)


def test_a_message_that_would_take_too_long_is_refused_at_once() -> None:
    many = [report(id=f"r{n}") | {"contained": []} for n in range(101)]
    assert read(bundle(*many), subject=SUBJECT).reason == "oversized"
    lonely = [observation("81695-9", id=f"o{n}", valueString="x") for n in range(15_000)]
    began = time.process_time()
    found = read(bundle(report(), *lonely), subject=SUBJECT)
    assert time.process_time() - began < 20
    assert len({f.id for f in found.facts if isinstance(f, Observation)}) == 15_000
    assert read(bundle(*lonely, *lonely), subject=SUBJECT).reason == "oversized"


def test_a_message_that_is_cut_off_has_a_reason() -> None:
    raw = json.dumps(report(variant(*BRAF))).encode()
    for end in range(0, len(raw), 97):
        assert read(raw[:end]).reason == "bad_fhir"


@pytest.mark.parametrize(
    ("types", "source"),
    [
        ([("TUMOR", "http://terminology.hl7.org/CodeSystem/v2-0487")], "somatic"),
        ([("258435002", "http://snomed.info/sct")], "somatic"),
        ([("119297000", "http://snomed.info/sct")], ""),
        ([("TUMOR", ""), ("119297000", "http://snomed.info/sct")], ""),
        ([], ""),
    ],
)
def test_what_a_tumours_specimen_lacks_the_tumour_lacks(
    types: list[tuple[str, str]], source: str
) -> None:
    specimens = [
        {"resourceType": "Specimen", "id": f"s{n}", "type": concept(code, system=system)}
        for n, (code, system) in enumerate(types)
    ]
    named = [{"reference": f"#s{n}"} for n in range(len(types))]
    gene = part("48018-6", concept("HGNC:5382", "IDH1", HGNC))
    content = report(
        variant(gene, part("48004-6", "c.1A>G"), present="LA9634-2"),
        variant(gene, part("48004-6", "c.2A>G")),
        *specimens,
        specimen=named,
    )
    found = {v.hgvs_c: v.source_class for v in variants(read(content))}
    assert found == {"c.1A>G": source, "c.2A>G": ""}


def test_a_specimen_that_is_not_in_the_message_says_nothing() -> None:
    content = report(
        variant(*BRAF[:3], present="LA9634-2"), specimen=[{"reference": "Specimen/elsewhere"}]
    )
    assert [v.source_class for v in variants(read(content))] == [""]


def test_a_gene_whose_variant_an_amendment_tells_is_not_absent_any_more() -> None:
    gene = part("48018-6", concept("HGNC:5382", "IDH1", HGNC))
    studied = observation("53041-0", gene)
    negative = concept("LA6577-6", "Negative")
    first = report(studied, conclusionCode=[negative])
    found = variant(gene, part("48005-3", "p.Arg132His"))
    amended = report(studied, found, status="amended", issued="2026-01-01T11:00:00Z")
    for order in permutations((first, amended)):
        record = PatientRecord()
        for content in order:
            record.fold_facts(read(content).facts)
        standing = [f for f in record.facts.values() if isinstance(f, Variant) and not f.removed]
        assert [(v.hgvs_p, v.presence) for v in standing] == [("p.Arg132His", Presence.PRESENT)]


def test_a_number_with_a_bound_is_none() -> None:
    bound = part("82155-3", 1)
    bound["valueQuantity"]["comparator"] = ">"
    assert [v.copy_number for v in variants(read(report(variant(*BRAF, bound))))] == [None]
    assert [v.copy_number for v in variants(read(report(variant(*BRAF, part("82155-3", 1)))))] == [
        1.0
    ]
