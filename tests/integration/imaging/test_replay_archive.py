"""A replay through a real archive: the score moves as images, operation and genes arrive."""

from __future__ import annotations

import asyncio
import csv
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest
from typer.testing import CliRunner

from connectors.clock import wall_clock
from connectors.cohorts.ucsf_pdgm import RADIOMICS
from connectors.contract import Score
from connectors.identity import Identifier, load_key
from connectors.replay.run import CohortName, plan
from models.questions import GLIOMA
from streams.cli import traffic
from streams.local.process import free_port
from streams.local.state import Command
from streams.local.up import PROCESSES, down, up
from streams.settings import Settings
from tests.acceptance.system import System, send, wait_for
from tests.integration.imaging.orthanc import Orthanc

pytestmark = [pytest.mark.kafka, pytest.mark.redis, pytest.mark.slow]

AUTHORITY = "UCSF-PDGM"


def cohort(folder: Path) -> Path:
    """Two made-up patients in the form of the published files."""
    header = "ID,Sex,Age at MRI,WHO CNS Grade,MGMT status,1p/19q,IDH,1-dead 0-alive,OS,EOR"
    lines = [
        "UCSF-PDGM-010,F,61,4,positive,,wildtype,1,400,STR",
        "UCSF-PDGM-011,M,35,2,positive,,IDH1 p.R132H,0,900,GTR",
    ]
    (folder / "UCSF-PDGM-metadata_v5.csv").write_text("\n".join([header, *lines]) + "\n")
    columns = [f"original_{f}_{i}_tumor_segmentation" for f, i, _, _ in RADIOMICS]
    values = [10_400, 0.59, 0.54, 0.00077, 0.00059, 0.35, 1_910, 0.6, 5.8, 156]  # an ordinary scan
    with (folder / "radiomic_features.csv").open("w", newline="") as out:
        writer = csv.writer(out)
        writer.writerow(["ID", *columns])
        writer.writerows([[f"UCSF-PDGM-{n:03d}", *values] for n in (10, 11)])
    return folder


@pytest.fixture
def running(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[tuple[Orthanc, System]]:
    port = free_port()
    move = free_port()
    with (
        Orthanc(tmp_path, move) as archive,
        tempfile.TemporaryDirectory(prefix="tocsin-ar-") as folder,
    ):
        access = {"user": "tocsin", "password": "secret", "timeout_s": 5.0}
        settings = Settings(
            home=Path(folder),
            sequencer={"tick_s": 1.0},
            telemetry={"trace_ratio": 0.0},
            imaging={"port": port},
            archive={"url": archive.url, **access},
            worker={"risks": (GLIOMA.risk,)},
        )
        monkeypatch.setenv("TOCSIN_HOME", folder)
        monkeypatch.setenv("TOCSIN_ARCHIVE__USER", "tocsin")
        monkeypatch.setenv("TOCSIN_ARCHIVE__PASSWORD", "secret")
        wanted = [c for c in PROCESSES if c.name in ("mllp", "sequencer", "worker")]
        imaging = Command("imaging", (sys.executable, "-m", "streams.cli", "imaging"))
        try:
            yield archive, System(up(settings, processes=[*wanted, imaging]), settings)
        finally:
            down(Path(folder))


def test_the_score_moves_as_each_modality_arrives(
    running: tuple[Orthanc, System], tmp_path: Path
) -> None:
    archive, system = running
    data = tmp_path / "cohort"
    data.mkdir()
    planned = plan(CohortName.UCSF_PDGM, cohort(data), wall_clock(), archive=True)
    assert len(planned.studies) == 2
    dicom = f"127.0.0.1:{system.settings.imaging.port}"
    traffic.to_archive(planned, CohortName.UCSF_PDGM, archive.url, dicom)
    key = load_key("", system.settings.home)
    name = key.pseudonym(Identifier(AUTHORITY, "MR", "10"))

    def scores() -> list[Score]:
        return [s for s in system.scores() if s.patient == name and s.log_odds is not None]

    def modalities() -> list[str]:
        return [e.modality for e in scores()[-1].evidence] if scores() else []

    wait_for(lambda: "imaging" in modalities(), "a score from images alone")
    images = scores()[-1]
    assert images.evidence[-1].top[0].feature == "IDH, predicted from imaging"
    assert images.missing.modalities == ["genomics"] or "genomics" in images.missing.modalities
    for message in planned.messages:
        asyncio.run(send(system, message.raw))
    wait_for(lambda: "genomics" in modalities(), "a score with the laboratory's result")
    assert "imaging" not in modalities(), "the guess is gone when the result is there"
    steps = [(tuple(e.modality for e in s.evidence), s.log_odds) for s in scores()]
    assert len({odds for _, odds in steps}) >= 3, steps
    assert system.quarantine() == []


def test_the_command_goes_through_the_archive(
    running: tuple[Orthanc, System], tmp_path: Path
) -> None:
    archive, system = running
    data = tmp_path / "cohort"
    data.mkdir()
    dicom = f"127.0.0.1:{system.settings.imaging.port}"
    arguments = ["replay", "ucsf-pdgm", "--data", str(cohort(data)), "--archive", archive.url]
    done = CliRunner().invoke(traffic.app, [*arguments, "--dicom", dicom])
    assert done.exit_code == 0, done.output
    patients = {
        load_key("", system.settings.home).pseudonym(Identifier(AUTHORITY, "MR", n))
        for n in ("10", "11")
    }

    def by_archive() -> set[str]:
        return {m.patient for m in system.messages() if m.message_type == "DICOM SR"}

    wait_for(lambda: by_archive() == patients, "both reports from the archive")
    said = {
        f.code for m in system.messages() if m.message_type != "DICOM SR" for f in m.facts
        if hasattr(f, "code")
    }  # fmt: skip
    assert not any(code.startswith("radiomics-") for code in said)
