"""A cohort of which the bundle saw a half: two parts, and what was left out of it."""

from __future__ import annotations

import dataclasses
import json
from pathlib import Path

import pytest
import torch
from typer.testing import CliRunner

from connectors.cohorts.physionet2012 import load
from models.bundle import read, write
from models.ensemble import enrolled
from models.rule import SHIPPED
from models.training.apart import about_the_cohort, part_lines, parts, printed, scored_by
from models.training.cohort import COHORT, stays
from streams.cli.training import app
from streams.errors import UserError

_SIGNS = {"HR": 80, "RespRate": 16, "Temp": 37.0, "NISysABP": 120, "SaO2": 97, "GCS": 15}


def _set(folder: Path, name: str, numbers: range, extra: str = "") -> None:
    """Patients of whom every second one died, and the ill breathe fast."""
    (folder / f"set-{name}").mkdir(parents=True)
    outcomes = ["RecordID,In-hospital_death"]
    for n in numbers:
        signs = _SIGNS | {"HR": 70 + n % 9, "RespRate": 16 + 10 * (n % 4 == 1)}
        lines = ["Time,Parameter,Value", f"00:00,Age,{40 + n % 50}", "00:00,Gender,1"]
        lines += [f"40:00,{parameter},{value}" for parameter, value in signs.items()]
        (folder / f"set-{name}" / f"{n}.txt").write_text("\n".join(lines) + "\n")
        outcomes.append(f"{n},{n % 2}")
    text = "\n".join(outcomes) + "\n" + extra
    (folder / f"Outcomes-{name}.txt").write_text(text)


@pytest.fixture
def bundles(tmp_path: Path) -> Path:
    """NEWS2 as if fitted on set a."""
    _set(tmp_path / "data", "a", range(1, 21))
    _set(tmp_path / "data", "b", range(101, 117), extra="102,0\n999,1\n")
    seen = [enrolled(COHORT, s) for s in stays(load(tmp_path / "data", ["a"]))]
    shipped = read(SHIPPED / "news2", "news2")
    tensors = shipped.tensors | {"cohort": torch.tensor(sorted(seen))}
    write(tmp_path / "bundles" / "news2", dataclasses.replace(shipped, tensors=tensors))
    return tmp_path / "bundles"


def _evaluated(bundles: Path, *arguments: str) -> str:
    data, out = str(bundles.parent / "data"), str(bundles.parent / "out")
    command = ["evaluate", "news2", "--data", data, "--out", out, "--bundles", str(bundles)]
    done = CliRunner().invoke(app, [*command, *arguments])
    if done.exception is not None:
        raise done.exception
    return " ".join(done.output.split())


def test_a_set_half_seen_is_judged_in_two_parts(bundles: Path) -> None:
    said = _evaluated(bundles)
    out = bundles.parent / "out"
    figures = json.loads((out / "metrics.json").read_text())
    assert not figures["cross_fitted"]
    assert figures["patients_in_training_set"] == 20
    assert {name: part["patients"] for name, part in figures["parts"].items()} == {
        "trained_on": 20, "new": 16,
    }  # fmt: skip
    assert figures["reading"] == {"repeated_lines": 1, "outcomes_without_patient": 1}
    assert "20 patients trained on, cross-fitted: AUROC" in said
    assert "16 patients new, whole ensemble: AUROC" in said
    assert "36 patients at" not in said, "no figure for both"
    page = (out / "report.html").read_text()
    for text in ("20 of them in the training set: two parts", "trained on, cross-fitted"):
        assert text in page
    assert "1 lines that came twice, read once" in page
    assert "1 lines that came twice, read once" in said


@pytest.mark.parametrize(
    ("seen", "kind"), [([True] * 2, "cross-fitted"), ([False] * 2, "whole ensemble")]
)
def test_a_set_of_one_kind_has_one_figure(seen: list[bool], kind: str) -> None:
    figures = parts([1, 2], seen, lambda rows: {"patients": len(rows)})
    assert (figures["cross_fitted"], figures["patients_in_training_set"]) == (all(seen), sum(seen))
    assert (scored_by(figures), about_the_cohort(figures), printed(figures)) == (kind, [], [])


def test_an_impossible_outcome_is_an_error_in_words(bundles: Path) -> None:
    with (bundles.parent / "data" / "Outcomes-b.txt").open("a") as file:
        file.write("998,-1\n")
    with pytest.raises(UserError, match=r"Outcomes-b\.txt: 998: In-hospital_death is -1"):
        _evaluated(bundles)


def test_a_part_without_both_outcomes_has_counts_alone() -> None:
    figures = parts([1, 2, 3], [True, False, False], lambda rows: {"patients": len(rows)})
    assert [line[:3] for line in part_lines(figures)[1:]] == [
        ["1", "trained on, cross-fitted", "– (–––)"], ["2", "new, whole ensemble", "– (–––)"],
    ]  # fmt: skip
    assert printed(figures)[0].startswith("1 patients trained on, cross-fitted: AUROC – ")
