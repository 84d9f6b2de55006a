"""Whose a resource is: its Patient in the message, the number in a reference, or the header."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final, NamedTuple

from connectors.facts import PersonDetail, Rank
from connectors.fhir.document import Document, Resource
from connectors.fhir.elements import Element, authority, child, children, identifier_type, text
from connectors.identity import Identifier, Identity, IdentityKey
from connectors.interpretation import Profile, RefusedError
from connectors.quarantine import Reason
from connectors.subject import subject_of

_SEXES: Final = {"male": "M", "female": "F", "other": "O", "unknown": "U"}  # table 0001


class Person(NamedTuple):
    """One patient of a message."""

    pseudonym: str
    identity: Identity
    patient: Element  # the Patient resource; empty where only a number is known


def person_of(
    resource: Resource, document: Document, header: str, profile: Profile, key: IdentityKey
) -> Person:
    """The subject of a resource. Raises `RefusedError` where nothing says whose number it is.

    The header `subject` counts where the message has no usable number itself, and only if all that
    is left without one refers to the same patient.
    """
    reference = child(resource.content, "subject")
    found = document.find(reference, resource)
    patient = found.content if found is not None and found.kind == "Patient" else {}
    said = children(patient, "identifier") or [child(reference, "identifier")]
    numbers = list(dict.fromkeys(_numbers(said, profile)))
    if not numbers and header:
        if len(document.subjects) > 1:
            detail = "one header `subject`, and several patients without a number"
            raise RefusedError(Reason.AMBIGUOUS, detail, f"{resource.place}.subject")
        numbers = [subject_of(header, profile)]
    if not numbers:
        detail = (
            "neither a Patient with an identifier that names its authority, nor one in the "
            "reference, nor the header `subject`"
        )
        raise RefusedError(Reason.NO_PATIENT, detail, f"{resource.place}.subject")
    return Person(
        key.pseudonym(_best(numbers, profile.preferred_types)), _identity(numbers, patient), patient
    )


def _numbers(identifiers: list[Element], profile: Profile) -> Iterator[Identifier]:
    for one in identifiers:
        value = text(one, "value")
        by = authority(one, profile) or profile.facility
        if value and by and text(one, "use") != "old":
            yield Identifier(by, identifier_type(one) or profile.identifier_type, value)


def _best(numbers: list[Identifier], preferred: tuple[str, ...]) -> Identifier:
    for wanted in preferred:
        for number in numbers:
            if number.type == wanted:
                return number
    return numbers[0]


def _identity(numbers: list[Identifier], patient: Element) -> Identity:
    names = children(patient, "name")
    name = next((n for n in names if text(n, "use") == "official"), names[0] if names else {})
    given = name.get("given")
    first = given[0] if isinstance(given, list) and given else ""
    return Identity(
        identifiers=tuple(numbers),
        family=text(name, "family"),
        given=first.strip() if isinstance(first, str) else "",
        birth_date=_birth_date(patient),
        sex=_SEXES.get(text(patient, "gender"), ""),
    )


def _birth_date(patient: Element) -> str:
    digits = text(patient, "birthDate").replace("-", "")
    return digits if digits.isdecimal() and len(digits) in (4, 6, 8) else ""


def details(person: Person, rank: Rank) -> Iterator[PersonDetail]:
    """Birth year and sex, as a PID gives them."""
    born, sex = _birth_date(person.patient), person.identity.sex
    if born:
        yield PersonDetail(
            id="person:birth_year", rank=rank, field=PersonDetail.BIRTH_YEAR, value=float(born[:4])
        )
    if sex:
        yield PersonDetail(id="person:sex", rank=rank, field=PersonDetail.SEX, value=sex)
