"""What the multimodal risks must hold: sums, absence, stand-ins, nothing from the future."""

from __future__ import annotations

import dataclasses
import itertools
import math
from collections.abc import Callable, Sequence
from pathlib import Path

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from msgspec.structs import replace

from connectors.cohorts import hancock, ucsf_pdgm
from connectors.facts import AnyFact, Observation, PersonDetail, Presence, Variant
from models import fusion
from models.awaited import awaited
from models.bundle import BundleError, load_bundle, read, write
from models.encoding import columns_of
from models.inputs import DAY_S, codes_of
from models.made_for import contract_of
from models.multimodal import MultimodalModel
from models.questions import GLIOMA, HEAD_NECK, QUESTIONS
from models.record import PatientRecord
from models.rule import SHIPPED
from models.training.tumours import START
from models.training.withheld import half_width

NOW = START + 20 * DAY_S


@pytest.fixture(scope="module", params=sorted(QUESTIONS))
def model(request: pytest.FixtureRequest) -> MultimodalModel:
    found = load_bundle(None, request.param)
    assert isinstance(found, MultimodalModel)
    return found


@pytest.fixture(scope="module")
def glioma() -> MultimodalModel:
    return MultimodalModel(GLIOMA, read(SHIPPED / GLIOMA.risk, GLIOMA.risk))


def said(code: str, value: float | str, unit: str = "", day: float = 0.0) -> Observation:
    at = START + day * DAY_S
    return Observation(
        id=f"{code}/{day}",
        rank=(1, at, 0, ""),
        code=code,
        system="99TCS",
        time=at,
        status="F",
        value=value,
        unit=unit,
    )


def person(sex: str = "F", born: int = 1955) -> list[AnyFact]:
    rank = (1, START, 0, "")
    return [
        PersonDetail(id="person:sex", rank=rank, field=PersonDetail.SEX, value=sex),
        PersonDetail(id="person:birth_year", rank=rank, field=PersonDetail.BIRTH_YEAR, value=born),
    ]


def record(facts: Sequence[AnyFact]) -> PatientRecord:
    found = PatientRecord()
    found.fold_facts(facts)
    return found


OPERATION = [
    said("extent-of-resection", "STR", day=2),
    said("who-cns-grade", 4.0, "{grade}", day=7),
]
MARKERS = [said("idh-status", "wildtype", day=14), said("mgmt-methylation", "methylated", day=14)]
_SCAN = (6_500.0, 0.6, 0.55, 0.0013, 0.001, 0.3, 1_900.0, 0.6, 5.7, 150.0)
MRI = [
    said(ucsf_pdgm.radiomic_code(feature, image), value, unit)
    for (feature, image, _, unit), value in zip(ucsf_pdgm.RADIOMICS, _SCAN, strict=True)
]
PATHOLOGY = [
    said(hancock.code_of(column), 2.0 if unit else hancock.WORDS[column][1], unit, 10)
    for column, _, unit in hancock.PATHOLOGY
]
_USUAL = (8.2, 14.2, 265, 4.6, 41.5, 31.1, 90.7, 34.3, 13.7, 10.5, 5.5, 0.15, 0.04, 1.8, 0.7, 12.4)
BLOOD = [
    said(code, float(value), unit)
    for (_, code, unit), value in zip(hancock.BLOOD, _USUAL, strict=True)
]
CLINIC = [said("smoking-status", "smoker")]
EVERYTHING = {
    GLIOMA.risk: [*person(), *OPERATION, *MARKERS, *MRI],
    HEAD_NECK.risk: [*person(), *CLINIC, *BLOOD, *PATHOLOGY],
}


def test_evidence_and_contributions_add_up(model: MultimodalModel) -> None:
    found = model.assess([(record(EVERYTHING[model.risk]), NOW)])[0]
    assert found.log_odds is not None and found.probability is not None
    assert [e.modality for e in found.evidence] == [m.name for m in model.question.modalities]
    total = found.baseline + sum(e.llr for e in found.evidence)
    assert found.log_odds == pytest.approx(total, abs=1e-9)
    for evidence in found.evidence:
        added = sum(c.contribution for c in evidence.top)
        assert added == pytest.approx(evidence.llr, abs=1e-6)
    assert found.interval is not None
    assert 0 < found.interval[0] < found.probability < found.interval[1] < 1


