"""Operators hear of models that fail, and nothing of patients; what is on trial stops nobody."""

from __future__ import annotations

import dataclasses
import json
import logging
import re
import urllib.error
import urllib.request
from collections.abc import Callable
from pathlib import Path

import pytest

from models.bundle import load_bundle, load_folder, read, write
from models.contained import Failure
from models.questions import GLIOMA
from models.rule import DESCRIPTION, SHIPPED
from streams import telemetry
from streams.engine import AskedModel
from streams.failing import FailingModels
from streams.settings import TelemetrySettings
from streams.trial import load_shadows
from tests.unit.streams.test_shadow import trained_otherwise

DIGEST = "0123456789abcdef" * 4
FAILURE = Failure("sepsis", DIGEST, "ValueError", "models/units.py:12 in canonical")
ACTIVE, TRIAL = AskedModel("sepsis", DIGEST, False), AskedModel("sepsis", "f" * 64, True)


def test_an_error_is_logged_with_its_place_and_not_each_time(
    caplog: pytest.LogCaptureFixture,
) -> None:
    models = FailingModels([].append)
    with caplog.at_level(logging.ERROR, "tocsin.worker"):
        for _ in range(150):
            models.hear(FAILURE, shadow=False)
        models.hear(FAILURE, shadow=True)
    lines = [record.getMessage() for record in caplog.records]
    assert [line.rpartition("for the ")[2] for line in lines] == [
        "1. time", "10. time", "100. time", "1. time",
    ]  # fmt: skip
    assert "ValueError at models/units.py:12 in canonical" in lines[0]
    assert DIGEST[:12] in lines[0]
    assert "on trial" in lines[3]


def test_a_model_that_fails_for_everybody_is_said_once_and_taken_back(
    caplog: pytest.LogCaptureFixture,
) -> None:
    said: list[str] = []
    models = FailingModels(said.append)
    models.begin([ACTIVE, TRIAL])
    with caplog.at_level(logging.CRITICAL, "tocsin.worker"):
        for down in ([], [ACTIVE], [ACTIVE], [ACTIVE, TRIAL], [TRIAL], []):
            models.look(down)
    assert [bool(text) for text in said] == [True, True, False, False]
    assert "sepsis" in said[0]
    assert len(caplog.records) == 2


def test_ready_says_what_keeps_a_process_from_its_work() -> None:
    probe = telemetry.probe(TelemetrySettings(metrics_port=0))

    def ready() -> tuple[int, str]:
        try:
            with urllib.request.urlopen(f"http://{probe.address}/ready", timeout=10) as answer:
                return answer.status, answer.read().decode().strip()
        except urllib.error.HTTPError as error:
            return error.code, error.read().decode().strip()

    try:
        assert ready() == (503, "starting")
        probe.set_ready()
        assert ready() == (200, "ready")
        models = FailingModels(probe.set_trouble)
        models.begin([ACTIVE, TRIAL])
        models.hear(FAILURE, shadow=True)
        models.look([ACTIVE, TRIAL])
        status, text = ready()
        assert (status, "sepsis" in text) == (503, True)
        models.look([TRIAL])
        assert ready() == (200, "ready")
    finally:
        probe.stop()


def foreign(folder: Path) -> Path:
    """A sound bundle that was made for other inputs."""
    bundle = read(SHIPPED / GLIOMA.risk, GLIOMA.risk)
    contract = json.loads(json.dumps(bundle.answers["contract"]))
    contract["modalities"][0][2].pop()
    write(folder, dataclasses.replace(bundle, answers=bundle.answers | {"contract": contract}))
    return folder


def half_written(folder: Path) -> Path:
    trained_otherwise(folder)
    described = json.loads((folder / DESCRIPTION).read_text())
    del described["answers"]["contract"]
    (folder / DESCRIPTION).write_text(json.dumps(described))
    return folder


def lacking(folder: Path) -> Path:
    """Its digest is right, and weights are lacking."""
    bundle = read(SHIPPED / GLIOMA.risk, GLIOMA.risk)
    tensors = {name: tensor for name, tensor in bundle.tensors.items() if name != "gain"}
    write(folder, dataclasses.replace(bundle, tensors=tensors))
    return folder


@pytest.mark.parametrize(
    ("made", "why"),
    [
        (foreign, "trained on other features .*: input"),
        (half_written, "digest"),
        (lacking, "incomplete"),
        (lambda folder: folder / "nowhere", "no bundle"),
        (lambda _: SHIPPED / GLIOMA.risk, "runs already"),
    ],
)
def test_a_trial_that_does_not_fit_is_refused_with_the_difference_and_the_others_run(
    made: Callable[[Path], Path], why: str, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    active = [load_bundle(None, GLIOMA.risk)]
    fits = trained_otherwise(tmp_path / "fits")
    bad = made(tmp_path / "bad")
    with caplog.at_level(logging.ERROR, "tocsin.worker"):
        found = load_shadows([bad, fits, fits], active)
    assert [model.digest for model in found] == [load_folder(fits).digest]
    first, second = (record.getMessage() for record in caplog.records)
    assert str(bad) in first
    assert re.search(why, first), first
    assert "runs already" in second
