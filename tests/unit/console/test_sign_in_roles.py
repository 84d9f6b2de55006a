"""What a token's claims give: roles by the mapping, sessions that end, addresses that stay here."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError

from streams.console.people import Person
from streams.console.ports import Unavailable
from streams.console.sign_in.browser import within
from streams.console.sign_in.issuer import roles_of
from streams.console.sign_in.sessions import Sessions
from streams.console.sign_in.store import MemoryStore
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


ADA = Person("ada", frozenset({Role.CLINICIAN}), "Dr Ada Lindqvist")


class AwayStore(MemoryStore):
    """Answers until it is switched off."""

    away = False

    async def get(self, key: str) -> bytes | None:
        if self.away:
            raise Unavailable("the store of sign-ins does not answer")
        return await super().get(key)


async def test_a_session_ends_by_time_and_by_hand() -> None:
    """A token that was never given is none."""
    now = [1_000.0]
    sessions = Sessions(MemoryStore(lambda: now[0]), lambda: now[0], 60.0)
    token = await sessions.begin(ADA)
    person = await sessions.person(token)
    assert person is not None
    assert (person.subject, person.roles, person.name) == (ADA.subject, ADA.roles, ADA.name)
    assert await sessions.lives(person)
    assert await sessions.person(token + "x") is None
    now[0] += 61
    assert await sessions.person(token) is None
    assert not await sessions.lives(person)
    other = await sessions.begin(ADA)
    assert await sessions.end(other) is not None
    assert await sessions.person(other) is None
    assert await sessions.end(other) is None


async def test_a_session_is_the_same_at_every_console() -> None:
    """Begun at one, good at the other, ended at the other: and then at both. The store holds no
    token that somebody could sign in with."""
    now = [1_000.0]
    store = MemoryStore(lambda: now[0])
    one, two = (Sessions(store, lambda: now[0], 60.0) for _ in range(2))
    token = await one.begin(ADA)
    person = await two.person(token)
    assert person is not None and person.name == ADA.name
    assert await two.person(person.session) is None
    await two.end(token)
    assert await one.person(token) is None


async def test_while_the_store_is_away_nobody_new_comes_in(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """A request is not let in on trust; a page that is open goes on until its session would end."""
    now = [1_000.0]
    monkeypatch.setattr("streams.console.sign_in.sessions._SURE_S", 0.0)
    store = AwayStore(lambda: now[0])
    sessions = Sessions(store, lambda: now[0], 60.0)
    token = await sessions.begin(ADA)
    person = await sessions.person(token)
    assert person is not None
    store.away = True
    with pytest.raises(Unavailable):
        await sessions.person(token)
    assert await sessions.lives(person)
    assert not await sessions.lives(ADA)
    now[0] += 61
    assert not await sessions.lives(person)


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
