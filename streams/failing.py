"""What operators hear of models that fail: a line in the log, figures, and `/ready`.

A line says where it happened, and nothing of the patient: texts of errors may quote values.
"""

from __future__ import annotations

import logging
from collections import Counter
from collections.abc import Callable, Sequence
from typing import NamedTuple

from connectors import metrics
from models.contained import Failure
from streams.engine import AskedModel

log = logging.getLogger("tocsin.worker")


class _Part(NamedTuple):
    """What a figure is of."""

    risk: str
    shadow: bool

    @property
    def labels(self) -> dict[str, str]:
        return {"risk": self.risk, "shadow": str(self.shadow).lower()}


class FailingModels:
    """Tells of errors that were kept to one patient, and of models that fail for everybody."""

    def __init__(self, on_trouble: Callable[[str], None]) -> None:
        """`on_trouble` hears what keeps the process from its work; "": nothing any more."""
        self._on_trouble = on_trouble
        self._times: Counter[tuple[bool, Failure]] = Counter()
        self._levels: dict[_Part, metrics.Level] = {}
        self._down: list[AskedModel] = []

    def begin(self, asked: Sequence[AskedModel]) -> None:
        """Of all that are asked there is a figure, so that the first error is seen as a rise."""
        for part in {_Part(one.risk, one.shadow) for one in asked}:
            metrics.counter("tocsin_model_errors").add(0, part.labels)
            self._levels[part] = metrics.Level("tocsin_models_down", part.labels)
            self._levels[part].set(0.0)

    def hear(self, failure: Failure, shadow: bool) -> None:
        """A model failed on a patient. The same error is logged at its 1st, 10th, 100th … time."""
        labels = _Part(failure.risk, shadow).labels
        metrics.counter("tocsin_model_errors").add(1, labels)
        self._times[shadow, failure] += 1
        times = self._times[shadow, failure]
        if str(times).strip("0") == "1":
            log.error(
                "the model of %s%s (%s) failed on a patient: %s at %s; for the %d. time",
                failure.risk,
                " on trial" if shadow else "",
                failure.digest[:12],
                failure.error,
                failure.place or "an unknown place",
                times,
            )

    def look(self, down: Sequence[AskedModel]) -> None:
        """Which models fail for everybody now?"""
        if down == self._down:
            return
        for one in down:
            if one not in self._down:
                log.critical("the model of %s fails on every patient", _named(one))
        self._down = list(down)
        parts = {_Part(one.risk, one.shadow) for one in down}
        for part, level in self._levels.items():
            level.set(float(part in parts))
        # What is on trial keeps nobody from anything.
        active = [_named(one) for one in down if not one.shadow]
        self._on_trouble(f"fails on every patient: {', '.join(active)}" if active else "")


def _named(one: AskedModel) -> str:
    return f"{one.risk}{' on trial' if one.shadow else ''} ({one.digest[:12]})"
