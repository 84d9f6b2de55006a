"""The tumour cohorts: what is read, what is left out, and that live messages say the same."""

from __future__ import annotations

import dataclasses
import json
from collections import Counter
from pathlib import Path

import numpy as np
import pytest
from typer.testing import CliRunner

from connectors.cohorts import hancock, ucsf_pdgm
from connectors.cohorts.physionet2012 import CohortError
from connectors.cohorts.tumour import TumourPatient
from connectors.hl7.interpret import interpret
from connectors.identity import IdentityKey
from connectors.interpretation import Profile
from connectors.replay.run import CohortName, plan
from connectors.replay.tumours import messages_for
from models import genome
from models.bundle import load_bundle, read
from models.ensemble import Scorer, fold_of
from models.inputs import DAY_S, Question, codes_of
from models.multimodal import MultimodalModel
from models.questions import GLIOMA, HEAD_NECK
from models.record import PatientRecord
from models.rule import SHIPPED
from models.training import multimodal, withheld
from models.training.tumours import START, cases, folded
from streams.cli.training import app
from streams.errors import UserError
from tests.unit.replay.reading import record_of

_HEADER = "ID,Sex,Age at MRI,WHO CNS Grade,MGMT status,1p/19q,IDH,1-dead 0-alive,OS,EOR"


def _metadata(folder: Path, *lines: str) -> None:
    text = "\n".join([_HEADER, *lines]) + "\n"
    (folder / "UCSF-PDGM-metadata_v2.csv").write_text(text)


@pytest.mark.parametrize(
    ("dead", "days", "label"),
    [("1", "700.0", 1), ("1", "730", 1), ("1", "731", 0), ("0", "900", 0), ("0", "400", None)],
)
def test_two_year_death_counts_from_the_images(
    tmp_path: Path, dead: str, days: str, label: int | None
) -> None:
    _metadata(tmp_path, f"UCSF-PDGM-004,M,66,4,negative,,wildtype,{dead},{days},STR")
    assert [p.label for p in ucsf_pdgm.load(tmp_path)] == [label]


def test_what_is_indeterminate_or_untested_is_no_result(tmp_path: Path) -> None:
    _metadata(
        tmp_path,
        "UCSF-PDGM-010,F,40,2,indeterminate,,IDH1 p.R132H,0,900,GTR",
        "UCSF-PDGM-011,F,40,2,positive,relative co-deletion,mutated (NOS),0,900,",
        "UCSF-PDGM-409,F,40,2,positive,Co-deletion,wildtype,0,900,GTR",
    )
    found = ucsf_pdgm.load(tmp_path)
    assert [p.record_id for p in found] == [10, 11], "a second scan of one patient is left out"
    values = [{r.code: r.value for r in p.results} for p in found]
    assert values[0] == {
        "extent-of-resection": "GTR",
        "who-cns-grade": 2.0,
        "idh-status": "mutated",
    }
    assert values[1]["1p19q-status"] == "intact"


def test_diffusion_comes_in_one_unit(tmp_path: Path) -> None:
    column = "original_firstorder_Mean_ADC_tumor_segmentation"
    _metadata(
        tmp_path,
        "UCSF-PDGM-010,F,40,2,positive,,wildtype,0,900,GTR",
        "UCSF-PDGM-011,F,40,2,positive,,wildtype,0,900,GTR",
        "UCSF-PDGM-012,F,40,2,positive,,wildtype,0,900,GTR",
    )
    (tmp_path / "radiomic_features.csv").write_text(
        f"ID,{column},gbma,idh_mutated\nUCSF-PDGM-010,0.0011,1,0\nUCSF-PDGM-011,1100,1,0\n"
        "UCSF-PDGM-012,1.1e-9,1,0\n"
    )
    results = [p.results[0] for p in ucsf_pdgm.load(tmp_path)]
    assert [r.value for r in results] == pytest.approx([0.0011] * 3)
    assert {r.unit for r in results} == {"mm2/s"}