def test_a_batch_gives_what_single_patients_give(model: MultimodalModel) -> None:
    facts = EVERYTHING[model.risk]
    asked = [(record(facts[:n]), NOW) for n in range(len(facts) + 1)]
    alone = [model.assess([one])[0] for one in asked]
    assert model.assess(asked) == alone
    assert model.log_odds(asked) == [a.log_odds for a in alone]
    assert model.answer(asked[:3], asked[3:])[1] == [a.log_odds for a in alone[3:]]


def test_whom_the_question_does_not_concern_has_no_score(model: MultimodalModel) -> None:
    stranger = record([*person(), said("8867-4", 90.0, "/min"), *BLOOD])
    assert not model.concerns(stranger)
    found = model.assess([(stranger, NOW)])[0]
    assert (found.abstained, found.log_odds) == ("not_eligible", None)


def test_a_result_that_cannot_be_read_is_no_evidence_and_no_error(model: MultimodalModel) -> None:
    """Words where a number or one of some answers is asked for, and nothing else: no score."""
    for code in sorted(model.question.eligible):
        facts = record([*person(), said(code, "see report")])
        found, points = model.answer([(facts, NOW)], [(facts, NOW)])
        assert (found[0].abstained, found[0].log_odds, points) == ("no_data", None, [None])


def test_old_data_give_no_answer(model: MultimodalModel) -> None:
    late = NOW + model.expires_s
    found = model.assess([(record(EVERYTHING[model.risk]), late)])[0]
    assert found.abstained == "stale_data"


@given(st.data())
@settings(max_examples=40, deadline=None)
def test_what_comes_later_changes_nothing(data: st.DataObject) -> None:
    for risk, facts in EVERYTHING.items():
        found = load_bundle(None, risk)
        now = START + data.draw(st.floats(0, 30)) * DAY_S
        changed = [
            replace(f, value=data.draw(st.sampled_from(["0", "1", "GTR", "mutated", 3.0, 500.0])))
            if isinstance(f, Observation) and f.time > now
            else f
            for f in facts
        ]
        one, other = (found.assess([(record(fs), now)])[0] for fs in (facts, changed))
        assert one == other


@given(st.permutations(EVERYTHING[GLIOMA.risk]))
@settings(max_examples=30, deadline=None)
def test_the_order_of_arrival_does_not_matter(facts: list[AnyFact]) -> None:
    found = load_bundle(None, GLIOMA.risk)
    plain = found.assess([(record(EVERYTHING[GLIOMA.risk]), NOW)])
    assert found.assess([(record(facts), NOW)]) == plain


def test_images_stand_in_until_the_laboratory_reports(glioma: MultimodalModel) -> None:
    before = glioma.assess([(record([*person(), *OPERATION, *MRI]), NOW)])[0]
    assert [e.modality for e in before.evidence] == ["ehr", "imaging"]
    guess = before.evidence[1].top[0]
    assert guess.feature == "IDH, predicted from imaging"
    assert isinstance(guess.value, float) and 0 < guess.value < 1
    assert before.missing.modalities == ["genomics"]
    assert before.missing.next_datum == "Molecular markers (IDH, MGMT, 1p/19q)"
    assert before.missing.expected_change is not None and before.missing.expected_change > 0
    after = glioma.assess([(record(EVERYTHING[GLIOMA.risk]), NOW)])[0]
    without = glioma.assess([(record([*person(), *OPERATION, *MARKERS]), NOW)])[0]
    assert after == without, "once the result is there, its guess counts no more"


def test_images_stand_in_for_the_one_marker_that_is_pending(glioma: MultimodalModel) -> None:
    methylation = said("mgmt-methylation", "methylated", day=14)
    facts = [*person(), *OPERATION, *MRI, methylation]
    found = glioma.assess([(record(facts), NOW)])[0]
    assert [e.modality for e in found.evidence] == ["ehr", "genomics"]
    names = [c.feature for c in found.evidence[1].top]
    assert "MGMT promoter" in names and "IDH, predicted from imaging" in names
    assert found.missing.modalities == []
    added = sum(c.contribution for c in found.evidence[1].top)
    assert added == pytest.approx(found.evidence[1].llr, abs=1e-6)


def test_variants_count_like_the_coded_result(glioma: MultimodalModel) -> None:
    """A laboratory may send the result in words, or the variant that it found."""
    at = START + 14 * DAY_S
    variant = Variant(
        id="v",
        rank=(1, at, 0, ""),
        presence=Presence.PRESENT,
        time=at,
        source_class="somatic",
        gene="IDH1",
        hgvs_p="p.Arg132His",
    )
    before = [*person(), *OPERATION, *MRI]
    coded = glioma.assess([(record([*before, said("idh-status", "mutated", day=14)]), NOW)])
    assert glioma.assess([(record([*before, variant]), NOW)]) == coded
    pending = glioma.log_odds([(record([*before, variant]), NOW - 8 * DAY_S)])
    assert pending == glioma.log_odds([(record(before), NOW - 8 * DAY_S)])


