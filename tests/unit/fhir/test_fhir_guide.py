"""The examples of HL7's genomics-reporting guide, as messages."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from connectors.facts import Observation, Presence, Variant
from tests.unit.fhir.fsh import Guide, bundles
from tests.unit.fhir.resources import SUBJECT, read

pytestmark = pytest.mark.shared

# Bundle: (variants, other results, issues and why).
EXAMPLES: dict[str, tuple[int, int, dict[str, int]]] = {
    "bundle-CG-IG-HLA-FullBundle-01": (0, 9, {}),  # genotypes and haplotypes
    "bundle-CYP2C19": (74, 0, {}),
    "bundle-cgexample": (4, 2, {}),
    "bundle-cgexample-withGrouping": (4, 2, {}),
    # Positions on a transcript, without HGVS: nothing says where that is in the genome.
    "bundle-complexVariant-nonHGVS": (0, 1, {"no_assembly": 2}),
    "bundle-compound-heterozygote": (2, 1, {}),  # without a report
    "bundle-oncology-diagnostic": (1, 1, {}),
    "bundle-oncology-report-example": (12, 0, {}),
    "bundle-oncologyexamples-r4": (3, 2, {}),
    "bundle-oncologyexamples-r4-withGrouping": (3, 2, {}),
    "bundle-pgxexample": (2, 3, {}),
    "bundle-sequence-phase-relation-CYP2C19": (2, 0, {}),
}


@pytest.fixture(scope="module")
def guide(shared: Path) -> Guide:
    return Guide(shared / "data" / "fhir" / "genomics_reporting_fsh" / "fsh")


def variants(content: dict[str, Any]) -> list[Variant]:
    return [f for f in read(content, subject=SUBJECT).facts if isinstance(f, Variant)]


def test_every_bundle_of_the_guide_is_an_example_here(guide: Guide) -> None:
    assert set(bundles(guide)) == EXAMPLES.keys()


@pytest.mark.parametrize("name", EXAMPLES)
def test_an_example_is_read_as_a_whole(guide: Guide, name: str) -> None:
    expected, results, issues = EXAMPLES[name]
    found = read(guide.resource(name), subject=SUBJECT)
    assert found.outcome == "facts"
    assert len(found.patients) == 1  # by its own number, or by the header where that has no owner
    assert len([f for f in found.facts if isinstance(f, Variant)]) == expected
    assert len([f for f in found.facts if isinstance(f, Observation)]) == results
    assert {str(i.reason) for i in found.issues} == set(issues)
    assert len(found.issues) == sum(issues.values())


def test_what_an_oncology_report_says(guide: Guide) -> None:
    found = read(guide.resource("bundle-oncologyexamples-r4"), subject=SUBJECT)
    told = {v.gene: v for v in found.facts if isinstance(v, Variant)}
    assert told.keys() == {"JAK2", "KDR", "ERBB4"}
    jak2 = told["JAK2"]
    assert (jak2.assembly, jak2.chromosome, jak2.position) == ("GRCh38", "9", 5_073_770)
    assert (jak2.hgvs_p, jak2.source_class) == ("NP_004963.1:p.Val617Phe", "germline")
    assert told["KDR"].assembly == "GRCh37"
    assert {v.presence for v in told.values()} == {Presence.PRESENT}
    results = {f.code: f.value for f in found.facts if isinstance(f, Observation)}
    assert results == {"94076-7": 25.0, "81695-9": "LA14122-8"}


def test_significance_fractions_and_places_of_the_guide(guide: Guide) -> None:
    (one,) = [v for v in variants(guide.resource("bundle-cgexample")) if v.gene == "ACAD9"]
    assert (one.significance, one.allele_fraction, one.depth) == ("pathogenic", 0.47, 208)
    assert (one.assembly, one.chromosome, one.position) == ("GRCh37", "3", 128_625_063)


def test_compound_heterozygotes_without_a_report(guide: Guide) -> None:
    found = variants(guide.resource("bundle-compound-heterozygote"))
    assert {(v.hgvs_c, v.zygosity) for v in found} == {
        ("NM_022787.3:c.769G>A", "heterozygous"), ("NM_022787.3:c.53A>G", "heterozygous"),
    }  # fmt: skip
    assert len({v.report for v in found}) == 1
