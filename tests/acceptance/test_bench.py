"""`tocsin bench` in small: every part runs on real servers, and the figures make sense."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest

from tests.conftest import ROOT

SMALL = [
    "--patients",
    "20",
    "--flood",
    "400",
    "--rate",
    "50",
    "--seconds",
    "4",
    "--curve=",
    "--workers",
    "2",
]


@pytest.mark.kafka
@pytest.mark.redis
@pytest.mark.slow
@pytest.mark.timeout(500)
def test_the_benchmark_measures_what_the_contract_names(tmp_path: Path) -> None:
    figures_file, page = tmp_path / "bench.json", tmp_path / "bench.html"
    command = [sys.executable, "-m", "streams.cli", "bench", *SMALL]
    command += ["--naive", str(ROOT / "tests" / "bench" / "naive.py")]
    command += ["--json", str(figures_file), "--report", str(page)]
    run = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
    assert run.returncode == 0, run.stderr
    figures = json.loads(figures_file.read_text())
    for name in ("floor_msg_s", "naive_msg_s", "throughput_msg_s", "capacity_msg_s"):
        assert figures[name] > 0, name
    assert figures["throughput_by_naive"] > 1
    assert figures["throughput_messages"] == 400
    assert "event_to_alert_ms" in figures  # None where the few messages raise no alert
    for name in ("ack_ms", "event_to_score_ms"):
        assert 0 < figures[name]["p50"] <= figures[name]["p99"] <= figures[name]["max"], name
    assert figures["scores"] > 0
    processes = {"kafka", "redis", "mllp", "sequencer", "worker"}
    assert processes <= figures["cpu_ms_per_message"].keys()
    assert processes <= figures["resident_mb"].keys()
    (two,) = figures["scaling"]
    assert two["workers"] == 2
    assert two["cpu_ms_per_message"]["worker2"] >= 0
    assert sum(figures["cores_had"]["flood"].values()) == pytest.approx(1.0, abs=0.05)
    assert "<polyline" in page.read_text()
