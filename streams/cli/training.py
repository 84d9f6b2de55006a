"""`tocsin train` and `tocsin evaluate`."""

from __future__ import annotations

import itertools
import json
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from enum import StrEnum
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING, Annotated, Any

import typer
from rich.console import Console
from rich.progress import BarColumn, Progress, TextColumn, TimeRemainingColumn

from connectors.cohorts import physionet2012
from connectors.cohorts.tables import CohortError, Reading, RecordId
from connectors.replay.physionet2012 import AUTHORITY, messages_for
from connectors.replay.timed import Timed
from streams.cli import sepsis, tumours
from streams.errors import UserError

if TYPE_CHECKING:
    from collections.abc import Callable

    from models.evaluation import CohortModel
    from models.risk import Assessment
    from models.training.cohort import Stay

app = typer.Typer()


class Risk(StrEnum):
    """Risks that can be trained and evaluated."""

    DETERIORATION = "deterioration"
    NEWS2 = "news2"
    SEPSIS = "sepsis"
    GLIOMA_SURVIVAL = "glioma-survival"
    HEAD_NECK_RECURRENCE = "head-neck-recurrence"


class Fusion(StrEnum):
    """As `models.training.multimodal.Fusion`, which needs torch."""

    LATE = "late"
    EARLY = "early"


class Via(StrEnum):
    """Where scores come from."""

    OFFLINE = "offline"
    STREAM = "stream"


RiskName = Annotated[Risk, typer.Argument(help="Which risk.")]
Data = Annotated[
    Path,
    typer.Option(help="Folder of the risk's cohort: PhysioNet 2012 or 2019, UCSF-PDGM or HANCOCK."),
]
Out = Annotated[Path, typer.Option(help="Folder to write to; made when it does not exist.")]
Sets = Annotated[list[str] | None, typer.Option("--set", help="a, b or another; default: all.")]


@app.command()
def train(
    risk: RiskName,
    data: Data,
    out: Out,
    seed: Annotated[int, typer.Option(help="Of every random choice.")] = 1,
    sets: Sets = None,
    fusion: Annotated[
        Fusion, typer.Option(help="Of a multimodal risk: how its modalities are put together.")
    ] = Fusion.LATE,
) -> None:
    """Train a risk on a public cohort and write its bundle, with a card of its figures.

    Example: tocsin train deterioration --data ../data/physionet2012 --out bundles/deterioration
    """
    _prepare_torch()
    if risk.value in tumours.COHORTS:
        _refuse_sets(risk, sets)
        _train_tumours(risk, data, out, seed, fusion)
        return
    if risk is Risk.SEPSIS:
        _refuse_sets(risk, sets)
        sepsis.train(data, out, seed, _progress)
        return
    from models.training import deterioration, news2  # noqa: PLC0415 - torch

    stays, reading = _stays(data, sets)
    names = ", ".join(sets or physionet2012.available(data))
    if risk is Risk.NEWS2:
        with _progress(f"Training {risk}", news2.total_steps(stays)) as step:
            figures = news2.train(stays, names, out, step)
    else:
        config = deterioration.default_config(seed)
        with _progress(f"Training {risk}", deterioration.total_steps(stays, config)) as step:
            figures = deterioration.train(stays, names, out, config, step, _news2())
    _print_figures(figures | {"reading": reading.counts()})
    Console().print(f"Bundle written to {out}. Its card: {out / 'CARD.md'}")