def test_a_guess_lies_between_the_two_results(glioma: MultimodalModel) -> None:
    def llr(facts: list[AnyFact]) -> float:
        found = glioma.assess([(record([*person(), *OPERATION, *facts]), NOW)])[0]
        return found.evidence[1].llr

    wild, mutated = (llr([said("idh-status", v, day=14)]) for v in ("wildtype", "mutated"))
    assert mutated < llr(list(MRI)) < wild


def test_mutated_idh_and_youth_lower_the_risk(glioma: MultimodalModel) -> None:
    def log_odds(born: int, idh: str) -> float:
        facts = [*person(born=born), *OPERATION, said("idh-status", idh, day=14)]
        found = glioma.log_odds([(record(facts), NOW)])[0]
        assert found is not None
        return found

    assert log_odds(1990, "wildtype") < log_odds(1945, "wildtype")
    assert log_odds(1945, "mutated") < log_odds(1945, "wildtype")


def test_a_value_that_nobody_had_gives_no_answer() -> None:
    found = load_bundle(None, HEAD_NECK.risk)
    code = "number-of-positive-lymph-nodes"
    facts = [f for f in EVERYTHING[HEAD_NECK.risk] if getattr(f, "code", "") != code]
    asked = [(record([*facts, said(code, 90_000.0, "{nodes}", 11)]), NOW)]
    assert found.assess(asked)[0].abstained == "out_of_distribution"
    assert found.log_odds(asked) == [None]


def test_nobody_is_asked_for_blood_from_before_an_operation_that_is_over() -> None:
    model = load_bundle(None, HEAD_NECK.risk)
    biopsy = [f for f in PATHOLOGY if f.code not in HEAD_NECK.operation]
    before, after = (
        model.assess([(record([*person(), *CLINIC, *some]), NOW)])[0].missing
        for some in (biopsy, PATHOLOGY)
    )
    assert (before.modalities, before.next_datum) == (["blood"], "Blood count before treatment")
    assert (after.modalities, after.next_datum, after.expected_change) == (["blood"], None, None)


@pytest.mark.parametrize(
    ("code", "value", "datum", "reason"),
    [
        ("shape_Sphericity", 900.0, "Tumour sphericity", "implausible"),
        ("firstorder_Mean", 9_900.0, "MRI of the tumour", "out_of_distribution"),
    ],
)
def test_images_that_nobody_had_stand_in_for_nothing(
    glioma: MultimodalModel, code: str, value: float, datum: str, reason: str
) -> None:
    code = ucsf_pdgm.radiomic_code(code, "T1c_bias")
    images = [replace(f, value=value) if f.code == code else f for f in MRI]
    before = [*person(), *OPERATION]
    asked = [(record([*before, *images]), NOW)]
    found, without = glioma.assess([*asked, (record(before), NOW)])
    assert [(r.feature, r.reason) for r in found.missing.set_aside] == [(datum, reason)]
    assert (found.evidence, found.interval) == (without.evidence, without.interval)
    assert glioma.log_odds(asked) == [without.log_odds]
    known = glioma.assess([(record([*before, *images, *MARKERS]), NOW)])[0]
    assert known.log_odds == glioma.log_odds([(record([*before, *MARKERS]), NOW)])[0]


def width(model: MultimodalModel, facts: Sequence[AnyFact], day: float = 20.0) -> float:
    """Half of the interval, in log-odds."""
    return half_width(model.assess([(record(facts), START + day * DAY_S)])[0])


def test_the_less_is_known_the_wider_the_interval(glioma: MultimodalModel) -> None:
    everything = [*person(), *OPERATION, *MARKERS]
    all_known, no_markers, no_grade, pictures_alone = (
        width(glioma, facts)
        for facts in (
            everything,
            [*person(), *OPERATION],
            [*person(), OPERATION[0]],
            [*person(), MRI[0], replace(MRI[6], value=9_900.0)],
        )
    )
    assert 0.2 < all_known < no_markers < no_grade < pictures_alone
    assert pictures_alone > 2.0, "age and sex say next to nothing"
    assert all_known < width(glioma, [*person(), *OPERATION, *MRI]) <= no_markers
    one_marker = [*person(), *OPERATION, MARKERS[1]]
    assert all_known < width(glioma, one_marker) < no_markers


