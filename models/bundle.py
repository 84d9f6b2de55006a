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

import msgspec
import torch
from safetensors import SafetensorError
from safetensors.torch import load, save

from models.made_for import differences
from models.questions import QUESTIONS
from models.risk import RiskModel
from models.rule import DESCRIPTION, SHIPPED
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
        "gate_youngest",
    ),
    *("center", "scale", "weight", "bias", "gain", "offset", "farthest"),
    *("covariance", "reach", "lines", "around"),
}


class BundleError(ValueError):
    """A bundle that cannot be used; the message says why."""


# What building a model from a bundle's parts raises where one is missing or of another shape.
UNFIT = (AttributeError, IndexError, KeyError, RuntimeError, TypeError, ValueError)


class _Described(msgspec.Struct):
    """bundle.json."""

    format: int
    risk: str
    version: str
    digest: str
    answers: dict[str, Any]
    about: dict[str, Any] = {}


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
        described = msgspec.json.decode((folder / DESCRIPTION).read_bytes(), type=_Described)
        raw = (folder / WEIGHTS).read_bytes()
    except FileNotFoundError as error:
        raise BundleError(
            f"{folder} is no bundle: {Path(error.filename).name} is missing."
        ) from None
    except (msgspec.DecodeError, UnicodeDecodeError) as error:
        raise BundleError(f"{folder / DESCRIPTION} describes no bundle: {error}.") from None
    if described.format != FORMAT:
        raise BundleError(
            f"{folder} has bundle format {described.format}, this code reads {FORMAT}."
        )
    if described.risk != risk:
        raise BundleError(f"{folder} holds the risk {described.risk}, not {risk}.")
    answers = described.answers
    if digest_of(answers, raw) != described.digest:
        raise BundleError(f"{folder} was changed after training: its digest does not fit.")
    found = differences(risk, answers.get("contract"))
    if found:
        raise BundleError(
            f"{folder} was trained on other features than this code computes: "
            f"{'; '.join(found)}. Train it again, or use the code that it came with."
        )
    tensors = _numbers(raw, folder)
    return Bundle(risk, described.version, answers, described.about, tensors, described.digest)


def _numbers(raw: bytes, folder: Path) -> dict[str, torch.Tensor]:
    """The tensors, none of which holds what is not a number: a score would be none either."""
    try:
        tensors = load(raw)
    except SafetensorError as error:
        raise BundleError(f"{folder / WEIGHTS} holds no weights: {error}.") from None
    broken = sorted(name for name, tensor in tensors.items() if bool(tensor.isnan().any()))
    if broken:
        raise BundleError(f"{folder / WEIGHTS} has values that are not numbers: {broken}.")
    return tensors


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
