"""Tumour risks through years: what starts a question, what feeds it, when it ends."""

from __future__ import annotations

import dataclasses

from connectors import contract, topics
from connectors.cohorts import hancock
from connectors.contract import AlertReason, AlertState, Score
from connectors.facts import AnyFact, MessageFacts, Observation, PersonDetail
from models.bundle import load_bundle
from models.inputs import DAY_S
from models.multimodal import MultimodalModel
from models.questions import GLIOMA, HEAD_NECK
from tests.unit.streams.timeline import START
from tests.unit.streams.ward import Ward, died

_DAY_MINUTES = 1_440.0
R = AlertReason


def model(risk: str) -> MultimodalModel:
    found = load_bundle(None, risk)
    assert isinstance(found, MultimodalModel)
    return found


GLIOMAS, HEADS = model(GLIOMA.risk), model(HEAD_NECK.risk)


def result(
    code: str,
    value: float | str | None,
    day: float,
    unit: str = "",
    order: str = "",
    status: str = "F",
    sent: float | None = None,
) -> Observation:
    """A result taken on a day; `sent` (a day): when it was reported."""
    return Observation(
        id=order or f"{code}/{day}",
        rank=(1, START + (day if sent is None else sent) * DAY_S, int(status in "CD"), ""),
        removed=status == "D",
        code=code,
        system="99TCS",
        time=START + day * DAY_S,
        status=status,
        value=value,
        unit=unit,
    )


def told(*facts: AnyFact, sent: float | None = None) -> MessageFacts:
    """One message; sent on the day of its newest result, or on another."""
    days = [(f.time - START) / DAY_S for f in facts if isinstance(f, Observation)]
    at = START + (max(days) if sent is None else sent) * DAY_S
    return MessageFacts(patient="p-1", sent=at, heard=at, wire="w/0/0", facts=list(facts))


def person(born: int) -> PersonDetail:
    rank = (1, START, 0, "")
    return PersonDetail(
        id="person:birth_year", rank=rank, field=PersonDetail.BIRTH_YEAR, value=born
    )


def scores(ward: Ward) -> list[Score]:
    return [contract.decode_score(o.value) for o in ward.world.outputs if o.topic == topics.SCORES]


def pathology(day: float) -> list[Observation]:
    """Of a large tumour of the oropharynx."""
    said: dict[str, float | str] = {
        "primary_tumor_site": "oropharynx",
        "resection_status": "R1",
        "pT_stage": "pT4a",
        "pN_stage": "pN3b",
        "perinodal_invasion": "yes",
        "number_of_positive_lymph_nodes": 9.0,
    }
    return [
        result(hancock.code_of(c), v, day, "{nodes}" if isinstance(v, float) else "")
        for c, v in said.items()
    ]


def hemoglobin(day: float, value: float = 14.0) -> MessageFacts:
    return told(result("718-7", value, day, "g/dL"))


async def operated(ward: Ward) -> None:
    """Blood before the operation, pathology after it: an alert."""
    await ward.say(told(person(1950), sent=0))
    await ward.say(hemoglobin(1, 9.0))
    await ward.say(told(*pathology(10)))
    assert ward.last.state is AlertState.FIRING


async def days(ward: Ward, day: float) -> None:
    await ward.tick(day * _DAY_MINUTES)


# ── what feeds a score ──────────────────────────────────────────────────────────────────────


async def test_a_blood_count_after_the_operation_changes_nothing() -> None:
    ward, other = Ward(HEADS), Ward(HEADS)
    for one in (ward, other):
        await operated(one)
    await ward.say(hemoglobin(40, 5.0))
    await other.say(told(result("8867-4", 80.0, 40, "/min")))
    after, plain = scores(ward)[-1], scores(other)[-1]
    assert (after.log_odds, after.evidence) == (plain.log_odds, plain.evidence)
    assert after.as_of == plain.as_of


