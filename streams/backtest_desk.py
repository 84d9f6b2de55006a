"""A threshold tried on what has been, for the console: recorded scores, or a labelled cohort.

Of the recorded log the scores are taken as they were told (`tocsin backtest` computes them again).
Everything here computes: call it from a thread.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any, Final

import msgspec
from confluent_kafka import KafkaException

from connectors import feedback, topics
from connectors.clock import Clock, wall_clock
from connectors.feedback import RIGHT, WRONG, Action
from connectors.journal import Journal
from models.risk import AlertRule
from streams.backtest.columns import WINDOW_S, Scores
from streams.backtest.measure import by_part, differences, measure
from streams.backtest.report import Options, curve, with_threshold
from streams.backtest.simulate import Question, simulate
from streams.backtest.stays import Stays, from_predictions
from streams.errors import UserError
from streams.policy.rules import Rulebook

RECORDED: Final = ""  # the key of the running system's own log
_DRAWS: Final = 200  # of the bootstrap: figures on a page, not in a paper


class BacktestDesk:
    """`cohorts`: predictions of `tocsin evaluate`, by risk."""

    def __init__(
        self,
        journal: Journal,
        rules: Mapping[str, AlertRule],
        expires_s: Mapping[str, float],
        cohorts: Mapping[str, Path],
        clock: Clock = wall_clock,
    ) -> None:
        self._journal, self._clock = journal, clock
        self._rules, self._expires_s = rules, expires_s
        self.cohorts = cohorts
        self._scores = Scores()
        self._outcomes: dict[str, int] = {}
        self._next: dict[str, dict[int, int]] = {topics.SCORES: {}, topics.FEEDBACK: {}}
        self._kept: dict[tuple[str, str, int], Stays] = {}
        self._curves: dict[tuple[str, str, int, str, float | None], list[dict[str, Any]]] = {}

    @property
    def risks(self) -> list[str]:
        """Those that can be tried."""
        return sorted(self._rules)

    def rule(self, risk: str, book: Rulebook) -> float:
        """Where the risk fires by that book."""
        return book.rule(risk, "", self._rules[risk]).fire

    def trial(
        self, risk: str, source: str, book: Rulebook, fire: float, horizon_s: float | None
    ) -> dict[str, Any]:
        """What is in force against the same with another threshold. Raises `UserError`."""
        stays, key = self._stays(risk, source)
        question = Question(risk, self._rules[risk], self._expires_s[risk])
        options = Options(horizon_s=horizon_s, draws=_DRAWS)
        before = simulate(stays, question, book)
        after = simulate(stays, question, with_threshold(book, question, fire))
        named = (*key, book.version, horizon_s)
        if named not in self._curves:
            self._curves = {named: curve(stays, question, book, options)}
        judged = {"horizon_s": horizon_s, "draws": _DRAWS}
        return {
            "before": measure(stays, before, **judged),  # type: ignore[arg-type]
            "after": measure(stays, after, **judged),  # type: ignore[arg-type]
            "parts": by_part(stays, after, **judged),  # type: ignore[arg-type]
            "differences": differences(stays, before, after),
            "curve": self._curves[named],
        }

    # ── what has been ───────────────────────────────────────────────────────────────────────

    def _stays(self, risk: str, source: str) -> tuple[Stays, tuple[str, str, int]]:
        if risk not in self._rules:
            raise UserError(f"There is no risk {risk} here.")
        if source != RECORDED:
            return self._of_cohort(risk)
        self._read()
        key = (risk, source, self._scores.taken + len(self._outcomes))
        if key not in self._kept:
            stays = self._scores.stays(risk, self._outcomes)
            if not len(stays):
                raise UserError("Nothing has been scored here for this risk yet.")
            self._keep(key, stays)
        return self._kept[key], key

    def _of_cohort(self, risk: str) -> tuple[Stays, tuple[str, str, int]]:
        file = self.cohorts.get(risk)
        if file is None:
            raise UserError(f"No cohort is set for this risk (console.cohorts.{risk}).")
        key = (risk, str(file), 0)
        if key not in self._kept:
            self._keep(key, from_predictions(file))
        return self._kept[key], key

    def _keep(self, key: tuple[str, str, int], stays: Stays) -> None:
        old = [k for k in self._kept if k[:2] == key[:2]]
        for one in old:
            del self._kept[one]
        self._kept[key] = stays

    def _read(self) -> None:
        try:
            self._scores.extend(stored.value for stored in self._new(topics.SCORES))
            for stored in self._new(topics.FEEDBACK):
                self._take(stored.value)
        except KafkaException as error:
            raise UserError(f"Kafka does not answer ({error.args[0].str()}).") from None

    def _take(self, raw: bytes) -> None:
        try:
            action = feedback.decode(raw)
        except msgspec.MsgspecError:
            return
        if action.action is Action.OUTCOME and action.outcome in RIGHT | WRONG:
            self._outcomes[action.patient] = int(action.outcome in RIGHT)

    def _new(self, topic: str) -> Any:
        following = self._next[topic]
        for stored in self._journal.read(topic, following, self._clock() - WINDOW_S):
            following[stored.partition] = stored.offset + 1
            yield stored
