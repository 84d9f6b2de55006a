"""Studies and variants on the patient page."""

from __future__ import annotations

from typing import Any

import pytest

from connectors.facts import MessageFacts, Presence, Stage, StudyEvent, Variant
from models.record import PatientRecord
from streams.console import genome_and_images
from streams.console.genome_and_images import study_rows, variant_rows
from streams.console.times import HospitalTime

TIMES = HospitalTime("UTC")
NOON = 1_795_435_200.0


def record(*facts: StudyEvent | Variant) -> PatientRecord:
    made = PatientRecord()
    made.fold(MessageFacts(patient="p", sent=NOON, heard=NOON, wire="", facts=list(facts)))
    return made


def study(stage: Stage, at: float) -> StudyEvent:
    return StudyEvent(
        id=f"s-{stage}", rank=(1, at, 0, ""), stage=stage, time=at, study="uid1", modality="MR",
        name="MRI of the brain",
    )  # fmt: skip


def test_a_study_is_one_row_at_its_furthest_stage() -> None:
    """Whatever was announced, and in which order."""
    events = [study(Stage.AVAILABLE, NOON - 60), study(Stage.ORDERED, NOON - 7_200)]
    (row,) = study_rows(record(*events), TIMES)
    assert [c["v"] for c in row["cells"]] == ["MRI of the brain", "Available", "11:59"]
    assert row["cells"][0]["sub"] == "Magnetic resonance"
    (row,) = study_rows(record(*events, study(Stage.REJECTED, NOON)), TIMES)
    assert row["cells"][1]["v"] == "Rejected: does not count"
    assert set(genome_and_images.STAGES) == set(Stage)


def test_variants_say_what_was_found_and_what_was_not() -> None:
    """What is present first; what was taken back is left out."""
    variants = [
        Variant(id="v1", rank=(1, 1.0, 0, ""), presence=Presence.PRESENT, time=NOON - 60,
                source_class="somatic", gene="IDH1", hgvs_p="p.Arg132His", allele_fraction=0.31),
        Variant(id="v2", rank=(1, 1.0, 0, ""), presence=Presence.ABSENT, time=NOON,
                source_class="somatic", gene="TP53"),
        Variant(id="v3", rank=(1, 1.0, 0, ""), presence=Presence.PRESENT, time=NOON,
                source_class="", gene="EGFR", removed=True),
    ]  # fmt: skip
    first, second = variant_rows(record(*variants), TIMES)
    assert [c["v"] for c in first["cells"]] == ["IDH1 p.Arg132His", "Present", "Final", "11:59"]
    assert first["cells"][1]["sub"] == "somatic, 31\u00a0% of reads"
    assert [c["v"] for c in second["cells"]][:2] == ["TP53", "Absent"]


@pytest.mark.parametrize(
    ("more", "shown"),
    [
        ({"position": 10, "ref": "A", "alt": "T"}, "chr7:10 A>T (GRCh38)"),
        ({"position": 1, "end": 900, "change": "copy number loss"},
         "chr7:1–900 copy number loss (GRCh38)"),
        ({"change": "copy number gain"}, "chr7 copy number gain (GRCh38)"),
        ({"chromosome": "", "change": "deletion"}, "deletion"),
        ({"chromosome": ""}, "Variant"),
    ],
)  # fmt: skip
def test_a_variant_without_a_name_is_shown_by_its_place(more: dict[str, Any], shown: str) -> None:
    """A stretch that is lost has no bases to show."""
    base = {"chromosome": "7", "assembly": "GRCh38", "source_class": "somatic"}
    one = Variant(
        id="v", rank=(1, 1.0, 0, ""), presence=Presence.PRESENT, time=NOON, **(base | more)
    )
    (row,) = variant_rows(record(one), TIMES)
    assert row["cells"][0]["v"] == shown


@pytest.mark.parametrize(
    ("said", "shown"),
    [
        ({"hgvs_p": "p.Arg132His"}, "somatic"),
        ({"hgvs_p": "p.Arg132His", "source_class": ""}, ""),
        (
            {"hgvs_p": "p.Arg132His", "source_class": "germline"},
            "germline, says nothing of the tumour",
        ),
        ({"hgvs_p": "p.Arg132fs"}, "somatic, not the mutation that the marker is about"),
        ({"hgvs_p": "p.?"}, "somatic, its description says nothing of the hotspot"),
        (
            {"presence": Presence.ABSENT, "source_class": ""},
            "no wild type: the report does not say that it is of the tumour",
        ),
        ({"presence": Presence.ABSENT}, "somatic"),
        ({"presence": Presence.NO_CALL, "hgvs_p": "p.?"}, "somatic"),
        ({"gene": "TP53", "hgvs_p": "p.?"}, "somatic"),
    ],
)
def test_a_variant_says_why_it_is_no_marker(said: dict[str, Any], shown: str) -> None:
    known = {"presence": Presence.PRESENT, "source_class": "somatic", "gene": "IDH1"} | said
    one = Variant(id="v", rank=(1, 0.0, 0, ""), time=0.0, **known)
    (row,) = variant_rows(record(one), TIMES)
    assert row["cells"][1]["sub"] == shown
