"""Clinical-genomics results: the OBX of one group (OBX-4) are one variant.

After HL7's Laboratory Results Interface, clinical genomics (LOINC panel 81247-9). The identity of a
variant is the report's order number and its group, so that an amended report replaces it variant by
variant; an amendment has to bring the whole group. A variant counts only where it is *present*:
absent, not called and not examined are three other things.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import Final

from connectors.facts import AnyFact, Observation, Presence, Variant
from connectors.genomics.hgvs import normalised
from connectors.hl7.context import Context
from connectors.identity import SHORT

_GENE, _ASSESSMENT, _OVERALL = "48018-6", "69548-6", "51968-6"
_SOURCE, _ZYGOSITY, _SIGNIFICANCE = "48002-0", "53034-5", "53037-8"
_RANGE, _ASSEMBLY, _FREQUENCY, _DEPTH, _COPIES = (
    "81254-5",
    "62374-4",
    "81258-6",
    "82121-5",
    "82155-3",
)
# LOINC → the field of a variant that holds its text.
_DESCRIPTIONS: Final = ("hgvs_c", "hgvs_p", "hgvs_g")  # in one spelling
_TEXTS: Final[dict[str, str]] = {
    "48004-6": "hgvs_c",
    "48005-3": "hgvs_p",
    "81290-9": "hgvs_g",
    "51958-7": "transcript",
    "69547-8": "ref",
    "69551-0": "alt",
    "48019-4": "change",
    "81291-7": "iscn",
}
_TELLS_OF_A_VARIANT: Final = frozenset(
    ("48004-6", "48005-3", "81290-9", "81252-9", "81291-7", _ASSESSMENT)
)
CODES: Final = frozenset(
    (
        *_TEXTS,
        *(_GENE, _ASSESSMENT, _OVERALL, _SOURCE, _ZYGOSITY, _SIGNIFICANCE, _RANGE, _ASSEMBLY),
        *(_FREQUENCY, _DEPTH, _COPIES, "81252-9", "92822-6", "48013-7", "51959-5"),
    )
)

# Answers (LOINC answer lists).
_ANSWERS: Final[dict[str, str]] = {
    "LA9633-4": Presence.PRESENT,
    "LA9634-2": Presence.ABSENT,
    "LA18198-4": Presence.NO_CALL,
    "LA11884-6": Presence.NO_CALL,  # indeterminate
    "LA6683-2": "germline",
    "LA6684-0": "somatic",
    "LA6703-8": "heteroplasmic",
    "LA6704-6": "homoplasmic",
    "LA6705-3": "homozygous",
    "LA6706-1": "heterozygous",
    "LA6707-9": "hemizygous",
    "LA6668-3": "pathogenic",
    "LA26332-9": "likely pathogenic",
    "LA26333-7": "uncertain",
    "LA26334-5": "likely benign",
    "LA6675-8": "benign",
    "LA14029-5": "GRCh37",
    "LA26806-2": "GRCh38",
    "LA6577-6": "negative",
    "LA6576-8": "positive",
}
_WORDS: Final[dict[str, str]] = {
    "present": Presence.PRESENT,
    "detected": Presence.PRESENT,
    "absent": Presence.ABSENT,
    "not detected": Presence.ABSENT,
    "no call": Presence.NO_CALL,
    "indeterminate": Presence.NO_CALL,
    "not examined": Presence.NOT_EXAMINED,
    "not tested": Presence.NOT_EXAMINED,
}


def take_variants(found: Iterable[Observation], context: Context) -> Iterator[AnyFact]:
    """Observations with those of variants turned into variants."""
    groups: dict[tuple[str, str], list[Observation]] = {}
    for observation in found:
        if observation.system == "LN" and observation.code in CODES:
            key = observation.id[:SHORT], observation.sub_id
            groups.setdefault(key, []).append(observation)
        else:
            yield observation
    named: set[tuple[str, str]] = set()  # (report, gene) of which a variant is told
    for (report, group), observations in groups.items():
        if any(o.code in _TELLS_OF_A_VARIANT for o in observations):
            variant = _variant(report, group, observations, context)
            named.add((report, variant.gene))
            yield variant
    negative = {report for (report, _), found in groups.items() if any(map(_is_negative, found))}
    for (report, _), observations in groups.items():
        if not any(o.code in _TELLS_OF_A_VARIANT for o in observations):
            yield from _genes(report, observations, named, report in negative, context)


def _variant(report: str, group: str, observations: list[Observation], context: Context) -> Variant:
    said: dict[str, str] = {}
    numbers: dict[str, float] = {}
    for o in observations:
        if isinstance(o.value, float):
            numbers[o.code] = o.value
        elif isinstance(o.value, str):
            said[o.code] = _answer(o.value)
    newest = max(observations, key=lambda o: o.rank)
    start, end = _range(said.get(_RANGE, ""))
    assessed = said.get(_ASSESSMENT, "")
    texts = {field: said.get(code, "") for code, field in _TEXTS.items()}
    for field in _DESCRIPTIONS:
        texts[field] = normalised(texts[field])
    return Variant(
        id=context.key.short("variant", report, group),
        rank=newest.rank,
        removed=all(o.removed for o in observations),
        presence=_presence(assessed),
        time=newest.time,
        status=newest.status,
        source_class=said.get(_SOURCE, ""),
        gene=_symbol(said.get(_GENE, "")),
        assembly=said.get(_ASSEMBLY, ""),
        position=start,
        end=end,
        zygosity=said.get(_ZYGOSITY, ""),
        significance=said.get(_SIGNIFICANCE, "").lower(),
        allele_fraction=numbers.get(_FREQUENCY),
        depth=int(numbers[_DEPTH]) if _DEPTH in numbers else None,
        copy_number=numbers.get(_COPIES),
        report=report,
        visit=context.visit,
        **texts,
    )


def _genes(
    report: str,
    observations: list[Observation],
    named: set[tuple[str, str]],
    negative: bool,
    context: Context,
) -> Iterator[Variant]:
    """Genes that were studied without a finding: absent where the report is negative as a whole."""
    for o in observations:
        if o.code != _GENE or not isinstance(o.value, str):
            continue
        for gene in filter(None, map(_symbol, o.value.split("\n"))):
            if (report, gene) in named:
                continue
            yield Variant(
                id=context.key.short("gene", report, gene),
                rank=o.rank,
                removed=o.removed,
                presence=Presence.ABSENT if negative else Presence.NO_CALL,
                time=o.time,
                status=o.status,
                source_class="",
                gene=gene,
                report=report,
                visit=context.visit,
            )


def _is_negative(o: Observation) -> bool:
    return o.code == _OVERALL and isinstance(o.value, str) and _answer(o.value) == "negative"


def _answer(text: str) -> str:
    """A LOINC answer as its meaning; some senders put `LA…^text^LN` into a plain text."""
    code = text.partition("^")[0].strip()
    return _ANSWERS.get(code) or text.strip()


def _presence(assessed: str) -> Presence:
    """A variant that is described and not assessed was found."""
    if not assessed:
        return Presence.PRESENT
    try:
        return Presence(_WORDS.get(assessed.lower(), assessed))
    except ValueError:
        return Presence.NO_CALL


def _symbol(text: str) -> str:
    """HGNC symbol of `HGNC:1100^BRCA1^HGNC`, `BRCA1` …"""
    parts = [part.strip() for part in text.split("^")]
    symbol = parts[1] if parts[0].upper().startswith("HGNC:") and len(parts) > 1 else parts[0]
    return symbol if len(symbol) <= 40 else ""


def _range(text: str) -> tuple[int | None, int | None]:
    """`123^456`, `123-456` or `123`."""
    numbers = [n for n in text.replace("^", "-").split("-") if n.strip().isdigit() and len(n) < 12]
    found = [int(n) for n in numbers]
    return (found[0] if found else None, found[1] if len(found) > 1 else None)