@app.command()
def evaluate(
    risk: RiskName,
    data: Data,
    out: Out,
    via: Annotated[Via, typer.Option(help="Score here, or through the running system.")] = (
        Via.OFFLINE
    ),
    bundles: Annotated[
        Path | None, typer.Option(help="Folder of bundles; default: those shipped.")
    ] = None,
    sets: Sets = None,
    patients: Annotated[
        int | None, typer.Option(min=2, help="Only the first so many patients.")
    ] = None,
) -> None:
    """Score a cohort: metrics.json, predictions.csv, report.html; hourly.csv for `tocsin backtest`.

    Patients that the bundle was trained on are scored by the member that never saw them. With
    `--via stream` the patients are sent as HL7 through a running system, started for that purpose.

    Example: tocsin evaluate deterioration --data ../data/physionet2012 --out evaluation
    """
    _prepare_torch()
    from models import evaluation  # noqa: PLC0415 - torch
    from models.resampling import Resamples  # noqa: PLC0415
    from models.rule import SHIPPED  # noqa: PLC0415
    from models.training.report import write_report  # noqa: PLC0415

    bundle = _read_bundle((bundles or SHIPPED) / risk, risk)
    _make(out)
    if risk.value in tumours.COHORTS:
        _refuse_sets(risk, sets)
        _evaluate_tumours(risk, data, out, bundle, via, patients)
        return
    if risk is Risk.SEPSIS:
        _refuse_sets(risk, sets)
        sepsis.evaluate(data, out, bundle, via is Via.STREAM, patients, _progress)
        return
    model = _cohort_model(bundle)
    stays, reading = _stays(data, sets, patients)
    scores = _through_the_system(data, sets, stays, model) if via is Via.STREAM else None
    with _progress(f"Evaluating {risk}", len(stays)) as step:
        reference = None if risk is Risk.NEWS2 else _news2()
        figures, rows, grid = evaluation.evaluate(stays, model, scores, step, reference)
    figures |= {"via": via.value, "reading": reading.counts()}
    (out / "metrics.json").write_text(json.dumps(figures, indent=1) + "\n")
    evaluation.write_predictions(rows, out / "predictions.csv")
    evaluation.write_hourly(stays, grid, out / "hourly.csv")
    standing = evaluation.at_the_end(stays, rows)
    write_report(out, figures, standing, Resamples(len(stays)))
    _print_figures(figures)
    Console().print(f"Written to {out}: metrics.json, predictions.csv, hourly.csv, report.html")


def _cohort_model(bundle: Any) -> CohortModel:
    from models.deterioration import DeteriorationModel  # noqa: PLC0415 - torch
    from models.news2_model import News2Model  # noqa: PLC0415

    return News2Model(bundle) if bundle.risk == Risk.NEWS2 else DeteriorationModel(bundle)


def _news2() -> CohortModel:
    """What every model of the health record is compared with."""
    from models.rule import SHIPPED  # noqa: PLC0415 - torch

    return _cohort_model(_read_bundle(SHIPPED / Risk.NEWS2, Risk.NEWS2))


def _train_tumours(risk: Risk, data: Path, out: Path, seed: int, fusion: Fusion) -> None:
    with ExitStack() as stack:
        figures = tumours.train(
            risk,
            data,
            out,
            seed,
            fusion,
            lambda steps: stack.enter_context(_progress(f"Training {risk}", steps)),
        )
    _print_tumours(figures)
    Console().print(f"Bundle written to {out}. Its card: {out / 'CARD.md'}")


def _refuse_sets(risk: Risk, sets: list[str] | None) -> None:
    if sets:
        raise UserError(f"The cohort of {risk} has no sets: leave out --set.")


def _evaluate_tumours(
    risk: Risk, data: Path, out: Path, bundle: Any, via: Via, limit: int | None
) -> None:
    from models.multimodal import MultimodalModel  # noqa: PLC0415 - torch
    from models.questions import QUESTIONS  # noqa: PLC0415

    model = MultimodalModel(QUESTIONS[risk], bundle)
    figures = tumours.evaluate(risk, data, out, model, via is Via.STREAM, limit)
    _print_tumours(figures)
    Console().print(f"Written to {out}: metrics.json, predictions.csv, report.html")


def _print_tumours(figures: dict[str, Any]) -> None:
    from models.training.apart import printed  # noqa: PLC0415
    from models.training.page import interval, number  # noqa: PLC0415

    console = Console()
    if "parts" not in figures:
        console.print(
            f"{figures['scored']} patients: AUROC {interval(figures['auroc'])}, "
            f"AUPRC {interval(figures['auprc'])}, "
            f"calibration slope {interval(figures['calibration_slope'])}, "
            f"ECE {number(figures['ece'])}"
        )
    for line in printed(figures):
        console.print(line)


