"""The thresholds that bundles ship with, readable without torch (the console needs no more)."""

from __future__ import annotations

import json
from collections.abc import Iterable
from pathlib import Path

from connectors.contract import Threshold

SHIPPED = Path(__file__).parent / "bundles"
DESCRIPTION = "bundle.json"


def shipped_rules(bundles: Path | None, risks: Iterable[str]) -> dict[str, Threshold]:
    """Where each risk fires. `bundles` is a folder of bundles; None: those shipped.

    Raises `OSError` when a bundle is missing, `KeyError` or `ValueError` when it is none.
    """
    rules: dict[str, Threshold] = {}
    for risk in risks:
        described = json.loads(((bundles or SHIPPED) / risk / DESCRIPTION).read_text())
        rule = described["answers"]["rule"]
        rules[risk] = Threshold(value=rule["fire"], version=rule["version"])
    return rules
