"""A bundle answers only when it is whole and fits the code."""

from __future__ import annotations

import dataclasses
import json
import pickle
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch

from models.bundle import BundleError, digest_of, load_bundle, read, write
from models.features import contract
from models.rule import SHIPPED, shipped_rules

RISK = "deterioration"


@pytest.fixture
def copy(tmp_path: Path) -> Path:
    """A folder of bundles that may be damaged."""
    shutil.copytree(SHIPPED / RISK, tmp_path / RISK)
    return tmp_path


def _edit(folder: Path, change: Callable[[dict[str, Any]], None]) -> None:
    file = folder / RISK / "bundle.json"
    described = json.loads(file.read_text())
    change(described)
    file.write_text(json.dumps(described))


def test_a_copy_answers_under_the_same_digest(copy: Path) -> None:
    assert load_bundle(copy, RISK).digest == load_bundle(None, RISK).digest


def test_a_changed_threshold_or_weight_is_noticed(copy: Path) -> None:
    _edit(copy, lambda d: d["answers"]["rule"].update(fire=0.01))
    with pytest.raises(BundleError, match="changed after training"):
        load_bundle(copy, RISK)
    shutil.copy(SHIPPED / RISK / "bundle.json", copy / RISK)
    weights = copy / RISK / "weights.safetensors"
    raw = bytearray(weights.read_bytes())
    raw[-1] ^= 1
    weights.write_bytes(raw)
    with pytest.raises(BundleError, match="changed after training"):
        load_bundle(copy, RISK)


def test_provenance_may_be_edited_without_a_new_digest(copy: Path) -> None:
    _edit(copy, lambda d: d["about"].update(note="checked by the ward"))
    assert load_bundle(copy, RISK).digest == load_bundle(None, RISK).digest


def test_another_feature_contract_is_refused_with_the_difference(
    copy: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    changed = json.loads(json.dumps(contract()))
    changed["features"].remove("lactate.last")
    changed["variables"]["sodium"][1] = 1
    monkeypatch.setattr("models.made_for.contract", lambda: changed)
    with pytest.raises(
        BundleError, match=r"feature lactate\.last is not computed; variable sodium"
    ):
        read(copy / RISK, RISK)


def _changed(folder: Path, change: Callable[[dict[str, Any], dict[str, Any]], None]) -> None:
    """Change answers and tensors, and sign what comes out."""
    bundle = read(SHIPPED / RISK, RISK)
    answers, tensors = json.loads(json.dumps(bundle.answers)), dict(bundle.tensors)
    change(answers, tensors)
    write(folder / RISK, dataclasses.replace(bundle, answers=answers, tensors=tensors))


@pytest.mark.parametrize(
    ("change", "said"),
    [
        (lambda a, _: a["contract"]["variables"].pop("sodium"), "variable sodium is None, code"),
        (
            lambda a, _: a["contract"]["variables"].update(frailty=["", 0, 1]),
            "variable frailty is .*, code None",
        ),
        (lambda a, _: a["contract"].update(shift_s=3600), "shift_s is not known here"),
        (lambda a, _: a["contract"].pop("window_s"), "window_s is missing"),
        (lambda a, _: a["contract"].update(variables=3), "variables cannot be read"),
        (lambda a, _: a.pop("contract"), "does not say which"),
        (lambda a, _: a["contract"]["features"].reverse(), "features are in another order"),
        (lambda a, _: a["rule"].update(fire=5.0), "0 < clear <= fire <= critical < 1"),
        (lambda a, _: a["rule"].update(clear=0.9), "0 < clear <= fire <= critical < 1"),
        (lambda a, _: a.pop("rule"), "incomplete"),
        (lambda a, _: a.update(critical=[]), "incomplete"),
        (lambda a, _: a.update(baseline="x"), "incomplete"),
        (lambda _, t: t.update(children=t["children"] + 100), "incomplete"),
        (lambda _, t: t.update(columns=t["columns"][:, :3].clone()), "incomplete"),
        (
            lambda _, t: t.update(levels=torch.full_like(t["levels"], torch.nan)),
            r"not numbers: \['levels'\]",
        ),
    ],
)
def test_a_signed_bundle_that_does_not_fit_is_refused_in_words(
    copy: Path, change: Callable[[dict[str, Any], dict[str, Any]], None], said: str
) -> None:
    _changed(copy, change)
    with pytest.raises(BundleError, match=said):
        load_bundle(copy, RISK)


@pytest.mark.parametrize("text", ["[]", "{}", '{"format": 1}', "\xff", ""])
def test_a_description_that_is_none_is_refused_in_words(copy: Path, text: str) -> None:
    (copy / RISK / "bundle.json").write_text(text, encoding="latin-1")
    with pytest.raises(BundleError, match="describes no bundle"):
        load_bundle(copy, RISK)


def test_weights_that_could_run_are_not_opened(copy: Path) -> None:
    bundle = read(SHIPPED / RISK, RISK)
    raw = pickle.dumps({"levels": [1.0]})
    (copy / RISK / "weights.safetensors").write_bytes(raw)
    _edit(copy, lambda d: d.update(digest=digest_of(bundle.answers, raw)))
    with pytest.raises(BundleError, match="holds no weights"):
        load_bundle(copy, RISK)


def test_what_is_missing_or_unreadable_is_named(copy: Path) -> None:
    with pytest.raises(BundleError, match="no risk frailty"):
        load_bundle(copy, "frailty")
    (copy / RISK / "weights.safetensors").unlink()
    with pytest.raises(BundleError, match=r"weights\.safetensors is missing"):
        load_bundle(copy, RISK)
    (copy / RISK / "bundle.json").write_text("{")
    with pytest.raises(BundleError, match="describes no bundle"):
        load_bundle(copy, RISK)


def test_the_shipped_bundle_is_small_and_holds_no_code() -> None:
    files = list((SHIPPED / RISK).iterdir())
    assert {f.name for f in files} == {"bundle.json", "weights.safetensors", "CARD.md"}
    assert sum(f.stat().st_size for f in files) < 2_000_000


def test_the_shipped_rule_is_read_without_torch() -> None:
    model = load_bundle(None, RISK)
    rule = shipped_rules(None, [RISK])[RISK]
    assert (rule.value, rule.version) == (model.rule.fire, model.rule.version)
    assert 0 < model.rule.clear < model.rule.fire <= model.rule.critical < 1


@pytest.mark.parametrize(
    ("code", "forbidden"),
    [
        ("from models.rule import shipped_rules; shipped_rules(None, ['deterioration'])", "torch"),
        (
            "from models.bundle import load_bundle; load_bundle(None, 'deterioration').assess([])",
            "pandas,sklearn,pyarrow,matplotlib,scipy",
        ),
    ],
)
def test_serving_does_not_need_what_training_needs(code: str, forbidden: str) -> None:
    blocked = "".join(f"import sys; sys.modules[{m!r}] = None\n" for m in forbidden.split(","))
    subprocess.run([sys.executable, "-c", blocked + code], check=True, timeout=120)
