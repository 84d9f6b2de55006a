"""Features that combine variables: ratios, rates and differences that clinicians read.

Each is computed from other features of the same row, and NaN where one of them is. Divisors cannot
be zero: plausible ranges (`models.variables`) exclude it.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any, NamedTuple

import numpy as np

_WORDS = {"last": "last", "lowest": "lowest", "highest": "highest", "mean": "mean"}
_USUAL_WEIGHT = 75.0  # kg, where it is not known
# Tests that are not done for everybody: asking for them says something.
_ON_DEMAND = (
    *("lactate", "albumin", "alp", "alt", "ast", "bilirubin", "cholesterol"),
    *("troponin_i", "troponin_t", "pao2", "paco2", "ph"),
)


class Derived(NamedTuple):
    """One combined feature."""

    name: str  # group.statistic
    group: str
    display: str
    unit: str
    inputs: tuple[str, ...]  # names of features
    combine: Callable[..., float]


def _either(invasive: float, cuff: float) -> float:
    return invasive if invasive == invasive else cuff  # noqa: PLR0124 - NaN differs from itself


def _pressures() -> Iterator[Derived]:
    for name, display in (("sbp", "Systolic"), ("map", "Mean"), ("dbp", "Diastolic")):
        for s, word in _WORDS.items():
            yield Derived(
                f"{name}.{s}", name, f"{display} pressure, either method, {word}", "mm[Hg]",
                (f"{name}_invasive.{s}", f"{name}_cuff.{s}"), _either,
            )  # fmt: skip


def _ratios() -> Iterator[Derived]:
    for s in ("last", "mean"):
        word = _WORDS[s]
        yield Derived(
            f"pulse_pressure.{s}", "pulse_pressure", f"Pulse pressure, {word}", "mm[Hg]",
            (f"sbp.{s}", f"dbp.{s}"), lambda systolic, diastolic: systolic - diastolic,
        )  # fmt: skip
        yield Derived(
            f"shock_index.{s}", "shock_index", f"Heart rate to systolic pressure, {word}", "1",
            (f"heart_rate.{s}", f"sbp.{s}"), lambda rate, systolic: rate / systolic,
        )  # fmt: skip
        yield Derived(
            f"pf.{s}", "pf", f"Arterial to inspired oxygen, {word}", "mm[Hg]",
            (f"pao2.{s}", f"fio2.{s}"), lambda oxygen, percent: 100 * oxygen / percent,
        )  # fmt: skip
        yield Derived(
            f"sf.{s}", "sf", f"Saturation to inspired oxygen, {word}", "%",
            (f"spo2.{s}", f"fio2.{s}"), lambda saturation, percent: 100 * saturation / percent,
        )  # fmt: skip
        yield Derived(
            f"bun_creatinine.{s}", "bun_creatinine", f"Urea nitrogen to creatinine, {word}", "1",
            (f"urea_nitrogen.{s}", f"creatinine.{s}"), lambda urea, creatinine: urea / creatinine,
        )  # fmt: skip
        yield Derived(
            f"age_bun.{s}", "age_bun", f"Urea nitrogen times age in centuries, {word}", "mg/dL",
            (f"urea_nitrogen.{s}", "age"), lambda urea, age: urea * age / 100,
        )  # fmt: skip
        yield Derived(
            f"gcs_age.{s}", "gcs_age", f"Coma score less a twentieth of the age, {word}", "{score}",
            (f"gcs.{s}", "age"), lambda gcs, age: gcs - age / 20,
        )  # fmt: skip
    yield Derived(
        "pf.lowest", "pf", "Lowest arterial to highest inspired oxygen", "mm[Hg]",
        ("pao2.lowest", "fio2.highest"), lambda oxygen, percent: 100 * oxygen / percent,
    )  # fmt: skip


def _body() -> Iterator[Derived]:
    yield Derived(
        "bmi", "bmi", "Body mass index", "kg/m2",
        ("weight.first", "height.last"), lambda kg, cm: kg / (cm / 100) ** 2,
    )  # fmt: skip
    yield Derived(
        "osmolality", "osmolality", "Osmolality by sodium, glucose and urea", "mmol/kg",
        ("sodium.last", "glucose.last", "urea_nitrogen.last"),
        lambda sodium, glucose, urea: 2 * sodium + glucose / 18 + urea / 2.8,
    )  # fmt: skip
    yield Derived(
        "sodium_bicarbonate", "sodium_bicarbonate", "Sodium less bicarbonate", "mmol/L",
        ("sodium.last", "bicarbonate.last"), lambda sodium, bicarbonate: sodium - bicarbonate,
    )  # fmt: skip


def _rates() -> Iterator[Derived]:
    """Urine for each hour (and kilogram); the first hour counts in full. Of columns as well."""

    def rate(hours: float) -> Callable[..., Any]:
        return lambda total, stay: total / np.fmax(1.0, np.minimum(stay, hours))

    def rate_by_weight(hours: float) -> Callable[..., Any]:
        return lambda total, stay, kg: (
            total
            / np.fmax(1.0, np.minimum(stay, hours))
            / np.where(np.isnan(kg), _USUAL_WEIGHT, kg)
        )

    yield Derived(
        "urine_rate.48h", "urine_rate", "Urine by the hour, 48 h", "mL/h",
        ("urine.sum_48h", "hours"), rate(48.0),
    )  # fmt: skip
    for span in (12, 24, 48):
        yield Derived(
            f"urine_rate_kg.{span}h", "urine_rate", f"Urine by hour and weight, {span} h",
            "mL/kg/h", (f"urine.sum_{span}h", "hours", "weight.last"), rate_by_weight(float(span)),
        )  # fmt: skip


DERIVED: tuple[Derived, ...] = (*_pressures(), *_ratios(), *_body(), *_rates())
ON_DEMAND: frozenset[str] = frozenset(_ON_DEMAND)
