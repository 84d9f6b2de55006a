"""The identity vault on a real Redis: encrypted, bound to its pseudonym, audited."""

from __future__ import annotations

import json

import pytest
from redis import Redis

from connectors import vault
from connectors.identity import Identifier, Identity, IdentityKey
from connectors.vault import VaultReader, VaultWriter

pytestmark = pytest.mark.redis

KEY = IdentityKey(bytes(range(32)))
WHO = Identity(identifiers=(Identifier("HOSP", "MR", "42"),), family="Meier", given="Eva")


def reader(redis: Redis, audit: list[bytes], key: IdentityKey = KEY) -> VaultReader:
    return VaultReader(redis, key, audit.append, lambda: 1_700_000_000.0)


def test_a_name_comes_back_and_the_look_up_is_audited(redis: Redis) -> None:
    VaultWriter(redis, KEY).put({"p-1": WHO})
    audit: list[bytes] = []
    found = reader(redis, audit).names(["p-1", "p-2"], who="nurse", purpose="console")
    assert found == {"p-1": WHO}
    assert json.loads(audit[0]) == {
        "event": "names_looked_up",
        "who": "nurse",
        "at": "2023-11-14T22:13:20.000Z",
        "patients": ["p-1", "p-2"],
        "purpose": "console",
    }


def test_nothing_readable_is_stored(redis: Redis) -> None:
    VaultWriter(redis, KEY).put({"p-1": WHO})
    assert b"Meier" not in b"".join(redis.hgetall(vault.ENTRIES).values())


def test_an_entry_moved_to_another_patient_does_not_open(redis: Redis) -> None:
    VaultWriter(redis, KEY).put({"p-1": WHO})
    redis.hset(vault.ENTRIES, "p-2", redis.hget(vault.ENTRIES, "p-1"))
    with pytest.raises(ValueError, match="does not open"):
        reader(redis, []).names(["p-2"], who="x", purpose="console")


def test_another_key_does_not_open_it(redis: Redis) -> None:
    VaultWriter(redis, KEY).put({"p-1": WHO})
    with pytest.raises(ValueError, match="does not open"):
        reader(redis, [], IdentityKey(bytes(32))).names(["p-1"], who="x", purpose="console")


def test_the_writer_notices_that_the_vault_was_emptied(redis: Redis) -> None:
    writer = VaultWriter(redis, KEY)
    writer.mark_complete()
    assert writer.put({"p-1": WHO})
    redis.flushdb()
    assert writer.put({"p-1": WHO}, look=False)  # nothing new, and nobody asked
    assert not writer.put({"p-2": WHO}, look=False)
    assert not writer.put({"p-1": WHO})


def test_a_rebuild_does_not_overwrite_what_is_newer(redis: Redis) -> None:
    writer = VaultWriter(redis, KEY)
    newer = Identity(identifiers=WHO.identifiers, family="Huber", given="Eva")
    writer.put({"p-1": newer})
    writer.put_missing({"p-1": WHO, "p-2": WHO})
    found = reader(redis, []).names(["p-1", "p-2"], who="x", purpose="console")
    assert found == {"p-1": newer, "p-2": WHO}


def test_an_empty_field_says_nothing_new(redis: Redis) -> None:
    """A result without a name does not take the name away; a restart changes nothing about it."""
    VaultWriter(redis, KEY).put({"p-1": WHO})
    VaultWriter(redis, KEY).put({"p-1": Identity(identifiers=WHO.identifiers, sex="F")})
    found = reader(redis, []).names(["p-1"], who="x", purpose="console")["p-1"]
    assert (found.family, found.given, found.sex) == ("Meier", "Eva", "F")
