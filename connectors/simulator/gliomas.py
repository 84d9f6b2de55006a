"""Patients with a brain tumour: what images, operation, histology and laboratory say of them.

Drawn from a model fitted to UCSF-PDGM: the share of IDH mutations, and for each IDH status the
shares of grades, extents of resection, markers and mutations, with radiomics normal around their
means (volume and contrast: their logarithms). Only these figures are in `gliomas.json`, no
patient's values. Days between the results become hours: in a demonstration nobody waits for two
weeks. Markers come as a clinical-genomics report (`connectors.replay.molecular`).

`python -m connectors.simulator.gliomas PATH` fits it again.
"""

from __future__ import annotations

import json
import math
import statistics
import sys
from collections import Counter
from collections.abc import Sequence
from functools import cache
from pathlib import Path
from random import Random
from typing import Any, NamedTuple

from connectors.cohorts import ucsf_pdgm
from connectors.cohorts.tumour import LOCAL, TumourPatient
from connectors.replay import molecular
from connectors.replay.tumours import PANELS
from connectors.simulator.interface import Row

_HOUR = 3600.0
FITTED = Path(__file__).with_name("gliomas.json")
IDH = "idh-status"
CODED = ("extent-of-resection", "who-cns-grade", "mgmt-methylation", "1p19q-status")
PICTURES = ("PACS", "imaging")
PATHOLOGY = ("PATH", "ehr")
GENETICS = ("GENE", "genomics")
_LOGARITHMIC = frozenset(
    ucsf_pdgm.radiomic_code(*one)
    for one in (("shape_VoxelVolume", "T1c_bias"), ("glcm_Contrast", "T1c_bias"))
)


class Finding(NamedTuple):
    """A report of the tumour's pathway."""

    after_s: float  # since the images
    system: tuple[str, str]  # who sends it, and which panel
    rows: list[Row]


def pathway(random: Random) -> list[Finding]:
    """One patient's reports: images, operation, histology, markers."""
    model = fitted()
    idh = "mutated" if random.random() < model["share_mutated"] else "wildtype"
    said = model[idh]
    coded = {code: _draw(said["coded"][code], random) for code in CODED}
    pictures = [
        Row(
            (code, name, LOCAL),
            round(_picture(code, said, random), 9),
            unit,
        )
        for feature, image, name, unit in ucsf_pdgm.RADIOMICS
        for code in [ucsf_pdgm.radiomic_code(feature, image)]
    ]
    operation = Row(
        ("extent-of-resection", "Extent of resection", LOCAL), coded["extent-of-resection"], ""
    )
    grade = Row(("who-cns-grade", "WHO grade", LOCAL), float(coded["who-cns-grade"]), "{grade}")
    markers = [
        molecular.coded(IDH, "IDH1 and IDH2", idh),
        molecular.coded("mgmt-methylation", "MGMT promoter", coded["mgmt-methylation"]),
        molecular.coded("1p19q-status", "1p/19q", coded["1p19q-status"]),
    ]
    variant = _draw(model["variants"], random)
    return [
        Finding(0.0, PICTURES, [row for row in pictures if row.unit == "1" or _positive(row)]),
        Finding(1.5 * _HOUR, PATHOLOGY, [operation]),
        Finding(3.0 * _HOUR, PATHOLOGY, [grade]),
        Finding(5.0 * _HOUR, GENETICS, [Row(*o) for o in molecular.reported(markers, variant)]),
    ]


def _picture(code: str, said: dict[str, Any], random: Random) -> float:
    drawn = random.gauss(*said["radiomics"][code])
    return math.exp(drawn) if code in _LOGARITHMIC else drawn


def _positive(row: Row) -> bool:
    return isinstance(row.value, float) and row.value > 0


def panel(system: tuple[str, str]) -> tuple[str, str, str]:
    """What such a report is called."""
    return PANELS[system[1]]


@cache
def fitted() -> dict[str, Any]:
    """The shipped model."""
    found: dict[str, Any] = json.loads(FITTED.read_text())
    return found


def _draw(shares: dict[str, float], random: Random) -> str:
    return random.choices(list(shares), list(shares.values()))[0]


def fit(patients: Sequence[TumourPatient]) -> dict[str, Any]:
    """Shares and moments, from patients whose IDH status is known."""
    rows = [{r.code: r.value for r in p.results} for p in patients]
    groups = {
        status: [r for r in rows if r.get(IDH) == status] for status in ("mutated", "wildtype")
    }
    total = sum(map(len, groups.values()))
    variants = Counter(
        variant for p in patients for r in p.results if (variant := molecular.variant_of(r.said))
    )
    return {
        "share_mutated": round(len(groups["mutated"]) / total, 4),
        **{status: _moments(members) for status, members in groups.items()},
        "variants": {v: round(n / variants.total(), 4) for v, n in sorted(variants.items())},
    }


def _moments(rows: Sequence[dict[str, float | str]]) -> dict[str, Any]:
    coded: dict[str, dict[str, float]] = {}
    for code in CODED:
        said = Counter(str(r[code]) for r in rows if code in r)
        coded[code] = {k: round(n / said.total(), 4) for k, n in sorted(said.items())}
    radiomics: dict[str, list[float]] = {}
    for feature, image, _, _ in ucsf_pdgm.RADIOMICS:
        code = ucsf_pdgm.radiomic_code(feature, image)
        values = [float(r[code]) for r in rows if code in r]
        values = [math.log(v) for v in values] if code in _LOGARITHMIC else values
        radiomics[code] = [
            float(f"{x:.4g}") for x in (statistics.fmean(values), statistics.stdev(values))
        ]
    return {"coded": coded, "radiomics": radiomics}


if __name__ == "__main__":
    FITTED.write_text(json.dumps(fit(ucsf_pdgm.load(Path(sys.argv[1]))), indent=1) + "\n")
