"""A variant from what its parts say, by LOINC code: OBX segments of a group, FHIR components.

After LOINC panel 81247-9, as HL7's LRI guide for v2 and the FHIR genomics-reporting guide use it.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any, Final, NamedTuple

from connectors.facts import Presence
from connectors.genomics.answers import CHARACTER_0, INTERVAL_0, presence_of
from connectors.genomics.hgvs import is_hgvs, normalised, parted
from connectors.genomics.sequences import placed

GENE, ASSESSMENT, OVERALL, SOURCE, ZYGOSITY = "48018-6", "69548-6", "51968-6", "48002-0", "53034-5"
SIGNIFICANCE, ASSEMBLY, SEQUENCE, CHROMOSOME = "53037-8", "62374-4", "48013-7", "48000-4"
COUNTING, RANGES_EXAMINED, VARIATION = "92822-6", "51959-5", "81252-9"
# Exact, inner (what is surely changed) and outer start and end, best first.
RANGES: Final = ("81254-5", "81302-2", "81301-4")
_FREQUENCY, _DEPTH, _COPIES = "81258-6", "82121-5", "82155-3"
_HGVS_C, _HGVS_G = "48004-6", "81290-9"
_NAME = "47998-0"  # what the variant is called: often its description
_KINDS: Final = {"hgvs_c": "c", "hgvs_p": "p", "hgvs_g": "g"}  # brought into one spelling
# LOINC → the field of a variant that holds its text.
TEXTS: Final[dict[str, str]] = {
    _HGVS_C: "hgvs_c",
    "48005-3": "hgvs_p",
    _HGVS_G: "hgvs_g",
    "51958-7": "transcript",
    "69547-8": "ref",
    "69551-0": "alt",
    "48019-4": "change",
    "81291-7": "iscn",
    "48001-2": "cytoband",
}
TELLS_OF_A_VARIANT: Final = frozenset(
    (_HGVS_C, "48005-3", _HGVS_G, VARIATION, "81291-7", ASSESSMENT)
)
CODES: Final = frozenset(
    (
        *TEXTS,
        *RANGES,
        *(GENE, ASSESSMENT, OVERALL, SOURCE, ZYGOSITY, SIGNIFICANCE, ASSEMBLY, SEQUENCE),
        *(CHROMOSOME, _NAME, COUNTING, RANGES_EXAMINED, VARIATION, _FREQUENCY, _DEPTH, _COPIES),
    )
)
# SPDI (sequence:position:deleted:inserted) counts from 0; some send it in place of c.HGVS.
_SPDI = re.compile(r"(?P<sequence>[A-Z]{2}_\d+\.\d+):(?P<at>\d{1,11}):(?P<ref>[^:]*):(?P<alt>.*)")
_SUBSTITUTION = re.compile(r"[^:]+:[gm]\.(\d{1,11})[ACGT]>[ACGT]")
_NAMED_CHROMOSOME = re.compile(r"(?:chr(?:omosome)?)?\s*(\d{1,2}|[XYM]|MT)", re.IGNORECASE)


class _Place(NamedTuple):
    assembly: str
    chromosome: str
    position: int | None
    end: int | None


def described(
    said: Mapping[str, str],
    numbers: Mapping[str, float],
    ranges: Mapping[str, tuple[int | None, int | None]],
) -> dict[str, Any]:
    """Fields of a `Variant` (`connectors.facts`), all but those of its fact and its time.

    Each argument is by LOINC code; `said` holds words of `connectors.genomics.answers`.
    """
    texts = {field: said.get(code, "") for code, field in TEXTS.items()}
    spdi = _SPDI.fullmatch(texts["hgvs_c"])
    if spdi is not None:
        texts["hgvs_c"] = ""
        texts["ref"] = texts["ref"] or spdi["ref"]
        texts["alt"] = texts["alt"] or spdi["alt"]  # symbolic alleles have no other place
    if not any(texts[field] for field in _KINDS):
        texts |= _by_name(said.get(_NAME, ""))
    texts["hgvs_c"], protein = parted(texts["hgvs_c"])
    texts["hgvs_p"] = texts["hgvs_p"] or protein
    for field, kind in _KINDS.items():
        texts[field] = normalised(texts[field], kind)
    place = _place(said, ranges, texts["hgvs_g"], spdi)
    significance = said.get(SIGNIFICANCE, "").lower()
    source = said.get(SOURCE, "")
    return {
        **texts,
        **place._asdict(),
        # One that is described and not assessed was found; an answer nobody knows is none.
        "presence": presence_of(said[ASSESSMENT]) if ASSESSMENT in said else Presence.PRESENT,
        "source_class": source if source in ("germline", "somatic") else "",
        "gene": said.get(GENE, ""),
        "zygosity": said.get(ZYGOSITY, "").lower(),
        "significance": "" if significance == "not specified" else significance,
        "allele_fraction": _fraction(numbers.get(_FREQUENCY)),
        "depth": _whole(numbers.get(_DEPTH)),
        "copy_number": numbers.get(_COPIES),
    }


def _by_name(name: str) -> dict[str, str]:
    """The description that a variant's name is; nothing where it is none."""
    dna, _ = parted(name)
    if not is_hgvs(dna):
        return {}
    kind = normalised(dna).rpartition(":")[2][0]
    return {field: name for field, of in _KINDS.items() if of == kind}