async def test_blood_from_before_the_operation_counts_whenever_it_comes() -> None:
    """The operation dates the question; a biopsy does until then."""
    ward = Ward(HEADS)
    await ward.say(told(person(1950), result("primary-tumor-site", "larynx", 0)))
    await ward.say(hemoglobin(20, 9.0))
    assert [e.modality for e in scores(ward)[-1].evidence] == ["ehr", "pathology"]
    await ward.say(told(*pathology(30)))
    assert [e.modality for e in scores(ward)[-1].evidence] == ["ehr", "blood", "pathology"]


async def test_no_later_blood_count_puts_off_the_end_or_brings_a_score_back() -> None:
    ward = Ward(HEADS)
    await operated(ward)
    for day in range(30, 370, 30):
        await ward.say(hemoglobin(day))
    assert ward.last.state is AlertState.FIRING
    await days(ward, 10 + HEAD_NECK.expires_d + 0.1)
    assert (ward.last.state, ward.last.reason) == (AlertState.RESOLVED, R.DATA_EXPIRED)
    for day in range(390, 1_000, 60):
        await ward.say(hemoglobin(day))
        assert scores(ward)[-1].abstained == "stale_data"
    assert ward.last.reason is R.DATA_EXPIRED


async def test_the_pathology_of_a_second_operation_is_not_of_this_question() -> None:
    ward = Ward(HEADS)
    await operated(ward)
    before = scores(ward)[-1]
    again = [result("pN-stage", "pN0", 300), result("resection-status", "R0", 300)]
    await ward.say(told(*again))
    after = scores(ward)[-1]
    pathology_then, pathology_now = (s.evidence[-1] for s in (before, after))
    assert pathology_now.llr == pathology_then.llr
    assert pathology_now.as_of == pathology_then.as_of


async def test_a_resection_soon_after_the_biopsy_counts() -> None:
    ward = Ward(GLIOMAS)
    await ward.say(told(person(1960), result("extent-of-resection", "biopsy", 0)))
    biopsy = scores(ward)[-1].probability
    await ward.say(told(result("extent-of-resection", "GTR", 30)))
    resected = scores(ward)[-1].probability
    assert biopsy is not None and resected is not None and resected < biopsy


# ── when the question is over ───────────────────────────────────────────────────────────────


async def test_the_question_ends_with_its_horizon() -> None:
    """Here nothing expires before: the alert burns until the two years have passed."""
    lasting = MultimodalModel(dataclasses.replace(GLIOMA, expires_d=4_000.0), GLIOMAS.bundle)
    ward = Ward(lasting)
    await ward.say(told(person(1940), result("extent-of-resection", "biopsy", 2)))
    await ward.say(told(result("who-cns-grade", "IV", 7), result("idh-status", "wt", 7)))
    assert ward.last.state is AlertState.FIRING
    await days(ward, 2 + GLIOMA.horizon_d)
    assert ward.last.state is AlertState.FIRING
    await days(ward, 2 + GLIOMA.horizon_d + 0.1)
    assert (ward.last.state, ward.last.reason) == (AlertState.RESOLVED, R.QUESTION_OVER)
    assert scores(ward)[-1].abstained == "question_over"


async def test_a_new_tumour_or_operation_years_later_raises_no_alert() -> None:
    ward = Ward(HEADS)
    await operated(ward)
    await days(ward, 400)
    ended = len(ward.told)
    await ward.say(told(*pathology(1_500)), hemoglobin(1_490, 9.0))
    assert scores(ward)[-1].abstained == "question_over"
    assert len(ward.told) == ended


async def test_an_operation_after_years_of_watching_dates_the_question_anew() -> None:
    ward = Ward(GLIOMAS)
    volume = "radiomics-shape_VoxelVolume-T1c_bias"
    await ward.say(told(person(1960), result(volume, 20_000.0, 0, "mm3")))
    await ward.say(told(result(volume, 22_000.0, 800, "mm3")))
    assert scores(ward)[-1].abstained == "question_over"
    await ward.say(told(result("extent-of-resection", "STR", 810)))
    assert [e.modality for e in scores(ward)[-1].evidence] == ["ehr", "imaging"]