@pytest.mark.parametrize("load", [ucsf_pdgm.load, hancock.load])
def test_a_folder_without_the_set_is_named(load: object, tmp_path: Path) -> None:
    assert callable(load)
    with pytest.raises(CohortError, match=str(tmp_path)):
        load(tmp_path)


def _patients(name: str, shared: Path) -> list[TumourPatient]:
    load = {"ucsf_pdgm": ucsf_pdgm.load, "hancock": hancock.load}[name]
    return load(shared / "data" / name)


SETS = [("ucsf_pdgm", GLIOMA, (495, 338, 207)), ("hancock", HEAD_NECK, (763, 583, 228))]


@pytest.mark.shared
@pytest.mark.parametrize(("name", "question", "counts"), SETS)
def test_the_cards_figure_comes_from_the_shipped_weights(
    name: str, question: Question, counts: tuple[int, int, int], shared: Path
) -> None:
    patients = _patients(name, shared)
    known = list(cases(patients))
    assert (len(patients), len(known), sum(c.label for c in known)) == counts
    assert sum(not c.at_risk for c in known) == {"hancock": 14, "ucsf_pdgm": 0}[name]
    model = MultimodalModel(question, read(SHIPPED / question.risk, question.risk))
    figures = multimodal.figures(multimodal.cross_fitted(model, known))
    printed = model.bundle.about["figures"]
    assert figures["auroc"] == pytest.approx(printed["auroc"], abs=1e-4)
    card = (SHIPPED / question.risk / "CARD.md").read_text()
    assert f"| AUROC | {printed['auroc']['value']:.3f}" in card


@pytest.mark.shared
@pytest.mark.parametrize(("name", "question"), [s[:2] for s in SETS])
def test_the_interval_holds_what_the_card_says(name: str, question: Question, shared: Path) -> None:
    """Modalities withheld from patients whom the member never saw."""
    model = MultimodalModel(question, read(SHIPPED / question.risk, question.risk))
    patients = list(folded(_patients(name, shared)))
    found = {tuple(row["known"]): row for row in withheld.observed(question, model, patients)}
    printed = {tuple(row["known"]): row for row in model.bundle.about["interval"]}
    assert found == printed
    for row in found.values():
        short = 2 * np.sqrt(0.09 / row["patients"])
        assert row["held"] > 0.9 - short, row


@pytest.mark.shared
@pytest.mark.parametrize(("name", "question"), [s[:2] for s in SETS])
def test_a_modality_less_is_a_wider_interval(name: str, question: Question, shared: Path) -> None:
    """By the whole bundle, in log-odds. What is not known widens it by a rule without exception
    (`models.awaited`); that few patients taught what a rare finding weighs widens it too, and goes
    with the finding."""
    model = MultimodalModel(question, read(SHIPPED / question.risk, question.risk))
    wider = []
    for patient in list(folded(_patients(name, shared)))[::3]:
        before = model.assess([(patient.record, patient.last)])[0]
        there = [
            m for m in question.sources if any(patient.record.series(c) for c in codes_of([m]))
        ]
        for one in there:
            rest = withheld.only(patient.record, [m for m in there if m is not one])
            after = model.assess([(rest, patient.last)])[0]
            if before.interval and after.interval:
                wider.append(withheld.half_width(after) - withheld.half_width(before))
    assert len(wider) > 150
    assert np.mean(np.array(wider) > -1e-6) >= 0.98 and min(wider) > -0.3


@pytest.mark.parametrize("question", [GLIOMA, HEAD_NECK])
def test_no_outcome_is_an_input(question: Question) -> None:
    codes = codes_of(question.sources)
    for word in ("gbma", "mutated", "rfs", "survival", "recurrence", "days", "dead"):
        assert not any(word in code.casefold() for code in codes)


@pytest.mark.shared
@pytest.mark.parametrize(("name", "question"), [s[:2] for s in SETS])
def test_members_never_saw_whom_they_score(name: str, question: Question, shared: Path) -> None:
    known = list(cases(_patients(name, shared)))[:60]
    model = MultimodalModel(question, read(SHIPPED / question.risk, question.risk))
    scorer = Scorer(model, question.risk)
    for case in known:
        assert scorer.member(case) == fold_of(question.risk, case.record_id)


