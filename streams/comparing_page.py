"""A comparison of bundles for people: rows in words, and one HTML page that needs nothing else."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from html import escape
from typing import Any

from streams.backtest.page import STYLE
from streams.comparing import MOST_POINTS, Trial

_LEFT, _TOP, _SIDE = 56, 16, 360


def title(found: Mapping[str, Any]) -> str:
    """Of one comparison."""
    return f"{found['risk']}: active {found['active'][:12]}, on trial {found['shadow'][:12]}"


def rows(found: Mapping[str, Any]) -> list[tuple[str, str]]:
    """What a comparison says (`streams.compared.report`), line by line."""
    silent = found["abstained"]
    return [
        ("Records scored by both", f"{found['scores']:,}, of {found['patients']:,} patients"),
        ("Without an answer", f"active {silent['active']:,}, on trial {silent['shadow']:,}"),
        *(_apart(found) if found["both_scored"] else ()),
        *_worth(found["outcomes"]),
    ]


def _apart(found: Mapping[str, Any]) -> Iterator[tuple[str, str]]:
    z = found["log_odds_difference"]
    yield (
        "Log-odds, on trial − active",
        f"{_number(z['mean'], '+')} on average{_span(z, '+')}, standard deviation "
        f"{_number(z['standard_deviation'])}, at most {_number(z['largest'])} apart",
    )
    yield "Probabilities", f"{_number(found['probability_difference'])} apart on average"
    yield "Correlation of the log-odds", _number(found["correlation"])
    yield (
        f"Above the threshold {found['threshold']:g}",
        f"both {found['above_both']:,}, only active {found['above_active_only']:,}, "
        f"only on trial {found['above_shadow_only']:,}, neither {found['above_neither']:,}",
    )
    yield "Agreement beyond chance (kappa)", _number(found["kappa"])


_FAVOURS = (
    "Outcomes are marked on alerts, so they are known of patients for whom the active bundle has "
    "called. Among these it looks worse than it is: choose by tocsin evaluate on a labelled "
    "cohort. Intervals resample patients, with all their hours; each hour is judged by what became "
    "of the patient in the end."
)
_FIGURES = {
    "auroc": "AUROC (higher is better)",
    "calibration_slope": "Calibration slope (1 is right)",
    "brier": "Brier score (lower is better)",
    "predicted": "Predicted on average, where {observed} was observed",
}
_DASHED = "Dashed: the threshold of an alert."
_LEFT_ALIGNED = ".said td{text-align:left}"  # prose
_LEAST = 10  # patients with and without the event
_TOO_FEW = f"With fewer than {_LEAST} patients of either outcome the intervals mean little."


def _worth(outcomes: Mapping[str, Any]) -> Iterator[tuple[str, str]]:
    yield (
        "Patients whose outcome is known",
        f"{outcomes['patients']:,} in {outcomes['hours']:,} hours, with the event "
        f"{outcomes['events']:,}",
    )
    for words, active, shadow, difference in _figures(outcomes):
        yield words, f"active {active}, on trial {shadow}, difference {difference}"
    if outcomes["patients"]:
        yield "Mind", mind(outcomes)


def _figures(outcomes: Mapping[str, Any]) -> Iterator[tuple[str, str, str, str]]:
    """What both are worth: figure, active, on trial, difference."""
    if "difference" not in outcomes:
        return
    observed = _number(outcomes["active"]["observed"])
    for figure, words in _FIGURES.items():
        active, shadow = (_estimate(outcomes[name][figure]) for name in ("active", "shadow"))
        difference = _estimate(outcomes["difference"][figure], "+")
        yield words.format(observed=observed), active, shadow, difference


def mind(outcomes: Mapping[str, Any]) -> str:
    """What the figures of known outcomes do not say."""
    return _FAVOURS if _tell_apart(outcomes) else f"{_TOO_FEW} {_FAVOURS}"


def _tell_apart(outcomes: Mapping[str, Any]) -> bool:
    events: int = outcomes["events"]
    return bool(min(events, outcomes["patients"] - events) >= _LEAST)


def _estimate(of: Mapping[str, float | None], sign: str = "") -> str:
    """With its 95 % interval."""
    return f"{_number(of['value'], sign)}{_span(of, sign)}"


def _span(of: Mapping[str, float | None], sign: str) -> str:
    if of["low"] is None or of["high"] is None:
        return ""
    return f" ({_number(of['low'], sign)} to {_number(of['high'], sign)})"


def _number(value: float | None, sign: str = "") -> str:
    return "–" if value is None else f"{value:{sign}.3g}".replace("-", "−")


def page(found: Sequence[tuple[Trial, Mapping[str, Any]]]) -> str:
    """All comparisons, each with a picture of its pairs."""
    body = "".join(part for trial, one in found for part in _section(trial, one))
    return (
        '<!doctype html><html lang="en"><meta charset="utf-8"><title>Bundles on trial</title>'
        f'<meta name="viewport" content="width=device-width"><style>{STYLE}{_LEFT_ALIGNED}</style>'
        f"<body><h1>Bundles on trial against the active ones</h1>{body}</body></html>\n"
    )


def _section(trial: Trial, found: Mapping[str, Any]) -> Iterator[str]:
    outcomes = found["outcomes"]
    figures = list(_figures(outcomes))
    beside = {name for name, *_ in figures} | {"Mind"}  # said below
    said = [row for row in rows(found) if row[0] not in beside]
    yield f'<h2>{escape(title(found))}</h2><table class="said">'
    yield from (f"<tr><th>{escape(name)}</th><td>{escape(text)}</td></tr>" for name, text in said)
    yield "</table>"
    if figures:
        yield "<table><tr><th>95 % interval in brackets</th><th>active</th><th>on trial</th>"
        yield "<th>on trial − active</th></tr>"
        for name, *values in figures:
            cells = "".join(f"<td>{escape(value)}</td>" for value in values)
            yield f"<tr><th>{escape(name)}</th>{cells}</tr>"
        yield "</table>"
    if outcomes["patients"]:
        yield f"<p>{escape(mind(outcomes))}</p>"
    pairs = trial.points()
    if pairs:
        yield _picture(pairs, found["threshold"])
        some = (
            f" {MOST_POINTS:,} pairs, drawn by lot, are shown." if trial.both > len(pairs) else ""
        )
        yield f"<p>Each point is a pair; on the line both say the same. {_DASHED}{some}</p>"


def _picture(pairs: Sequence[tuple[float, float]], fire: float) -> str:
    """Each pair a point, both axes from 0 to 1; on the diagonal the two say the same."""
    right, below = _LEFT + _SIDE, _TOP + _SIDE
    points = "".join(
        f'<circle cx="{_LEFT + _SIDE * a:.1f}" cy="{below - _SIDE * s:.1f}" r="2.5"/>'
        for a, s in pairs
    )
    ticks = "".join(
        f'<text x="{_LEFT + _SIDE * t / 10:.0f}" y="{below + 16}" text-anchor="middle">{t / 10:g}'
        f'</text><text x="{_LEFT - 6}" y="{below - _SIDE * t / 10 + 4:.0f}" text-anchor="end">'
        f"{t / 10:g}</text>"
        for t in range(0, 11, 2)
    )
    x, y = _LEFT + _SIDE * fire, below - _SIDE * fire
    return (
        f'<svg viewBox="0 0 {right + 16} {below + 40}" width="{right + 16}" role="img" '
        f'aria-label="Probability on trial by active probability, {len(pairs)} pairs" '
        f'font-size="12"><path d="M{_LEFT} {_TOP}V{below}H{right}" fill="none" stroke="#555"/>'
        f'<path d="M{_LEFT} {below}L{right} {_TOP}" stroke="#999"/>'
        f'<path d="M{x:.1f} {_TOP}V{below}M{_LEFT} {y:.1f}H{right}" stroke="#a5410b" '
        f'stroke-dasharray="6 4"/><g fill="#0b5fa5" fill-opacity=".45">{points}</g>{ticks}'
        f'<text x="{(_LEFT + right) / 2:.0f}" y="{below + 34}" text-anchor="middle">active</text>'
        f'<text x="14" y="{(_TOP + below) / 2:.0f}" text-anchor="middle" transform="rotate(-90 14 '
        f'{(_TOP + below) / 2:.0f})">on trial</text></svg>'
    )
