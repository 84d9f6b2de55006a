"""Simulated brain tumours: every report is understood, and the model asks about these patients."""

from __future__ import annotations

from random import Random

from connectors.hl7.interpret import interpret
from connectors.identity import IdentityKey
from connectors.interpretation import Profile
from connectors.replay import molecular
from connectors.simulator import gliomas, physiology
from connectors.simulator.interface import Interface, Report
from connectors.simulator.people import SimulatedPatient, make_patient
from models.questions import GLIOMA
from models.record import PatientRecord

NOW = 1_780_000_000.0


def test_a_pathway_has_images_operation_histology_and_markers() -> None:
    found = gliomas.pathway(Random(1))
    assert [f.system[1] for f in found] == ["imaging", "ehr", "ehr", "genomics"]
    assert [f.after_s for f in found] == sorted(f.after_s for f in found)
    codes = {row.code[0] for f in found[:3] for row in f.rows}
    assert codes <= GLIOMA.eligible


def markers(patient: SimulatedPatient, seed: int) -> dict[str, float | str | None]:
    """What a patient's record says once the laboratory's report has been read."""
    hospital = Interface(seed)
    *_, found = gliomas.pathway(Random(seed))
    report = Report(patient, found.system, gliomas.panel(found.system), "T1", NOW, found.rows)
    read = interpret(hospital.oru(report, NOW).raw, NOW, IdentityKey(bytes(32)), Profile())
    assert (read.outcome, read.issues) == ("facts", [])
    record = PatientRecord()
    record.fold_facts(read.facts)
    codes = (molecular.IDH, molecular.CODELETION, "mgmt-methylation")
    return {code: next((o.value for o in record.series(code)), None) for code in codes}


def test_every_report_of_the_laboratory_says_all_three_markers() -> None:
    """As variants and coded results; the record has them as the model reads them."""
    patient = make_patient(physiology.fitted(), 1, 1, NOW)
    found = [markers(patient, seed) for seed in range(150)]
    assert {m[molecular.IDH] for m in found} == {"mutated", "wildtype"}
    assert {m[molecular.CODELETION] for m in found} == {"codeleted", "intact"}
    assert {m["mgmt-methylation"] for m in found} == {"methylated", "unmethylated"}


def test_idh_mutations_are_as_frequent_as_in_the_cohort() -> None:
    reports = [gliomas.pathway(Random(seed))[3].rows for seed in range(2_000)]
    mutated = [any(row.code[0] == "48004-6" for row in rows) for rows in reports]
    assert abs(sum(mutated) / len(mutated) - gliomas.fitted()["share_mutated"]) < 0.03


def test_the_same_seed_gives_the_same_tumour() -> None:
    assert gliomas.pathway(Random(7)) == gliomas.pathway(Random(7))
