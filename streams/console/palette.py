"""Colours, once: the style sheet, the charts and the contrast test read them from here.

Ratios follow WCAG 2.2: text 4.5:1 (1.4.3), boundaries and marks 3:1 (1.4.11).
"""

from __future__ import annotations

COLOURS = {
    "paper": "#ffffff",
    "page": "#f3f5f7",
    "ink": "#14212b",
    "muted": "#475763",
    "line": "#d5dce2",  # decoration between rows, carries no meaning
    "edge": "#72818d",  # boundary of controls
    "link": "#0a55a0",
    "focus": "#0a55a0",
    "bar": "#12304a",
    "bar-ink": "#ffffff",
    "bar-muted": "#c3d3e0",
    "critical": "#9b1028",
    "critical-paper": "#fdecee",
    "warning": "#7a4700",
    "warning-paper": "#fff3dc",
    "calm": "#16603b",
    "calm-paper": "#e7f4ec",
    "ended": "#475763",
    "ended-paper": "#eceff2",
    "raises": "#b3261e",
    "lowers": "#0a55a0",
    "series-1": "#0a55a0",
    "series-2": "#7a4700",
    "series-3": "#16603b",
}

# (foreground, background): text that people read
TEXT_PAIRS = (
    ("ink", "paper"),
    ("ink", "page"),
    ("muted", "paper"),
    ("muted", "page"),
    ("link", "paper"),
    ("link", "page"),
    ("bar-ink", "bar"),
    ("bar-muted", "bar"),
    ("critical", "critical-paper"),
    ("critical", "paper"),
    ("critical", "page"),
    ("ink", "critical-paper"),
    ("muted", "critical-paper"),
    ("warning", "warning-paper"),
    ("warning", "paper"),
    ("ink", "warning-paper"),
    ("calm", "calm-paper"),
    ("calm", "paper"),
    ("ended", "ended-paper"),
    ("raises", "paper"),
    ("lowers", "paper"),
    ("paper", "critical"),
    ("paper", "link"),
)
# boundaries of controls, marks in charts
MARK_PAIRS = (
    ("edge", "paper"),
    ("edge", "page"),
    ("focus", "paper"),
    ("focus", "page"),
    ("focus", "critical-paper"),
    ("bar-ink", "bar"),
    ("series-1", "paper"),
    ("series-2", "paper"),
    ("series-3", "paper"),
)


def contrast(a: str, b: str) -> float:
    """Contrast ratio of two `#rrggbb` colours, 1 to 21 (WCAG 2.2, relative luminance)."""
    light, dark = sorted((_luminance(a), _luminance(b)), reverse=True)
    return (light + 0.05) / (dark + 0.05)


def _luminance(colour: str) -> float:
    red, green, blue = (_linear(int(colour[i : i + 2], 16) / 255) for i in (1, 3, 5))
    return 0.2126 * red + 0.7152 * green + 0.0722 * blue


def _linear(channel: float) -> float:
    return channel / 12.92 if channel <= 0.04045 else float(((channel + 0.055) / 1.055) ** 2.4)


def css_variables() -> str:
    """The palette as a `:root` rule."""
    return ":root{" + "".join(f"--{name}:{value};" for name, value in COLOURS.items()) + "}"
