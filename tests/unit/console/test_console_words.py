"""Words, numbers, units and times of the console."""

from __future__ import annotations

import pytest

from connectors.contract import (
    AlertReason,
    AlertState,
    Contribution,
    Missing,
    SetAside,
    Severity,
    WhatIf,
)
from connectors.facts import Observation
from connectors.identity import Identity
from models import multimodal
from models.record import PatientRecord
from models.units import Rejection
from streams.console.course import course_words
from streams.console.times import HospitalTime, duration
from streams.console.units import (
    display_number,
    display_unit,
    display_value,
    percent,
    percent_range,
    signed,
)
from streams.console.words import (
    ABSTENTIONS,
    REASONS,
    REJECTIONS,
    SEVERITIES,
    STATES,
    birth_words,
    contribution_words,
    full_name,
    missing_words,
    place,
    risk_words,
    set_aside_words,
    what_if_words,
)


def plain(text: str) -> str:
    return text.replace("\u00a0", " ")


@pytest.mark.parametrize(
    ("ucum", "written"),
    [
        ("Cel", "°C"),
        ("mm[Hg]", "mmHg"),
        ("/min", "/min"),
        ("%", "%"),
        ("mmol/L", "mmol/L"),
        ("10*3/uL", "×10³/µL"),
        ("10*9/L", "×10⁹/L"),
        ("10^12/L", "×10¹²/L"),
        ("ug/L", "µg/L"),
        ("umol/L", "µmol/L"),
        ("[IU]/L", "IU/L"),
        ("m[IU]/L", "mIU/L"),
        ("meq/L", "mEq/L"),
        ("{score}", ""),
        ("[pH]", ""),
        ("{breaths}/min", "/min"),
        ("mL/min/{1.73_m2}", "mL/min"),
        ("kg/m2", "kg/m²"),
        ("cm[H2O]", "cmH₂O"),
        ("1", ""),
        ("", ""),
        ("breaths per minute", "breaths per minute"),
    ],
)
def test_ucum_becomes_what_clinicians_write(ucum: str, written: str) -> None:
    """Codes of UCUM; text that is none stays as it was sent."""
    assert display_unit(ucum) == written


@pytest.mark.parametrize(
    ("value", "text"),
    [(4.2, "4.2"), (104.0, "104"), (104.4, "104"), (7.31, "7.31"), (36.94, "36.9"), (0.08, "0.08"),
     (0.0123, "0.012"), (1250, "1250"), (-2.5, "−2.5"), (0, "0"), (3.0, "3")],
)  # fmt: skip
def test_numbers_have_the_digits_that_mean_something(value: float, text: str) -> None:
    """Neither 104.40000 nor 0."""
    assert display_number(value) == text


def test_values_carry_unit_and_censoring() -> None:
    """A bound stays a bound; text stays text; nothing is a dash."""
    assert plain(display_value(4.2, "mmol/L")) == "4.2 mmol/L"
    assert plain(display_value(0.01, "ug/L", "<")) == "< 0.01 µg/L"
    assert plain(display_value(300, "mg/dL", ">=")) == "≥ 300 mg/dL"
    assert plain(display_value(97, "%")) == "97 %"
    assert display_value("positive") == "positive"
    assert display_value(None, "mmol/L") == "–"


def test_percentages_do_not_claim_certainty() -> None:
    """Never 0 % or 100 %."""
    assert plain(percent(0.4231)) == "42 %"
    assert plain(percent(0.0004)) == "< 1 %"
    assert plain(percent(0.9999)) == "> 99 %"
    assert plain(percent_range((0.352, 0.501))) == "35–50 %"


def test_effects_have_a_sign_unless_they_are_nothing() -> None:
    """Typographic minus; no −0.00."""
    assert [signed(x) for x in (0.824, -0.104, 0.001, -0.001)] == ["+0.82", "−0.10", "0.00", "0.00"]


def test_a_reason_reads_as_a_nurse_would_say_it() -> None:
    """Name, value, unit, effect."""
    lactate = Contribution(
        feature="Lactate, last value", value=4.2, unit="mmol/L", contribution=0.812
    )
    assert plain(contribution_words(lactate)) == "Lactate 4.2 mmol/L (+0.8)"
    rate = Contribution(
        feature="Heart rate, mean of 6 h", value=112, unit="/min", contribution=-0.2
    )
    assert plain(contribution_words(rate)) == "Heart rate, mean of 6 h: 112 /min (−0.2)"
    sex = Contribution(feature="Male sex", value=1.0, unit="", contribution=0.1)
    assert contribution_words(sex) == "Male sex: yes (+0.1)"
    count = Contribution(feature="Lactate, never measured", value=None, unit="", contribution=-0.3)
    assert contribution_words(count) == "Lactate, never measured (−0.3)"


def test_what_is_missing_is_named_and_counted() -> None:
    """Modalities first; what is said on its own is not repeated."""
    missing = Missing(
        modalities=["imaging"], next_datum="pH", features=["pH", "Albumin", "Glucose", "Urea"]
    )
    assert missing_words(missing, most=3) == "Imaging, Albumin, Glucose and 1 more"
    assert missing_words(missing, most=9) == "Imaging, Albumin, Glucose, Urea"
    assert missing_words(Missing(modalities=[], next_datum=None), most=3) == ""


