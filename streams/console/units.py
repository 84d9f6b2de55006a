"""UCUM codes as clinicians write units, and numbers with the digits they expect."""

from __future__ import annotations

import re

_WRITTEN = {
    "Cel": "°C",
    "[degF]": "°F",
    "mm[Hg]": "mmHg",
    "cm[H2O]": "cmH₂O",
    "[pH]": "",
    "1": "",
    "a": "years",
    "mo": "months",
    "d": "days",
    "[in_i]": "in",
    "[lb_av]": "lb",
    "meq/L": "mEq/L",
    "kPa": "kPa",
    "ug": "µg",
    "uL": "µL",
    "umol": "µmol",
    "um": "µm",
    "mosm": "mOsm",
    "[arb'U]": "arb. units",
}
NO_BREAK = "\u00a0"  # between a number and its unit
_SUPERSCRIPT = str.maketrans("-0123456789", "⁻⁰¹²³⁴⁵⁶⁷⁸⁹")
_ANNOTATION = re.compile(r"\{[^}]*\}")
_POWER = re.compile(r"10[*^](-?\d+)")
_BRACKETED = re.compile(r"\[([^\]]+)\]")
_EXPONENT = re.compile(r"(?<=[a-z])(-?\d)\b")


def display_unit(ucum: str) -> str:
    """`10*3/uL` → `×10³/µL`; a text that is not UCUM comes back as it was sent."""
    if ucum in _WRITTEN:
        return _WRITTEN[ucum]
    text = _ANNOTATION.sub("", ucum)
    parts = re.split(r"([/.])", text)
    written = "".join("·" if p == "." else _part(p) for p in parts)
    return written.removesuffix("/")


def _part(code: str) -> str:
    if code in _WRITTEN and code != "1":
        return _WRITTEN[code]
    power = _POWER.sub(lambda m: "×10" + m[1].translate(_SUPERSCRIPT), code)
    bare = _BRACKETED.sub(r"\1", power)
    return _EXPONENT.sub(lambda m: m[1].translate(_SUPERSCRIPT), bare) if "×" not in bare else bare


def display_number(value: float) -> str:
    """Three significant digits, never fewer than the whole number: 4.2, 0.08, 104, 1250."""
    size = abs(value)
    if size >= 100 or value == int(value):
        return f"{value:.0f}".replace("-", "−")
    digits = 1 if size >= 10 else 2 if size >= 0.1 else 3
    text = f"{value:.{digits}f}".rstrip("0").rstrip(".")
    return text.replace("-", "−")


def display_value(value: float | str | None, unit: str = "", comparator: str = "") -> str:
    """A value with its unit: `4.2 mmol/L`, `< 0.01 µg/L`, `94 %`; `–` for none."""
    if value is None:
        return "–"
    number = value if isinstance(value, str) else display_number(value)
    sign = {"<=": "≤", ">=": "≥"}.get(comparator, comparator)
    sign += NO_BREAK if sign else ""
    written = display_unit(unit)
    gap = NO_BREAK if written else ""
    return f"{sign}{number}{gap}{written}"


def percent(probability: float) -> str:
    """0.4231 → `42 %`; the ends are said honestly: `< 1 %`, `> 99 %`."""
    if probability < 0.01:
        return f"<{NO_BREAK}1{NO_BREAK}%"
    if probability > 0.99:
        return f">{NO_BREAK}99{NO_BREAK}%"
    return f"{probability * 100:.0f}{NO_BREAK}%"


def percent_range(interval: tuple[float, float]) -> str:
    """(0.35, 0.5) → `35–50 %`."""
    low, high = interval
    return f"{low * 100:.0f}–{high * 100:.0f}{NO_BREAK}%"


def signed(effect: float, digits: int = 2) -> str:
    """+0.82, −0.10, 0.00."""
    text = f"{effect:+.{digits}f}"
    return text[1:] if float(text) == 0 else text.replace("-", "−")
