"""The sum on screen, and tables that are told differences only."""

from __future__ import annotations

import math
import random

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from connectors.contract import Contribution, Evidence, Score
from streams.console.charts import waterfall
from streams.console.diff import Differ, Row
from streams.console.evidence import REST, Kind, lines, probability_of, reasons
from tests.acceptance.console.fake_hospital import FakeHospital

effects = st.floats(-6, 6).map(lambda x: round(x, 6))


def score_of(baseline: float, modalities: list[tuple[float, list[float]]]) -> Score:
    """A score of these llr, each with these contributions."""
    hospital = FakeHospital(1)
    evidence = [
        Evidence(
            modality=f"m{i}",
            llr=llr,
            as_of="2026-11-23T12:00:00.000Z",
            staleness_s=0,
            top=[
                Contribution(feature=f"f{j}", value=1.0, unit="", contribution=c)
                for j, c in enumerate(top)
            ],
        )
        for i, (llr, top) in enumerate(modalities)
    ]
    log_odds = round(math.fsum([baseline, *(llr for llr, _ in modalities)]), 6)
    return msgspec.structs.replace(
        hospital.scores[hospital.pseudonyms[0]],
        baseline=baseline,
        evidence=evidence,
        log_odds=log_odds,
        probability=probability_of(log_odds),
    )


@given(effects, st.lists(st.tuples(effects, st.lists(effects, max_size=6)), max_size=4))
def test_the_shown_column_adds_up(
    baseline: float, modalities: list[tuple[float, list[float]]]
) -> None:
    """Hundredths that are printed add up exactly, and none is off by more than one hundredth."""
    score = score_of(baseline, modalities)
    found = lines(score)
    hundredths = [
        round(100 * line.shown)
        for line in found
        if line.kind in (Kind.BASELINE, Kind.FEATURE, Kind.REST)
    ]
    assert sum(hundredths) == round(100 * found[-1].shown)
    assert found[-1].kind is Kind.SUM
    assert score.log_odds is not None
    assert abs(found[-1].shown - score.log_odds) <= 0.0051
    for line in found:
        if line.kind in (Kind.BASELINE, Kind.FEATURE, Kind.REST):
            assert abs(line.shown - line.effect) <= 0.0101
    subtotals = [line.shown for line in found if line.kind is Kind.MODALITY]
    assert len(subtotals) == len(modalities)
    assert math.isclose(found[0].shown + sum(subtotals), found[-1].shown, abs_tol=1e-9)


def test_a_rest_is_named_only_when_there_is_one() -> None:
    """What the named features leave over is a line of its own."""
    whole = score_of(-1.0, [(0.5, [0.3, 0.2])])
    assert [line.kind for line in lines(whole)] == [
        Kind.BASELINE, Kind.MODALITY, Kind.FEATURE, Kind.FEATURE, Kind.SUM,
    ]  # fmt: skip
    part = score_of(-1.0, [(0.9, [0.3, 0.2])])
    assert [(line.kind, line.shown) for line in lines(part)][-2] == (Kind.REST, 0.4)


def test_reasons_are_those_that_raise_the_risk_most() -> None:
    """Across modalities, by size: what lowers it is no reason for an alert."""
    score = score_of(0, [(1.0, [0.1, -0.7]), (0.2, [0.5, 0.05])])
    assert [c.contribution for c in reasons(score)] == [0.5, 0.1, 0.05]


def test_where_nothing_raises_the_risk_the_reasons_are_those_that_lower_it() -> None:
    """So that a low score is explained as well."""
    score = score_of(0, [(-1.0, [-0.1, -0.7])])
    assert [c.contribution for c in reasons(score)] == [-0.7, -0.1]


def test_what_the_model_leaves_over_is_no_reason() -> None:
    """The model's own "everything else" is a rest in the sum and never among the reasons."""
    explanation = pytest.importorskip("models.explanation", reason="needs torch")
    assert explanation.REST == REST
    score = score_of(0, [(1.0, [0.1, 0.2])])
    rest = Contribution(feature=REST, value=None, unit="", contribution=0.7)
    evidence = msgspec.structs.replace(score.evidence[0], top=[*score.evidence[0].top, rest])
    score = msgspec.structs.replace(score, evidence=[evidence])
    assert [c.contribution for c in reasons(score)] == [0.2, 0.1]
    assert [(line.kind, line.label, line.shown) for line in lines(score)][-2] == (
        Kind.REST, REST, 0.7,
    )  # fmt: skip


def test_the_waterfall_shows_the_figures_of_the_table() -> None:
    """Same steps, same rounding; equal labels stay apart."""
    score = score_of(-1.75, [(1.0, [0.6]), (0.5, [0.1])])
    drawn = waterfall(lines(score))
    (bar,) = drawn["data"]
    assert bar["measure"] == ["absolute", *["relative"] * 4, "total"]
    assert math.isclose(sum(bar["x"][:-1]), bar["x"][-1], abs_tol=1e-9)
    assert len(set(bar["y"])) == len(bar["y"])
    low, high = drawn["layout"]["xaxis"]["range"]  # the bars lie from -1.75 to 0
    assert low < -1.9
    assert high > 0.15


def as_row(key: str, value: int) -> Row:
    return Row(key=key, tone="", cells=[{"v": str(value)}])


def test_a_patch_holds_what_changed() -> None:
    """Changed and new rows, keys that went, the order when it moved; nothing for nothing."""
    differ = Differ()
    first = [as_row("a", 1), as_row("b", 2)]
    assert differ.patch(first) == {"upsert": first, "remove": [], "order": ["a", "b"]}
    assert differ.patch([as_row("a", 1), as_row("b", 2)]) is None
    changed = as_row("b", 3)
    assert differ.patch([as_row("a", 1), changed]) == {
        "upsert": [changed], "remove": [], "order": None,
    }  # fmt: skip
    assert differ.patch([changed]) == {"upsert": [], "remove": ["a"], "order": ["b"]}


@given(st.integers(0, 10**6))
def test_patches_bring_the_browser_to_the_same_table(seed: int) -> None:
    """Applied as `live_table.js` applies them, any sequence of tables ends in the last one."""
    rng, differ = random.Random(seed), Differ()
    shown: dict[str, Row] = {}
    order: list[str] = []
    for _ in range(6):
        keys = rng.sample("abcdefgh", rng.randint(0, 8))
        rows = [as_row(key, rng.randint(0, 2)) for key in keys]
        patch = differ.patch(rows)
        if patch is not None:
            shown |= {row["key"]: row for row in patch["upsert"]}
            order = patch["order"] if patch["order"] is not None else order
            for key in patch["remove"]:
                del shown[key]
        assert [shown[key] for key in order] == rows
        assert set(shown) == set(keys)
