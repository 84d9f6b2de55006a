"""`tocsin compare`: what was recorded of a bundle on trial, in words, as JSON and as a page."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from typer.testing import CliRunner, Result

from connectors import contract, topics
from models.questions import GLIOMA
from models.rule import alert_rules
from streams.cli import compare
from streams.errors import UserError
from streams.policy.desk import PolicyDesk
from streams.settings import Settings
from tests.unit.journal import MemoryJournal
from tests.unit.streams.test_shadow import effects, of

__all__ = ["effects"]  # a fixture


class Journal(MemoryJournal):
    def close(self) -> None:
        """There is nothing to close."""


@pytest.fixture
def journal(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Journal:
    found = Journal()
    monkeypatch.setattr(compare, "KafkaJournal", lambda _: found)
    monkeypatch.setattr(compare, "settings_of_running", lambda: Settings(home=tmp_path))
    return found


@pytest.fixture
def recorded(journal: Journal, effects: list[object]) -> Journal:
    """Scores of both as a worker tells them, and something that nobody can read."""
    journal.append(topics.SCORES, b"rubbish", [])
    for pair in zip(*of(effects), strict=True):  # type: ignore[arg-type]
        for score in pair:
            journal.append(topics.SCORES, contract.encode(score), [])
    return journal


def run(*arguments: str) -> Result:
    done = CliRunner().invoke(compare.app, list(arguments))
    if isinstance(done.exception, UserError):
        raise done.exception
    assert done.exit_code == 0, (done.output, done.exception)
    return done


def test_two_bundles_are_compared_in_words_and_files(recorded: Journal, tmp_path: Path) -> None:
    figures, page = tmp_path / "c.json", tmp_path / "c.html"
    said = " ".join(run("--json", str(figures), "--html", str(page)).output.split())
    assert "Records scored by both" in said
    assert "4, of 1 patients" in said
    (found,) = json.loads(figures.read_text())
    assert (found["risk"], found["scores"]) == (GLIOMA.risk, 4)
    assert found["log_odds_difference"]["mean"] == pytest.approx(0.5)
    assert found["threshold"] == alert_rules(None, (GLIOMA.risk,))[GLIOMA.risk].fire
    assert page.read_text().count("<circle") == 4


def test_the_threshold_is_that_of_the_policy_in_force(recorded: Journal, tmp_path: Path) -> None:
    rules = alert_rules(None, (GLIOMA.risk,))
    desk = PolicyDesk(recorded, list(rules.items()), lambda: 1.8e9, two_person=False)
    rule = "fire: 0.5, clear: 0.4, critical: 0.9, wards: {W1: {fire: 0.6}}"
    desk.propose(f"risks: {{{GLIOMA.risk}: {{{rule}}}}}", who="ann", reason="x")
    desk.approve("1", who="ann")
    desk.activate("1", who="ann")
    figures = tmp_path / "c.json"
    run("--json", str(figures))
    assert json.loads(figures.read_text())[0]["threshold"] == 0.5


@pytest.mark.parametrize("risk", ["", "sepsis"])
def test_without_a_trial_the_error_says_what_to_do(journal: Journal, risk: str) -> None:
    with pytest.raises(UserError, match=r"worker\.shadow"):
        run("--risk", risk)
    journal.away = True
    with pytest.raises(UserError, match="is it up"):
        run("--risk", risk)
