"""NEWS2, the National Early Warning Score 2: the chart, read from a record.

Up to three points for each of seven parameters. What was not observed counts none. Scale 2 for
oxygen saturation (hypercapnic respiratory failure) is used only when the record says so.

Source: Royal College of Physicians, National Early Warning Score (NEWS) 2, 2017. Codes of
consciousness: SNOMED CT, and LOINC 80288-4 and 67775-7.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Sequence
from typing import Any, NamedTuple

from connectors.contract import SetAside
from connectors.facts import Observation
from models.record import PatientRecord
from models.series import SeriesCache, not_used
from models.variables import BY_NAME, Variable

WINDOW_S = 24 * 3600.0  # twice the longest interval that the chart allows between observations
URGENT, EMERGENCY, RED = 5, 7, 3  # totals that trigger; points in one parameter that do
_ROOM_AIR = 21.0  # % of inspired oxygen
_ALERT = 15.0  # Glasgow coma score

# Answers as numbers: is anything but alertness said; on which scale is saturation read?
_CVPU = (
    *((word, 0.0) for word in ("alert", "a", "248234008")),
    *((word, 1.0) for word in ("confusion", "new confusion", "confused", "c", "130987000")),
    *((word, 1.0) for word in ("voice", "responds to voice", "v", "300202002")),
    *((word, 1.0) for word in ("pain", "responds to pain", "p", "450847001")),
    *((word, 1.0) for word in ("unresponsive", "u", "422768004")),
)
_SCALES = (("1", 1.0), ("scale 1", 1.0), ("2", 2.0), ("scale 2", 2.0))
CONSCIOUSNESS = Variable(
    "consciousness", "Consciousness (ACVPU)", ("80288-4", "67775-7", "1104441000000107"),
    "", 0, 1, answers=_CVPU,
)  # fmt: skip
OXYGEN_FLOW = Variable("oxygen_flow", "Inhaled oxygen flow", ("3151-8",), "L/min", 0, 100)
SCALE = Variable(
    "saturation_scale", "NEWS2 saturation scale", ("news2-spo2-scale",), "", 1, 2, answers=_SCALES
)

READ: tuple[Variable, ...] = (
    *(BY_NAME[n] for n in ("resp_rate", "spo2", "sbp_invasive", "sbp_cuff", "heart_rate")),
    *(BY_NAME[n] for n in ("temperature", "gcs", "fio2", "ventilated")),
    CONSCIOUSNESS,
    OXYGEN_FLOW,
    SCALE,
)


CODES: frozenset[str] = frozenset(code for v in READ for code in v.codes)


def contract() -> dict[str, Any]:
    """What the points rest on; a bundle made under another chart is refused."""
    return {
        "window_s": WINDOW_S,
        "features": ["total"],
        "variables": {
            v.name: [v.unit, v.low, v.high, v.molar_mass, v.valence, list(v.codes)] for v in READ
        },
    }


class Points(NamedTuple):
    """One parameter of the chart."""

    name: str
    value: float | None  # None: not observed
    unit: str
    points: int
    observation: Observation | None = None


class _Reading(NamedTuple):
    value: float
    time: float
    observation: Observation
    variable: Variable


def respiration_points(rate: float) -> int:
    """Breaths a minute."""
    return _points(_whole(rate), ((8, 3), (11, 1), (20, 0), (24, 2)), 3)


def saturation_points(saturation: float, scale: int, on_oxygen: bool) -> int:
    """Per cent, on scale 1 or 2. More than the target is dangerous on oxygen only, on scale 2."""
    if scale == 1:
        return _points(_whole(saturation), ((91, 3), (93, 2), (95, 1)), 0)
    low = ((83, 3), (85, 2), (87, 1), (92, 0))
    if not on_oxygen:
        return _points(_whole(saturation), low, 0)
    return _points(_whole(saturation), (*low, (94, 1), (96, 2)), 3)


def pressure_points(systolic: float) -> int:
    """mmHg."""
    return _points(_whole(systolic), ((90, 3), (100, 2), (110, 1), (219, 0)), 3)


def pulse_points(rate: float) -> int:
    """Beats a minute."""
    return _points(_whole(rate), ((40, 3), (50, 1), (90, 0), (110, 1), (130, 2)), 3)


def temperature_points(celsius: float) -> int:
    """Degrees Celsius, read to a tenth as on the chart."""
    tenths = _whole(10 * celsius)
    return _points(tenths, ((350, 3), (360, 1), (380, 0), (390, 1)), 2)


def _whole(value: float) -> int:
    """As a nurse would write it down."""
    return math.floor(value + 0.5)


def _points(value: int, bands: tuple[tuple[int, int], ...], above: int) -> int:
    """Those of the first band that does not end below the value."""
    return next((points for top, points in bands if value <= top), above)


_Newest = dict[str, list[_Reading]]  # by variable; several where their times are the same


class Chart:
    """Reads the seven parameters from records; remembers their series."""

    def __init__(self) -> None:
        self._series = SeriesCache(READ)

    def forget(self, records: Iterable[PatientRecord]) -> None:
        """Look at all of these patients' series again."""
        for record in records:
            self._series.forget(record)

    def read(self, record: PatientRecord, as_of: float) -> list[Points]:
        """The seven parameters: the newest value of each within a day and the present stay.

        Where several are the newest, since feeds contradict one another, the worst counts.
        """
        start = _start(record, as_of)
        newest: _Newest = {}
        for variable, series in zip(READ, self._series.of(record), strict=True):
            # Which scale is right does not change with the day, nor with the stay.
            lo, hi = series.span(-math.inf if variable is SCALE else start, as_of)
            if hi > lo:
                newest[variable.name] = [
                    _Reading(series.values[k], series.times[k], series.observations[k], variable)
                    for k in range(*series.newest(lo, hi).indices(hi))
                ]
        return _chart(newest)

    def not_used(self, record: PatientRecord, as_of: float) -> list[SetAside]:
        """Parameters whose newest observation could not be used: an older one stands, or none."""
        return not_used(READ, self._series.of(record), _start(record, as_of), as_of)


