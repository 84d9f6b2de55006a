"""What all evaluation reports share: one HTML page that needs nothing else, tables, figures."""

from __future__ import annotations

import base64
import html
import io
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

BLUE, ORANGE, GREEN, GREY = "#1f5fa8", "#c2571a", "#3b7d3b", "#888888"


def number(value: float | None, digits: int = 3) -> str:
    """A figure as text; a dash for one that is not defined."""
    return "–" if value is None else f"{value:.{digits}f}"


def interval(estimate: dict[str, float | None]) -> str:
    """`.852 (.835–.867)`, with the 95 % interval."""
    value, low, high = (number(estimate[k]) for k in ("value", "low", "high"))
    return f"{value} ({low}–{high})"


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
    """Rows of text as an HTML table."""
    cells = ("".join(f"<td>{html.escape(c)}</td>" for c in line) for line in lines)
    return "<table>" + "".join(f"<tr>{c}</tr>" for c in cells) + "</table>"


def section(title: str, lines: Sequence[Sequence[str]]) -> str:
    """A heading and a table."""
    return f"<h2>{html.escape(title)}</h2>{table(lines)}"


def drawn(rows: int, columns: int, draw: Callable[[Any], None]) -> bytes:
    """A grid of plots as a PNG: the same figures give the same bytes. `draw` gets the axes."""
    # Imported here: only those who evaluate need it, and it takes a second.
    import matplotlib as mpl  # noqa: PLC0415

    mpl.use("Agg")
    from matplotlib import pyplot as plt  # noqa: PLC0415

    size = (5.0 * columns, 4.4 * rows)
    figure, axes = plt.subplots(rows, columns, figsize=size, layout="constrained")
    draw(axes)
    out = io.BytesIO()
    figure.savefig(out, format="png", dpi=100, metadata={"Software": None})  # no date, no version
    plt.close(figure)
    return out.getvalue()


def write(
    folder: Path, title: str, about: str, before: Sequence[str], image: bytes, alt: str,
    after: Sequence[str],
) -> None:  # fmt: skip
    """report.html and report.png; `before` and `after` stand around the picture, as HTML."""
    (folder / "report.png").write_bytes(image)
    page = f"""<!doctype html>
<html lang="en"><head><meta charset="utf-8">
<title>Evaluation: {html.escape(title)}</title>
<style>body{{font:16px/1.5 system-ui,sans-serif;max-width:60rem;margin:2rem auto;padding:0 1rem}}
table{{border-collapse:collapse;margin:1rem 0}}td,th{{padding:.2rem .8rem;text-align:left;
border-bottom:1px solid #ddd}}img{{max-width:100%}}</style></head><body>
<h1>{html.escape(title)}</h1>
<p>{html.escape(about)}</p>
{"".join(before)}
<img alt="{html.escape(alt)}" src="data:image/png;base64,{base64.b64encode(image).decode()}">
{"".join(after)}
</body></html>
"""
    (folder / "report.html").write_text(page, encoding="utf-8")
