"""What the Observations of a FHIR genomics report say, by LOINC code, and which version it is."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any, Final, NamedTuple

from connectors.facts import Presence, Rank, Time
from connectors.fhir.document import Resource
from connectors.fhir.elements import (
    LOINC,
    Element,
    child,
    children,
    codings,
    number,
    text,
)
from connectors.fhir.reading import Reading
from connectors.genomics import answers
from connectors.genomics.described import ASSESSMENT, GENE, OVERALL, RANGES, symbol
from connectors.hl7.tables import STATUSES
from connectors.interpretation import RefusedError
from connectors.quarantine import Reason

Range = tuple[int | None, int | None]
# FHIR R4 observation-status and diagnostic-report-status → HL7 table 0085.
_STATUS: Final = {
    "registered": "O",
    "partial": "S",
    "preliminary": "P",
    "final": "F",
    "appended": "F",
    "amended": "C",
    "corrected": "C",
    "cancelled": "X",
    "entered-in-error": "D",
    "unknown": "P",  # the sender does not know: nothing final
}
_OF_ALL: Final = ("D", "X")  # a report that is none takes its Observations along
# FHIR R4 data-absent-reason: never looked for. All others: looked for without an answer.
_NOT_EXAMINED: Final = frozenset(
    ("not-performed", "not-asked", "not-applicable", "unsupported", "not-permitted")
)
# Components whose code is what is meant; of others it is what people call it.
_BY_CODE: Final = frozenset(
    ("48004-6", "48005-3", "81290-9", "51958-7", "48013-7", "81291-7", "81252-9", "48001-2")
)
_PERCENT: Final = "%"
_LARGEST_POSITION: Final = 1e11


class Parts(NamedTuple):
    """An Observation's own value and its components; each by LOINC code, or a code of the guide."""

    code: str
    said: Mapping[str, str]
    numbers: Mapping[str, float]
    ranges: Mapping[str, Range]
    several: list[tuple[str, Range]]  # every range of every component
    genes: list[str]
    missing: Presence | None  # why a component or the value is absent


class Version(NamedTuple):
    """Which version of a finding it is."""

    rank: Rank
    status: str  # table 0085
    removed: bool
    time: Time


def version_of(o: Resource, report: Resource, reading: Reading) -> Version:
    """Of an Observation in a report, or of the report itself. Raises `RefusedError`."""
    of_report = _status(report)
    status = of_report if of_report in _OF_ALL else _status(o)
    rule = STATUSES[status]
    said = any(text(o.content, name) for name in ("issued",))
    changed = reading.changed(o if said else report)
    time = _effective(o, reading)
    time = _effective(report, reading) if time is None else time
    rank: Rank = (rule.final, changed, rule.correction, reading.version(o))
    return Version(rank, status, rule.removes, changed if time is None else time)


def _status(resource: Resource) -> str:
    found = _STATUS.get(text(resource.content, "status"))
    if found is None:
        detail = f"no status of a {resource.kind}"
        raise RefusedError(Reason.UNKNOWN_STATUS, detail, f"{resource.place}.status")
    return found


def _effective(resource: Resource, reading: Reading) -> float | None:
    found = reading.moment(resource, "effectiveDateTime", "effectiveInstant")
    if found is not None:
        return found
    period = child(resource.content, "effectivePeriod")
    return reading.moment(Resource("", period, f"{resource.place}.effectivePeriod"), "start")


def code_of(concept: Element) -> str:
    """The LOINC code, else the first one."""
    found = codings(concept)
    return next((c.code for c in found if c.system == LOINC), found[0].code if found else "")


def parts_of(o: Resource) -> Parts:
    """What an Observation says."""
    said: dict[str, str] = {}
    numbers: dict[str, float] = {}
    ranges: dict[str, Range] = {}
    several: list[tuple[str, Range]] = []
    genes: list[str] = []
    missing = _missing(o.content)
    code = code_of(child(o.content, "code"))
    for one in (o.content, *children(o.content, "component")):
        name = code_of(child(one, "code"))
        word = _word(one, name)
        if name == GENE and word:
            genes.append(word)
        if word:
            said.setdefault(name, word)
        quantity = child(one, "valueQuantity")
        # "More than one copy" says of none how many there are.
        value = None if text(quantity, "comparator") else number(quantity, "value")
        if value is not None and _PERCENT in (text(quantity, "code"), text(quantity, "unit")):
            value /= 100
        if value is None:
            value = number(one, "valueInteger")
        if value is not None:
            numbers.setdefault(name, value)
        span = child(one, "valueRange")
        if span:
            ends = _position(span, "low"), _position(span, "high")
            several.append((name, ends))
            ranges.setdefault(name, ends)
        missing = missing or _missing(one)
    if code == ASSESSMENT and code not in said:
        if missing is not None:
            said[code] = missing
        elif any(name.startswith("value") for name in o.content):
            said[code] = Presence.NO_CALL  # answered, in no way that anybody knows
    spans = {name: ends for name, ends in ranges.items() if name in RANGES}
    return Parts(code, said, numbers, spans, several, genes, missing)


def _position(span: Element, end: str) -> int | None:
    found = number(child(span, end), "value")
    return int(found) if found is not None and 0 <= found < _LARGEST_POSITION else None


def _missing(element: Element) -> Presence | None:
    reason = code_of(child(element, "dataAbsentReason"))
    if not reason:
        return None
    return Presence.NOT_EXAMINED if reason in _NOT_EXAMINED else Presence.NO_CALL


def _word(element: Element, name: str) -> str:
    """What a value says, in one word or description."""
    concept = child(element, "valueCodeableConcept")
    found = codings(concept)
    for one in found:
        meant = answers.listed(name, one.code)
        if meant is not None:
            return meant
    plain = text(element, "valueString") or text(concept, "text")
    for one in found:
        if name == GENE:
            # By the guide the code is the gene's number and the display its symbol.
            is_number = one.code.upper().startswith("HGNC:") or one.code.isdecimal()
            return symbol(one.display if is_number and one.display else one.code or one.display)
        first, second = (one.code, one.display) if name in _BY_CODE else (one.display, one.code)
        return answers.answer(name, first or plain or second)
    return answers.answer(name, plain)


def description(o: Element, fields: Mapping[str, Any], said: Mapping[str, str]) -> str:
    """What names a finding within its report: its own identifier, else what it describes."""
    for identifier in children(o, "identifier"):
        if text(identifier, "value"):
            return f"{text(identifier, 'system')}|{text(identifier, 'value')}"
    if fields["position"] is not None:
        of_place = ("assembly", "chromosome", "position", "end", "ref", "alt", "change")
        return "|".join(str(fields[name]) for name in of_place)
    for name in ("hgvs_g", "hgvs_c", "hgvs_p", "iscn", "cytoband"):
        if fields[name]:
            return f"{fields['gene']}|{fields[name]}"
    return f"{fields['gene']}|{said.get('81252-9', '')}"


def is_negative(report: Resource, parts: Iterable[Parts]) -> bool:
    """Does the report as a whole say that nothing was found?"""
    concluded = [c.code for one in children(report.content, "conclusionCode") for c in codings(one)]
    if any(answers.listed(OVERALL, code) == answers.NEGATIVE for code in concluded):
        return True
    return any(answers.is_negative(one.said.get(OVERALL, "")) for one in parts)
