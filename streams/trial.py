"""Bundles on trial as a worker starts with them. One that cannot be used keeps nobody from work."""

from __future__ import annotations

import logging
from collections.abc import Iterable, Sequence
from pathlib import Path

from connectors import metrics
from models.bundle import BundleError, load_folder
from models.risk import RiskModel

log = logging.getLogger("tocsin.worker")


def load_shadows(folders: Iterable[Path], active: Sequence[RiskModel]) -> list[RiskModel]:
    """The bundles in `worker.shadow` that can be used; of each other the log says why not.

    Patients are watched by the active bundles: these have to fit, or the worker does not start. It
    would be wrong to leave patients unwatched for a trial's sake.
    """
    found: list[RiskModel] = []
    refused = metrics.Level("tocsin_shadows_refused", {})
    count = 0
    for folder in folders:
        try:
            model = load_folder(folder)
            _check(folder, model, [*active, *found])
        except Exception as error:  # noqa: BLE001 - whatever a folder holds that is only on trial
            count += 1
            why = str(error) if isinstance(error, BundleError) else type(error).__name__
            log.error("a bundle on trial is not used: %s: %s", folder, why)
        else:
            found.append(model)
    refused.set(count)
    return found


def _check(folder: Path, model: RiskModel, others: Sequence[RiskModel]) -> None:
    """Scores are told apart by the digest."""
    if any(model.digest == other.digest for other in others):
        raise BundleError(f"{folder} is a bundle of {model.risk} that runs already.")
