"""What is read of a tumour's patient: answers that cannot be read, contradictions, index dates."""

from __future__ import annotations

import math
from collections.abc import Sequence

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from msgspec.structs import replace

from connectors.contract import SetAside
from connectors.facts import AnyFact, Observation
from models.bundle import load_bundle
from models.inputs import DAY_S
from models.multimodal import MultimodalModel
from models.questions import GLIOMA, HEAD_NECK, QUESTIONS
from models.reading import Reader
from models.record import PatientRecord
from models.risk import Assessment
from models.training.tumours import START
from models.units import Rejection, canonical
from tests.unit.models.test_multimodal import EVERYTHING, MRI, OPERATION, person, record, said

NOW = START + 20 * DAY_S
READERS = {risk: Reader(question) for risk, question in QUESTIONS.items()}
VARIABLES = {
    i.variable.name: i.variable for question in QUESTIONS.values() for i in question.inputs
}


@pytest.fixture(scope="module")
def glioma() -> MultimodalModel:
    found = load_bundle(None, GLIOMA.risk)
    assert isinstance(found, MultimodalModel)
    return found


def value(code: str, facts: Sequence[AnyFact], as_of: float = NOW) -> float:
    """Of one input of the glioma question."""
    names = [one.variable.name for one in GLIOMA.inputs]
    return READERS[GLIOMA.risk].read(record(facts), as_of).values[names.index(code)]


def rejected(found: Assessment) -> list[tuple[str, str]]:
    assert all(isinstance(one, SetAside) for one in found.missing.set_aside)
    return [(one.feature, one.reason) for one in found.missing.set_aside]


# ── spellings ───────────────────────────────────────────────────────────────────────────────


SPELLED: list[tuple[str, float, tuple[float | str, ...]]] = [
    ("idh-status", 0.0, ("wild type", "Wild-Type", "WT", "IDH-wildtype", "IDH wt", "IDH1/2 WT")),
    ("idh-status", 0.0, ("not detected", "Negative", "LA11883-8")),
    ("idh-status", 1.0, ("MUTATED", "IDH1 p.R132H", "R172K", "p.Arg132Cys", "IDH mutant")),
    ("idh-status", 1.0, ("detected", "IDH1-mutated", "LA9633-4")),
    ("mgmt-methylation", 9.35, ("methylated", "Positive", "MGMT promoter methylated")),
    ("mgmt-methylation", 0.0, ("unmethylated", "not methylated", "non-methylated")),
    ("1p19q-status", 1.0, ("co-deleted", "1p/19q codeletion present", "codeletion")),
    ("1p19q-status", 0.0, ("intact", "non-codeleted", "1p/19q intact", "absent")),
    ("who-cns-grade", 4.0, ("IV", "WHO grade 4", "grade IV", "G4", 4.0, "396925001")),
    ("who-cns-grade", 2.0, ("G2", "WHO grade II", "CNS WHO grade 2", "2.0")),
    ("extent-of-resection", 2.0, ("GTR", "gross-total resection")),
    ("pT-stage", 5.0, ("pT2", "T2", "PT 2")),
    ("pT-stage", 8.0, ("pT4b", "T4b")),
    ("pN-stage", 6.0, ("pN2b", "N2b")),
    ("grading", 1.0, ("G2", "grade 2", "moderately differentiated")),
    ("hpv-association-p16", 2.0, ("positive", "p16-positive", "10828004")),
    ("resection-status", 1.0, ("r1",)),
    ("perineural-invasion-Pn", 1.0, ("Pn1", "present")),
    ("primary-tumor-site", 3.0, ("Oral_Cavity",)),
]
UNCLEAR: dict[str, tuple[float | str, ...]] = {
    "idh-status": ("indeterminate", "see comment", "IDH1 wild type", "VUS", ""),
    "mgmt-methylation": ("weakly methylated", "1-2", "-1", "12 %", "partial"),
    "1p19q-status": ("1p deleted", "relative co-deletion", "pending"),
    "who-cns-grade": ("2-3", "II-III", "5", 2.5, "high grade", "V"),
    "pT-stage": ("cT2", "ypT2", "rpT2", "2", 2.0, "pT2-3", "T4", "pT5"),
    "grading": ("2", 2.0, "G4", "low grade"),
    "hpv-association-p16": ("1", "equivocal"),
    "primary-tumor-site": ("lung", "4", "cervix uteri"),
}


@pytest.mark.parametrize(("name", "expected", "texts"), SPELLED)
def test_answers_are_read_in_the_spellings_of_the_field(
    name: str, expected: float, texts: tuple[float | str, ...]
) -> None:
    for text in texts:
        assert canonical(VARIABLES[name], said(name, text)) == expected, text


