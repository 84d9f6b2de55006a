"""`tocsin train sepsis` and `tocsin evaluate sepsis`."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable
from contextlib import AbstractContextManager
from itertools import islice
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING, Any

from rich.console import Console

from connectors.cohorts import physionet2019
from connectors.cohorts.physionet2019 import CohortPatient
from connectors.cohorts.tables import CohortError, Reading
from connectors.replay.physionet2019 import AUTHORITY, messages_for
from streams.errors import UserError

if TYPE_CHECKING:
    from models.bundle import Bundle
    from models.risk import Assessment
    from models.sepsis import SepsisModel
    from models.sepsis_evaluation import Scored

Progress = Callable[[str, int], AbstractContextManager[Callable[[], None]]]


def train(data: Path, out: Path, seed: int, progress: Progress) -> None:
    """Fit the bundle and write it with its card."""
    from models.bundle import load_bundle  # noqa: PLC0415 - torch
    from models.training import sepsis  # noqa: PLC0415
    from models.training.sepsis_cohort import stays  # noqa: PLC0415

    patients, reading = _load(data, None)
    config = sepsis.default_config(seed)
    with progress("Training sepsis", sepsis.total_steps(len(patients))) as step:
        figures = sepsis.train(
            lambda: stays(patients), out, config, step, load_bundle(None, "news2")
        )
    _print(figures | {"reading": reading.counts()})
    Console().print(f"Bundle written to {out}. Its card: {out / 'CARD.md'}")


def evaluate(
    data: Path, out: Path, bundle: Bundle, stream: bool, limit: int | None, progress: Progress
) -> None:
    """Score every hour of the cohort. With `stream` the predictions are those of each patient's
    last hour from a running system, and the figures say how far they are from these."""
    from models import sepsis_evaluation as evaluation  # noqa: PLC0415 - torch
    from models.bundle import load_bundle  # noqa: PLC0415
    from models.sepsis import SepsisModel  # noqa: PLC0415
    from models.training.sepsis_cohort import stays  # noqa: PLC0415
    from models.training.sepsis_report import write_sepsis_report  # noqa: PLC0415

    patients, reading = _load(data, limit)
    model = SepsisModel(bundle)
    reference = load_bundle(None, "news2")
    with progress("Evaluating sepsis", len(patients)) as step:
        scored = evaluation.score_all(stays(patients), model, step, reference)
    figures = evaluation.figures(scored, model, reference.risk) | {
        "via": "stream" if stream else "offline",
        "reading": reading.counts(),
    }
    rows = scored
    if stream:
        rows = evaluation.heard(scored, _through_the_system(patients, scored, model))
        figures["stream"] = evaluation.compared(rows, scored)
    (out / "metrics.json").write_text(json.dumps(figures, indent=1) + "\n")
    evaluation.write_predictions(rows, model.baseline, out / "predictions.csv")
    write_sepsis_report(out, figures, scored)
    _print(figures)
    if stream:
        Console().print(
            "Last hours through the system: {patients} patients, largest difference of "
            "log-odds {largest_difference}".format(**figures["stream"])
        )
    Console().print(f"Written to {out}: metrics.json, predictions.csv, report.html")


def _load(data: Path, limit: int | None) -> tuple[list[CohortPatient], Reading]:
    reading = Reading()
    console = Console(stderr=True)
    try:
        with console.status(f"Reading {data}"):
            known = (p for p in physionet2019.load(data, reading) if p.labels is not None)
            found = list(islice(known, limit))
    except CohortError as error:
        raise UserError(str(error)) from None
    if len({1 in (p.labels or ()) for p in found}) < 2:
        raise UserError(
            f"{data} gives {len(found)} patients with labels, and needs some with sepsis and some "
            "without: the column SepsisLabel says which."
        )
    return found, reading


def _through_the_system(
    patients: Iterable[CohortPatient], scored: list[Scored], model: SepsisModel
) -> dict[str, Assessment]:
    """Each patient's last score from a running system whose bundle has never seen the patient."""
    from models.bundle import single_member  # noqa: PLC0415 - torch
    from models.training.sepsis_cohort import STARTED_AT  # noqa: PLC0415
    from streams import through_the_system  # noqa: PLC0415
    from streams.local.errors import LocalError  # noqa: PLC0415

    members = {one.record_id: one.fold for one in scored}
    console = Console(stderr=True, highlight=False)
    found: dict[str, Assessment] = {}
    with TemporaryDirectory(prefix="tocsin-evaluate-") as home:
        for member in sorted(set(members.values()), key=lambda m: -1 if m is None else m):
            bundle = model.bundle if member is None else single_member(model.bundle, member)
            messages = {
                p.record_id: list(messages_for(p, STARTED_AT))
                for p in patients
                if members[p.record_id] == member
            }
            name = "the ensemble" if member is None else f"member {member} alone"
            console.print(f"· {len(messages)} patients through {name}")
            try:
                found |= through_the_system.scores(
                    messages,
                    AUTHORITY,
                    bundle,
                    Path(home),
                    lambda line: console.print(f"  · {line}"),
                )
            except LocalError as error:
                raise UserError(str(error)) from None
    return found


def _print(figures: dict[str, Any]) -> None:
    from models.training.apart import printed  # noqa: PLC0415
    from models.training.page import interval, number  # noqa: PLC0415

    console = Console()
    if "parts" not in figures:
        kind = "cross-fitted" if figures["cross_fitted"] else "whole ensemble"
        console.print(
            f"{figures['scored']} hours of {figures['patients']} patients, {kind}: "
            f"AUROC {interval(figures['auroc'])}, AUPRC {interval(figures['auprc'])}, "
            f"utility {interval(figures['utility'])}, "
            f"calibration slope {interval(figures['calibration_slope'])}, "
            f"ECE {number(figures['ece'])}"
        )
    for line in printed(figures):
        console.print(line)
