"""Elements of FHIR resources, whatever is in their place: JSON that was sent may hold anything."""

from __future__ import annotations

import math
import re
from collections.abc import Iterator, Mapping
from typing import Any, Final, NamedTuple

from connectors.hl7 import times
from connectors.interpretation import Profile, RefusedError
from connectors.quarantine import Reason

Element = Mapping[str, Any]

LOINC: Final = "LN"
# Code systems as HL7 v2 calls them (table 0396), so that a fact's system is one word for all feeds.
_SYSTEMS: Final[dict[str, str]] = {
    "http://loinc.org": LOINC,
    "http://snomed.info/sct": "SCT",
    "http://dicom.nema.org/resources/ontology/DCM": "DCM",
    "http://unitsofmeasure.org": "UCUM",
    "http://www.genenames.org": "HGNC",
    "http://varnomen.hgvs.org": "HGVS",
}
# FHIR R4 2.24.0.1: YYYY, YYYY-MM, YYYY-MM-DD or a moment with its offset.
_MOMENT = re.compile(
    r"(\d{4})(?:-(\d\d)(?:-(\d\d)"
    r"(?:T(\d\d):(\d\d):(\d\d)(\.\d+)?(Z|[+-]\d\d:\d\d))?)?)?"
)


class Coding(NamedTuple):
    """A code, and what people call it."""

    code: str = ""
    system: str = ""  # as in HL7 table 0396 where that has a name for it, else the URI
    display: str = ""


def text(element: Element, name: str) -> str:
    """A string without blanks around it; "" where there is none."""
    value = element.get(name)
    return value.strip() if isinstance(value, str) else ""


def child(element: Element, name: str) -> Element:
    """An element of parts; an empty one where there is none."""
    value = element.get(name)
    return value if isinstance(value, dict) else {}


def children(element: Element, name: str) -> list[Element]:
    """The repetitions of an element of parts."""
    value = element.get(name)
    return [one for one in value if isinstance(one, dict)] if isinstance(value, list) else []


def number(element: Element, name: str) -> float | None:
    """A finite decimal."""
    value = element.get(name)
    if isinstance(value, bool) or not isinstance(value, int | float):
        return None
    try:
        found = float(value)
    except OverflowError:
        return None
    return found if math.isfinite(found) else None


def codings(concept: Element) -> list[Coding]:
    """The codes of a CodeableConcept."""
    return [coding(one) for one in children(concept, "coding")]


def coding(element: Element) -> Coding:
    """A Coding."""
    system = text(element, "system")
    return Coding(text(element, "code"), _SYSTEMS.get(system, system), text(element, "display"))


def coded(concept: Element) -> Coding:
    """The code to go by, LOINC first; its display, else the concept's own text."""
    found = [one for one in codings(concept) if one.code]
    best = next((one for one in found if one.system == LOINC), found[0] if found else Coding())
    return best._replace(display=best.display or text(concept, "text"))


def moment(
    said: str, latest: float, profile: Profile, location: str, *, required: bool = False
) -> float | None:
    """A date, dateTime or instant as UTC epoch seconds; None where nothing is said.

    One of lower precision stands for its beginning, in the source's time zone. Raises
    `RefusedError` for what is no time, or later than `latest`.
    """
    if not said:
        if required:
            raise RefusedError(Reason.NO_TIME, "no time", location)
        return None
    found = _MOMENT.fullmatch(said)
    if found is None:
        raise RefusedError(Reason.BAD_TIME, "no dateTime of FHIR", location)
    *whole, fraction, offset = found.groups()
    digits = "".join(part or "" for part in whole)
    zone = "+0000" if offset == "Z" else (offset or "").replace(":", "")
    try:
        epoch = times.parse(f"{digits}{(fraction or '')[:10]}{zone}", profile.time_zone)
    except times.BadTimeError as error:
        raise RefusedError(Reason.BAD_TIME, str(error), location) from None
    if epoch > latest:
        raise RefusedError(Reason.TIME_IN_FUTURE, "later than the clock", location)
    return epoch


def references(element: Element, name: str) -> Iterator[Element]:
    """The references of an element that may repeat, or be alone."""
    value = element.get(name)
    if isinstance(value, dict):
        yield value
    elif isinstance(value, list):
        yield from (one for one in value if isinstance(one, dict))


def identifier_type(identifier: Element) -> str:
    """Table 0203."""
    return coded(child(identifier, "type")).code


def authority(identifier: Element, profile: Profile) -> str:
    """Who assigned a number: as in CX-4, so an OID without `urn:oid:`, by the site's own names."""
    meant = dict(profile.authorities)
    system = text(identifier, "system")
    plain = system.removeprefix("urn:oid:")
    assigner = text(child(identifier, "assigner"), "display")
    return meant.get(system) or meant.get(plain) or plain or meant.get(assigner, assigner)
