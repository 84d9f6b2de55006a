"""UCSF-PDGM: 501 preoperative MRI scans of diffuse gliomas, with pathology, markers and survival.

Reads `UCSF-PDGM-metadata*.csv` as published, and `radiomic_features.csv` where it lies beside it.

What is decided here, once, for training and replay alike:

- Two-year death counts from the MRI: dead within 730 days is 1, known alive at 730 days or dead
  later is 0, censored earlier is unknown.
- Six patients were scanned twice; the later scan of each is dropped.
- The set gives no times of results. They are laid out as a clinic has them: MRI on day 0, operation
  on day 2, histology on day 7, molecular markers on day 14.
- `gbma` and `idh_mutated` in the table of radiomics are labels, not features: never read.
- Diffusion (ADC) is in mm2/s for some scans, in 10^-6 mm2/s for others, and in m2/s for a few; a
  tumour's is near 0.001 mm2/s, so the size tells which, and all are sent in mm2/s.
- A marker that was not tested or is indeterminate is no result.

Source: Calabrese et al., Radiology: Artificial Intelligence 2022, and the TCIA page of the set.
"""

from __future__ import annotations

import re
from pathlib import Path

from connectors.cohorts.tables import (
    CohortError,
    Line,
    Reading,
    RecordId,
    by_patient,
    in_order,
    number,
    table,
)
from connectors.cohorts.tumour import LOCAL, Result, TumourPatient, meet

TWO_YEARS_D = 730
REPEATED = frozenset({409, 429, 391, 396, 433, 431})  # second scans
MRI_DAY, OPERATION_DAY, HISTOLOGY_DAY, MARKER_DAY = 0, 2, 7, 14

_COLUMNS = (
    *("ID", "Sex", "Age at MRI", "WHO CNS Grade", "MGMT status", "1p/19q", "IDH"),
    *("1-dead 0-alive", "OS", "EOR"),
)
_NUMBERS = ("Age at MRI", "WHO CNS Grade", "OS", "MGMT index")
_DEAD = "1-dead 0-alive"
_OWN = re.compile(r"UCSF-PDGM-(\d+)")  # other ids are of other patients, also with those numbers
_REGION = "tumor_segmentation"
_LARGEST_ADC = 0.1  # mm2/s: water at body temperature has 0.003
_SMALLEST_ADC = 1e-6  # mm2/s: less than a thousandth of any tissue's
# Radiomics that are sent: first-order and shape features that are defined alike everywhere.
RADIOMICS = (
    ("shape_VoxelVolume", "T1c_bias", "Tumour volume", "mm3"),
    ("shape_Sphericity", "T1c_bias", "Tumour sphericity", "1"),
    ("shape_Flatness", "T1c_bias", "Tumour flatness", "1"),
    ("firstorder_Mean", "ADC", "Mean ADC in the tumour", "mm2/s"),
    ("firstorder_10Percentile", "ADC", "10th percentile of ADC in the tumour", "mm2/s"),
    ("firstorder_Skewness", "ADC", "Skewness of ADC in the tumour", "1"),
    ("firstorder_Mean", "T1c_bias", "Mean enhanced T1 signal in the tumour", "1"),
    ("firstorder_Skewness", "T1c_bias", "Skewness of the enhanced T1 signal", "1"),
    ("firstorder_Entropy", "T1c_bias", "Entropy of the enhanced T1 signal", "1"),
    ("glcm_Contrast", "T1c_bias", "Texture contrast of the enhanced T1 signal", "1"),
)


def radiomic_code(feature: str, image: str) -> str:
    """The code under which a radiomic feature is sent."""
    return f"radiomics-{feature}-{image}"


def _column(feature: str, image: str) -> str:
    return f"original_{feature}_{image}_{_REGION}"


def load(folder: Path, reading: Reading | None = None) -> list[TumourPatient]:
    """All patients, by number. `reading` counts what is left out. Raises `CohortError`."""
    reading = Reading() if reading is None else reading
    files = sorted(folder.glob("UCSF-PDGM-metadata*.csv"))
    if not files:
        raise CohortError(f"{folder} holds no UCSF-PDGM-metadata*.csv.")
    lines = by_patient(files[-1], table(files[-1], _COLUMNS, _NUMBERS, [_DEAD]), "ID", reading)
    radiomics = _radiomics(folder / "radiomic_features.csv", reading)
    first = {scan: line for scan, line in lines.items() if _number(scan) not in REPEATED}
    reading.repeated_scans += len(lines) - len(first)
    found = [
        meet(_patient(scan, line, radiomics.get(scan, {})), str(files[-1]), reading)
        for scan, line in first.items()
    ]
    return sorted(found, key=lambda p: in_order(p.record_id))


