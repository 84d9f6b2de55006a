"""What a bundle was made for against what this code computes, in words.

A model answers rightly only for the very inputs that it was trained on: a variable in another unit,
a feature with another meaning or order gives a score that looks like one.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from typing import Any

from models import news2
from models.features import contract
from models.questions import QUESTIONS
from models.sepsis_features import sepsis_contract


def contract_of(risk: str) -> dict[str, Any]:
    """What this code computes for the risk."""
    if risk == "news2":
        return news2.contract()
    if risk in QUESTIONS:
        return QUESTIONS[risk].contract()
    return sepsis_contract() if risk == "sepsis" else contract()


def differences(risk: str, made_for: object) -> list[str]:
    """Where a bundle's contract differs from the code's; none: it fits."""
    code = json.loads(json.dumps(contract_of(risk)))
    if not isinstance(made_for, dict):
        return ["it does not say which"]
    found = [f"{key} is missing" for key in sorted(set(code) - set(made_for))]
    found += [f"{key} is not known here" for key in sorted(set(made_for) - set(code))]
    for key in sorted(set(code) & set(made_for)):
        compare = _COMPARED.get(key, _values)
        try:
            found += compare(key, made_for[key], code[key])
        except (TypeError, ValueError, KeyError, AttributeError):
            found.append(f"{key} cannot be read")
    return found


def _values(key: str, theirs: Any, ours: Any) -> list[str]:
    return [] if theirs == ours else [f"{key} is {theirs}, code {ours}"]


def _features(key: str, theirs: list[str], ours: list[str]) -> list[str]:
    found = [f"feature {name} is not computed" for name in sorted(set(theirs) - set(ours))]
    found += [f"feature {name} is not in the bundle" for name in sorted(set(ours) - set(theirs))]
    return found or ([] if theirs == ours else [f"the {key} are in another order"])


def _variables(key: str, theirs: Mapping[str, Any], ours: Mapping[str, Any]) -> list[str]:
    return [
        f"variable {name} is {theirs.get(name)}, code {ours.get(name)}"
        for name in sorted(set(theirs) | set(ours))
        if theirs.get(name) != ours.get(name)
    ]


def _modalities(key: str, theirs: list[Any], ours: list[Any]) -> list[str]:
    bundle, code = ({name: (half, inputs) for name, half, inputs in one} for one in (theirs, ours))
    found = [f"modality {m} is read by one of the two" for m in sorted(set(bundle) ^ set(code))]
    for modality in sorted(set(bundle) & set(code)):
        if bundle[modality][0] != code[modality][0]:
            found.append(
                f"evidence of {modality} halves in {bundle[modality][0]} days, "
                f"code {code[modality][0]}"
            )
        there, here = ({i["name"]: i for i in one[modality][1]} for one in (bundle, code))
        found += [
            f"input {name} is {there.get(name)}, code {here.get(name)}"
            for name in sorted(set(there) | set(here))
            if there.get(name) != here.get(name)
        ]
    return found or ([] if theirs == ours else ["the inputs are in another order"])


_COMPARED: dict[str, Callable[[str, Any, Any], list[str]]] = {
    "features": _features,
    "variables": _variables,
    "modalities": _modalities,
}