def _place(
    said: Mapping[str, str],
    ranges: Mapping[str, tuple[int | None, int | None]],
    hgvs_g: str,
    spdi: re.Match[str] | None,
) -> _Place:
    """1-based, both ends included. An assembly that is stated counts before a sequence's own.

    A position on anything but a chromosome of a known assembly is none.
    """
    start, end = next((ranges[code] for code in RANGES if code in ranges), (None, None))
    start, end = one_based(start, end, said.get(COUNTING, ""))
    sequence = said.get(SEQUENCE, "")
    if spdi is not None:
        sequence = sequence or spdi["sequence"]
        start = int(spdi["at"]) + 1 if start is None else start
    chromosome, assembly = placed(sequence)
    chromosome = chromosome or _named(sequence)
    if sequence and not chromosome:
        start = end = None  # a place on a gene's or a transcript's sequence
    if not chromosome:
        chromosome, assembly = placed(hgvs_g.partition(":")[0])
        substituted = _SUBSTITUTION.fullmatch(hgvs_g)
        if substituted is not None and chromosome:
            start, end = int(substituted[1]), int(substituted[1])
    chromosome = chromosome or _named(said.get(CHROMOSOME, ""))
    assembly = said.get(ASSEMBLY, "") or assembly
    if not assembly and chromosome != "M":
        start = end = None  # on a genome that nobody names
    return _Place(assembly, chromosome, start, end)


def _named(text: str) -> str:
    """A chromosome by its usual name; "" for anything else."""
    found = _NAMED_CHROMOSOME.fullmatch(text.strip())
    if found is None:
        return ""
    return "M" if found[1].upper() == "MT" else found[1].upper()


def one_based(start: int | None, end: int | None, counting: str) -> tuple[int | None, int | None]:
    """Counted from 1, the end included, from what LL5323-2 calls the counting."""
    if counting in (INTERVAL_0, CHARACTER_0) and start is not None:
        start += 1
    if counting == CHARACTER_0 and end is not None:
        end += 1
    return start, end


def genes_of(report: str) -> str:
    """The id under which the list of genes that a report studied is withdrawn."""
    return f"{report}/genes"


def _fraction(number: float | None) -> float | None:
    """0 to 1: what is more than that was meant as a percentage."""
    if number is None or not 0 <= number <= 100:
        return None
    return number / 100 if number > 1 else number


def _whole(number: float | None) -> int | None:
    return int(number) if number is not None and 0 <= number < 1e9 else None


def symbol(text: str) -> str:
    """An HGNC symbol; "" for what is too long to be one."""
    plain = text.strip()
    return plain if len(plain) <= 40 else ""
