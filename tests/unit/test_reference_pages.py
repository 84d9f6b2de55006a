"""The generated pages of the documentation say what the code says."""

from __future__ import annotations

from pathlib import Path

import pytest

from streams import reference

DOCS = Path(__file__).resolve().parents[2] / "docs"


def test_the_pages_are_up_to_date(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """Otherwise: `python -m streams.reference docs`."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("TOCSIN_SETTINGS", raising=False)
    for name, text in reference.pages().items():
        assert (DOCS / name).read_text() == text, f"docs/{name} has fallen behind the code"
