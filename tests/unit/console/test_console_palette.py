"""WCAG 2.2 AA contrast of every pair of colours that the console uses."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

import streams.console
from streams.console.palette import COLOURS, MARK_PAIRS, TEXT_PAIRS, contrast

CSS = (Path(streams.console.__file__).parent / "static" / "console.css").read_text()


def test_contrast_is_that_of_the_standard() -> None:
    """Known ratios: black on white 21, a colour on itself 1, #777777 on white 4.48."""
    assert contrast("#000000", "#ffffff") == pytest.approx(21)
    assert contrast("#123456", "#123456") == pytest.approx(1)
    assert contrast("#ffffff", "#777777") == pytest.approx(4.478, abs=0.001)


@pytest.mark.parametrize(("ink", "paper"), TEXT_PAIRS)
def test_text_can_be_read(ink: str, paper: str) -> None:
    """4.5:1 (WCAG 1.4.3)."""
    assert contrast(COLOURS[ink], COLOURS[paper]) >= 4.5


@pytest.mark.parametrize(("mark", "paper"), MARK_PAIRS)
def test_marks_can_be_seen(mark: str, paper: str) -> None:
    """3:1 (WCAG 1.4.11)."""
    assert contrast(COLOURS[mark], COLOURS[paper]) >= 3


def test_the_style_sheet_uses_the_palette_only() -> None:
    """No colour past the contrast test, and no variable that does not exist."""
    assert re.findall(r"#[0-9a-fA-F]{3,8}\b(?![^{]*\{)|rgba?\(|hsla?\(", CSS) == []
    assert set(re.findall(r"var\(--([a-z0-9-]+)\)", CSS)) <= set(COLOURS)


def test_every_coloured_rule_is_a_tested_pair() -> None:
    """A rule that sets both text and background sets a pair that the contrast test knows."""
    rules = re.findall(r"\{([^{}]*)\}", CSS)
    for rule in rules:
        ink = re.search(r"(?<![-\w])color: var\(--([a-z0-9-]+)\)", rule)
        paper = re.search(r"background(?:-color)?: var\(--([a-z0-9-]+)\)", rule)
        if ink and paper:
            assert {(ink[1], paper[1]), (paper[1], ink[1])} & set(TEXT_PAIRS), rule


def test_the_style_sheet_loads_nothing() -> None:
    """No web font, no image, no import from anywhere."""
    assert "url(" not in CSS
    assert "@import" not in CSS