async def test_an_operation_that_was_entered_in_error_dates_nothing() -> None:
    ward = Ward(GLIOMAS)
    early = result("extent-of-resection", "GTR", 0, order="wrong")
    await ward.say(told(person(1960), early))
    await ward.say(told(result("extent-of-resection", "STR", 900)))
    assert scores(ward)[-1].abstained == "question_over"
    gone = result("extent-of-resection", None, 0, order="wrong", status="D", sent=901)
    await ward.say(told(gone, sent=901))
    assert scores(ward)[-1].abstained is None


async def test_death_ends_the_alert_and_the_question() -> None:
    ward = Ward(HEADS)
    await operated(ward)
    await ward.say(died(20 * _DAY_MINUTES))
    assert (ward.last.state, ward.last.reason) == (AlertState.RESOLVED, R.DIED)
    await ward.say(told(*pathology(25)))
    assert scores(ward)[-1].abstained == "not_present"
    assert ward.last.reason is R.DIED


# ── whom it concerns ────────────────────────────────────────────────────────────────────────


async def test_an_idh_mutation_of_a_leukaemia_is_no_glioma() -> None:
    ward = Ward(GLIOMAS)
    await ward.say(told(result("idh-status", "IDH2 R172K", 3)))
    await ward.say(told(result("mgmt-methylation", "methylated", 4)))
    assert scores(ward) == []


async def test_p16_of_a_cervical_sample_is_no_head_and_neck_cancer() -> None:
    ward = Ward(HEADS)
    await ward.say(told(result("hpv-association-p16", "positive", 3), result("grading", "G3", 3)))
    assert scores(ward) == []
    await ward.say(told(result("primary-tumor-site", "cervix uteri", 4)))
    (found,) = scores(ward)
    assert found.abstained == "no_data"
    assert [(r.feature, r.reason) for r in found.missing.set_aside] == [
        ("Primary tumour site", "unknown_answer")
    ]
    assert ward.told == []


async def test_a_specimen_of_another_organ_stops_the_score_until_it_is_corrected() -> None:
    ward = Ward(HEADS)
    await operated(ward)
    await ward.say(told(result("primary-tumor-site", "lung", 12, order="lung")))
    assert scores(ward)[-1].abstained == "no_data"
    assert (ward.last.state, ward.last.reason) == (AlertState.WITHDRAWN, R.DATA_CHANGED)
    other = result("primary-tumor-site", None, 12, order="lung", status="D", sent=13)
    await ward.say(told(other, sent=13))
    assert scores(ward)[-1].abstained is None
    assert ward.last.state is AlertState.FIRING


async def test_withdrawn_pathology_withdraws_the_alert() -> None:
    ward = Ward(HEADS)
    await operated(ward)
    gone = [result(f.code, None, 10, order=f.id, status="D", sent=11) for f in pathology(10)]
    await ward.say(told(*gone, sent=11))
    assert scores(ward)[-1].abstained == "not_eligible"
    assert (ward.last.state, ward.last.reason) == (AlertState.WITHDRAWN, R.DATA_CHANGED)


async def test_a_child_gets_no_score_in_any_year() -> None:
    """Of START, 2023; who was a child at the operation stays out when grown up."""
    ward = Ward(GLIOMAS)
    await ward.say(told(person(2008), result("extent-of-resection", "biopsy", 0)))
    assert scores(ward)[-1].abstained == "out_of_distribution"
    await ward.say(told(result("who-cns-grade", "4", 5)))
    await ward.say(told(result("8867-4", 80.0, 170, "/min")))
    assert {s.abstained for s in scores(ward)} == {"out_of_distribution"}
    assert ward.told == []
