"""The tumour cohorts: what is read, what is left out, and that live messages say the same."""

from __future__ import annotations

import json
from collections import Counter
from pathlib import Path

import pytest
from typer.testing import CliRunner

from connectors.cohorts import hancock, ucsf_pdgm
from connectors.cohorts.physionet2012 import CohortError
from connectors.cohorts.tumour import TumourPatient
from connectors.facts import Observation
from connectors.hl7.interpret import interpret
from connectors.identity import IdentityKey
from connectors.interpretation import Profile
from connectors.replay.run import CohortName, plan
from connectors.replay.tumours import messages_for
from models.bundle import read
from models.ensemble import Scorer, fold_of
from models.inputs import Question, codes_of
from models.multimodal import MultimodalModel
from models.questions import GLIOMA, HEAD_NECK
from models.rule import SHIPPED
from models.training import multimodal
from models.training.tumours import START, cases
from streams.cli.training import app
from streams.errors import UserError

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
    )
    (tmp_path / "radiomic_features.csv").write_text(
        f"ID,{column},gbma,idh_mutated\nUCSF-PDGM-010,0.0011,1,0\nUCSF-PDGM-011,1100,1,0\n"
    )
    results = [p.results[0] for p in ucsf_pdgm.load(tmp_path)]
    assert [r.value for r in results] == pytest.approx([0.0011, 0.0011])
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
    model = MultimodalModel(question, read(SHIPPED / question.risk, question.risk))
    figures = multimodal.figures(multimodal.cross_fitted(model, known))
    printed = model.bundle.about["figures"]
    assert figures["auroc"] == pytest.approx(printed["auroc"], abs=1e-4)
    card = (SHIPPED / question.risk / "CARD.md").read_text()
    assert f"| AUROC | {printed['auroc']['value']:.3f}" in card


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
    read = [interpret(m.raw, now, IdentityKey(bytes(32)), Profile()) for m in replay.messages]
    assert {r.outcome for r in read} == {"facts"}
    got = Counter(
        (f.code, f.value, f.unit) for r in read for f in r.facts if isinstance(f, Observation)
    )
    patients = load(shared / "data" / folder)[:20]
    assert got == Counter((r.code, r.value, r.unit) for p in patients for r in p.results)
    assert {code for code, _, _ in got} & codes_of(question.sources)


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
    assert "<img alt=" in (tmp_path / "report.html").read_text()