def test_what_fades_is_known_less_and_less() -> None:
    found = load_bundle(None, HEAD_NECK.risk)
    assert isinstance(found, MultimodalModel)
    facts = EVERYTHING[HEAD_NECK.risk]
    without = width(found, [f for f in facts if f not in BLOOD])
    fading = [width(found, facts, day) for day in (11.0, 60.0, 150.0, 300.0)]
    assert fading == sorted(fading) and fading[0] + 0.01 < fading[-1] <= without + 1e-4


@given(st.data())
@settings(max_examples=60, deadline=None)
def test_knowing_more_never_leaves_more_to_come(data: st.DataObject) -> None:
    n = data.draw(st.integers(1, 6))
    numbers = st.floats(-3, 3, width=32)
    root = torch.tensor([[data.draw(numbers) for _ in range(n)] for _ in range(n)]).double()
    less = torch.tensor([data.draw(st.floats(0, 1)) for _ in range(n)]).double()
    more = less + (1 - less) * torch.tensor([data.draw(st.floats(0, 1)) for _ in range(n)])
    covariance = root @ root.T
    left = awaited(covariance, torch.stack([torch.zeros(n), less, more, torch.ones(n)]).double())
    slack = 1e-6 * (1 + float(covariance.sum()))
    assert left[0] == pytest.approx(float(covariance.sum()), abs=slack)
    assert left[0] + slack >= left[1] >= left[2] - slack
    assert left[3] <= slack + 1e-7


def test_a_pending_result_is_thought_through(glioma: MultimodalModel) -> None:
    """What the score would be if the status came back mutated, or wild type."""
    for before in ([*person(), *OPERATION], [*person(), *OPERATION, *MRI]):
        found = glioma.assess([(record(before), NOW)])[0]
        for thought in found.missing.what_if:
            result = said("idh-status", thought.answer, day=14)
            then = glioma.assess([(record([*before, result]), NOW)])[0]
            assert thought.datum == "IDH"
            assert then.probability == pytest.approx(thought.probability, abs=2e-6)
        wild, mutated = found.missing.what_if
        assert (wild.answer, mutated.answer) == ("wildtype", "mutated")
        assert mutated.probability < wild.probability
    known = glioma.assess([(record(EVERYTHING[GLIOMA.risk]), NOW)])[0]
    assert known.missing.what_if == []


def test_evidence_fades_by_its_half_life() -> None:
    found = load_bundle(None, HEAD_NECK.risk)
    facts = record(EVERYTHING[HEAD_NECK.risk])
    first, later = (found.assess([(facts, START + d * DAY_S)])[0] for d in (20.0, 140.0))
    llr = {a.modality: (a.llr, b.llr) for a, b in zip(first.evidence, later.evidence, strict=True)}
    assert llr["blood"][1] == pytest.approx(llr["blood"][0] / 2, abs=2e-6)
    assert llr["pathology"][1] == pytest.approx(llr["pathology"][0])


def _fused(scores: Sequence[float], weights: fusion.Weights) -> float:
    s = torch.tensor([scores], dtype=torch.float64)
    gain, offset = (w[None] for w in weights)
    ratio = fusion.ratios(s.nan_to_num(0.0)[:, None, :], ~s.isnan(), gain, offset)
    return float(ratio.sum())


NAN = math.nan


@pytest.mark.parametrize("fit", [lambda s, y: fusion.logistic(s, y, 0.0), fusion.gaussian])
def test_every_subset_has_its_weights(
    fit: Callable[[torch.Tensor, torch.Tensor], fusion.Weights],
) -> None:
    scores = torch.randn((400, 3), dtype=torch.float64, generator=torch.Generator().manual_seed(1))
    noise = torch.randn(400, dtype=torch.float64, generator=torch.Generator().manual_seed(2))
    weights = fit(scores, (scores.sum(1) + noise > 0).double())
    for s, k in itertools.product(range(8), range(3)):
        assert (weights.gain[s, k] != 0) == bool(s >> k & 1)
    assert _fused([NAN, NAN, NAN], weights) == 0.0
    assert _fused([1.0, NAN, 2.0], weights) > _fused([1.0, NAN, 1.0], weights)


