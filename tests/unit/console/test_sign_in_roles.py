"""What a token's claims give: roles by the mapping, sessions that end, addresses that stay here."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError

from streams.console.people import Person
from streams.console.sign_in.browser import within
from streams.console.sign_in.issuer import roles_of
from streams.console.sign_in.sessions import Sessions
from streams.roles import INCLUDES, Role
from streams.settings import OidcSettings

ISSUER = "https://login.example"


def settings(**more: object) -> OidcSettings:
    return OidcSettings(issuer=ISSUER, client_id="tocsin", **more)  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("claims", "more", "roles"),
    [
        ({"roles": ["clinician", "juggler"]}, {}, {Role.CLINICIAN}),
        ({"roles": "reader operator"}, {}, {Role.READER, Role.OPERATOR}),
        ({"realm": {"roles": ["nurse"]}}, {"role_claim": "realm.roles",
          "roles": {"nurse": "clinician"}}, {Role.CLINICIAN}),
        ({"roles": ["admin"]}, {"roles": {"nurse": "clinician"}}, set()),
        ({"roles": {"admin": True}}, {}, set()),
        ({"roles": "admin"}, {"role_claim": "roles.deeper"}, set()),
        ({}, {}, set()),
    ],
)  # fmt: skip
def test_roles_come_from_the_claim_by_the_mapping(
    claims: dict[str, object], more: dict[str, object], roles: set[Role]
) -> None:
    """With a mapping, what it does not name gives nothing: not even a role's own name."""
    assert roles_of(claims, settings(**more)) == roles


def test_roles_include_what_the_table_says() -> None:
    """Nobody but an admin sees names and mends feeds; everybody reads."""
    for role in Role:
        person = Person("x", frozenset({role}))
        assert {other for other in Role if person.may(other)} == INCLUDES[role]
        assert person.may(Role.READER)
    both = {role for role in Role if {Role.CLINICIAN, Role.OPERATOR} <= INCLUDES[role]}
    assert both == {Role.ADMIN}
    assert not Person("x", frozenset()).may(Role.READER)


def test_a_session_ends_by_time_and_by_hand() -> None:
    """A token that was never given is none."""
    now = [1_000.0]
    sessions = Sessions(lambda: now[0], 60.0)
    token = sessions.begin(Person("ada", frozenset({Role.CLINICIAN})))
    person = sessions.person(token)
    assert person is not None
    assert (person.subject, sessions.lives(person)) == ("ada", True)
    assert sessions.person(token + "x") is None
    now[0] += 61
    assert sessions.person(token) is None
    assert not sessions.lives(person)
    other = sessions.begin(person)
    sessions.end(other)
    assert sessions.person(other) is None


@pytest.mark.parametrize(
    "settings_of",
    [
        {"issuer": "http://login.example", "client_id": "x"},
        {"issuer": ISSUER},
        {"issuer": ISSUER, "client_id": "x", "roles": {"nurse": "queen"}},
        {"issuer": "login", "client_id": "x"},
    ],
)
def test_settings_that_are_not_safe_are_refused(settings_of: dict[str, object]) -> None:
    """Plain HTTP to an issuer elsewhere, no client id, a role that does not exist."""
    with pytest.raises(ValidationError):
        OidcSettings.model_validate(settings_of)


@given(st.text(max_size=30))
def test_the_way_back_stays_on_this_console(address: str) -> None:
    """Whatever somebody wrote into a link."""
    after = within(address)
    assert after.startswith("/")
    assert not after.startswith(("//", "/\\"))
