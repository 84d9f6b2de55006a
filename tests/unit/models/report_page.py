"""What a report's page holds, read from its HTML."""

from __future__ import annotations

import re
from pathlib import Path

_PLOT = re.compile(r"<figure .*?</figure>", re.DOTALL)
_NAMED = re.compile(r'id="((?:band|bars)-[^"]+)"')
_LABEL = re.compile(r'aria-label="([^"]*)"')


def plots(page: Path) -> dict[str, list[str]]:
    """The title of each plot, and the bands and bars in it."""
    text = page.read_text(encoding="utf-8")
    return {_LABEL.findall(plot)[0]: _NAMED.findall(plot) for plot in _PLOT.findall(text)}


def check_bands(page: Path, count: int) -> None:
    """Every plot has a title of its own and shows how sure it is; the page needs nothing else."""
    found = plots(page)
    assert len(found) == count
    assert all(found.values()), found
    names = [name for drawn in found.values() for name in drawn]
    assert len(names) == len(set(names))
    text = page.read_text(encoding="utf-8")
    assert "<script" not in text
    assert not re.search(r'(src|href)="(?!#)', text)