def _through_the_system(
    data: Path, sets: list[str] | None, stays: list[Stay], model: CohortModel
) -> dict[RecordId, Assessment]:
    """Each patient's score from a running system whose bundle has never seen the patient."""
    from models.bundle import single_member  # noqa: PLC0415 - torch
    from models.ensemble import Scorer  # noqa: PLC0415
    from models.training.cohort import COHORT  # noqa: PLC0415
    from streams import through_the_system  # noqa: PLC0415
    from streams.local.errors import LocalError  # noqa: PLC0415

    scorer = Scorer(model, COHORT)
    members = {stay.record_id: scorer.member(stay) for stay in stays}
    cohort = [p for p in physionet2012.load(data, sets) if p.record_id in members]
    console = Console(stderr=True, highlight=False)
    found: dict[RecordId, Assessment] = {}
    with TemporaryDirectory(prefix="tocsin-evaluate-") as home:
        for member in sorted(set(members.values()), key=lambda m: -1 if m is None else m):
            bundle = model.bundle if member is None else single_member(model.bundle, member)
            chosen = [p for p in cohort if members[p.record_id] == member]
            name = "the ensemble" if member is None else f"member {member} alone"
            console.print(f"· {len(chosen)} patients through {name}")
            try:
                found |= through_the_system.scores(
                    {p.record_id: _messages(p) for p in chosen},
                    AUTHORITY,
                    bundle,
                    Path(home),
                    lambda line: console.print(f"  · {line}"),
                )
            except LocalError as error:
                raise UserError(str(error)) from None
    return found


def _messages(patient: physionet2012.CohortPatient) -> list[Timed]:
    """All but the last message: that only moves the patient's clock to the end of the 48 hours."""
    from models.training.cohort import ADMITTED_AT  # noqa: PLC0415 - torch

    return list(messages_for(patient, ADMITTED_AT))[:-1]


def _prepare_torch() -> None:
    try:
        import matplotlib  # noqa: F401, PLC0415
        import pandas  # noqa: F401, PLC0415
        import torch  # noqa: PLC0415
    except ModuleNotFoundError as error:
        raise UserError(
            f"Training and evaluation need {error.name}: `pip install 'tocsin[train]'`."
        ) from None
    torch.set_num_threads(1)  # sums in one order: the same figures on any machine


def _make(out: Path) -> None:
    try:
        out.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise UserError(f"{out} cannot be made ({error.strerror}): name another folder.") from None


def _read_bundle(folder: Path, risk: Risk) -> Any:
    from models.bundle import BundleError, read  # noqa: PLC0415

    try:
        return read(folder, risk)
    except BundleError as error:
        raise UserError(f"{error} Train one with `tocsin train {risk}`.") from None


def _stays(
    data: Path, sets: list[str] | None, limit: int | None = None
) -> tuple[list[Stay], Reading]:
    from models.training.cohort import stays  # noqa: PLC0415

    reading = Reading()
    console = Console(stderr=True)
    try:
        with console.status(f"Reading {data}"):
            found = list(itertools.islice(stays(physionet2012.load(data, sets, reading)), limit))
    except CohortError as error:
        raise UserError(str(error)) from None
    if not 0 < sum(s.label for s in found) < len(found):
        raise UserError(
            f"{data} gives {len(found)} patients with a known outcome, and needs both outcomes: "
            "put outcomes_?.csv or Outcomes-?.txt beside the events."
        )
    return found, reading


@contextmanager
def _progress(text: str, total: int) -> Iterator[Callable[[], None]]:
    columns = (TextColumn("{task.description}"), BarColumn(), TimeRemainingColumn())
    with Progress(*columns, console=Console(stderr=True)) as progress:
        task = progress.add_task(text, total=total)
        yield lambda: progress.advance(task)


def _print_figures(figures: dict[str, Any]) -> None:
    from models.training.apart import printed  # noqa: PLC0415
    from models.training.page import interval, number  # noqa: PLC0415

    console = Console()
    if "parts" not in figures:
        kind = "cross-fitted" if figures["cross_fitted"] else "whole ensemble"
        console.print(
            f"{figures['scored']} patients at {figures['hour']} h, {kind}: "
            f"AUROC {interval(figures['auroc'])}, AUPRC {interval(figures['auprc'])}, "
            f"calibration slope {interval(figures['calibration_slope'])}, "
            f"ECE {number(figures['ece'])}"
        )
    for line in printed(figures):
        console.print(line)
