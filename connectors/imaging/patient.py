"""Whose an object is, and when it was made: attributes that every DICOM dataset has in common."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

from connectors.hl7 import times
from connectors.identity import Identifier, Identity
from connectors.interpretation import Profile, RefusedError
from connectors.quarantine import Reason

# What is read of a dataset, by its keyword (PS3.6).
PATIENT: Final = (
    "PatientID",
    "IssuerOfPatientID",
    "PatientName",
    "PatientBirthDate",
    "PatientSex",
)
_SEXES: Final = ("M", "F", "O")


def identified(said: Mapping[str, str], profile: Profile) -> tuple[Identifier, Identity]:
    """The patient of a dataset: the same as in PID-3 with that authority and type.

    Without an issuer the number is the source's `facility`'s, as in HL7. A number that belongs to
    nobody in particular would make a patient of its own, whom no other feed knows. Raises
    `RefusedError`.
    """
    number = said.get("PatientID", "").strip()
    if not number:
        raise RefusedError(Reason.NO_PATIENT, "no PatientID", "(0010,0020)")
    issuer = said.get("IssuerOfPatientID", "").strip()
    authority = dict(profile.authorities).get(issuer, issuer) or profile.facility
    if not authority:
        detail = "no IssuerOfPatientID: name the source's `facility` in the site file"
        raise RefusedError(Reason.NO_PATIENT, detail, "(0010,0021)")
    identifier = Identifier(authority, profile.identifier_type, number)
    family, _, rest = said.get("PatientName", "").partition("=")[0].partition("^")
    sex = said.get("PatientSex", "").strip()
    identity = Identity(
        identifiers=(identifier,),
        family=family.strip(),
        given=rest.partition("^")[0].strip(),
        birth_date=said.get("PatientBirthDate", "").strip(),
        sex=sex if sex in _SEXES else "",
    )
    return identifier, identity


def moment(text: str, offset: str, latest: float, profile: Profile) -> float | None:
    """A DT, or a DA and the TM behind it, as UTC epoch seconds; None where nothing is said.

    `offset` is TimezoneOffsetFromUTC (0008,0201); without one the source's own zone holds. They are
    written as in HL7. Raises `RefusedError` for what is no time, or later than `latest`.
    """
    text = text.strip()
    if not text:
        return None
    if "+" not in text and "-" not in text:
        text += offset.strip()
    try:
        found = times.parse(text, profile.time_zone)
    except times.BadTimeError as error:
        raise RefusedError(Reason.BAD_TIME, str(error)) from None
    if found > latest:
        raise RefusedError(Reason.TIME_IN_FUTURE, "later than the clock")
    return found
