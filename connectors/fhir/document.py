"""FHIR JSON as resources that refer to each other: one resource, or a Bundle of them."""

from __future__ import annotations

from collections.abc import Iterator
from functools import cached_property
from typing import Final, NamedTuple

import msgspec

from connectors.fhir.elements import Element, child, children, text
from connectors.interpretation import RefusedError
from connectors.quarantine import Reason

MOST_RESOURCES: Final = 20_000
# FHIR R4 ValueSet bundle-type, but for answers to questions that Tocsin does not ask.
BUNDLES: Final = frozenset(
    ("message", "transaction", "batch", "collection", "document", "history", "searchset")
)


class Resource(NamedTuple):
    """A resource, and where it stands."""

    kind: str
    content: Element
    place: str  # "Bundle.entry[2]", "DiagnosticReport.contained[5]"
    holder: str = ""  # place of the resource that contains it
    url: str = ""  # fullUrl of its entry


class Document:
    """Resources in the order in which they were sent; each is found by what refers to it."""

    def __init__(self, kind: str, resources: list[Resource]) -> None:
        self.kind = kind  # of the whole: "Bundle", "ImagingStudy" …
        self.resources = resources
        self._found: dict[str, Resource] = {}
        for resource in resources:
            for name in _names(resource):
                self._found.setdefault(name, resource)

    @cached_property
    def subjects(self) -> frozenset[str]:
        """Whom its findings and studies refer to."""
        found = {
            text(child(resource.content, "subject"), "reference")
            for resource in self.resources
            if resource.kind in ("ImagingStudy", "DiagnosticReport", "Observation")
        }
        return frozenset(found - {""})

    def of_kind(self, kind: str) -> list[Resource]:
        """Those that are no part of another one, and those that are."""
        return [resource for resource in self.resources if resource.kind == kind]

    def find(self, reference: Element, holder: Resource) -> Resource | None:
        """What a reference in `holder` refers to; None where it is not in the message."""
        target = text(reference, "reference")
        if not target:
            return None
        if target.startswith("#"):
            return self._found.get(f"{holder.holder or holder.place} {target}")
        found = self._found.get(target)
        # A server's own address before the kind, or a version behind the id, name the same one.
        return found or self._found.get("/".join(target.partition("/_history")[0].split("/")[-2:]))


def _names(resource: Resource) -> Iterator[str]:
    id = text(resource.content, "id")
    if resource.holder:
        if id:
            yield f"{resource.holder} #{id}"
        return
    if resource.url:
        yield resource.url
    if id:
        yield f"{resource.kind}/{id}"


def read(raw: bytes) -> Document:
    """Raises `RefusedError` for what is no FHIR JSON."""
    whole = decoded(raw)
    kind = text(whole, "resourceType")
    resources: list[Resource] = []
    if kind == "Bundle":
        bundle_type = text(whole, "type")
        if bundle_type not in BUNDLES:
            detail = f"Bundle.type is one of {', '.join(sorted(BUNDLES))}"
            raise RefusedError(Reason.BAD_FHIR, detail, "Bundle.type")
        for number, entry in enumerate(children(whole, "entry")):
            held = child(entry, "resource")
            if held:
                place, url = f"Bundle.entry[{number}]", text(entry, "fullUrl")
                resources += _with_contained(held, place, url)
    else:
        resources += _with_contained(whole, kind, "")
    if len(resources) > MOST_RESOURCES:
        raise RefusedError(Reason.OVERSIZED, f"more than {MOST_RESOURCES:,} resources")
    return Document(kind, resources)


def decoded(raw: bytes) -> Element:
    """JSON that says which resource it is. Raises `RefusedError`."""
    try:
        found = msgspec.json.decode(raw.removeprefix(b"\xef\xbb\xbf"))
    except (msgspec.DecodeError, UnicodeDecodeError):
        raise RefusedError(Reason.BAD_FHIR, "no JSON in UTF-8") from None
    except RecursionError:
        raise RefusedError(Reason.BAD_FHIR, "nested too deep") from None
    if not isinstance(found, dict) or not text(found, "resourceType"):
        raise RefusedError(Reason.BAD_FHIR, "no FHIR resource: it has no resourceType")
    return found


def _with_contained(content: Element, place: str, url: str) -> Iterator[Resource]:
    yield Resource(text(content, "resourceType"), content, place, url=url)
    for number, held in enumerate(children(content, "contained")):
        kind = text(held, "resourceType")
        yield Resource(kind, held, f"{place}.contained[{number}]", holder=place)