@pytest.mark.parametrize("name", UNCLEAR)
def test_what_could_mean_several_things_is_not_guessed(name: str) -> None:
    for text in UNCLEAR[name]:
        found = canonical(VARIABLES[name], said(name, text))
        assert found is Rejection.UNKNOWN_ANSWER, text


def test_every_spelling_means_one_thing() -> None:
    """Two answers of one input that are spelled alike would be decided by their order."""
    for variable in VARIABLES.values():
        for text, number in variable.answers:
            one = said(variable.codes[0] if variable.codes else "x", text)
            count = variable.counted[0] if variable.counted and len(text) < 3 else ""
            assert canonical(variable, replace(one, unit=count)) == number, (variable.name, text)


# ── answers that cannot be read ─────────────────────────────────────────────────────────────


@pytest.mark.parametrize("text", ["indeterminate", "see comment", "failed: too little tissue"])
def test_an_unreadable_answer_silences_the_older_one_and_the_images(
    glioma: MultimodalModel, text: str
) -> None:
    known = [*person(), *OPERATION, *MRI, said("idh-status", "mutated", day=10)]
    found = glioma.assess([(record([*known, said("idh-status", text, day=14)]), NOW)])[0]
    without = glioma.assess([(record([*person(), *OPERATION]), NOW)])[0]
    assert found.log_odds == without.log_odds, "neither the result before nor the guess"
    assert rejected(found) == [("IDH", "unknown_answer")]
    assert [w.datum for w in found.missing.what_if] == ["IDH", "IDH"], "it is still pending"


def test_two_answers_of_one_time_decide_nothing(glioma: MultimodalModel) -> None:
    one, other = (
        Observation(
            id=f"lab-{v}",
            rank=(1, START + 14 * DAY_S, 0, ""),
            code="idh-status",
            system="99TCS",
            time=START + 14 * DAY_S,
            status="F",
            value=v,
        )
        for v in ("wild type", "mutated")
    )
    known = [*person(), *OPERATION, *MRI]
    either = [
        glioma.assess([(record([*known, *pair]), NOW)])[0] for pair in ([one, other], [other, one])
    ]
    assert either[0] == either[1]
    assert rejected(either[0]) == [("IDH", "contradiction")]
    assert either[0].log_odds == glioma.log_odds([(record([*person(), *OPERATION]), NOW)])[0]
    settled = [*known, one, other, said("idh-status", "IDH-mutant", day=16)]
    plain = [*known, said("idh-status", "mutated", day=16)]
    assert glioma.assess([(record(settled), NOW)]) == glioma.assess([(record(plain), NOW)])


def test_two_answers_that_agree_are_one() -> None:
    at = START + 14 * DAY_S
    pair = [
        Observation(
            id=f"lab-{v}", rank=(1, at, 0, ""), code="idh-status", system="99TCS", time=at,
            status="F", value=v,
        )
        for v in ("WT", "wild-type")
    ]  # fmt: skip
    assert value("idh-status", [*OPERATION, *pair]) == 0.0


def test_a_corrected_answer_settles_it() -> None:
    at = START + 14 * DAY_S
    unread = said("idh-status", "see comment", day=14)
    corrected = Observation(
        id=unread.id, rank=(1, at + 60, 1, ""), code="idh-status", system="99TCS", time=at,
        status="C", value="mutated",
    )  # fmt: skip
    assert math.isnan(value("idh-status", [*OPERATION, unread]))
    assert value("idh-status", [*OPERATION, unread, corrected]) == 1.0


def test_of_codes_that_are_reported_together_the_one_that_can_be_read_counts() -> None:
    index = said("mgmt-methylation-index", "see comment", day=14)
    status = said("mgmt-methylation", "methylated", day=14)
    assert value("mgmt-methylation", [*OPERATION, index, status]) == 9.35
    newer = said("mgmt-methylation-index", "see comment", day=15)
    assert math.isnan(value("mgmt-methylation", [*OPERATION, newer, status]))


def test_an_unreadable_answer_does_not_make_a_score_new(glioma: MultimodalModel) -> None:
    known = [*person(), *OPERATION]
    unread = said("idh-status", "indeterminate", day=100)
    at = [START + d * DAY_S for d in (187.0, 188.0)]
    asked = record([*known, unread])
    assert [a.abstained for a in glioma.assess([(asked, t) for t in at])] == [None, "stale_data"]
    assert glioma.expires_at(asked, at[0]) == START + (7 + GLIOMA.expires_d) * DAY_S


