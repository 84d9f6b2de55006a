"""What a score costs: 1,000 patients in one batch, with and without reasons, and one alone.

`python tests/bench/assess.py` on made-up patients, one core; the best of several runs.
"""

from __future__ import annotations

import time
from collections.abc import Callable

import torch

from models.bundle import load_bundle
from models.inputs import DAY_S
from models.questions import QUESTIONS
from models.record import PatientRecord
from models.training.tumours import START
from tests.unit.models.test_multimodal import EVERYTHING, record

PATIENTS = 1_000


def best(work: Callable[[], object], runs: int) -> float:
    """Seconds of the fastest run."""
    times: list[float] = []
    for _ in range(runs):
        start = time.perf_counter()
        work()
        times.append(time.perf_counter() - start)
    return min(times)


def main() -> None:
    """Print one line for each risk."""
    torch.set_num_threads(1)
    for risk in sorted(QUESTIONS):
        model = load_bundle(None, risk)
        now = START + 20 * DAY_S
        records: list[PatientRecord] = [record(EVERYTHING[risk]) for _ in range(PATIENTS)]
        asked = [(one, now) for one in records]
        model.assess(asked)
        each = 1e6 / PATIENTS
        with_reasons = best(lambda m=model, a=asked: m.assess(a), 5) * each  # type: ignore[misc]
        without = best(lambda m=model, a=asked: m.log_odds(a), 5) * each  # type: ignore[misc]
        alone = best(lambda m=model, a=asked[:1]: m.assess(a), 50) * 1e6  # type: ignore[misc]
        print(  # noqa: T201
            f"{risk:24s} {with_reasons:6.0f} us a patient with reasons, {without:5.0f} without; "
            f"one alone {alone:6.0f} us"
        )


if __name__ == "__main__":
    main()