@pytest.mark.parametrize("fit", [lambda s, y: fusion.logistic(s, y, 0.0), fusion.gaussian])
def test_two_copies_of_one_modality_count_once(
    fit: Callable[[torch.Tensor, torch.Tensor], fusion.Weights],
) -> None:
    """What the correction for correlation is for; the naive sum counts them twice."""
    generator = torch.Generator().manual_seed(2)
    labels = (torch.arange(2_000) % 2).double()
    one = torch.randn(2_000, dtype=torch.float64, generator=generator) + labels
    noise = 0.05 * torch.randn((2_000, 2), dtype=torch.float64, generator=generator)
    weights = fit(one[:, None] + noise, labels)
    both, alone = _fused([2.0, 2.0], weights), _fused([2.0, NAN], weights)
    assert both == pytest.approx(alone, rel=0.1)
    assert _fused([2.0, 2.0], fusion.naive(weights)) == pytest.approx(2 * alone, rel=0.1)


def test_a_modality_that_patients_lack_is_fitted_on_those_who_have_it() -> None:
    generator = torch.Generator().manual_seed(3)
    scores = torch.randn((3_000, 2), dtype=torch.float64, generator=generator)
    labels = (torch.rand(3_000, generator=generator) < torch.sigmoid(scores.sum(1))).double()
    complete = fusion.logistic(scores, labels, 0.0)
    scores[::2, 1] = NAN
    found = fusion.logistic(scores, labels, 0.0)
    assert torch.allclose(found.gain[1], complete.gain[1], atol=1e-9)
    assert torch.allclose(found.gain[3], complete.gain[3], atol=0.25)


def test_modalities_that_few_patients_have_together_are_averaged() -> None:
    generator = torch.Generator().manual_seed(3)
    scores = torch.randn((3_000, 2), dtype=torch.float64, generator=generator)
    labels = (torch.rand(3_000, generator=generator) < torch.sigmoid(scores.sum(1))).double()
    scores[29:1_500, 1] = scores[1_500:, 0] = NAN
    found = fusion.logistic(scores, labels, 0.0)
    alone = [_fused([2.0, NAN], found), _fused([NAN, -0.5], found)]
    assert _fused([2.0, -0.5], found) == pytest.approx(sum(alone) / 2)


def test_without_fusion_the_best_modality_counts_alone() -> None:
    weights = fusion.Weights(
        torch.tensor([[0.0, 0.0], [2.0, 0.0], [0.0, 3.0], [1.5, 1.0]]), torch.full((4, 2), 0.1)
    )
    found = fusion.unfused(weights, 0)
    assert _fused([1.0, 5.0], found) == pytest.approx(_fused([1.0, NAN], weights) + 0.1)
    assert _fused([NAN, 5.0], found) == _fused([NAN, 5.0], weights)


def test_early_fusion_has_the_same_form() -> None:
    weights = fusion.early(2, 0.4)
    assert _fused([1.0, 2.0], weights) == pytest.approx(3.4)
    assert _fused([1.0, NAN], weights) == pytest.approx(1.4)


def test_a_bundle_for_other_inputs_is_refused(tmp_path: Path, model: MultimodalModel) -> None:
    answers = model.bundle.answers
    (name, half_life, inputs), *rest = answers["contract"]["modalities"]
    modalities = [[name, half_life, [*inputs, {"name": "shoe-size"}]], *rest]
    contract = {**answers["contract"], "modalities": modalities}
    folder = tmp_path / model.risk
    write(folder, dataclasses.replace(model.bundle, answers={**answers, "contract": contract}))
    with pytest.raises(BundleError, match="shoe-size"):
        read(folder, model.risk)


def test_a_bundle_whose_evidence_ages_otherwise_is_refused(
    tmp_path: Path, model: MultimodalModel
) -> None:
    answers = model.bundle.answers
    (name, _, inputs), *rest = answers["contract"]["modalities"]
    contract = {**answers["contract"], "modalities": [[name, 3.0, inputs], *rest], "expires_d": 1.0}
    folder = tmp_path / model.risk
    write(folder, dataclasses.replace(model.bundle, answers={**answers, "contract": contract}))
    with pytest.raises(BundleError, match=r"expires_d is 1\.0.*halves in 3\.0 days"):
        read(folder, model.risk)


def test_the_contract_is_the_codes_own(model: MultimodalModel) -> None:
    assert contract_of(model.risk) == model.question.contract()
    assert model.codes == codes_of(model.question.sources)
    weights = model.bundle.tensors["weight"]
    assert weights.shape == (5, len(columns_of(model.question.sources)))
    assert not math.isnan(float(weights.sum()))
