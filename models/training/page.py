"""What all evaluation reports share: one HTML page that needs nothing else, tables, figures."""

from __future__ import annotations

import html
import io
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np

BLUE, ORANGE, GREEN, GREY = "#1f5fa8", "#c2571a", "#3b7d3b", "#888888"
_COLOURS = {"blue": BLUE, "orange": ORANGE, "green": GREEN, "grey": GREY}


def number(value: float | None, digits: int = 3) -> str:
    """A figure as text; a dash for one that is not defined."""
    return "–" if value is None else f"{value:.{digits}f}"


def interval(estimate: dict[str, float | None]) -> str:
    """`.852 (.835–.867)`, with the 95 % interval."""
    value, low, high = (number(estimate[k]) for k in ("value", "low", "high"))
    return f"{value} ({low}–{high})"


def bounded(value: float | None, sides: Sequence[float | None] | None, digits: int = 3) -> str:
    """Likewise, of a figure whose interval stands under `intervals` beside it."""
    if sides is None:
        return number(value, digits)
    low, high = (number(side, digits) for side in sides)
    return f"{number(value, digits)} ({low}–{high})"


def reference_lines(figures: dict[str, Any], scored: str = "patients") -> list[list[str]]:
    """A header and two lines: the reference beside the model, on what both score."""
    other = figures.get("reference")
    if not other:
        return []
    lines = [[f"{other['scored']} {scored}", other["risk"], "difference (paired, 95 %)"]]
    return lines + [
        [n.upper(), interval(other[n]), interval(other[f"{n}_difference"])]
        for n in ("auroc", "auprc")
    ]


def table(lines: Sequence[Sequence[str]]) -> str:
    """Rows of text as an HTML table: the first column names the row."""
    cells = (
        f'<th scope="row">{html.escape(line[0])}</th>'
        + "".join(f"<td>{html.escape(c)}</td>" for c in line[1:])
        for line in lines
    )
    return _wrapped("".join(f"<tr>{c}</tr>" for c in cells))


def headed(lines: Sequence[Sequence[str]]) -> str:
    """Likewise, with the columns' names in the first line."""
    if not lines:
        return ""
    names = "".join(f'<th scope="col">{html.escape(c)}</th>' for c in lines[0])
    rows = "".join(
        f"<tr>{''.join(f'<td>{html.escape(c)}</td>' for c in line)}</tr>" for line in lines[1:]
    )
    return _wrapped(f"<thead><tr>{names}</tr></thead><tbody>{rows}</tbody>")


def _wrapped(rows: str) -> str:
    """A table that scrolls by itself where the page is narrow."""
    return f'<div class="table" tabindex="0"><table>{rows}</table></div>'


def section(title: str, lines: Sequence[Sequence[str]], note: str = "") -> str:
    """A heading, a table with names of columns, and a note on how to read it."""
    below = f"<p>{html.escape(note)}</p>" if note else ""
    return f"<h2>{html.escape(title)}</h2>{headed(lines)}{below}"


def drawn(rows: int, columns: int, draw: Callable[[Any], None]) -> str:
    """Plots as HTML figures, each an SVG: the same figures give the same text.

    `draw` gets the axes, (rows, columns) of them. Their colours follow the reader's choice of a
    light or a dark page.
    """
    # Imported here: only those who evaluate need it, and it takes a second.
    import matplotlib as mpl  # noqa: PLC0415
    from matplotlib.figure import Figure  # noqa: PLC0415

    with mpl.rc_context(_STYLE):
        figures = [Figure(figsize=_SIZE, layout="constrained") for _ in range(rows * columns)]
        axes = np.array([figure.subplots() for figure in figures], dtype=object)
        draw(axes.reshape(rows, columns))
        return "".join(_svg(figure, f"plot{i}") for i, figure in enumerate(figures))


_INK = "#0b0c0d"  # stands for the colour of text
_SIZE = (5.2, 4.2)  # inches
_STYLE: Any = {
    "svg.fonttype": "none",
    "font.family": "sans-serif",
    "savefig.facecolor": "none",
    "axes.facecolor": "none",
    "axes.spines.top": False,
    "axes.spines.right": False,
    "legend.frameon": False,
    **dict.fromkeys(
        ("text.color", "axes.edgecolor", "axes.labelcolor", "xtick.color", "ytick.color"), _INK
    ),
}


def _svg(figure: Any, salt: str) -> str:
    import matplotlib as mpl  # noqa: PLC0415

    out = io.StringIO()
    with mpl.rc_context({"svg.hashsalt": salt}):  # no two plots of a page share an identifier
        figure.savefig(out, format="svg", metadata={"Date": None, "Creator": None})
    text = out.getvalue()
    text = text[text.index("<svg") :].replace(_INK, "currentColor")
    for name, colour in _COLOURS.items():
        text = text.replace(colour, f"var(--{name})")
    title = html.escape(figure.axes[0].get_title(), quote=True)
    return f'<figure role="img" aria-label="{title}">{text}</figure>'


_CSS = """
:root{color-scheme:light dark;--page:#fff;--ink:#1b1f24;--line:#d5d9de;
--blue:#1f5fa8;--orange:#c2571a;--green:#2f7533;--grey:#767676}
@media (prefers-color-scheme:dark){:root{--page:#14171b;--ink:#e4e7ea;--line:#3a4048;
--blue:#6fb1f5;--orange:#f2935c;--green:#7ccb80;--grey:#9aa0a6}}
body{font:16px/1.5 system-ui,sans-serif;max-width:70rem;margin:2rem auto;padding:0 1rem;
background:var(--page);color:var(--ink);overflow-wrap:anywhere}
h1{line-height:1.2}
.table{overflow-x:auto;margin:1rem 0}
table{border-collapse:collapse;overflow-wrap:normal;font-variant-numeric:tabular-nums}
td,th{padding:.2rem .8rem .2rem 0;text-align:left;vertical-align:top;
border-bottom:1px solid var(--line)}
th{font-weight:600}
td+td{white-space:nowrap}
.plots{display:grid;grid-template-columns:repeat(auto-fit,minmax(min(100%,26rem),1fr));gap:1rem}
figure{margin:0}
figure svg{width:100%;height:auto}
@media print{:root{color-scheme:light;--page:#fff;--ink:#000;--line:#bbb;
--blue:#1f5fa8;--orange:#c2571a;--green:#2f7533;--grey:#666}
body{font-size:10pt;max-width:none;margin:0}.plots{grid-template-columns:1fr 1fr}
figure,tr{break-inside:avoid}h2{break-after:avoid}.table{overflow:visible}td,th{padding-right:.5rem}
td+td{white-space:normal}}
"""


def write(
    folder: Path, title: str, about: str, before: Sequence[str], plots: str, alt: str,
    after: Sequence[str],
) -> None:  # fmt: skip
    """report.html; `before` and `after` stand around the plots (of `drawn`), as HTML."""
    page = f"""<!doctype html>
<html lang="en"><head><meta charset="utf-8">
<meta name="viewport" content="width=device-width,initial-scale=1">
<title>Evaluation: {html.escape(title)}</title>
<style>{_CSS}</style></head><body>
<h1>{html.escape(title)}</h1>
<p>{html.escape(about)}</p>
{"".join(before)}
<section class="plots" aria-label="{html.escape(alt, quote=True)}">{plots}</section>
{"".join(after)}
</body></html>
"""
    (folder / "report.html").write_text(page, encoding="utf-8")
