"""LOINC answers of genomics results, in the words that facts use.

Each code was compared, on 2026-11-25, with a second source: the answer list as it is bound in the
HL7 FHIR genomics-reporting guide (STU2, STU3), in HL7's v2 LRI guide and in other systems' copies
of LOINC's answer lists. The lists:

| LOINC question | answer list |
|---|---|
| 69548-6 genetic variant assessment | LL1971-2 |
| 48002-0 genomic source class | LL378-1 |
| 53034-5 allelic state | LL381-5 |
| 53037-8 clinical significance (ACMG) | LL4034-6 |
| 62374-4 reference sequence assembly | LL1040-6 |
| 92822-6 genomic coordinate system | LL5323-2 |
| 51968-6 overall interpretation | LL541-4 |
| 48019-4 DNA change type | LL379-9 |
| 48000-4 chromosome | LL2938-0 |
"""

from __future__ import annotations

import re
from typing import Final

from connectors.facts import Presence
from connectors.genomics.sequences import assembly_of

POSITIVE, NEGATIVE = "positive", "negative"
# How a start and an end are counted (LL5323-2).
INTERVAL_0, CHARACTER_0, CHARACTER_1 = "0-based interval", "0-based character", "1-based character"

_CHROMOSOMES: Final = {
    "LA21254-0": "1", "LA21255-7": "2", "LA21256-5": "3", "LA21257-3": "4",
    "LA21258-1": "5", "LA21259-9": "6", "LA21260-7": "7", "LA21261-5": "8",
    "LA21262-3": "9", "LA21263-1": "10", "LA21264-9": "11", "LA21265-6": "12",
    "LA21266-4": "13", "LA21267-2": "14", "LA21268-0": "15", "LA21269-8": "16",
    "LA21270-6": "17", "LA21271-4": "18", "LA21272-2": "19", "LA21273-0": "20",
    "LA21274-8": "21", "LA21275-5": "22", "LA21276-3": "X", "LA21277-1": "Y",
}  # fmt: skip
# By LOINC question: a code of one list says nothing under the question of another.
LISTS: Final[dict[str, dict[str, str]]] = {
    "69548-6": {
        "LA9633-4": Presence.PRESENT,
        "LA9634-2": Presence.ABSENT,
        "LA18198-4": Presence.NO_CALL,
        "LA11884-6": Presence.NO_CALL,  # indeterminate
    },
    # What is likely one of the two is evidence as that one; the rest is neither.
    "48002-0": {
        "LA6683-2": "germline",
        "LA6684-0": "somatic",
        "LA18194-3": "germline",  # likely germline
        "LA18195-0": "somatic",  # likely somatic
        "LA26807-0": "germline",  # de novo: new in this person, and in all cells
        "LA10429-1": "",  # fetal: not this patient's own
        "LA18196-8": "",  # likely fetal
        "LA18197-6": "",  # unknown genomic origin
    },
    "53034-5": {
        "LA6703-8": "heteroplasmic",
        "LA6704-6": "homoplasmic",
        "LA6705-3": "homozygous",
        "LA6706-1": "heterozygous",
        "LA6707-9": "hemizygous",
    },
    "53037-8": {
        "LA6668-3": "pathogenic",
        "LA26332-9": "likely pathogenic",
        "LA26333-7": "uncertain",
        "LA26334-5": "likely benign",
        "LA6675-8": "benign",
    },
    "62374-4": {
        "LA14032-9": "NCBI34",
        "LA14031-1": "NCBI35",
        "LA14030-3": "NCBI36",
        "LA14029-5": "GRCh37",
        "LA26806-2": "GRCh38",
    },
    "92822-6": {
        "LA30100-4": INTERVAL_0,
        "LA30101-2": CHARACTER_0,
        "LA30102-0": CHARACTER_1,
    },
    "51968-6": {
        "LA6576-8": POSITIVE,
        "LA6577-6": NEGATIVE,
    },
    "48019-4": {
        "LA9658-1": "wild type",
        "LA6692-3": "deletion",
        "LA6686-5": "duplication",
        "LA6687-3": "insertion",
        "LA6688-1": "insertion/deletion",
        "LA6689-9": "inversion",
        "LA6690-7": "substitution",
        "LA14033-7": "copy number gain",
        "LA14034-5": "copy number loss",
    },
    "48000-4": _CHROMOSOMES,
}
_ASSEMBLY: Final = "62374-4"
_ANSWER_CODE: Final = re.compile(r"LA\d{1,9}-\d")
# What laboratories write in place of the list's answers, by question.
_IN_WORDS: Final[dict[str, dict[str, str]]] = {
    "48002-0": {
        "germline": "germline",
        "likely germline": "germline",
        "de novo": "germline",
        "somatic": "somatic",
        "likely somatic": "somatic",
    },
    "51968-6": {"positive": POSITIVE, "negative": NEGATIVE},
}
_WORDS: Final[dict[str, str]] = {
    "present": Presence.PRESENT,
    "detected": Presence.PRESENT,
    "positive": Presence.PRESENT,
    "absent": Presence.ABSENT,
    "not detected": Presence.ABSENT,
    "negative": Presence.ABSENT,
    "wild type": Presence.ABSENT,
    "no call": Presence.NO_CALL,
    "indeterminate": Presence.NO_CALL,
    "not examined": Presence.NOT_EXAMINED,
    "not tested": Presence.NOT_EXAMINED,
}


def listed(question: str, code: str) -> str | None:
    """What a code of the question's list means, in one word; None for any other code."""
    return LISTS.get(question, {}).get(code)


def answer(question: str, text: str) -> str:
    """What an answer means. Some senders put `LA…^text^LN` into a plain text.

    A LOINC code that is not of the question's list means what its text says, without one nothing.
    """
    code, *rest = (part.strip() for part in text.split("^"))
    meant = listed(question, code)
    if meant is not None:
        return meant
    if question in LISTS and _ANSWER_CODE.fullmatch(code):
        text = rest[0] if rest else ""
    text = text.strip()
    if question == _ASSEMBLY:
        return assembly_of(text)
    return _IN_WORDS.get(question, {}).get(text.lower(), text)


def is_negative(text: str) -> bool:
    """Does an overall interpretation (51968-6) say that nothing was found?"""
    return answer("51968-6", text) == NEGATIVE


def presence_of(assessed: str) -> Presence:
    """An assessment in words; one that nobody knows is no answer."""
    try:
        return Presence(_WORDS.get(assessed.strip().lower(), assessed))
    except ValueError:
        return Presence.NO_CALL
