"""Whose it is, where the bytes do not say: the header `subject`, `authority|type|number`."""

from __future__ import annotations

from connectors.identity import Identifier
from connectors.interpretation import Profile, RefusedError
from connectors.quarantine import Reason


def subject_of(text: str, profile: Profile) -> Identifier:
    """The patient of a header. Raises `RefusedError`."""
    parts = [part.strip() for part in text.split("|")]
    if len(parts) != 3 or not parts[2]:
        detail = "the header `subject` has to say whose it is: authority|type|number"
        raise RefusedError(Reason.NO_PATIENT, detail, "subject")
    authority = dict(profile.authorities).get(parts[0], parts[0]) or profile.facility
    if not authority:
        detail = "no authority in the header `subject`: say it, or `facility` in the site file"
        raise RefusedError(Reason.NO_PATIENT, detail, "subject")
    return Identifier(authority, parts[1] or profile.identifier_type, parts[2])
