"""PID: whose message it is, and what it says about the person."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime
from functools import lru_cache
from typing import Final

from connectors.facts import PersonDetail, Rank
from connectors.hl7 import times
from connectors.hl7.context import Context, Issue, Profile, RefusedError
from connectors.hl7.syntax import NULL, Segment, Syntax, at
from connectors.identity import Identifier, Identity, IdentityKey
from connectors.quarantine import Reason

_LONGEST_DATE: Final = 40  # characters: a TS with fraction and offset has 24
_LONGEST_CACHED: Final = 1_000  # characters of the fields that identify: bounds the cache's memory


def identify(
    pid: Segment, context: Context, location: str = "PID", field: int = 3
) -> tuple[str, Identity]:
    """Pseudonym and identity. Raises `RefusedError` where no identifier can be used.

    Identifiers are those of PID-3, in old versions of PID-2. Among them the best by
    `Profile.preferred_types` names the patient. An identifier without an assigning authority
    belongs to the sending facility (MSH-4): a bare number is unique to its site at best.
    """
    named = context.syntax.field.join(pid[:9])
    find = _identified if len(named) < _LONGEST_CACHED else _identify
    found = find(named, context.facility, context.profile, context.syntax, context.key)
    if found is None:
        raise RefusedError(Reason.NO_PATIENT, "no usable identifier", f"{location}-{field}")
    return found


def _identify(
    named: str,
    facility: str,
    profile: Profile,
    syntax: Syntax,
    key: IdentityKey,
) -> tuple[str, Identity] | None:
    pid = named.split(syntax.field)  # up to PID-8: one short text makes a quick cache key
    external, internal, name, born, sex = (at(pid, n) for n in (2, 3, 5, 7, 8))
    meant = dict(profile.authorities)
    identifiers = _identifiers(internal, facility, meant, syntax)
    identifiers = identifiers or _identifiers(external, facility, meant, syntax)
    if not identifiers:
        return None
    family = syntax.components(syntax.repetitions(name)[0])
    identity = Identity(
        identifiers=tuple(identifiers),
        family=syntax.part(family, 1),
        given=syntax.part(family, 2),
        birth_date=_date(born, syntax),
        sex=syntax.read_first(sex),
    )
    return key.pseudonym(_best(identifiers, profile.preferred_types)), identity


_identified = lru_cache(maxsize=4_096)(_identify)


def _identifiers(
    field: str, facility: str, meant: dict[str, str], syntax: Syntax
) -> list[Identifier]:
    found: list[Identifier] = []
    for repetition in syntax.repetitions(field):
        parts = syntax.components(repetition)
        number = syntax.part(parts, 1)
        if number:
            authority = syntax.named(parts[3]) if len(parts) > 3 else ""
            authority = meant.get(authority, authority) or facility
            found.append(Identifier(authority, syntax.part(parts, 5), number))
    return list(dict.fromkeys(found))


def _best(identifiers: list[Identifier], preferred: tuple[str, ...]) -> Identifier:
    for wanted in preferred:
        for identifier in identifiers:
            if identifier.type == wanted:
                return identifier
    return identifiers[0]


def _date(field: str, syntax: Syntax) -> str:
    """A date of birth as sent, "" for what is none (`details` reports it)."""
    try:
        return times.parse_date(syntax.read_first(field))
    except times.BadTimeError:
        return ""


def forgotten(context: Context) -> Iterator[PersonDetail]:
    """A29: every detail of the person is withdrawn."""
    rank: Rank = (1, context.sent, 0, context.control_id)
    for name in (PersonDetail.BIRTH_YEAR, PersonDetail.SEX, PersonDetail.DIED_AT):
        yield PersonDetail(id=f"person:{name}", rank=rank, field=name, value=None, removed=True)


def details(pid: Segment, context: Context, *, may_remove: bool) -> Iterator[PersonDetail]:
    """The demographic facts of a PID.

    Only a message of the patient administration may take a detail back (`may_remove`): a result's
    PID is a copy, and often an old one.
    """
    rank: Rank = (1, context.sent, 0, context.control_id)
    for field, id, value in (
        (PersonDetail.BIRTH_YEAR, "person:birth_year", _birth_year(at(pid, 7), context)),
        (PersonDetail.SEX, "person:sex", _sex(at(pid, 8), context)),
        (PersonDetail.DIED_AT, "person:died_at", _died_at(at(pid, 29), at(pid, 30), context)),
    ):
        if value is None:
            continue
        if value != NULL:
            yield PersonDetail(id=id, rank=rank, field=field, value=value)
        elif may_remove:
            yield PersonDetail(id=id, rank=rank, field=field, value=None, removed=True)


# Each of these gives a value, NULL to take the detail back, or None where nothing is said.


def _birth_year(field: str, context: Context) -> float | str | None:
    if not field or field == NULL:
        return field or None
    if not field.isdecimal():
        field = context.syntax.first(field)
        if not field:
            return None
    try:
        year, begins = _year(field[:_LONGEST_DATE])
    except times.BadTimeError as error:
        context.issues.append(Issue(Reason.BAD_TIME, str(error), "PID-7"))
        return None
    # Nobody is born after the message; a day's grace covers time zones.
    if begins > context.heard + 86_400.0:
        context.issues.append(Issue(Reason.TIME_IN_FUTURE, "later than the clock", "PID-7"))
        return None
    return year


@lru_cache(maxsize=32_768)
def _year(text: str) -> tuple[float, float]:
    """The year of a date, and the epoch second that it begins at."""
    year = int(times.parse_date(text)[:4])
    return float(year), datetime(year, 1, 1, tzinfo=UTC).timestamp()


def _sex(field: str, context: Context) -> str | None:
    return field or None if field == NULL else context.syntax.first(field) or None


def _died_at(died: str, indicator: str, context: Context) -> float | str | None:
    """PID-29 and PID-30. A death without a time is dated by the message that reports it."""
    if not died and not indicator:
        return None
    said = context.syntax.first(indicator)
    if said == "N" or (indicator == NULL and not died):
        return NULL
    if died == NULL and said != "Y":
        return NULL
    moment = context.noted_moment(died, "PID-29")
    if moment is None and said == "Y":
        return context.sent
    return moment
