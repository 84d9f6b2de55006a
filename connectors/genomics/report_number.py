"""Which report a FHIR DiagnosticReport is, so that its later versions are known as the same."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final

from connectors.fhir.document import Resource
from connectors.fhir.elements import (
    Element,
    authority,
    child,
    children,
    coded,
    identifier_type,
    references,
    text,
)
from connectors.fhir.reading import Reading, referred

_ORDERS: Final = {"FILL": "filler", "PLAC": "placer"}  # table 0203


def report_number(report: Resource, pseudonym: str, reading: Reading) -> str:
    """Keyed hash of the order's number as OBR-3 or OBR-2 give it, else of the report's own.

    A report without any number is the source's only one of that code and time for this patient.
    """
    key, source = reading.key, reading.message.source
    own = children(report.content, "identifier")
    ordered = [
        i for r in references(report.content, "basedOn") for i in referred(reading, r, report)
    ]
    numbered = dict(_order_numbers([*own, *ordered], reading))
    for kind in _ORDERS.values():
        if kind in numbered:
            return key.short("obs", kind, *numbered[kind])
    for one in own:
        if text(one, "value"):
            system = authority(one, reading.profile) or source
            return key.short("fhir-report", system, text(one, "value"))
    id = text(report.content, "id")
    if id:
        return key.short("fhir-report-id", source, id)
    code = coded(child(report.content, "code"))
    when = text(report.content, "effectiveDateTime")
    return key.short("fhir-report-of", source, pseudonym, code.code, when)


def _order_numbers(
    identifiers: list[Element], reading: Reading
) -> Iterator[tuple[str, tuple[str, str]]]:
    for one in reversed(identifiers):  # the first of a kind counts
        kind = _ORDERS.get(identifier_type(one))
        if kind and text(one, "value"):
            by = authority(one, reading.profile) or reading.message.source
            yield kind, (by, text(one, "value"))