def test_a_message_is_sent_for_each_kind_and_day() -> None:
    patient = TumourPatient(1, 60.0, "F", (), 1)
    assert [m.time for m in messages_for(patient, START, "X")] == [START]


@pytest.mark.shared
@pytest.mark.parametrize(("cohort", "folder"), [("ucsf-pdgm", "ucsf_pdgm"), ("hancock", "hancock")])
def test_a_replay_says_what_training_read(shared: Path, cohort: str, folder: str) -> None:
    """Sent as HL7 and read again: the same codes, values and units."""
    question, load = {"hancock": (HEAD_NECK, hancock.load)}.get(cohort, (GLIOMA, ucsf_pdgm.load))
    now = 1_800_000_000.0
    replay = plan(CohortName(cohort), shared / "data" / folder, now, patients=20)
    records: dict[str, PatientRecord] = {}
    for message in replay.messages:
        read = interpret(message.raw, now, IdentityKey(bytes(32)), Profile())
        assert (read.outcome, read.issues) == ("facts", [])
        records.setdefault(message.key, PatientRecord()).fold_facts(read.facts)
    patients = load(shared / "data" / folder)[:20]
    wanted = Counter((r.code, r.value, r.unit) for p in patients for r in p.results)
    codes = {code for code, _, _ in wanted}
    got = Counter(
        (o.code, o.value, o.unit) for p in records.values() for c in codes for o in p.series(c)
    )
    assert got == wanted
    assert codes & codes_of(question.sources)


MARKERS = [
    "UCSF-PDGM-010,F,61,4,positive,intact,wildtype,1,400,STR",
    "UCSF-PDGM-011,M,35,2,positive,co-deletion,IDH1 p.R132H,0,900,GTR",
    "UCSF-PDGM-012,M,35,3,negative,Co-deletion,IDH2 p.Arg172Trp,0,900,GTR",
    "UCSF-PDGM-013,M,44,3,,relative co-deletion,mutated (NOS),0,900,STR",
    "UCSF-PDGM-014,F,50,4,negative,,,1,300,biopsy",
]


def from_messages(patient: TumourPatient) -> PatientRecord:
    """The record, by the way of live data: HL7 written, read and folded."""
    return record_of(messages_for(patient, START, "X"), START + 1e7)


def test_markers_come_as_variants_and_say_the_same(tmp_path: Path) -> None:
    """A clinical-genomics report: variants where the data name one, coded results elsewhere."""
    _metadata(tmp_path, *MARKERS)
    said, variants = [], []
    for patient in ucsf_pdgm.load(tmp_path):
        record = from_messages(patient)
        for result in patient.results:
            assert [o.value for o in record.series(result.code)] == [result.value], result
            assert record.series(result.code)[0].time == START + result.day * DAY_S
        found = genome.variants(record.facts.values())
        variants.append([(v.gene, v.hgvs_c, v.presence, v.significance) for v in found if v.gene])
        said.append([(v.chromosome, v.change, v.presence) for v in found if not v.gene])
    absent = [("IDH1", "", "absent", ""), ("IDH2", "", "absent", "")]
    lost = [("1", "copy number loss", "present"), ("19", "copy number loss", "present")]
    assert variants == [
        absent,
        [("IDH1", "NM_005896.4:c.395G>A", "present", "pathogenic")],
        [("IDH2", "NM_002168.4:c.514A>T", "present", "pathogenic")],
        [],
        [],
    ]
    assert said == [[], lost, lost, [], []]


@pytest.mark.shared
def test_variants_give_the_scores_of_coded_markers(shared: Path) -> None:
    """The whole cohort, as sent and as trained on: equal to the last bit."""
    patients = {p.record_id: p for p in _patients("ucsf_pdgm", shared)}
    coded = list(cases(patients.values()))
    sent = [dataclasses.replace(c, record=from_messages(patients[c.record_id])) for c in coded]
    model = MultimodalModel(GLIOMA, read(SHIPPED / GLIOMA.risk, GLIOMA.risk))
    for (_, one), (_, other) in zip(
        multimodal.cross_fitted(model, coded), multimodal.cross_fitted(model, sent), strict=True
    ):
        assert one == other


