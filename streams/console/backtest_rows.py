"""Figures of a back-test as table rows."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from connectors.identity import Identity
from streams.console.diff import Cell, Row
from streams.console.rows import href
from streams.console.times import HospitalTime
from streams.console.units import NO_BREAK
from streams.console.words import full_name, plain

FIGURE_COLUMNS = (
    {"id": "what", "label": "Figure", "kind": "text"},
    {"id": "value", "label": "In force", "kind": "text"},
    {"id": "status", "label": "On trial", "kind": "text"},
)
PART_COLUMNS = (
    {"id": "what", "label": "Part", "kind": "text"},
    {"id": "alerts", "label": "Alerts", "kind": "text"},
    {"id": "load", "label": "A patient-day", "kind": "text"},
    {"id": "ppv", "label": "Right", "kind": "text"},
    {"id": "found", "label": "Events found", "kind": "text"},
)
WHOM_COLUMNS = (
    {"id": "what", "label": "On trial", "kind": "text"},
    {"id": "patient", "label": "Patient", "kind": "person"},
    {"id": "event", "label": "Event", "kind": "text"},
)
_FIGURES = (
    ("Alerts", "alerts", "count"),
    ("Alerts a patient-day", "alerts_per_patient_day", "rate"),
    ("Calls a nurse and hour", "calls_per_nurse_and_hour", "rate"),
    ("Alerts that were right", "ppv", "share"),
    ("Events that were found", "sensitivity", "share"),
    ("Lead time (median)", "lead_time_h", "hours"),
    ("Patients, and days watched", "patients", "basis"),
)
_UNKNOWN = {"share": "no outcome is known", "hours": "no time of an event is known"}
_MOST = 30


def figure_rows(before: Mapping[str, Any], after: Mapping[str, Any]) -> list[Row]:
    """The figures of both, one below the other."""
    return [
        Row(
            key=name,
            tone="",
            cells=[{"v": words}, _value(before, name, kind), _value(after, name, kind)],
        )
        for words, name, kind in _FIGURES
    ]


def part_rows(parts: Mapping[str, Mapping[str, Any]]) -> list[Row]:
    """One row for each ward, subgroup and severity."""
    return [
        Row(
            key=f"{name}/{value}",
            tone="",
            cells=[
                {"v": f"{plain(name)} {value}"},
                {"v": str(found["alerts"])},
                _value(found, "alerts_per_patient_day", "rate"),
                _value(found, "ppv", "share"),
                _value(found, "sensitivity", "share"),
            ],
        )
        for name, values in parts.items()
        for value, found in values.items()
    ]


def whom_rows(
    differences: Mapping[str, list[dict[str, Any]]],
    times: HospitalTime,
    name_of: Callable[[str], Identity | None],
) -> list[Row]:
    """The patients whom only one of the two would have called for."""
    rows = []
    for kind, words in (("newly", "newly called"), ("no_longer", "no longer called")):
        for one in differences[kind][:_MOST]:
            event = {True: "it happened", False: "it did not", None: "not known"}[one["event"]]
            when = times.stamp(one["at"]) if one["at"] > 1e8 else f"hour {one['at'] / 3600:.0f}"
            patient = one["patient"]
            identity = name_of(patient)
            person: Cell = {
                "v": full_name(identity, patient),
                "href": href(patient),
                "plain": identity is None,
                "sub": " ".join(x for x in (one["ward"], when) if x),
            }
            cells = [{"v": words}, person, {"v": event}]
            rows.append(Row(key=f"{kind}/{patient}/{one['at']}", tone="", cells=cells))
    return rows


def _value(found: Mapping[str, Any], name: str, kind: str) -> Cell:
    said = found.get(name)
    if said is None:
        return {"v": "–", "sub": _UNKNOWN.get(kind, "")}
    match kind:
        case "count":
            return {"v": str(said)}
        case "basis":
            return {"v": str(said), "sub": f"{found['patient_days']:g} days"}
        case "hours":
            return {"v": f"{said['median']:.1f}{NO_BREAK}h"}
        case "share":
            text = f"{100 * said['value']:.0f}{NO_BREAK}%"
            return {"v": text, "sub": _interval(said, 100, f"{NO_BREAK}%", 0)}
        case _:
            return {"v": f"{said['value']:.2f}", "sub": _interval(said, 1, "", 2)}


def _interval(said: Mapping[str, Any], scale: float, unit: str, digits: int) -> str:
    low, high = said.get("low"), said.get("high")
    if low is None or high is None:
        return ""
    return f"{scale * low:.{digits}f}–{scale * high:.{digits}f}{unit}"
