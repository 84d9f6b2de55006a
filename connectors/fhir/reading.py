"""What the reading of one FHIR message knows: resources, clock, key, and what came of it."""

from __future__ import annotations

from dataclasses import dataclass, field

from connectors.facts import AnyFact
from connectors.fhir.document import Document, Resource
from connectors.fhir.elements import (
    Element,
    authority,
    child,
    children,
    identifier_type,
    moment,
    text,
)
from connectors.fhir.people import Person, details, person_of
from connectors.identity import IdentityKey
from connectors.interpretation import About, Interpretation, Issue, Profile, RefusedError
from connectors.wire import WireMessage


@dataclass(slots=True)
class Reading:
    """One message being read."""

    document: Document
    message: WireMessage
    key: IdentityKey
    profile: Profile
    out: Interpretation
    _about: dict[str, About] = field(default_factory=dict)

    @property
    def latest(self) -> float:
        """No time in the message may be later."""
        return self.message.heard + self.profile.max_future_s

    def person(self, resource: Resource) -> Person:
        """Whose it is. Raises `RefusedError`."""
        return person_of(resource, self.document, self.message.subject, self.profile, self.key)

    def add(self, person: Person, facts: list[AnyFact]) -> None:
        """Facts of a patient."""
        about = self._about.get(person.pseudonym)
        if about is None:
            about = self._about[person.pseudonym] = About(person.pseudonym, person.identity)
            rank = (1, self.message.heard, 0, "")
            about.facts += details(person, rank)
            self.out.patients.append(about)
        about.facts += facts

    def note(self, refused: RefusedError, place: str) -> None:
        """A part that could not be understood."""
        reason, detail, location = refused.issue
        self.out.issues.append(Issue(reason, detail, location or place))

    def moment(self, resource: Resource, *names: str) -> float | None:
        """The first of these elements that is a time; one that is none becomes an issue."""
        for name in names:
            place = f"{resource.place}.{name}"
            try:
                found = moment(text(resource.content, name), self.latest, self.profile, place)
            except RefusedError as refused:
                self.note(refused, place)
            else:
                if found is not None:
                    return found
        return None

    def changed(self, resource: Resource) -> float:
        """When this version was made: `issued`, else `meta.lastUpdated`, else when it was heard."""
        said = text(resource.content, "issued") or text(
            child(resource.content, "meta"), "lastUpdated"
        )
        place = f"{resource.place}.issued"
        try:
            found = moment(said, self.latest, self.profile, place)
        except RefusedError as refused:
            self.note(refused, place)
            found = None
        return self.message.heard if found is None else found

    def version(self, resource: Resource) -> str:
        """Tells two versions of one time apart, the same way in whatever order they come."""
        meta = child(resource.content, "meta")
        return self.key.short("fhir", text(resource.content, "id"), text(meta, "versionId"))

    def visit(self, resource: Resource) -> str:
        """Keyed hash of the visit number of `encounter`, as of PV1-19; "" without one."""
        reference = child(resource.content, "encounter")
        found = self.document.find(reference, resource)
        said = children(found.content, "identifier") if found is not None else []
        for one in (*said, child(reference, "identifier")):
            by = authority(one, self.profile) or self.profile.facility
            if text(one, "value") and by:
                kind = identifier_type(one) or "VN"
                return self.key.short("visit", kind, by, text(one, "value"))
        return ""


def referred(reading: Reading, reference: Element, holder: Resource) -> list[Element]:
    """Identifiers of what a reference refers to: its own, and those of the resource."""
    found = reading.document.find(reference, holder)
    said = children(found.content, "identifier") if found is not None else []
    own = child(reference, "identifier")
    return [*said, own] if own else said