def test_every_code_of_the_contract_has_words() -> None:
    """A new state, reason or severity cannot reach a ward as a code."""
    assert set(STATES) == set(AlertState)
    assert set(REASONS) == set(AlertReason)
    assert set(SEVERITIES) == set(Severity)
    assert risk_words("brain-fog").name == "Brain fog"


def test_names_fall_back_to_the_pseudonym() -> None:
    """Unknown to the vault, or known without a name."""
    assert full_name(Identity(identifiers=(), family="Okafor", given="Grace"), "p-1") == (
        "Okafor, Grace"
    )
    assert full_name(Identity(identifiers=(), given="Grace"), "p-1") == "Grace"
    assert full_name(Identity(identifiers=()), "p-1") == "p-1"
    assert full_name(None, "p-1") == "p-1"


def test_places_and_births_say_what_is_known() -> None:
    """Half a location, and dates as exact as they were sent."""
    assert place("4A", "12") == "Ward 4A, bed 12"
    assert place("", "12") == "Bed 12"
    assert place("", "") == "No location"
    births = ("19540312", "195403", "1954", "19541345", "about 1954", "19540312103000")
    assert [birth_words(b) for b in births] == [
        "12 Mar 1954",
        "Mar 1954",
        "1954",
        "1954",
        "about 1954",
        "12 Mar 1954",
    ]


def test_times_are_the_hospitals() -> None:
    """In its zone, summer time included; the day only where it is another one."""
    vienna = HospitalTime("Europe/Vienna")
    winter, summer = 1_795_435_200.0, 1_782_900_000.0  # 2026-11-23 12:00, 2026-07-01 10:00 UTC
    assert vienna.clock(winter) == "13:00:00"
    assert vienna.day(winter) == "Mon 23 Nov 2026"
    assert vienna.moment(winter, winter + 60) == "13:00"
    assert vienna.moment(winter, winter + 86_400) == "23 Nov 13:00"
    assert vienna.moment(summer, winter) == "1 Jul 12:00"
    assert vienna.moment(winter - 400 * 86_400, winter) == "19 Oct 2025 14:00"
    assert vienna.plot(winter) == "2026-11-23 13:00:00"


def test_an_unknown_time_zone_is_refused() -> None:
    """With an example of a known one."""
    for zone in ("Vienna", "../etc/passwd", "Europe"):
        with pytest.raises(ValueError, match=r"is not a known time zone, e\.g\. Europe/Vienna"):
            HospitalTime(zone)


@pytest.mark.parametrize(
    ("seconds", "text"),
    [(-3, "0 s"), (40, "40 s"), (61, "1 min"), (3_600, "1 h"), (7_800, "2 h 10 min"),
     (86_400, "1 d"), (273_600, "3 d 4 h")],
)  # fmt: skip
def test_durations_are_short(seconds: float, text: str) -> None:
    """Two units at most."""
    assert duration(seconds) == text


def test_every_reason_of_the_tumour_risks_has_words() -> None:
    assert {str(reason) for reason in multimodal.Abstention} <= ABSTENTIONS.keys()
    assert {str(reason) for reason in Rejection} <= REJECTIONS.keys()


def test_a_score_says_what_came_and_what_is_pending() -> None:
    refused = SetAside(feature="IDH", reason="unknown_answer", as_of="2026-11-23T10:00:00Z")
    deadly = SetAside(
        feature="Oxygen saturation", value=21.0, unit="%", reason="critical_value",
        as_of="2026-11-23T10:00:00Z",
    )  # fmt: skip
    pending = [
        WhatIf(datum="IDH", answer=answer, probability=p)
        for answer, p in (("wildtype", 0.62), ("mutated", 0.31))
    ]
    missing = Missing(modalities=[], next_datum=None, set_aside=[refused, deadly], what_if=pending)
    assert plain(set_aside_words(missing)) == (
        "IDH: an answer that is not known; Oxygen saturation 21 %: an emergency by itself"
    )
    said = plain(what_if_words(missing))
    assert said == "If IDH came back wildtype: 62 %; mutated: 31 %."
    nothing = Missing(modalities=[], next_datum=None)
    assert (set_aside_words(nothing), what_if_words(nothing)) == ("", "")


def test_a_tumours_question_says_from_when_it_counts() -> None:
    times, record = HospitalTime("UTC"), PatientRecord()
    at = 1_795_000_000.0
    assert course_words("glioma-survival", record, times) == ""
    record.fold_facts(
        [
            Observation(
                id="a", rank=(1, at, 0, ""), code="extent-of-resection", system="99TCS", time=at,
                status="F", value="GTR",
            )
        ]
    )  # fmt: skip
    record.clock = at
    said = course_words("glioma-survival", record, times)
    assert said == "Counts from Wed 18 Nov 2026, is over after Fri 17 Nov 2028."
    record.clock = at + 731 * 86_400.0
    assert "was over" in course_words("glioma-survival", record, times)
    assert course_words("sepsis", record, times) == ""