@pytest.mark.parametrize("command", ["train", "evaluate"])
def test_a_folder_without_the_cohort_is_an_error_in_words(command: str, tmp_path: Path) -> None:
    arguments = [command, "glioma-survival", "--data", str(tmp_path), "--out", str(tmp_path / "o")]
    done = CliRunner().invoke(app, arguments)
    assert done.exit_code != 0
    assert isinstance(done.exception, UserError)
    assert "UCSF-PDGM-metadata" in str(done.exception)


@pytest.mark.shared
def test_evaluate_writes_predictions_figures_and_a_report(shared: Path, tmp_path: Path) -> None:
    data = str(shared / "data" / "ucsf_pdgm")
    arguments = ["evaluate", "glioma-survival", "--data", data, "--out", str(tmp_path)]
    done = CliRunner().invoke(app, [*arguments, "--patients", "60"])
    assert done.exit_code == 0, done.output
    lines = (tmp_path / "predictions.csv").read_text().splitlines()
    assert lines[0] == "id,as_of,probability,log_odds,abstained,label,ehr,genomics,imaging"
    assert len(lines) == 61
    assert json.loads((tmp_path / "metrics.json").read_text())["scored"] == 60
    assert "<svg" in (tmp_path / "report.html").read_text()


def _published(folder: Path) -> list[dict[str, object]]:
    """Made-up patients in the form of `StructuredData`, with every answer that there is."""
    folder.mkdir()
    sites = ["Larynx", "Hypopharynx", "CUP", "Oropharynx", "Oral_Cavity"]
    pathology = {
        "primary_tumor_site": sites,
        "grading": ["G3", "G1", "hpv_association_p16", "G2"],
        "hpv_association_p16": ["positive", "negative", "not_tested"],
        "resection_status": ["R1", "R0", "R2", "RX"],
        "resection_status_carcinoma_in_situ": ["CIS Absent", "CIS Present", None],
        "histologic_type": [f"SCC_{c}" for c in "ihgfedcba"],
        "pT_stage": ["pT4b", "pT4a", "pT3", "pT2", "pT1b", "pT1a", "pT1", "TX", "pTis"],
        "pN_stage": [*(f"pN{n}" for n in ("3b", "3", "2c", "2b", "2a", "2", "1a", 1, 0)), "NX"],
    }
    smoking = ["smoker", "former", "non-smoker", None]
    rows = []
    for n in range(12):
        key = f"{n + 1:03d}"
        row: dict[str, object] = {"patient_id": key, "perinodal_invasion": None if n else "yes"}
        row |= {name: answers[n % len(answers)] for name, answers in pathology.items()}
        row |= {"number_of_positive_lymph_nodes": float(n), "infiltration_depth_in_mm": 4.5}
        row |= {"carcinoma_in_situ": "CIS" if n % 2 else "Absent", "vascular_invasion_V": "no"}
        row |= {"lymphovascular_invasion_L": "yes", "perineural_invasion_Pn": "no"}
        rows.append(row)
    clinical = [
        {
            "patient_id": row["patient_id"],
            "sex": "female" if n % 2 else "male",
            "age_at_initial_diagnosis": 50 + n,
            "smoking_status": smoking[n % 4],
            "primarily_metastasis": "no",
            "days_to_first_treatment": 20,
            "days_to_last_information": 2_000,
            "survival_status": "deceased" if n == 2 else "living",
            "days_to_recurrence": 320.0 if n == 1 else None,
            "days_to_metastasis_1": 300.0 if n == 1 else None,
            "days_to_progress_1": None,
        }
        for n, row in enumerate(rows)
    ]
    blood = [
        {"patient_id": row["patient_id"], "LOINC_name": name, "value": 4.0 + 100 * (n == 5)}
        for n, row in enumerate(rows)
        for name in (hancock.BLOOD[0][0], "Basophils [#/volume] in Blood")
    ]
    for name, content in (("clinical", clinical), ("pathological", rows), ("blood", blood)):
        (folder / f"{name}_data.json").write_text(json.dumps(content))
    return rows


