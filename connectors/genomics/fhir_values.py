"""Molecular results in a FHIR genomics report that are no variants: MSI, TMB, methylation …"""

from __future__ import annotations

from typing import Final

from connectors.facts import Observation
from connectors.fhir.document import Resource
from connectors.fhir.elements import Coding, Element, child, coded, number, text
from connectors.fhir.reading import Reading
from connectors.genomics.fhir_findings import Version
from connectors.hl7.results import STANDARD_SYSTEMS
from connectors.hl7.tables import STATUSES, Value
from connectors.interpretation import RefusedError
from connectors.quarantine import Reason

_COMPARATORS: Final = ("<", "<=", ">=", ">")
_LONGEST_TEXT: Final = 200  # characters: more is narrative, which stays in the wire log


def observation(
    o: Resource, version: Version, report: str, gene: str, visit: str, reading: Reading
) -> Observation | None:
    """One result; None for what only groups or annotates other ones. Raises `RefusedError`.

    A result of a gene (a genotype, a haplotype, a protein) is told from others by it.
    """
    code = coded(child(o.content, "code"))
    if not code.code:
        raise RefusedError(Reason.NO_CODE, "an Observation without a code")
    value, comparator, unit = _value(o.content)
    if value is None and not child(o.content, "dataAbsentReason"):
        if any(name in o.content for name in ("component", "hasMember", "derivedFrom")):
            return None
        if STATUSES[version.status].value is Value.REQUIRED:
            raise RefusedError(Reason.NO_VALUE, "a result without a value")
    meant, value, unit = _meant(code, value, unit, reading)
    return Observation(
        id=reading.key.short("fhir-result", report, meant.system, meant.code, gene),
        rank=version.rank,
        removed=version.removed,
        code=meant.code,
        system=meant.system,
        name=meant.display,
        time=version.time,
        status=version.status,
        value=value,
        comparator=comparator,
        unit=unit,
        sub_id=gene,
        visit=visit,
    )


def _value(o: Element) -> tuple[float | str | None, str, str]:
    """Value, comparator and unit, as an OBX of the same content gives them."""
    quantity = child(o, "valueQuantity")
    if quantity:
        found = number(quantity, "value")
        comparator = text(quantity, "comparator")
        if found is None or comparator not in ("", *_COMPARATORS):
            raise RefusedError(Reason.NOT_A_NUMBER, "a Quantity without a number")
        unit = text(quantity, "code") or text(quantity, "unit")
        return found, comparator, "" if unit == "1" else unit
    whole = number(o, "valueInteger")
    if whole is not None:
        return whole, "", ""
    concept = coded(child(o, "valueCodeableConcept"))
    words = concept.code or concept.display or text(o, "valueString") or text(o, "valueDateTime")
    if not words and isinstance(o.get("valueBoolean"), bool):
        words = "true" if o["valueBoolean"] else "false"
    if not words and any(name.startswith("value") for name in o):
        raise RefusedError(Reason.UNKNOWN_VALUE_TYPE, "a kind of value that is not read")
    if len(words) > _LONGEST_TEXT:
        words = f"[text, {len(words)} characters]"
    return words or None, "", ""


def _meant(
    code: Coding, value: float | str | None, unit: str, reading: Reading
) -> tuple[Coding, float | str | None, str]:
    """What the site's own codes, answers and units stand for."""
    codes = reading.profile.codes
    unit = codes.units.get(unit, unit)
    meaning = codes.meanings.get((code.system, code.code))
    if meaning is not None:
        if isinstance(value, str):
            value = meaning.answers.get(value.strip().casefold(), value)
        display = meaning.name or code.display
        return Coding(meaning.code, meaning.system, display), value, unit or meaning.unit
    if code.system not in STANDARD_SYSTEMS:
        about = (code.system, code.code, unit)
        reading.out.unmapped[about] = reading.out.unmapped.get(about, 0) + 1
    return code, value, unit
