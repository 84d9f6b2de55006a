"""Simulated brain tumours: every report is understood, and the model asks about these patients."""

from __future__ import annotations

from random import Random

from connectors.simulator import gliomas
from models.questions import GLIOMA


def test_a_pathway_has_images_operation_histology_and_markers() -> None:
    found = gliomas.pathway(Random(1))
    assert [f.system[1] for f in found] == ["imaging", "ehr", "ehr", "genomics"]
    assert [f.after_s for f in found] == sorted(f.after_s for f in found)
    codes = {row.code[0] for f in found for row in f.rows}
    assert codes <= GLIOMA.eligible


def test_idh_mutations_are_as_frequent_as_in_the_cohort() -> None:
    values = [gliomas.pathway(Random(seed))[3].rows[0].value for seed in range(2_000)]
    share = values.count("mutated") / len(values)
    assert abs(share - gliomas.fitted()["share_mutated"]) < 0.03


def test_the_same_seed_gives_the_same_tumour() -> None:
    assert gliomas.pathway(Random(7)) == gliomas.pathway(Random(7))
