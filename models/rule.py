"""The thresholds that bundles ship with, readable without torch (the console needs no more)."""

from __future__ import annotations

import json
from collections.abc import Iterable
from pathlib import Path

from connectors.contract import Threshold
from models.risk import AlertRule

SHIPPED = Path(__file__).parent / "bundles"
DESCRIPTION = "bundle.json"


def alert_rules(bundles: Path | None, risks: Iterable[str]) -> dict[str, AlertRule]:
    """The whole rule of each risk. Arguments and errors as of `shipped_rules`."""
    rules: dict[str, AlertRule] = {}
    for risk in risks:
        described = json.loads(((bundles or SHIPPED) / risk / DESCRIPTION).read_text())
        rules[risk] = AlertRule(**described["answers"]["rule"])
    return rules


def shipped_rules(bundles: Path | None, risks: Iterable[str]) -> dict[str, Threshold]:
    """Where each risk fires. `bundles` is a folder of bundles; None: those shipped.

    Raises `OSError` when a bundle is missing, `KeyError` or `ValueError` when it is none.
    """
    rules = alert_rules(bundles, risks)
    return {risk: Threshold(value=r.fire, version=r.version) for risk, r in rules.items()}
