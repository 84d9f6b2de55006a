"""The short form of `tocsin fuzz`: a real server and a real broker under hostile traffic."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from typer.testing import CliRunner

from streams.cli.main import app

pytestmark = [pytest.mark.kafka, pytest.mark.slow]


def test_every_frame_is_accounted_for(tmp_path: Path) -> None:
    """Answered as it should be, in the log as sent, and interpreted to one outcome."""
    file = tmp_path / "fuzz.json"
    run = CliRunner().invoke(
        app, ["fuzz", "--frames", "10000", "--seed", "11", "--json", str(file)]
    )
    figures = json.loads(file.read_text())
    assert run.exit_code == 0, figures
    assert figures["passed"] and figures["server_alive"] and figures["memory"]["within_bound"]
    assert (figures["faults"], figures["log"]["missing"], figures["log"]["unexplained"]) == (
        0,
        0,
        0,
    )
    # The traffic is as bad as it is meant to be.
    assert figures["log"]["must"] > 5_000
    assert min(figures["events"].values()) > 0
    assert {"wire", "refused", "truncated", "empty_frame"} <= figures["events"].keys()
    assert {"finished", "half", "reset"} <= figures["sessions"].keys()
    assert figures["interpreted"]["outcomes"].keys() == {"facts", "no_facts", "quarantine"}
