"""The multimodal risks: what each asks, of whom, and from which inputs."""

from __future__ import annotations

from connectors.cohorts import hancock, ucsf_pdgm
from models import spellings
from models.inputs import AGE, SEX, Input, Modality, Question
from models.spellings import Answers
from models.variables import Variable

# Half a year before and after the operation: laboratories send tissue away, and are asked again.
# What comes later belongs to the course of the disease, which the cohorts' inputs do not hold.
_WORK_UP_D = 180.0

_AGE = Input(AGE)
_SEX = Input(SEX)


def _category(code: str, display: str, answers: Answers) -> Input:
    """Answers in order, a column for each but one of two. The first spelling is shown."""
    variable = Variable(code, display, (code,), "", 0, len(answers) - 1, answers=_numbered(answers))
    levels = (1.0,) if len(answers) == 2 else tuple(float(i) for i in range(len(answers)))
    return Input(variable, levels)


def _numbered(answers: Answers, first: int = 0) -> tuple[tuple[str, float], ...]:
    """Every spelling once, with the number of its answer."""
    found = {text: float(n) for n, one in enumerate(answers, first) for text in one}
    return tuple(found.items())


def _number(
    name: str,
    display: str,
    unit: str,
    low: float,
    high: float,
    *,
    log: bool = False,
    free: bool = False,
) -> Input:
    variable = Variable(name, display, (name,), unit, low, high, unit_optional=free)
    return Input(variable, log=log)


# What can be, by definition or by what training scans had and as much again on either side. One
# that lies outside is an artefact, and its images are not believed. Whether images are like those
# of training is for the gate to say (`models.training.strangeness`).
_RADIOMIC_RANGES = {
    ("shape_VoxelVolume", "T1c_bias"): (1.0, 1e6),
    ("shape_Sphericity", "T1c_bias"): (0.0, 1.0),
    ("shape_Flatness", "T1c_bias"): (0.0, 1.0),
    ("firstorder_Mean", "ADC"): (0.0, 0.005),  # water at body temperature has 0.003
    ("firstorder_10Percentile", "ADC"): (0.0, 0.005),
    ("firstorder_Skewness", "ADC"): (-8.0, 8.0),
    ("firstorder_Mean", "T1c_bias"): (0.0, 1e4),
    ("firstorder_Skewness", "T1c_bias"): (-6.0, 6.0),
    ("firstorder_Entropy", "T1c_bias"): (0.0, 10.0),
    ("glcm_Contrast", "T1c_bias"): (0.0, 1e5),
}
_LOGARITHMIC = ("shape_VoxelVolume", "glcm_Contrast")


def _radiomic(feature: str, image: str, name: str, unit: str) -> Input:
    code = ucsf_pdgm.radiomic_code(feature, image)
    low, high = _RADIOMIC_RANGES[feature, image]
    log = feature in _LOGARITHMIC
    return _number(code, name, unit, low, high, log=log, free=unit == "1")


IDH = "idh-status"
# Methylated CpG sites of the promoter, of the 17 that the cohort's laboratory looks at. Where a
# laboratory says no more than "methylated", the cohort's mean of those stands for it. A percentage
# of methylated alleles, a ratio to a control gene or a number of another assay's sites cannot be
# turned into that number; of those the laboratory's own "methylated" or "unmethylated" is read.
_MGMT = Variable(
    "mgmt-methylation",
    "MGMT promoter",
    ("mgmt-methylation-index", "mgmt-methylation"),
    "",
    0,
    17,
    answers=(
        *((text, 0.0) for text in spellings.UNMETHYLATED),
        *((str(n), float(n)) for n in range(18)),
        *((text, 9.35) for text in spellings.METHYLATED),
    ),
    counted=("{sites}", "{site}", "{cpg sites}", "{cpg site}", "{cpg}", "sites", "cpg sites"),
)
_WHO_GRADE = Variable(
    "who-cns-grade",
    "WHO grade",
    ("who-cns-grade",),
    "",
    1,
    4,
    answers=_numbered(spellings.WHO_GRADE, 1),
)
GLIOMA = Question(
    risk="glioma-survival",
    asks="How likely is death within two years of the MRI of a diffuse glioma?",
    modalities=(
        Modality(
            "ehr",
            "Operation and histology",
            (
                _AGE,
                _SEX,
                _category("extent-of-resection", "Extent of resection", spellings.RESECTION),
                Input(_WHO_GRADE),
            ),
        ),
        Modality(
            "genomics",
            "Molecular markers (IDH, MGMT, 1p/19q)",
            (
                _category(IDH, "IDH", spellings.IDH),
                Input(_MGMT, log=True),
                _category("1p19q-status", "1p/19q", spellings.CODELETION),
            ),
        ),
    ),
    # No marker: IDH is a gene of leukaemia too, and MGMT is looked at in other tumours.
    eligible=frozenset(
        {"extent-of-resection", "who-cns-grade"}
        | {ucsf_pdgm.radiomic_code(f, i) for f, i, _, _ in ucsf_pdgm.RADIOMICS}
    ),
    operation=frozenset(("extent-of-resection",)),
    window_d=_WORK_UP_D,
    expires_d=180.0,
    horizon_d=ucsf_pdgm.TWO_YEARS_D,
    youngest=17.0,
    stand_in=Modality(
        "imaging",
        "MRI of the tumour",
        tuple(_radiomic(*row) for row in ucsf_pdgm.RADIOMICS),
        preoperative=True,
    ),
    predicts=IDH,
)

# Where staging draws its lines: TNM, 8th edition (2017), for nodes (one; four, where p16 is there).
_KNOTS = {"number_of_positive_lymph_nodes": (1.0, 4.0), "infiltration_depth_in_mm": (5.0, 10.0)}


def _hancock(rows: tuple[tuple[str, str, str], ...]) -> tuple[Input, ...]:
    found: list[Input] = []
    for column, display, unit in rows:
        code = hancock.code_of(column)
        if unit:
            number = _number(code, display, unit, 0, 1e5, log=True, free=unit[0] == "{")
            found.append(number._replace(knots=_KNOTS.get(column, ())))
            continue
        found.append(_category(code, display, spellings.of_hancock(column)))
    return tuple(found)


HEAD_NECK = Question(
    risk="head-neck-recurrence",
    asks="How likely is relapse or death within three years of a head and neck cancer's operation?",
    modalities=(
        Modality("ehr", "Clinical history", (_AGE, _SEX, *_hancock(hancock.CLINICAL))),
        Modality(
            "blood",
            "Blood count before treatment",
            tuple(
                Input(Variable(code, name, (code,), unit, 0, 1e4), log=unit.startswith("10*"))
                for name, code, unit in hancock.BLOOD
            ),
            # A blood count speaks of a tumour's first weeks: red cells live about 120 days.
            half_life_d=120.0,
            preoperative=True,
        ),
        Modality("pathology", "Pathology", _hancock(hancock.PATHOLOGY)),
    ),
    # What says where the tumour is: p16, grade and stage are of other organs too.
    eligible=frozenset(("primary-tumor-site",)),
    operation=frozenset(("resection-status", "pT-stage")),  # a biopsy has neither
    window_d=_WORK_UP_D,
    expires_d=365.0,
    horizon_d=hancock.THREE_YEARS_D,
    youngest=22.0,
    doubted=hancock.code_of("primarily_metastasis"),
    left_out=(Modality("tma", "Tissue microarray", _hancock(hancock.TMA)),),
)

QUESTIONS = {q.risk: q for q in (GLIOMA, HEAD_NECK)}