def _start(record: PatientRecord, as_of: float) -> float:
    """The earliest time that counts: a day back, not before the present stay."""
    stay = record.stay(as_of)
    return as_of - WINDOW_S if stay is None else max(as_of - WINDOW_S, stay.start)


def _latest(newest: _Newest, *names: str) -> list[_Reading]:
    """Of several ways of measuring one thing the latest; the first named where they tie."""
    found = [newest[n] for n in names if n in newest]
    return max(found, key=lambda readings: readings[0].time) if found else []


def _chart(newest: _Newest) -> list[Points]:
    oxygen = _latest(newest, "oxygen_flow", "fio2", "ventilated")
    on_oxygen = any(_is_oxygen(r) for r in oxygen)
    scale = 2 if any(r.value == 2 for r in newest.get("saturation_scale", ())) else 1
    return [
        _points_of(name, readings, points)
        for name, readings, points in (
            (
                "Respiratory rate",
                _latest(newest, "resp_rate"),
                lambda r: respiration_points(r.value),
            ),
            (
                f"Oxygen saturation, scale {scale}",
                _latest(newest, "spo2"),
                lambda r: saturation_points(r.value, scale, on_oxygen),
            ),
            ("Supplemental oxygen", oxygen, lambda r: 2 if _is_oxygen(r) else 0),
            (
                "Systolic pressure",
                _latest(newest, "sbp_invasive", "sbp_cuff"),
                lambda r: pressure_points(r.value),
            ),
            ("Pulse", _latest(newest, "heart_rate"), lambda r: pulse_points(r.value)),
            (
                "Consciousness",
                _latest(newest, "consciousness", "gcs"),
                lambda r: 0 if _is_alert(r) else RED,
            ),
            (
                "Temperature",
                _latest(newest, "temperature"),
                lambda r: temperature_points(r.value),
            ),
        )
    ]


def _points_of(name: str, readings: list[_Reading], points: Callable[[_Reading], int]) -> Points:
    if not readings:
        return Points(name, None, "", 0)
    worst = max(readings, key=points) if len(readings) > 1 else readings[0]
    return Points(name, worst.value, worst.variable.unit, points(worst), worst.observation)


def _is_oxygen(reading: _Reading) -> bool:
    return reading.value > (_ROOM_AIR if reading.variable.name == "fio2" else 0.0)


def _is_alert(reading: _Reading) -> bool:
    return reading.value >= _ALERT if reading.variable.name == "gcs" else reading.value == 0.0


def total(chart: Sequence[Points]) -> int:
    """The aggregate score, 0 to 20."""
    return sum(p.points for p in chart)


def effective(chart: Sequence[Points]) -> int:
    """The total, raised to the urgent trigger where one parameter alone triggers."""
    red = any(p.points == RED for p in chart)
    return max(total(chart), URGENT) if red else total(chart)
