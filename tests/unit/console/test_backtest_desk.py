"""A threshold tried on recorded scores and on a cohort's predictions."""

from __future__ import annotations

from pathlib import Path

import pytest
import yaml
from msgspec.structs import replace

from connectors import contract, feedback, topics
from connectors.clock import iso
from connectors.feedback import Action, Feedback, Outcome
from models.risk import AlertRule
from streams.backtest_desk import RECORDED, BacktestDesk
from streams.console.api.examples import SCORE
from streams.console.backtest_rows import figure_rows, part_rows, whom_rows
from streams.console.thresholds_page import with_fire
from streams.console.times import HospitalTime
from streams.errors import UserError
from streams.policy.rules import Rulebook
from tests.unit.journal import NOW, MemoryJournal

RISK = "deterioration"
RULES = {RISK: AlertRule(fire=0.5, clear=0.4, critical=0.9, version="shipped-1")}


def score(journal: MemoryJournal, patient: str, hour: int, probability: float) -> None:
    told = replace(
        SCORE, patient=patient, as_of=iso(NOW + 3_600 * hour), probability=probability, ward="4A"
    )
    journal.append(topics.SCORES, contract.encode(told), [])


def mark(journal: MemoryJournal, patient: str, outcome: Outcome) -> None:
    action = Feedback(
        id=f"o-{patient}", patient=patient, alert_id="a", risk=RISK, revision=1,
        action=Action.OUTCOME, at=NOW, who="ada", outcome=outcome,
    )  # fmt: skip
    journal.append(topics.FEEDBACK, feedback.encode(action), [])


@pytest.fixture
def journal() -> MemoryJournal:
    """Three patients: one rises high, one a little, one stays low."""
    made = MemoryJournal()
    for patient, top in (("p-high", 0.8), ("p-middle", 0.45), ("p-low", 0.2)):
        for hour in range(6):
            score(made, patient, hour, top * (hour + 1) / 6)
    mark(made, "p-high", Outcome.EVENT)
    mark(made, "p-middle", Outcome.NO_EVENT)
    return made


def desk(journal: MemoryJournal, **cohorts: Path) -> BacktestDesk:
    return BacktestDesk(journal, RULES, {RISK: 86_400.0}, cohorts)


def test_a_lower_threshold_calls_for_more(journal: MemoryJournal) -> None:
    """Whom the two differ about, how many were right, and the curve."""
    found = desk(journal).trial(RISK, RECORDED, Rulebook(), 0.4, None)
    assert (found["before"]["alerts"], found["after"]["alerts"]) == (1, 2)
    assert (found["before"]["ppv"]["value"], found["after"]["ppv"]["value"]) == (1.0, 0.5)
    assert [one["patient"] for one in found["differences"]["newly"]] == ["p-middle"]
    assert found["differences"]["no_longer"] == []
    loads = [p["alerts_per_patient_day"] for p in found["curve"]]
    assert loads == sorted(loads, reverse=True)


def test_what_is_recorded_later_counts_at_the_next_trial(journal: MemoryJournal) -> None:
    """The log is read on from where it was read to."""
    at = desk(journal)
    assert at.trial(RISK, RECORDED, Rulebook(), 0.4, None)["after"]["alerts"] == 2
    reads = journal.reads
    for hour in range(6):
        score(journal, "p-new", hour, 0.7)
    assert at.trial(RISK, RECORDED, Rulebook(), 0.4, None)["after"]["alerts"] == 3
    assert journal.reads == reads + 2


def test_scores_of_a_bundle_on_trial_are_left_out(journal: MemoryJournal) -> None:
    """They called nobody, and would not."""
    for hour in range(6):
        told = replace(SCORE, patient="p-trial", as_of=iso(NOW + 3_600 * hour), probability=0.9)
        journal.append(topics.SCORES, contract.encode(replace(told, shadow=True)), [])
    assert desk(journal).trial(RISK, RECORDED, Rulebook(), 0.4, None)["after"]["alerts"] == 2


def test_a_cohort_is_read_from_its_predictions(tmp_path: Path) -> None:
    """As `tocsin evaluate` writes them."""
    file = tmp_path / "predictions.csv"
    rows = ["id,as_of,probability,label"]
    rows += [
        f"{i},{h},{0.1 * h if i < 5 else 0.05},{int(i < 4)}" for i in range(10) for h in range(8)
    ]
    file.write_text("\n".join(rows) + "\n")
    found = desk(MemoryJournal(), deterioration=file).trial(RISK, "cohort", Rulebook(), 0.3, None)
    assert found["after"]["ppv"]["value"] == pytest.approx(0.8)
    assert found["after"]["sensitivity"]["value"] == 1.0


def test_what_cannot_be_tried_is_said() -> None:
    """An empty log, an unknown risk, a cohort that nobody set, a broker that is away."""
    at = desk(MemoryJournal())
    with pytest.raises(UserError, match="Nothing has been scored"):
        at.trial(RISK, RECORDED, Rulebook(), 0.4, None)
    with pytest.raises(UserError, match="no risk sepsis"):
        at.trial("sepsis", RECORDED, Rulebook(), 0.4, None)
    with pytest.raises(UserError, match="No cohort is set"):
        at.trial(RISK, "cohort", Rulebook(), 0.4, None)
    journal = MemoryJournal()
    journal.away = True
    with pytest.raises(UserError, match="Kafka does not answer"):
        desk(journal).trial(RISK, RECORDED, Rulebook(), 0.4, None)


def test_figures_become_rows(journal: MemoryJournal) -> None:
    """With their intervals; what nobody knows is said so."""
    found = desk(journal).trial(RISK, RECORDED, Rulebook(), 0.4, None)
    rows = {
        r["key"]: [c["v"] for c in r["cells"]] for r in figure_rows(found["before"], found["after"])
    }
    assert rows["alerts"] == ["Alerts", "1", "2"]
    assert rows["ppv"] == ["Alerts that were right", "100\u00a0%", "50\u00a0%"]
    assert part_rows(found["parts"])
    (row,) = whom_rows(found["differences"], HospitalTime("UTC"), lambda _: None)
    assert [c["v"] for c in row["cells"]] == ["newly called", "p-middle", "it did not"]


@pytest.mark.parametrize("text", ["", "# nothing\n", "risks: {deterioration: {fire: 0.6}}\n"])
def test_a_tried_threshold_is_put_into_the_policy(text: str) -> None:
    """Whatever stood there before."""
    said = yaml.safe_load(with_fire(text, RISK, 0.45))
    assert said == {"risks": {RISK: {"fire": 0.45}}}
