"""HANCOCK: 763 head and neck cancers with clinic, blood, pathology, tissue microarray and course.

Reads the tables of features of the authors' repository (`clinical.csv`, `blood.csv`,
`pathological.csv`, `tma_cell_density.csv`, `targets.csv`), or the set as it is published
(`hancock_published`).

What is decided here, once, for training and replay alike:

- The endpoint is relapse or death within 1,095 days (`rfs_event`, `days_to_rfs_event`); no event
  and a shorter follow-up is unknown.
- Categories are sent in words. The tables hold numbers, and a number would mislead whoever reads
  it (pT1 has the 2); `WORDS` gives the word of each. Where the authors' notebooks do not show one,
  the number is sent as `HANCOCK 3`.
- Blood is drawn before treatment (day 0); pathology and the tissue microarray come after the
  operation (day 10): the set has no times.

Source: Dörrich et al., Nature Communications 2025, and its repository.
"""

from __future__ import annotations

from pathlib import Path

from connectors.cohorts import hancock_published
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
from connectors.cohorts.tumour import LOCAL, LOINC, Result, TumourPatient, meet

THREE_YEARS_D = 1_095
CLINIC_DAY, BLOOD_DAY, PATHOLOGY_DAY, TMA_DAY = 0, 0, 10, 10

BLOOD = (  # column, LOINC, UCUM
    ("Leukocytes [#/volume] in Blood", "26464-8", "10*3/uL"),
    ("Hemoglobin [Mass/volume] in Blood", "718-7", "g/dL"),
    ("Platelets [#/volume] in Blood", "26515-7", "10*3/uL"),
    ("Erythrocytes [#/volume] in Blood", "26453-1", "10*6/uL"),
    ("Hematocrit [Volume Fraction] of Blood", "20570-8", "%"),
    ("Erythrocyte mean corpuscular hemoglobin [Entitic mass]", "28539-5", "pg"),
    ("Erythrocyte mean corpuscular volume [Entitic volume]", "30428-7", "fL"),
    ("Erythrocyte mean corpuscular hemoglobin concentration [Mass/volume]", "28540-3", "g/dL"),
    ("Erythrocyte distribution width [Ratio]", "30385-9", "%"),
    ("Platelet mean volume [Entitic volume] in Blood", "28542-9", "fL"),
    ("Granulocytes [#/volume] in Blood", "30394-1", "10*3/uL"),
    ("Eosinophils [#/volume] in Blood", "26449-9", "10*3/uL"),
    ("Basophils [#/volume] in Blood", "26444-0", "10*3/uL"),
    ("Lymphocytes [#/volume] in Blood", "26474-7", "10*3/uL"),
    ("Monocytes [#/volume] in Blood", "26484-6", "10*3/uL"),
    (
        "Platelet distribution width [Entitic volume] in Blood by Automated count",
        "32207-3",
        "fL",
    ),
)
CLINICAL = (  # column, name, unit; category where the unit is ""
    ("smoking_status", "Smoking status", ""),
    ("primarily_metastasis", "Metastasis at diagnosis", ""),
)
PATHOLOGY = (
    ("perinodal_invasion", "Perinodal invasion", ""),
    ("lymphovascular_invasion_L", "Lymphovascular invasion", ""),
    ("vascular_invasion_V", "Vascular invasion", ""),
    ("perineural_invasion_Pn", "Perineural invasion", ""),
    ("carcinoma_in_situ", "Carcinoma in situ", ""),
    ("primary_tumor_site", "Primary tumour site", ""),
    ("grading", "Grading", ""),
    ("hpv_association_p16", "p16 (HPV association)", ""),
    ("resection_status", "Resection status", ""),
    ("resection_status_carcinoma_in_situ", "Resection status, carcinoma in situ", ""),
    ("histologic_type", "Histologic type", ""),
    ("number_of_positive_lymph_nodes", "Positive lymph nodes", "{nodes}"),
    ("infiltration_depth_in_mm", "Infiltration depth", "mm"),
    ("pT_stage", "pT stage", ""),
    ("pN_stage", "pN stage", ""),
)
TMA = tuple(
    (f"{cell}_{place}", f"{cell.upper()} cells, {where}", "/mm2")
    for cell in ("cd3", "cd8")
    for place, where in (("z", "tumour centre"), ("inv", "invasion front"))
)


