"""Values in canonical units, or the reason why not."""

from __future__ import annotations

import pytest

from models.questions import GLIOMA
from models.units import Affine, Rejection, affine, canonical
from models.variables import BY_CODE, BY_NAME, CATALOGUE
from tests.unit.models.patients import HEART_RATE, observation


@pytest.mark.parametrize(
    ("variable", "unit", "value", "expected"),
    [
        ("creatinine", "umol/L", 100.0, 1.131),
        ("glucose", "mmol/L", 10.0, 180.2),
        ("urea_nitrogen", "mmol/L", 10.0, 28.01),
        ("bilirubin", "umol/L", 17.1, 1.0),
        ("magnesium", "mmol/L", 1.0, 2.43),
        ("magnesium", "meq/L", 2.0, 2.43),
        ("lactate", "mg/dL", 9.008, 1.0),
        ("sodium", "meq/L", 140.0, 140.0),
        ("pao2", "kPa", 10.0, 75.0),
        ("temperature", "[degF]", 98.6, 37.0),
        ("temperature", "degC", 37.0, 37.0),
        ("leukocytes", "10*9/L", 7.0, 7.0),
        ("leukocytes", "/uL", 7_000.0, 7.0),
        ("leukocytes", "G/L", 7.0, 7.0),
        ("platelets", "/nL", 200.0, 200.0),
        ("platelets", "K/uL", 200.0, 200.0),
        ("troponin_t", "ng/L", 14.0, 0.014),
        ("fio2", "1", 0.4, 40.0),
        ("hematocrit", "L/L", 0.4, 40.0),
        ("albumin", "g/L", 35.0, 3.5),
        ("weight", "lbs", 200.0, 90.72),
        ("urine", "L", 1.5, 1_500.0),
        ("heart_rate", "bpm", 80.0, 80.0),
        ("heart_rate", "{beats}/min", 80.0, 80.0),
        ("sbp_cuff", "mmHg", 120.0, 120.0),
        ("ph", "", 7.4, 7.4),
        ("gcs", "{score}", 15.0, 15.0),
    ],
)
def test_a_value_is_converted_to_the_canonical_unit(
    variable: str, unit: str, value: float, expected: float
) -> None:
    how = affine(BY_NAME[variable], unit)
    assert isinstance(how, Affine)
    assert how.factor * value + how.offset == pytest.approx(expected, rel=2e-3)


@pytest.mark.parametrize(
    "unit",
    ["10*400", "10*-400", "cph", "hph", "/0", "mg.", "mg." * 800, "(" * 5_000, "1e309 g", "[pH]2"],
)
@pytest.mark.parametrize("variable", ["spo2", "heart_rate", "creatinine", "ph", "gcs"])
def test_text_that_is_nearly_a_unit_is_refused_and_raises_nothing(variable: str, unit: str) -> None:
    assert isinstance(affine(BY_NAME[variable], unit), Rejection)


@pytest.mark.parametrize("variable", CATALOGUE, ids=lambda v: v.name)
def test_the_canonical_unit_changes_nothing(variable: object) -> None:
    entry = BY_NAME[variable.name]  # type: ignore[attr-defined]
    if not entry.answers:
        assert affine(entry, entry.unit) == Affine(1.0, 0.0)


@pytest.mark.parametrize(
    ("value", "unit", "reason"),
    [
        (80.0, "", Rejection.UNIT_MISSING),
        (80.0, "furlong", Rejection.UNIT_UNKNOWN),
        (80.0, "mm[Hg]", Rejection.UNIT_INCOMPATIBLE),
        (0.0, "/min", Rejection.IMPLAUSIBLE),
        (900.0, "/min", Rejection.IMPLAUSIBLE),
        ("fast", "/min", Rejection.NOT_A_NUMBER),
        (float("nan"), "/min", Rejection.NOT_A_NUMBER),
        (float("inf"), "/min", Rejection.NOT_A_NUMBER),
    ],
)
def test_what_cannot_be_used_has_a_reason(value: float | str, unit: str, reason: Rejection) -> None:
    found = canonical(BY_CODE[HEART_RATE], observation(HEART_RATE, 1, value, unit=unit))
    assert found is reason


def test_coded_answers_are_numbers_and_unknown_ones_are_refused() -> None:
    ventilated = BY_NAME["ventilated"]
    code = ventilated.codes[0]
    assert canonical(ventilated, observation(code, 1, "Mechanical ventilation")) == 1.0
    assert canonical(ventilated, observation(code, 1, 1.0)) == 1.0
    assert canonical(ventilated, observation(code, 1, "off")) == 0.0
    assert canonical(ventilated, observation(code, 1, "?")) is Rejection.UNKNOWN_ANSWER


def test_no_code_belongs_to_two_variables() -> None:
    assert len(BY_CODE) == sum(len(v.codes) for v in CATALOGUE)


_MGMT = next(
    one.variable for one in GLIOMA.inputs if "mgmt-methylation-index" in one.variable.codes
)


@pytest.mark.parametrize(
    ("value", "unit", "wanted"),
    [
        (9.0, "{sites}", 9.0),
        (9.0, "{CpG sites}", 9.0),
        ("9", "sites", 9.0),
        (0.0, "{sites}", 0.0),
        ("methylated", "", 9.35),
        ("Unmethylated", "", 0.0),
        (9.0, "%", Rejection.UNIT_INCOMPATIBLE),
        ("9", "%", Rejection.UNIT_INCOMPATIBLE),
        (35.4, "%", Rejection.UNIT_INCOMPATIBLE),
        (1.0, "1", Rejection.UNIT_INCOMPATIBLE),
        (0.0, "{ratio}", Rejection.UNIT_INCOMPATIBLE),
        (9.0, "", Rejection.UNIT_MISSING),
        ("0", "", Rejection.UNIT_MISSING),
        ("9.0", "", Rejection.UNIT_MISSING),
        ("9.0", "%", Rejection.UNIT_INCOMPATIBLE),
        (18.0, "{sites}", Rejection.UNKNOWN_ANSWER),
        (4.5, "{sites}", Rejection.UNKNOWN_ANSWER),
        ("9/17", "{sites}", Rejection.UNKNOWN_ANSWER),
    ],
)
def test_methylation_is_a_number_of_sites_and_no_other_number(
    value: float | str, unit: str, wanted: float | Rejection
) -> None:
    assert canonical(_MGMT, observation("mgmt-methylation-index", 0, value, unit=unit)) == wanted