# ── whatever the order ──────────────────────────────────────────────────────────────────────

_CODES = {
    GLIOMA.risk: {
        "extent-of-resection": ("biopsy", "GTR", "?"),
        "who-cns-grade": ("IV", 2.0, "see comment"),
        "idh-status": ("wt", "mutated", "indeterminate"),
        "radiomics-shape_Sphericity-T1c_bias": (0.5, 0.7, "failed"),
    },
    HEAD_NECK.risk: {
        "primary-tumor-site": ("larynx", "oropharynx", "lung"),
        "resection-status": ("R0", "R1", "see comment"),
        "pT-stage": ("pT2", "pT4a", "cT2"),
        "718-7": (9.0, 14.0, "hemolysed"),
        "hpv-association-p16": ("positive", "negative", "equivocal"),
    },
}
_UNITS = {"718-7": "g/dL", "radiomics-shape_Sphericity-T1c_bias": "1"}
_DAYS = (-400, -30, 0, 0, 10, 10, 30, 170, 300, 800, 1_200)


@st.composite
def results(draw: st.DrawFn, risk: str) -> list[Observation]:
    """Results of some years, some of one time, some withdrawn or corrected later."""
    found: list[Observation] = []
    for n in range(draw(st.integers(1, 9))):
        code = draw(st.sampled_from(sorted(_CODES[risk])))
        day = draw(st.sampled_from(_DAYS))
        for version in range(draw(st.integers(1, 2))):
            removed = bool(version) and draw(st.booleans())
            found.append(
                Observation(
                    id=f"o{n}",
                    rank=(1, START + (day + version) * DAY_S, version, ""),
                    removed=removed,
                    code=code,
                    system="99TCS",
                    time=START + day * DAY_S,
                    status="D" if removed else "CF"[not version],
                    value=None if removed else draw(st.sampled_from(_CODES[risk][code])),
                    unit=_UNITS.get(code, ""),
                )
            )
    return found


def folded(facts: Sequence[AnyFact]) -> PatientRecord:
    return record([*person(), *facts])


@pytest.mark.parametrize("risk", sorted(QUESTIONS))
@given(data=st.data())
@settings(max_examples=60, deadline=None)
def test_order_repetition_and_withdrawal(risk: str, data: st.DataObject) -> None:
    """Any order gives one answer, repetition changes nothing, what is withdrawn never came, what
    is dated later is not seen."""
    model = load_bundle(None, risk)
    facts = data.draw(results(risk))
    as_of = START + data.draw(st.sampled_from((0.0, 12.0, 100.0, 200.0, 500.0, 900.0))) * DAY_S
    plain = model.assess([(folded(facts), as_of)])
    mixed = data.draw(st.permutations([*facts, *facts[: len(facts) // 2]]))
    assert model.assess([(folded(mixed), as_of)]) == plain
    withdrawn = {f.id for f in facts if f.removed}
    never = [f for f in facts if f.id not in withdrawn]
    assert model.assess([(folded(never), as_of)]) == plain
    seen = [f for f in facts if f.time <= as_of]
    assert model.assess([(folded(seen), as_of)]) == plain
    halves = PatientRecord()
    for some in (facts[::2], facts[1::2], person()):  # two records that become one
        halves.fold_facts(folded(some).facts.values())
    assert model.assess([(halves, as_of)]) == plain


@pytest.mark.parametrize("risk", sorted(QUESTIONS))
@given(data=st.data())
@settings(max_examples=40, deadline=None)
def test_an_answer_stands_until_it_says_that_it_expires(risk: str, data: st.DataObject) -> None:
    model = load_bundle(None, risk)
    known = folded(data.draw(results(risk)))
    as_of = START + data.draw(st.sampled_from((12.0, 100.0, 200.0, 500.0))) * DAY_S
    if model.log_odds([(known, as_of)]) == [None]:
        return
    end = model.expires_at(known, as_of)
    until = [t for t in (end, end + 1.0) if known.next_observation(model.codes, as_of) is None]
    answers = model.assess([(known, t) for t in until])
    assert [a.abstained for a in answers] in ([], [None, "stale_data"], [None, "question_over"])


def test_the_training_matrix_reads_as_the_running_system_does() -> None:
    """Of all of a patient's results, none is left out by what is said here of their times."""
    for risk, facts in EVERYTHING.items():
        read = READERS[risk].read(record(facts), NOW)
        there = {f.code for f in facts if isinstance(f, Observation)}
        known = {
            code
            for one, v in zip(QUESTIONS[risk].inputs, read.values, strict=True)
            for code in one.variable.codes
            if not math.isnan(v)
        }
        assert there <= known
