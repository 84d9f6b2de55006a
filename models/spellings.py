"""How laboratories and pathologists write the answers that the tumour models read.

One list for each answer. The first spelling is the one that is shown; case, blanks, hyphens and
slashes do not matter (`models.units.plain`). What is not here is not guessed: "indeterminate", "see
comment", a clinical stage (cT2) or one after treatment (ypT2) where the pathologist's is asked for.

Sources: LOINC answer codes (LA…) and SNOMED CT for positive, negative, present, absent, detected;
SNOMED CT 396922003 to 396925001 for WHO grades; TNM, 8th edition (2017); WHO Classification of
Tumours, Central Nervous System, 5th edition (2021).
"""

from __future__ import annotations

from collections.abc import Iterable

from connectors.cohorts.hancock import WORDS

Answers = tuple[tuple[str, ...], ...]

POSITIVE = (
    *("positive", "pos", "detected", "present", "yes"),
    *("LA6576-8", "LA11882-0", "LA9633-4", "LA33-6"),
    *("10828004", "260373001", "52101004"),
)
NEGATIVE = (
    *("negative", "neg", "not detected", "absent", "no"),
    *("LA6577-6", "LA11883-8", "LA9634-2", "LA32-8"),
    *("260385009", "260415000", "2667000"),
)

# The hotspots: codon 132 of IDH1 and 172 of IDH2, by the amino acid that takes their place.
_HOTSPOTS = {
    ("IDH1", 132): ("His", "Cys", "Gly", "Ser", "Leu"),
    ("IDH2", 172): ("Lys", "Trp", "Met", "Ser", "Gly"),
}
_ONE_LETTER = {"Lys": "K", "Trp": "W"}  # of all others it is the first


def _variants() -> Iterable[str]:
    for (gene, codon), acids in _HOTSPOTS.items():
        for acid in acids:
            short = f"R{codon}{_ONE_LETTER.get(acid, acid[0])}"
            for change in (short, f"p.{short}", f"p.Arg{codon}{acid}"):
                yield from (change, f"{gene} {change}", f"{gene} {change} mutation")


def _of(names: Iterable[str], words: Iterable[str]) -> Iterable[str]:
    return (f"{name} {word}" for name in names for word in words)


_GENES = ("IDH", "IDH1", "IDH2")
_BOTH = ("IDH", "IDH1/2", "IDH1/IDH2", "IDH1 and IDH2")  # one gene alone says nothing
_WILD = ("wild type", "WT")
_NOT_MUTATED = ("not mutated", "no mutation", "no mutation detected", "mutation not detected")
_MUTATED = ("mutated", "mutant", "mutation", "mutation detected", "mutation present")
IDH: Answers = (
    ("wildtype", *_WILD, *_NOT_MUTATED, *_of(_BOTH, (*_WILD, "not mutated")), *NEGATIVE),
    (*_MUTATED, "mutated (NOS)", *_of(_GENES, _MUTATED), *_variants(), *POSITIVE),
)

UNMETHYLATED = (
    *("unmethylated", "not methylated", "non-methylated", "no methylation"),
    *("MGMT unmethylated", "MGMT promoter unmethylated", "methylation not detected", *NEGATIVE),
)
METHYLATED = (
    *("methylated", "hypermethylated", "methylation detected", "methylation present"),
    *("MGMT methylated", "MGMT promoter methylated", *POSITIVE),
)

_ARMS = ("1p/19q", "1p19q", "1p and 19q")
_LOST = ("codeleted", "codeletion", "codeletion present", "codeletion detected")
_KEPT = ("intact", "not codeleted", "non-codeleted", "no codeletion", "codeletion absent")
CODELETION: Answers = (
    ("intact", *_KEPT[1:], "codeletion not detected", "retained", *_of(_ARMS, _KEPT), *NEGATIVE),
    ("codeleted", *_LOST[1:], *_of(_ARMS, _LOST), *POSITIVE),
)

RESECTION: Answers = (
    ("biopsy only", "biopsy"),
    ("subtotal", "STR", "subtotal resection", "partial", "partial resection", "incomplete"),
    ("gross total", "GTR", "gross total resection", "total", "total resection", "complete"),
)


def _grade(roman: str, number: int, snomed: str) -> tuple[str, ...]:
    before = ("grade", "WHO grade", "CNS WHO grade", "WHO CNS grade", "WHO")
    words = [f"{b} {n}" for b in before for n in (roman, number)]
    return (str(number), roman, f"G{number}", *words, snomed)


WHO_GRADE: Answers = (
    _grade("I", 1, "396922003"),
    _grade("II", 2, "396923008"),
    _grade("III", 3, "396924002"),
    _grade("IV", 4, "396925001"),
)


def _invasion(letter: str) -> Answers:
    return ("0", *NEGATIVE, f"{letter}0"), ("1", *POSITIVE, f"{letter}1")


_NO_YES: Answers = (("0", *NEGATIVE), ("1", *POSITIVE))
# Beside the cohort's own words, by column of HANCOCK and in their order. A bare number is no stage
# and no grade: in the tables pT1 has the 2.
_HANCOCK: dict[str, Answers] = {
    "smoking_status": (
        ("former", "ex-smoker"),
        ("never smoker", "never"),
        ("current smoker", "current"),
        ("unknown",),
    ),
    "primarily_metastasis": (
        ("0", *NEGATIVE, "M0", "cM0"),
        ("1", *POSITIVE, "M1", "cM1", "pM1"),
    ),
    "perinodal_invasion": _NO_YES,
    "lymphovascular_invasion_L": _invasion("L"),
    "vascular_invasion_V": _invasion("V"),
    "perineural_invasion_Pn": _invasion("Pn"),
    "carcinoma_in_situ": _NO_YES,
    "primary_tumor_site": (("CUP",), (), (), (), ()),
    "grading": (
        ("grade 1", "grade I", "well differentiated"),
        ("grade 2", "grade II", "moderately differentiated"),
        ("grade 3", "grade III", "poorly differentiated"),
        ("hpv_association_p16",),
    ),
    "hpv_association_p16": (("p16 negative", *NEGATIVE), (), ("p16 positive", *POSITIVE)),
}
_STAGES = ("pT_stage", "pN_stage")


def of_hancock(column: str) -> Answers:
    """The answers of one of its categories: `pT4a`, `T4a`."""
    words = WORDS[column]
    if column in _STAGES:
        return tuple((w, w.removeprefix("p")) for w in words)
    more = _HANCOCK.get(column) or ((),) * len(words)
    return tuple((word, *others) for word, others in zip(words, more, strict=True))
