"""A back-test as one document: figures of two policies, whom they differ about, and curves."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, NamedTuple

from streams.backtest.measure import by_part, differences, measure
from streams.backtest.simulate import Question, Raised, simulate
from streams.backtest.stays import Stays
from streams.policy.document import RiskPolicy
from streams.policy.rules import Rulebook

CURVE = (0.02, 0.05, 0.1, 0.15, 0.2, 0.25, 0.3, 0.4, 0.5, 0.6, 0.7, 0.8, 0.9)


class Options(NamedTuple):
    """How alerts are judged."""

    horizon_s: float | None = None  # an event later than this after a call was not foreseen
    patients_per_nurse: float = 5.0
    draws: int = 1_000  # of the bootstrap
    curve: Sequence[float] = CURVE


def report(
    stays: Stays,
    question: Question,
    before: tuple[str, Sequence[Raised]],
    after: tuple[str, Sequence[Raised]],
    book: Rulebook,
    options: Options,
    notes: Sequence[str] = (),
) -> dict[str, Any]:
    """`before` and `after` are names of policies and the alerts that they raise."""

    def figures(raised: Sequence[Raised]) -> dict[str, Any]:
        said = {
            "horizon_s": options.horizon_s,
            "patients_per_nurse": options.patients_per_nurse,
        }
        all_of_them = measure(stays, raised, draws=options.draws, **said)  # type: ignore[arg-type]
        parts = by_part(stays, raised, draws=min(options.draws, 300), **said)  # type: ignore[arg-type]
        return {"all": all_of_them, "parts": parts}

    return {
        "risk": question.risk,
        "horizon_h": None if options.horizon_s is None else options.horizon_s / 3_600.0,
        "before": {"policy": before[0], **figures(before[1])},
        "after": {"policy": after[0], **figures(after[1])},
        "differences": differences(stays, before[1], after[1]),
        "curve": curve(stays, question, book, options),
        "notes": list(notes),
    }


def compare(
    stays: Stays,
    question: Question,
    before: Rulebook,
    after: Rulebook,
    options: Options = Options(),  # noqa: B008 - immutable
) -> dict[str, Any]:
    """Both policies over recorded trajectories."""
    notes = (
        []
        if stays.absolute
        else ["Times are hours since admission: silences and quiet hours say nothing here."]
    )
    if after.policy.inhibitions or before.policy.inhibitions:
        notes.append("Inhibitions by code say nothing here: trajectories hold no statements.")
    runs = [
        (book.version or "as shipped", simulate(stays, question, book)) for book in (before, after)
    ]
    return report(stays, question, runs[0], runs[1], after, options, notes)


def curve(
    stays: Stays, question: Question, book: Rulebook, options: Options
) -> list[dict[str, Any]]:
    """What the policy would be worth with other firing thresholds, everything else in proportion.

    Hysteresis keeps its width in proportion; `critical` is never below `fire`.
    """
    return [point(stays, question, book, fire, options) for fire in options.curve]


def point(
    stays: Stays, question: Question, book: Rulebook, fire: float, options: Options
) -> dict[str, Any]:
    """One point of the curve."""
    trial = with_threshold(book, question, fire)
    raised = simulate(stays, question, trial)
    found = measure(
        stays,
        raised,
        horizon_s=options.horizon_s,
        patients_per_nurse=options.patients_per_nurse,
        draws=0,
    )
    names = ("alerts_per_patient_day", "ppv", "sensitivity", "calls_per_nurse_and_hour")
    values = {name: (found[name] or {}).get("value") for name in names}
    lead = found["lead_time_h"]
    return {"fire": fire, **values, "lead_time_h": lead["median"] if lead else None}


def with_threshold(book: Rulebook, question: Question, fire: float) -> Rulebook:
    """The same policy with another firing threshold for all wards."""
    rule = book.rule(question.risk, "", question.shipped)
    said = book.policy.risks.get(question.risk, RiskPolicy())
    changed = said.model_copy(
        update={
            "fire": round(fire, 6),
            "clear": round(fire * rule.clear / rule.fire, 6),
            "critical": round(max(fire, rule.critical), 6),
            "wards": {},
        }
    )
    risks = {**book.policy.risks, question.risk: changed}
    return Rulebook(book.policy.model_copy(update={"risks": risks}), book.version)
