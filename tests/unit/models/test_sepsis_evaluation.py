"""From a cohort to a bundle, and from a bundle to figures, predictions and a page."""

from __future__ import annotations

import csv
import dataclasses
import itertools
import json
import math
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
import torch
from typer.testing import CliRunner

from connectors.cohorts.physionet2019 import CohortPatient, Event, load
from models import sepsis_evaluation as evaluation
from models import utility
from models.bundle import BundleError, read, single_member, write
from models.clinical_use import beginnings, burning
from models.ensemble import FOLDS, Scorer, fold_of
from models.resampling import Resamples
from models.rule import SHIPPED
from models.sepsis import SepsisModel
from models.sepsis_evaluation import Scored
from models.training.leafwise_boosting import LeafwiseConfig
from models.training.page import number
from models.training.sepsis import RISK, train
from models.training.sepsis_cohort import COHORT, stays
from models.training.sepsis_fit import SepsisConfig, emphasis
from streams.cli.main import app
from tests.unit.models.report_page import check_bands
from tests.unit.replay.folders import sepsis_original

_SMALL = SepsisConfig(
    seed=3,
    negatives=0.5,
    forest=LeafwiseConfig(trees=12, rate=0.3, l2=1.0, feature_share=1.0, least_rows=5),
)


def _patients(count: int, seed: int = 0) -> Iterator[CohortPatient]:
    """Every third gets sepsis after 20 hours; the heart runs from 12 hours on."""
    rng = np.random.default_rng(seed)
    for i in range(count):
        ill = i % 3 == 0
        hours = tuple(range(1, 25))
        rates = [80 + 40 * (ill and h > 12) + float(rng.normal(0, 8)) for h in hours]
        events = tuple(
            Event(h, "8867-4", "Heart rate", round(rate, 1), "/min")
            for h, rate in zip(hours, rates, strict=True)
            if h > 1
        )
        labels = tuple(int(ill and h > 14) for h in hours)
        yield CohortPatient(
            f"q{seed}{i:05d}", 50.0 + i % 40, "MF"[i % 2], "MICU", 3.0, hours, labels, events
        )


