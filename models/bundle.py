"""Bundles: a trained model as a folder of plain files, checked before it may answer.

    bundle.json           what it is: contract of its features, calibration, rule, cohort, figures
    weights.safetensors   numbers only; nothing in a bundle can execute
    CARD.md               for people, generated when it was trained

The digest is the SHA-256 of what influences answers: the weights and the `answers` part of
bundle.json. A bundle made for other features than this code computes is refused with the
difference.
"""

from __future__ import annotations

import dataclasses
import hashlib
import json
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import torch
from safetensors.torch import load, save

from models import news2
from models.features import contract
from models.questions import QUESTIONS
from models.risk import RiskModel
from models.rule import DESCRIPTION, SHIPPED
from models.sepsis_features import sepsis_contract
from models.units import warm

FORMAT = 1
WEIGHTS = "weights.safetensors"
# Tensors with a first dimension of members.
MEMBERS = frozenset({"borders", "tables", "intercepts", "levels", "slopes"}) | {
    *("columns", "unmeasured", "leaves", "covers", "children"),
    *(
        "gate_log",
        "gate_center",
        "gate_below",
        "gate_above",
        "gate_precision",
        "gate_farthest",
        "gate_fewest",
    ),
    *("center", "scale", "weight", "bias", "gain", "offset", "farthest"),
}


class BundleError(ValueError):
    """A bundle that cannot be used; the message says why."""


@dataclass(frozen=True, slots=True)
class Bundle:
    """What is in the folder."""

    risk: str
    version: str
    answers: dict[str, Any]  # everything in bundle.json that influences an answer
    about: dict[str, Any]  # provenance and figures
    tensors: dict[str, torch.Tensor]
    digest: str


def digest_of(answers: dict[str, Any], weights: bytes) -> str:
    """SHA-256 over everything that influences the model's answers."""
    text = json.dumps(answers, sort_keys=True, separators=(",", ":")).encode()
    return hashlib.sha256(len(text).to_bytes(8, "big") + text + weights).hexdigest()


def write(folder: Path, bundle: Bundle) -> str:
    """Write a bundle, return its digest. The card is written by whoever has the figures."""
    folder.mkdir(parents=True, exist_ok=True)
    raw = save(bundle.tensors)
    (folder / WEIGHTS).write_bytes(raw)
    digest = digest_of(bundle.answers, raw)
    described = {
        "format": FORMAT,
        "risk": bundle.risk,
        "version": bundle.version,
        "digest": digest,
        "answers": bundle.answers,
        "about": bundle.about,
    }
    (folder / DESCRIPTION).write_text(json.dumps(described, indent=1, sort_keys=True) + "\n")
    return digest


def single_member(bundle: Bundle, member: int) -> Bundle:
    """The bundle reduced to one member, for patients that only this one has never seen."""
    kept = slice(member, member + 1)
    tensors = {
        name: tensor[kept].clone() if name in MEMBERS else tensor
        for name, tensor in bundle.tensors.items()
    }
    digest = digest_of(bundle.answers, save(tensors))
    return dataclasses.replace(bundle, tensors=tensors, digest=digest)


def read(folder: Path, risk: str) -> Bundle:
    """Read and check a bundle. Raises `BundleError`."""
    try:
        described = json.loads((folder / DESCRIPTION).read_text())
        raw = (folder / WEIGHTS).read_bytes()
    except FileNotFoundError as error:
        raise BundleError(
            f"{folder} is no bundle: {Path(error.filename).name} is missing."
        ) from None
    except json.JSONDecodeError as error:
        raise BundleError(f"{folder / DESCRIPTION} is not JSON: {error}.") from None
    if described.get("format") != FORMAT:
        raise BundleError(
            f"{folder} has bundle format {described.get('format')}, this code reads {FORMAT}."
        )
    if described["risk"] != risk:
        raise BundleError(f"{folder} holds the risk {described['risk']}, not {risk}.")
    digest = digest_of(described["answers"], raw)
    if digest != described["digest"]:
        raise BundleError(f"{folder} was changed after training: its digest does not fit.")
    differences = _differences(risk, described["answers"]["contract"])
    if differences:
        raise BundleError(
            f"{folder} was trained on other features than this code computes: "
            f"{'; '.join(differences)}. Train it again, or use the code that it came with."
        )
    tensors = load(raw)
    return Bundle(
        risk, described["version"], described["answers"], described["about"], tensors, digest
    )


def contract_of(risk: str) -> dict[str, Any]:
    """What this code computes for the risk."""
    if risk == "news2":
        return news2.contract()
    if risk in QUESTIONS:
        return QUESTIONS[risk].contract()
    return sepsis_contract() if risk == "sepsis" else contract()


