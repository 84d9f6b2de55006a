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


_SECONDS = {"expires_s": 1.0, "expires_h": 3_600.0, "expires_d": 86_400.0}


def expiries(bundles: Path | None, risks: Iterable[str]) -> dict[str, float]:
    """Seconds after its newest datum from which on a risk abstains. Errors as of `alert_rules`."""
    found: dict[str, float] = {}
    for risk in risks:
        answers = json.loads(((bundles or SHIPPED) / risk / DESCRIPTION).read_text())["answers"]
        said = {**answers["contract"], **answers}
        name = next((name for name in _SECONDS if name in said), None)
        if name is None:
            raise ValueError(f"the bundle of {risk} does not say when its evidence expires")
        found[risk] = float(said[name]) * _SECONDS[name]
    return found


def shipped_rules(bundles: Path | None, risks: Iterable[str]) -> dict[str, Threshold]:
    """Where each risk fires. `bundles` is a folder of bundles; None: those shipped.

    Raises `OSError` when a bundle is missing, `KeyError` or `ValueError` when it is none.
    """
    rules = alert_rules(bundles, risks)
    return {risk: Threshold(value=r.fire, version=r.version) for risk, r in rules.items()}