@pytest.fixture(scope="module")
def trained(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with a bundle of a hundred made-up patients."""
    folder = tmp_path_factory.mktemp("bundles")
    train(lambda: stays(_patients(100)), folder / RISK, _SMALL)
    return folder


def test_training_writes_a_bundle_that_knows_the_difference(trained: Path) -> None:
    bundle = read(trained / RISK, RISK)
    figures = bundle.about["figures"]
    assert figures["cross_fitted"]
    assert figures["patients_in_training_set"] == 100
    assert figures["auroc"]["value"] > 0.9
    assert figures["utility"]["value"] > 0.5
    card = (trained / RISK / "CARD.md").read_text()
    assert number(figures["first_patients"]["auroc"], 4) in card


def test_training_again_gives_the_same_bytes(trained: Path, tmp_path: Path) -> None:
    train(lambda: stays(_patients(100)), tmp_path / RISK, _SMALL)
    for name in ("weights.safetensors", "bundle.json", "CARD.md"):
        assert (tmp_path / RISK / name).read_bytes() == (trained / RISK / name).read_bytes()


def test_a_training_patient_is_scored_by_the_member_that_never_saw_them(trained: Path) -> None:
    model = SepsisModel(read(trained / RISK, RISK))
    stay = next(stays(_patients(1)))
    scored = evaluation.score(stay, Scorer(model, COHORT))
    fold = fold_of(COHORT, stay.record_id)
    assert scored.fold == fold
    alone = SepsisModel(single_member(model.bundle, fold))
    expected = [math.nan if z is None else z for z in alone.log_odds(stay.moments())]
    assert np.array_equal(scored.log_odds, expected, equal_nan=True)
    assert scored.abstained == {0: "no_data"}
    others = [SepsisModel(single_member(model.bundle, m)) for m in range(FOLDS) if m != fold]
    assert all(o.log_odds(stay.moments()) != alone.log_odds(stay.moments()) for o in others)


def test_a_bundle_for_other_features_is_refused_with_the_difference(
    trained: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    bundle = read(trained / RISK, RISK)
    bundle.answers["contract"]["features"].append("mood.last")
    write(tmp_path / RISK, bundle)
    with pytest.raises(BundleError, match=r"feature mood\.last is not computed"):
        read(tmp_path / RISK, RISK)


def _scored(labels: list[int], log_odds: list[float]) -> Scored:
    hours = tuple(range(1, len(labels) + 1))
    return Scored("p1", None, hours, tuple(labels), np.array(log_odds), {}, {"sex": "F"})


def test_an_alarm_has_hysteresis_and_an_abstention_leaves_it() -> None:
    p = np.array([0.1, 0.3, 0.25, np.nan, 0.15, 0.25, 0.3])
    on = burning(p[None], 0.3, 0.2)
    assert on.tolist() == [[False, True, True, True, False, False, True]]
    assert beginnings(on).tolist() == [[False, True, False, False, False, False, True]]


def test_alarms_are_counted_for_patients_days_and_onsets() -> None:
    on, off = 5.0, -5.0
    ill = _scored([0] * 42 + [1] * 6, [off] * 40 + [on] * 4 + [off] * 4)  # onset at 48
    late = _scored([0] * 18 + [1] * 6, [off] * 24)
    well = _scored([0] * 24, [on, off] * 12)
    found = evaluation.alarms([ill, late, well], 0.5, 0.5)
    assert found["episodes_per_patient_day"] == round(13 / 4, 4)
    assert found["sensitivity"] == 0.5
    assert found["median_lead_time_h"] == 8
    assert found["sensitivity_0_3_6_12_h_before"] == [0.5, 0.5, 0.5, 0.0]
    assert found["episodes_before_sepsis"] == round(1 / 13, 4)
    assert found["patients_without_sepsis_alarmed"] == 1


def test_the_figures_of_a_rule_have_intervals_over_patients() -> None:
    rng = np.random.default_rng(3)
    scored = []
    for i in range(60):
        labels = [0] * 20 + [int(i % 3 == 0)] * 6
        z = rng.normal(-2, 1, 26) + 3 * (i % 3 == 0) * (np.arange(26) > rng.integers(8, 26))
        scored.append(_scored(labels, z.tolist()))
    found = evaluation.alarms(scored, 0.5, 0.4, Resamples(60, 100))
    plain = evaluation.alarms(scored, 0.5, 0.4)
    sides = found.pop("intervals")
    assert found == plain
    early = sides.pop("sensitivity_0_3_6_12_h_before")
    pairs = [*zip(found["sensitivity_0_3_6_12_h_before"], early, strict=True)]
    pairs += [(found[name], between) for name, between in sides.items()]
    assert all(low <= value <= high for value, (low, high) in pairs)
    assert len(pairs) == 9


def test_a_rule_that_nobody_meets_is_not_certain_of_anything() -> None:
    scored = [_scored([0] * 5 + [1] * 5, [-5.0] * 10)] * 4 + [_scored([0] * 9, [-5.0] * 9)] * 4
    found = evaluation.alarms(scored, 0.5, 0.4, Resamples(8, 50))
    assert found["sensitivity"] == found["patients_without_sepsis_alarmed"] == 0
    assert found["episodes_before_sepsis"] is found["median_lead_time_h"] is None
    assert found["intervals"]["sensitivity"][1] > 0.4  # Wilson, none of four
    assert found["intervals"]["median_lead_time_h"] == [None, None]


def test_subgroups_that_are_too_small_are_listed() -> None:
    scored = [_scored([0, int(i % 2)], [-1.0, 0.1 * i]) for i in range(30)]
    few = [dataclasses.replace(one, group={"sex": "M"}) for one in scored[:8]]
    found = evaluation.subgroups([*scored, *few], [0.0] * 38, Resamples(38, 50))
    assert list(found["subgroups"]["sex"]) == ["F"]
    one = found["subgroups"]["sex"]["F"]
    assert one["auroc"]["low"] <= one["auroc"]["value"] <= one["auroc"]["high"]
    assert found["subgroups_too_few"] == [
        {"kind": "sex", "name": "M", "patients": 8, "with_sepsis": 4}
    ]


def test_few_patients_make_a_wide_band_over_time_and_a_threshold_s_utility_has_one() -> None:
    scored = [_scored([0] * 9 + [i % 2] * 9, [*np.linspace(-3, 0.2 * i, 18)]) for i in range(20)]
    resamples = Resamples(20, 50)
    for span in evaluation.over_time(scored, resamples):
        for name, (low, high) in span["intervals"].items():
            assert low <= span[name] <= high
    assert [s["patients_positive"] for s in evaluation.over_time(scored, resamples)] == [10, 10]
    for row in evaluation.utility_by_threshold(scored, resamples):
        low, high = row["intervals"]["utility"]
        assert low <= row["utility"] <= high
        known = utility.gains([one.labels for one in scored])
        z = np.concatenate([one.log_odds for one in scored])
        plain = utility.utility(known, 1 / (1 + np.exp(-z)) >= row["threshold"])
        assert row["utility"] == pytest.approx(plain, abs=1e-3)


def test_a_reference_is_compared_on_the_hours_that_both_score() -> None:
    own = [_scored([0, 0, 1], [-3.0, math.nan, 2.0]), _scored([0, 1], [1.0, 0.5])]
    other = [np.array([1.0, 5.0, math.nan]), np.array([-1.0, 2.0])]
    pairs = zip(own, other, strict=True)
    scored = [dataclasses.replace(one, reference=z) for one, z in pairs]
    found = evaluation.compared_with(scored, "news2")
    assert (found["risk"], found["scored"]) == ("news2", 3)
    # of the two pairs of a negative and the positive hour: one right here, both there
    assert (found["auroc"]["value"], found["auroc_difference"]["value"]) == (1.0, -0.5)


def test_hours_where_an_alarm_is_worth_most_count_most() -> None:
    labels = [0] * 20 + [1] * 12  # the onset is six hours into the positive ones
    y, worth = torch.tensor(labels).double(), torch.from_numpy(utility.gain(labels))
    weights = emphasis(y, worth)
    assert weights[:14].tolist() == [1.0] * 14
    assert weights[15:20].tolist() == [0.5] * 5  # worth something, and not called positive
    assert int(weights.argmax()) == 20 + int(worth[20:].argmax())
    assert weights[30:].tolist() == [0.5] * 2  # too late


def test_last_hours_from_elsewhere_are_compared(trained: Path) -> None:
    model = SepsisModel(read(trained / RISK, RISK))
    cohort = list(stays(_patients(4, seed=7)))
    own = evaluation.score_all(cohort, model)
    answers = {s.record_id: model.assess(s.moments()[-1:])[0] for s in cohort[:3]}
    rows = evaluation.heard(own, answers)
    assert [r.hours for r in rows] == [(24,)] * 3
    found = evaluation.compared(rows, own)
    assert found == {"patients": 3, "largest_difference": 0.0, "abstained_on_one_side": 0}
    first = {s.record_id: model.assess(s.moments()[:1])[0] for s in cohort}  # nothing is known
    assert evaluation.compared(evaluation.heard(own, first), own)["abstained_on_one_side"] == 4
    earlier = {s.record_id: model.assess(s.moments()[9:10])[0] for s in cohort}
    assert evaluation.compared(evaluation.heard(own, earlier), own)["largest_difference"] > 0


def test_the_threshold_of_a_patient_is_chosen_on_others() -> None:
    def ill(fold: int, z: float) -> Scored:
        one = _scored([0] * 30 + [1] * 9, [-3.0] * 24 + [z] * 15)
        return Scored(f"p{fold}", fold, one.hours, one.labels, one.log_odds, {}, {})

    cohort = [ill(0, 9.0), ill(1, 1.0), ill(2, 1.0)]
    assert evaluation.nested_thresholds(cohort, 0.5) == [1.0, 1.0, 1.0]
    cohort = [ill(0, 1.0), ill(1, 9.0), ill(2, 9.0)]
    assert evaluation.nested_thresholds(cohort, 0.5) == [9.0, 1.0, 1.0]
    assert evaluation.nested_thresholds([_scored([0, 1], [1.0, 1.0])], 0.5) == [0.5]


def test_evaluate_writes_figures_predictions_and_a_page(tmp_path: Path, trained: Path) -> None:
    data = tmp_path / "data"
    for patient in range(20):
        sepsis_original(data, patient=f"p{patient:06d}")
    file = data / "training_setA" / "p000000.psv"  # this one stays well
    file.write_text(file.read_text().replace("|4|1\n", "|4|0\n"))
    out = tmp_path / "out"
    arguments = ["evaluate", RISK, "--data", str(data), "--out", str(out)]
    result = CliRunner().invoke(app, [*arguments, "--bundles", str(trained)])
    assert result.exit_code == 0, result.output
    figures = json.loads((out / "metrics.json").read_text())
    assert (figures["hours"], figures["scored"], figures["abstained"]) == (80, 80, {})
    assert not figures["cross_fitted"]
    assert figures["via"] == "offline"
    assert figures["reference"]["risk"] == "news2"
    with (out / "predictions.csv").open() as lines:
        rows = list(csv.DictReader(lines))
    assert list(rows[0]) == list(evaluation.COLUMNS)
    assert [(r["id"], r["as_of"], r["label"]) for r in rows[4:8]] == [
        ("p000001", "1", "0"), ("p000001", "2", "0"), ("p000001", "3", "0"), ("p000001", "4", "1"),
    ]  # fmt: skip
    baseline = float(rows[1]["log_odds"]) - float(rows[1]["ehr"])
    assert baseline == pytest.approx(read(trained / RISK, RISK).answers["baseline"], abs=1e-6)
    check_bands(out / "report.html", 8)


def test_a_cohort_without_sepsis_cannot_be_evaluated(tmp_path: Path, trained: Path) -> None:
    file = next(sepsis_original(tmp_path / "data").rglob("*.psv"))
    file.write_text(file.read_text().replace("|4|1\n", "|4|0\n"))
    rest = ["--out", str(tmp_path / "out"), "--bundles", str(trained)]
    result = CliRunner().invoke(app, ["evaluate", RISK, "--data", str(tmp_path / "data"), *rest])
    assert result.exit_code == 1
    assert "SepsisLabel" in str(result.exception)


@pytest.mark.shared
@pytest.mark.slow
def test_the_card_s_figure_is_that_of_the_shipped_weights(shared: Path) -> None:
    """Cross-fitted AUROC of the first patients, recomputed."""
    model = SepsisModel(read(SHIPPED / RISK, RISK))
    first = itertools.islice(load(shared / "data" / "physionet2019"), evaluation.CHECKED)
    scored = evaluation.score_all(stays(first), model)
    figures = model.bundle.about["figures"]
    assert evaluation.all_hours(scored, model.baseline) == figures["first_patients"]
    assert figures["auroc"]["value"] >= 0.86
