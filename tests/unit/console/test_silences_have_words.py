"""Every reason for a score that is none is said in words: to a ward, and in the documentation."""

from __future__ import annotations

import importlib
import pkgutil
import re
from collections.abc import Iterator
from enum import StrEnum
from pathlib import Path

import pytest
from msgspec.structs import replace

import models
from connectors.sinks.fhir import pseudonymous, risk_assessment
from streams.alerting import UNWATCHED
from streams.console.words import ABSTENTIONS, abstention_words
from streams.silence import Silence
from tests.unit.sinks.alerts import alert

DOCS = Path(__file__).resolve().parents[3] / "docs"
# The column of docs/models.md, by the module whose model gives the reason.
COLUMNS = {"deterioration": 1, "sepsis": 2, "multimodal": 3, "news2_model": 4}


def given() -> Iterator[tuple[str, StrEnum]]:
    """(module, reason) of each enumeration `Abstention` of a model, and those of the worker."""
    for found in pkgutil.iter_modules(models.__path__):
        module = importlib.import_module(f"models.{found.name}")
        kind = getattr(module, "Abstention", None)
        if kind is not None and kind.__module__ == module.__name__:
            yield from ((found.name, reason) for reason in kind)
    yield from (("silence", reason) for reason in Silence)


GIVEN = list(given())
REASONS = sorted({str(reason) for _, reason in GIVEN})


def test_the_models_reasons_are_found() -> None:
    assert {"contained", "deterioration", "multimodal", "news2_model"} <= {m for m, _ in GIVEN}
    assert len(REASONS) >= 10


@pytest.mark.parametrize("reason", REASONS)
def test_a_ward_reads_words_and_no_code(reason: str) -> None:
    words = abstention_words(reason, "any")
    assert words == ABSTENTIONS[reason], "written for people, not made of the code"
    assert len(words.split()) >= 4
    assert "_" not in words


@pytest.mark.parametrize("reason", REASONS)
def test_a_fhir_server_is_told_why_there_is_no_estimate(reason: str) -> None:
    told = alert()
    silent = replace(
        told.score, probability=None, log_odds=None, interval=None, abstained=reason, evidence=[]
    )
    found = risk_assessment(replace(told, score=silent), pseudonymous("p", "a"))
    assert found["note"] == [{"text": f"no estimate: {reason.replace('_', ' ')}"}]
    assert "prediction" not in found


def test_the_table_of_the_documentation_says_of_each_model_when_it_is_silent() -> None:
    text = (DOCS / "models.md").read_text()
    rows = {m[1]: m[0].split("|") for m in re.finditer(r"^\| `(\w+)` \|.*$", text, re.MULTILINE)}
    for module, reason in GIVEN:
        assert str(reason) in rows, f"docs/models.md has no row for {reason}"
        if module in COLUMNS:
            said = rows[str(reason)][1 + COLUMNS[module]].strip()
            assert said, f"docs/models.md does not say when {module} gives {reason}"


def test_the_reference_lists_each() -> None:
    text = (DOCS / "reference" / "reasons.md").read_text()
    assert [r for r in REASONS if f"| `{r}` |" not in text] == []


def test_reasons_that_keep_an_alert_open_are_given_by_somebody() -> None:
    """Or will be: none is a slip of the pen."""
    assert set(ABSTENTIONS) >= UNWATCHED
