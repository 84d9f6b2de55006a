"""`tocsin train` and `tocsin evaluate` of the multimodal risks."""

from __future__ import annotations

import csv
import json
from collections.abc import Callable, Sequence
from itertools import islice
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING, Any, NamedTuple

from rich.console import Console

from connectors.cohorts import hancock, ucsf_pdgm
from connectors.cohorts.tables import CohortError, Reading, RecordId
from connectors.cohorts.tumour import TumourPatient
from connectors.replay.tumours import messages_for
from streams.errors import UserError

if TYPE_CHECKING:
    from models.multimodal import MultimodalModel
    from models.risk import Assessment
    from models.training.tumours import Case


class Cohort(NamedTuple):
    """Where a risk's patients come from."""

    load: Callable[[Path, Reading], list[TumourPatient]]
    authority: str  # of their numbers, when they are replayed


COHORTS = {
    "glioma-survival": Cohort(ucsf_pdgm.load, "UCSF-PDGM"),
    "head-neck-recurrence": Cohort(hancock.load, "HANCOCK"),
}
REPEATS = 10


def train(
    risk: str,
    data: Path,
    out: Path,
    seed: int,
    fusion: str,
    progress: Callable[[int], Callable[[], None]],
) -> dict[str, Any]:
    """Compare fusions, fit and write the bundle. `progress` is told the steps, gives one back."""
    from models.questions import QUESTIONS  # noqa: PLC0415 - torch
    from models.training import multimodal  # noqa: PLC0415
    from models.training.tumours import cases, folded  # noqa: PLC0415

    patients, reading = _load(risk, data)
    everybody = [*cases(patients), *folded(p for p in patients if p.label is None)]
    step = progress(multimodal.total_steps(REPEATS))
    figures = multimodal.train(
        QUESTIONS[risk], everybody, out, seed, REPEATS, step, multimodal.Fusion(fusion)
    )
    return figures | {"reading": reading.counts()}


def evaluate(
    risk: str, data: Path, out: Path, model: MultimodalModel, stream: bool, limit: int | None
) -> Any:
    """Score the cohort; patients that the bundle was trained on by the member without them.

    `limit`: only the first so many with a known outcome.
    """
    from models.ensemble import Scorer  # noqa: PLC0415 - torch
    from models.training import multimodal  # noqa: PLC0415
    from models.training.apart import parts  # noqa: PLC0415
    from models.training.multimodal_report import write_report  # noqa: PLC0415
    from models.training.tumours import cases  # noqa: PLC0415

    patients, reading = _load(risk, data)
    known = list(islice(cases(patients), limit))
    at_risk = [case for case in known if case.at_risk]
    if not 0 < sum(case.label for case in at_risk) < len(at_risk):
        raise UserError(
            f"{data} gives {len(at_risk)} patients with a known outcome that came after all "
            "results, and needs both outcomes."
        )
    rows = multimodal.cross_fitted(model, known)
    if stream:
        found = _through_the_system(risk, patients, known, model)
        rows = [(case, found[case.record_id]) for case, _ in rows if case.record_id in found]
    scorer = Scorer(model, risk)
    judged = [(case, answer) for case, answer in rows if case.at_risk]
    figures = multimodal.figures(rows) | {
        "risk": risk,
        "model": model.digest,
        "via": "stream" if stream else "offline",
        **parts(judged, [scorer.trained_on(case) for case, _ in judged], multimodal.part),
        "reading": reading.counts(),
        "not_at_risk": len(rows) - len(judged),
        "comparison_in_training": model.bundle.about["comparison"],
    }
    (out / "metrics.json").write_text(json.dumps(figures, indent=1) + "\n")
    names = [m.name for m in model.question.sources]
    _write_predictions(rows, names, out / "predictions.csv")
    write_report(out, figures, rows)
    return figures


def _load(risk: str, data: Path) -> tuple[list[TumourPatient], Reading]:
    reading = Reading()
    try:
        return COHORTS[risk].load(data, reading), reading
    except CohortError as error:
        raise UserError(str(error)) from None


def _write_predictions(
    rows: Sequence[tuple[Case, Assessment]], modalities: Sequence[str], file: Path
) -> None:
    """`as_of` is in days since the first; an abstention leaves the numbers empty."""
    from models.inputs import DAY_S  # noqa: PLC0415
    from models.training.tumours import START  # noqa: PLC0415

    with file.open("w", newline="", encoding="utf-8") as out:
        writer = csv.writer(out, lineterminator="\n")
        writer.writerow(
            ["id", "as_of", "probability", "log_odds", "abstained", "label", *modalities]
        )
        for case, a in rows:
            llr = {e.modality: e.llr for e in a.evidence}
            day = round((a.as_of - START) / DAY_S, 4)
            cells = [case.record_id, day, a.probability, a.log_odds, a.abstained, case.label]
            cells += [llr.get(name) for name in modalities]
            writer.writerow(["" if c is None else c for c in cells])


def _through_the_system(
    risk: str, patients: Sequence[TumourPatient], known: Sequence[Case], model: MultimodalModel
) -> dict[RecordId, Assessment]:
    """Each patient's score from a running system whose bundle has never seen the patient."""
    from models.bundle import single_member  # noqa: PLC0415 - torch
    from models.ensemble import Scorer  # noqa: PLC0415
    from models.training.tumours import START  # noqa: PLC0415
    from streams import through_the_system  # noqa: PLC0415
    from streams.local.errors import LocalError  # noqa: PLC0415

    scorer = Scorer(model, risk)
    members = {case.record_id: scorer.member(case) for case in known}
    authority = COHORTS[risk].authority
    console = Console(stderr=True, highlight=False)
    found: dict[RecordId, Assessment] = {}
    with TemporaryDirectory(prefix="tocsin-evaluate-") as home:
        for member in sorted(set(members.values()), key=lambda m: -1 if m is None else m):
            bundle = model.bundle if member is None else single_member(model.bundle, member)
            messages = {
                p.record_id: list(messages_for(p, START, authority))
                for p in patients
                if p.record_id in members and members[p.record_id] == member
            }
            name = "the ensemble" if member is None else f"member {member} alone"
            console.print(f"· {len(messages)} patients through {name}")
            try:
                found |= through_the_system.scores(
                    messages,
                    authority,
                    bundle,
                    Path(home),
                    lambda line: console.print(f"  · {line}"),
                )
            except LocalError as error:
                raise UserError(str(error)) from None
    return found