def _differences(risk: str, made_for: dict[str, Any]) -> list[str]:
    if risk not in QUESTIONS:
        return contract_differences(made_for, contract_of(risk))
    code = json.loads(json.dumps(contract_of(risk)))
    theirs, ours = (
        {name: (half_life, inputs) for name, half_life, inputs in one["modalities"]}
        for one in (made_for, code)
    )
    found = [f"modality {m} is read by one of the two" for m in sorted(set(theirs) ^ set(ours))]
    for modality in sorted(set(theirs) & set(ours)):
        if theirs[modality][0] != ours[modality][0]:
            found.append(
                f"evidence of {modality} halves in {theirs[modality][0]} days, "
                f"code {ours[modality][0]}"
            )
        bundle, here = ({i["name"]: i for i in one[modality][1]} for one in (theirs, ours))
        found += [
            f"input {n} is {bundle.get(n)}, code {here.get(n)}"
            for n in sorted(set(bundle) | set(here))
            if bundle.get(n) != here.get(n)
        ]
    found += [
        f"{key} is {made_for[key]}, code {code[key]}"
        for key in sorted(code)
        if key != "modalities" and made_for[key] != code[key]
    ]
    if not found and made_for != code:
        found.append("the inputs are in another order")
    return found


def contract_differences(made_for: dict[str, Any], computed: dict[str, Any]) -> list[str]:
    """Where a bundle's feature contract differs from the code's, in words."""
    code = json.loads(json.dumps(computed))
    found: list[str] = []
    if made_for["window_s"] != code["window_s"]:
        found.append(f"window {made_for['window_s']} s, code {code['window_s']} s")
    theirs, ours = made_for["features"], code["features"]
    for name in sorted(set(theirs) - set(ours)):
        found.append(f"feature {name} is not computed")
    for name in sorted(set(ours) - set(theirs)):
        found.append(f"feature {name} is not in the bundle")
    if not found and theirs != ours:
        found.append("the features are in another order")
    variables, here = made_for["variables"], code["variables"]
    for name in sorted(set(variables) & set(here)):
        if variables[name] != here[name]:
            found.append(f"variable {name} is {variables[name]}, code {here[name]}")
    return found


def load_bundle(path: Path | None, risk: str) -> RiskModel:
    """The risk's model, ready to answer. `path` is a folder of bundles; None: those shipped.

    Raises `BundleError` for a bundle that cannot be used.
    """
    return _load((path or SHIPPED) / risk, risk)


def load_risks(path: Path | None, risks: Iterable[str]) -> list[RiskModel]:
    """The models of several risks, as they run: with a rule behind those that have one.

    Arguments and errors as of `load_bundle`. A rule that is not in `path` is taken from those
    shipped.
    """
    from models.fall_back import STAND_INS, FallingBack  # noqa: PLC0415 - likewise

    found: list[RiskModel] = []
    for risk in risks:
        model = load_bundle(path, risk)
        if risk in STAND_INS:
            there = path is not None and (path / STAND_INS[risk]).exists()
            rule = load_bundle(path if there else None, STAND_INS[risk])
            model = FallingBack(model, rule)
        found.append(model)
    return found


def load_folder(folder: Path) -> RiskModel:
    """The model of one bundle, whatever its risk. Raises `BundleError`."""
    try:
        risk = json.loads((folder / DESCRIPTION).read_text())["risk"]
    except (OSError, ValueError, KeyError, TypeError):
        raise BundleError(f"{folder} is no bundle: name a folder with a {DESCRIPTION}.") from None
    return _load(folder, str(risk))


def _load(folder: Path, risk: str) -> RiskModel:
    from models.deterioration import DeteriorationModel  # noqa: PLC0415 - it imports this module
    from models.multimodal import MultimodalModel  # noqa: PLC0415 - likewise
    from models.news2_model import News2Model  # noqa: PLC0415 - likewise
    from models.sepsis import SepsisModel  # noqa: PLC0415 - likewise

    makers: dict[str, Callable[[Bundle], RiskModel]] = {
        "deterioration": DeteriorationModel,
        "news2": News2Model,
        "sepsis": SepsisModel,
    }
    makers |= {risk: partial(MultimodalModel, q) for risk, q in QUESTIONS.items()}
    if risk not in makers:
        raise BundleError(f"There is no risk {risk}; there are: {', '.join(sorted(makers))}.")
    model = makers[risk](read(folder, risk))
    # Batches are small: handing them to several threads costs more than it brings, and one thread
    # adds in one order.
    torch.set_num_threads(1)
    warm()  # a second now, or for whichever message first brings a unit of its own
    return model
