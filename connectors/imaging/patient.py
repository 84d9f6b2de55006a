"""Whose an object is, and when it was made: attributes that every DICOM dataset has in common."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime, timedelta, timezone
from typing import Final
from zoneinfo import ZoneInfo

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

    Without an issuer the number is the source's `facility`'s, as in HL7. Raises `RefusedError`.
    """
    number = said.get("PatientID", "").strip()
    if not number:
        raise RefusedError(Reason.NO_PATIENT, "no PatientID", "(0010,0020)")
    issuer = said.get("IssuerOfPatientID", "").strip()
    authority = dict(profile.authorities).get(issuer, issuer) or profile.facility
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


def moment(date: str, time: str, offset: str, profile: Profile) -> float | None:
    """DA and TM (or a DT and ""), as UTC epoch seconds; None where they are none.

    `offset` is TimezoneOffsetFromUTC (0008,0201), else the source's own zone holds.
    """
    text, _, own = (date.strip() + time.strip()).replace("-", "+-").partition("+")
    digits = text.partition(".")[0][:14]
    if len(digits) < 8 or not digits.isdecimal():
        return None
    try:
        zone = _offset(own or offset.strip()) or ZoneInfo(profile.time_zone)
        local = datetime.strptime(digits.ljust(14, "0"), "%Y%m%d%H%M%S").replace(tzinfo=zone)
        return local.timestamp()
    except (ValueError, OverflowError, OSError):
        return None


def _offset(text: str) -> timezone | None:
    digits = text.lstrip("+-")
    if len(digits) != 4 or not digits.isdecimal():
        return None
    minutes = int(digits[:2]) * 60 + int(digits[2:])
    return timezone(timedelta(minutes=-minutes if text.startswith("-") else minutes))
