"""Whom of a cohort the bundle was trained on and whom not: figures of each part.

The first are scored by the one member that never saw them (cross-fitted), the others by all.
"""

from __future__ import annotations

import html
from collections.abc import Callable, Sequence
from typing import Any, TypeVar

from connectors.cohorts.tables import in_words
from models.training.page import interval, number, section

_Row = TypeVar("_Row")
_UNDEFINED = dict.fromkeys(("value", "low", "high"))
PARTS = {"trained_on": "trained on, cross-fitted", "new": "new, whole ensemble"}


def parts(
    rows: Sequence[_Row], seen: Sequence[bool], figures: Callable[[list[_Row]], dict[str, Any]]
) -> dict[str, Any]:
    """For metrics.json: how many the bundle saw, and where it saw some, `parts`, one by one."""
    found: dict[str, Any] = {
        "patients_in_training_set": sum(seen),
        "cross_fitted": bool(seen) and all(seen),
    }
    if any(seen) and not all(seen):
        pairs = list(zip(rows, seen, strict=True))
        found["parts"] = {
            name: figures([row for row, known in pairs if known is (name == "trained_on")])
            for name in PARTS
        }
    return found


def scored_by(figures: dict[str, Any]) -> str:
    """Who scored the cohort, in words."""
    if "parts" in figures:
        return f"{figures['patients_in_training_set']} of them in the training set: two parts"
    return "cross-fitted" if figures["cross_fitted"] else "whole ensemble"


def part_lines(figures: dict[str, Any]) -> list[list[str]]:
    """A header and a line for each part; nothing where there is one part only."""
    if "parts" not in figures:
        return []
    lines = [["patients", "", "AUROC (95 %)", "AUPRC (95 %)", "slope (95 %)", "ECE"]]
    for name, part in figures["parts"].items():
        estimates = [
            interval(part.get(n) or _UNDEFINED) for n in ("auroc", "auprc", "calibration_slope")
        ]
        lines.append([str(part["patients"]), PARTS[name], *estimates, number(part.get("ece"), 4)])
    return lines


def about_the_cohort(figures: dict[str, Any]) -> list[str]:
    """For the page: both parts, and what was left out while the cohort was read."""
    lines, said = part_lines(figures), in_words(figures.get("reading", {}))
    return [
        *([section("What the bundle was trained on, and what not", lines)] if lines else []),
        *([f"<p>{html.escape(said)}</p>"] if said else []),
    ]


def printed(figures: dict[str, Any]) -> list[str]:
    """The same as lines of text."""
    lines = [
        f"{patients} patients {who}: AUROC {auroc}, AUPRC {auprc}, calibration slope {slope}, "
        f"ECE {ece}"
        for patients, who, auroc, auprc, slope, ece in part_lines(figures)[1:]
    ]
    said = in_words(figures.get("reading", {}))
    return [*lines, *([said] if said else [])]
