"""What the command line says of an error is what the error says."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

from streams.cli.main import main


def test_the_section_of_the_settings_is_named(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Square brackets are no markup."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("TOCSIN_HOME", str(tmp_path))
    monkeypatch.setattr(sys, "argv", ["tocsin", "sequencer"])
    with pytest.raises(SystemExit) as ended:
        main()
    assert ended.value.code == 1
    assert "[kafka] bootstrap" in " ".join(capsys.readouterr().err.split())