def test_hancock_is_read_as_published(tmp_path: Path) -> None:
    _published(tmp_path / "StructuredData")
    found = hancock.load(tmp_path)
    assert len(found) == 12
    assert [p.label for p in found[:3]] == [0, 1, 0]
    assert (found[1].followed_d, found[1].had_event) == (280.0, True), "from the first treatment"
    assert (found[2].followed_d, found[2].had_event) == (1_980.0, True), "deceased"
    assert (found[0].sex, found[1].sex, found[0].age) == ("M", "F", 50.0)
    values = [{r.code: r.value for r in p.results} for p in found]
    assert (values[0]["pT-stage"], values[8]["pT-stage"]) == ("pT4b", "pTis"), "in situ comes first"
    assert (values[0]["pN-stage"], values[9]["pN-stage"]) == ("pN3b", "pNX")
    sites = ["larynx", "hypopharynx", "cancer of unknown primary", "oropharynx", "oral cavity"]
    assert [v["primary-tumor-site"] for v in values[:5]] == sites
    smoking = ["smoker", "former smoker", "non-smoker", "not known"]
    assert [v["smoking-status"] for v in values[:4]] == smoking, "not known comes last"
    assert values[0]["perinodal-invasion"] == "yes" and "perinodal-invasion" not in values[1]
    assert values[3]["number-of-positive-lymph-nodes"] == 3.0
    assert [("26464-8" in v) for v in values].count(False) == 1, "the outlier's count is set aside"
    model = load_bundle(None, HEAD_NECK.risk)
    case = next(iter(cases(found)))
    assert model.concerns(case.record)


def test_a_part_of_hancock_is_refused_in_words(tmp_path: Path) -> None:
    folder = tmp_path / "StructuredData"
    rows = _published(folder)
    (folder / "pathological_data.json").write_text(json.dumps(rows[:2]))
    with pytest.raises(CohortError, match="parts of HANCOCK"):
        hancock.load(tmp_path)


@pytest.mark.parametrize("text", ["{", "{}", "[1]", '[{"patient_id": 1}]', "[{}]"])
def test_files_that_are_not_the_set_are_named(tmp_path: Path, text: str) -> None:
    folder = tmp_path / "StructuredData"
    _published(folder)
    (folder / "clinical_data.json").write_text(text)
    with pytest.raises(CohortError, match="clinical_data"):
        hancock.load(tmp_path)


def test_ucsf_pdgm_is_read_as_published(tmp_path: Path) -> None:
    """The metadata alone, under the name and with the columns that TCIA gives them."""
    (tmp_path / "UCSF-PDGM-metadata_v5.csv").write_text(
        "ID,Sex,Age at MRI,WHO CNS Grade,Final pathologic diagnosis (WHO 2021),MGMT status,"
        "MGMT index,1p/19q,IDH,1-dead 0-alive,OS,EOR,Biopsy prior to imaging,BraTS21 ID,"
        "BraTS21 Segmentation Cohort,BraTS21 MGMT Cohort\n"
        'UCSF-PDGM-004,M,66,4,"Glioblastoma, IDH-wildtype",positive,11,,wildtype,1,303,STR,No,,,\n'
        'UCSF-PDGM-005,F,80,4,"Glioblastoma, IDH-wildtype",indeterminate,3,,wildtype,0,,,No,,,\n'
    )
    one, other = ucsf_pdgm.load(tmp_path)
    values = {r.code: r.value for r in one.results}
    assert values["mgmt-methylation"] == "methylated" and values["mgmt-methylation-index"] == 11.0
    assert (one.followed_d, one.had_event, one.label) == (303.0, True, 1)
    assert "mgmt-methylation-index" not in {r.code for r in other.results}
    assert (other.followed_d, other.had_event, other.label) == (None, False, None)