def _radiomics(file: Path, reading: Reading) -> dict[RecordId, Line]:
    if not file.is_file():
        return {}
    columns = [_column(feature, image) for feature, image, _, _ in RADIOMICS]
    return by_patient(file, table(file, ("ID",), columns), "ID", reading)


def _number(scan: RecordId) -> int | None:
    """The number of a scan of UCSF, None for other scans."""
    own = _OWN.fullmatch(str(scan))
    return int(own[1]) if own else None


def _patient(scan: RecordId, line: Line, radiomics: Line) -> TumourPatient:
    results = [*_imaging(radiomics), *_operation(line), *_markers(line)]
    number_ = _number(scan)
    return TumourPatient(
        record_id=scan if number_ is None else number_,
        age=number(line["Age at MRI"], "Age at MRI"),
        sex=line["Sex"] if line["Sex"] in ("M", "F") else "U",
        results=tuple(results),
        label=_label(line),
        stratum="IDH-wildtype" if line["IDH"] == "wildtype" else "IDH-mutant",
        followed_d=number(line["OS"], "OS"),
        had_event=line[_DEAD] == "1",
    )


def _label(line: Line) -> int | None:
    days = number(line["OS"], "OS")
    if days is None:
        return None
    if days > TWO_YEARS_D:
        return 0
    return 1 if line[_DEAD] == "1" else None


def _imaging(line: Line) -> list[Result]:
    found: list[Result] = []
    for feature, image, name, unit in RADIOMICS:
        value = number(line.get(_column(feature, image)), name)
        if value is not None:
            value = _diffusion(value) if unit == "mm2/s" else value
            code = radiomic_code(feature, image)
            found.append(Result(MRI_DAY, "imaging", code, LOCAL, name, value, unit))
    return found


def _diffusion(value: float) -> float:
    """In mm2/s, whatever its unit."""
    if value > _LARGEST_ADC:
        return value / 1e6
    return value * 1e6 if value < _SMALLEST_ADC else value


def _operation(line: Line) -> list[Result]:
    found: list[Result] = []
    if line["EOR"] in ("biopsy", "STR", "GTR"):
        name = "Extent of resection"
        found.append(Result(OPERATION_DAY, "ehr", "extent-of-resection", LOCAL, name, line["EOR"]))
    grade = number(line["WHO CNS Grade"], "WHO CNS Grade")
    if grade is not None:
        name = "WHO grade of the central nervous system tumour"
        found.append(Result(HISTOLOGY_DAY, "ehr", "who-cns-grade", LOCAL, name, grade, "{grade}"))
    return found


def _markers(line: Line) -> list[Result]:
    said = {
        ("idh-status", "IDH1 and IDH2"): _idh(line["IDH"]),
        ("mgmt-methylation", "MGMT promoter methylation"): _mgmt(line["MGMT status"]),
        ("1p19q-status", "1p/19q"): _codeletion(line["1p/19q"]),
    }
    words = {"idh-status": line["IDH"]}
    found = [
        Result(MARKER_DAY, "genomics", code, LOCAL, name, value, said=words.get(code, ""))
        for (code, name), value in said.items()
        if value
    ]
    index = number(line.get("MGMT index"), "MGMT index")
    if index is not None and said["mgmt-methylation", "MGMT promoter methylation"]:
        name = "Methylated CpG sites of the MGMT promoter"
        code = "mgmt-methylation-index"
        found.append(Result(MARKER_DAY, "genomics", code, LOCAL, name, index, "{sites}"))
    return found


def _idh(text: str) -> str:
    if not text.strip():
        return ""
    return "wildtype" if text == "wildtype" else "mutated"


def _mgmt(text: str) -> str:
    return {"positive": "methylated", "negative": "unmethylated"}.get(text, "")


def _codeletion(text: str) -> str:
    if not text.strip():
        return ""
    return "codeleted" if text.casefold() == "co-deletion" else "intact"