_NO_YES = ("no", "yes")
# The words of each category, in the order of the tables' numbers.
WORDS: dict[str, tuple[str, ...]] = {
    "smoking_status": ("former smoker", "non-smoker", "smoker", "not known"),
    "primarily_metastasis": _NO_YES,
    "perinodal_invasion": _NO_YES,
    "lymphovascular_invasion_L": _NO_YES,
    "vascular_invasion_V": _NO_YES,
    "perineural_invasion_Pn": _NO_YES,
    "carcinoma_in_situ": _NO_YES,
    "primary_tumor_site": (
        *("cancer of unknown primary", "hypopharynx", "larynx", "oral cavity", "oropharynx"),
    ),
    "grading": ("G1", "G2", "G3", "HPV association"),
    "hpv_association_p16": ("negative", "not tested", "positive"),
    "resection_status": ("R0", "R1", "R2", "RX"),
    "resection_status_carcinoma_in_situ": ("no carcinoma in situ", "Ris0", "HANCOCK 2"),
    "histologic_type": (
        *("HANCOCK 0", "HANCOCK 1", "HANCOCK 2"),
        *("basaloid squamous cell carcinoma", "keratinizing squamous cell carcinoma"),
        *("HANCOCK 5", "HANCOCK 6", "HANCOCK 7", "HANCOCK 8"),
    ),
    "pT_stage": ("pTis", "pTX", "pT1", "pT1a", "pT1b", "pT2", "pT3", "pT4a", "pT4b"),
    "pN_stage": (
        *("pNX", "pN0", "pN1", "HANCOCK 3", "pN2", "pN2a", "pN2b", "pN2c", "HANCOCK 8", "pN3b"),
    ),
}
# How many answers the categories have that have not two.
LEVELS = {column: len(words) for column, words in WORDS.items() if len(words) != 2}


def code_of(column: str) -> str:
    """The code under which a column is sent."""
    return column.replace("_", "-")


def load(folder: Path, reading: Reading | None = None) -> list[TumourPatient]:
    """All patients, by number. `reading` counts what is left out. Raises `CohortError`."""
    reading = Reading() if reading is None else reading
    published = hancock_published.find(folder)
    if published is not None and not (folder / "targets.csv").is_file():
        tables = hancock_published.tables(published, LEVELS)
    else:
        tables = _feature_tables(folder, reading)
    targets = sorted(tables["targets"], key=in_order)
    return [meet(_patient(key, tables), str(folder), reading) for key in targets]


def _feature_tables(folder: Path, reading: Reading) -> dict[str, dict[RecordId, Line]]:
    found: dict[str, dict[RecordId, Line]] = {}
    for name, numbers, flags in (
        ("targets", ("days_to_rfs_event",), ("rfs_event",)),
        ("clinical", ("age_at_initial_diagnosis", *_names(CLINICAL)), ("sex",)),
        ("blood", tuple(b[0] for b in BLOOD), ()),
        ("pathological", _names(PATHOLOGY), ()),
        ("tma_cell_density", _names(TMA), ()),
    ):
        file = folder / f"{name}.csv"
        if name == "tma_cell_density" and not file.is_file():
            found[name] = {}  # no bundle reads it
            continue
        lines = table(file, ("patient_id", *numbers, *flags), numbers, flags)
        found[name] = by_patient(file, lines, "patient_id", reading)
    return found


def _names(rows: tuple[tuple[str, str, str], ...]) -> tuple[str, ...]:
    return tuple(row[0] for row in rows)


def _patient(key: RecordId, tables: dict[str, dict[RecordId, Line]]) -> TumourPatient:
    lines = {name: lines.get(key, {}) for name, lines in tables.items()}
    clinical = lines["clinical"]
    results = [
        *_results(CLINIC_DAY, "ehr", CLINICAL, clinical, key),
        *_blood(lines["blood"], key),
        *_results(PATHOLOGY_DAY, "pathology", PATHOLOGY, lines["pathological"], key),
        *_results(TMA_DAY, "tma", TMA, lines["tma_cell_density"], key),
    ]
    return TumourPatient(
        record_id=key,
        age=number(clinical.get("age_at_initial_diagnosis"), f"patient {key}: age"),
        sex={"0": "M", "1": "F"}.get(clinical.get("sex", ""), "U"),
        results=tuple(results),
        label=_label(lines["targets"]),
        stratum=f"site {lines['pathological'].get('primary_tumor_site', '')}",
        followed_d=number(lines["targets"]["days_to_rfs_event"], f"patient {key}: days"),
        had_event=lines["targets"]["rfs_event"] == "1",
    )


def _label(line: Line) -> int | None:
    days = number(line["days_to_rfs_event"], "days_to_rfs_event")
    if days is None:
        return None
    if days > THREE_YEARS_D:
        return 0
    return 1 if line["rfs_event"] == "1" else None


def _blood(line: Line, key: RecordId) -> list[Result]:
    cells = [
        (name, code, unit, number(line.get(name), f"patient {key}: {name}"))
        for name, code, unit in BLOOD
    ]
    return [
        Result(BLOOD_DAY, "blood", code, LOINC, name, round(value, 6), unit)
        for name, code, unit, value in cells
        if value is not None
    ]


def _results(
    day: int, kind: str, rows: tuple[tuple[str, str, str], ...], line: Line, key: RecordId
) -> list[Result]:
    found: list[Result] = []
    for column, name, unit in rows:
        value = number(line.get(column), f"patient {key}: {column}")
        if value is not None:
            said: float | str = value if unit else _word(column, value, key)
            found.append(Result(day, kind, code_of(column), LOCAL, name, said, unit))
    return found


def _word(column: str, value: float, key: RecordId) -> str:
    words = WORDS[column]
    if value not in range(len(words)):
        raise CohortError(
            f"Patient {key}: {column} is {value:g}, and has the numbers 0 to {len(words) - 1}."
        )
    return words[int(value)]
