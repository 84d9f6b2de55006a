"""The identity vault: names behind pseudonyms, encrypted, every look-up audited.

AES-256-GCM with the pseudonym as associated data: an entry moved under another pseudonym does not
open. The vault can be lost: it is rebuilt from `tocsin.wire.hl7` (`connectors.sequencer`).
"""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping, Sequence

import msgspec
from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from redis import Redis

from connectors.clock import Clock, iso
from connectors.identity import Identity, IdentityKey, merged

ENTRIES = "tocsin:vault"  # hash: pseudonym → nonce + ciphertext
COMPLETE = "tocsin:vault:complete"  # set once the vault holds everyone in the wire log

_NONCE = 12
_REMEMBERED = 200_000  # identities that the writer need not write again
_identity = msgspec.json.Decoder(Identity)


class Lookup(msgspec.Struct, frozen=True, kw_only=True):
    """A record of `tocsin.audit`: who looked whose name up. Holds pseudonyms, never names."""

    event: str
    who: str
    at: str
    patients: list[str]
    purpose: str


class Sealer:
    """Encrypts and decrypts entries."""

    def __init__(self, key: IdentityKey) -> None:
        self._cipher = AESGCM(key.vault_key)

    def seal(self, pseudonym: str, identity: Identity) -> bytes:
        """An entry for the vault."""
        nonce = os.urandom(_NONCE)
        plain = msgspec.json.encode(identity)
        return nonce + self._cipher.encrypt(nonce, plain, pseudonym.encode())

    def open(self, pseudonym: str, entry: bytes) -> Identity:
        """Raises `ValueError` for an entry of another key or another pseudonym."""
        try:
            plain = self._cipher.decrypt(entry[:_NONCE], entry[_NONCE:], pseudonym.encode())
        except InvalidTag:
            raise ValueError("a vault entry does not open with this installation's key") from None
        return _identity.decode(plain)


class VaultWriter:
    """The sequencer's side."""

    def __init__(self, redis: Redis, key: IdentityKey) -> None:
        self._redis = redis
        self._sealer = Sealer(key)
        self._known: dict[str, Identity] = {}

    def put(self, identities: Mapping[str, Identity], *, look: bool = True) -> bool:
        """Store what is new in them. False when the vault is not complete (any more).

        Where nothing is new it is asked whether it is complete only when that is to be looked at.
        Raises `ValueError` when the vault was written with another key.
        """
        self._remember([p for p in identities if p not in self._known])
        news = {p: merged(self._known.get(p), i) for p, i in identities.items()}
        changed = {p: i for p, i in news.items() if self._known.get(p) != i}
        if not (changed or look):
            return True
        with self._redis.pipeline(transaction=False) as pipe:
            if changed:
                entries = {p: self._sealer.seal(p, i) for p, i in changed.items()}
                pipe.hset(ENTRIES, mapping=entries)  # type: ignore[arg-type]  # invariant dict
            pipe.exists(COMPLETE)
            complete = bool(pipe.execute()[-1])
        self._known.update(changed)
        return complete

    def _remember(self, pseudonyms: Sequence[str]) -> None:
        """What the vault holds already of those that we have not met."""
        if len(self._known) > _REMEMBERED:
            self._known.clear()
        if not pseudonyms:
            return
        entries = self._redis.hmget(ENTRIES, list(pseudonyms))
        for pseudonym, entry in zip(pseudonyms, entries, strict=True):
            if isinstance(entry, bytes):
                self._known[pseudonym] = self._sealer.open(pseudonym, entry)

    def put_missing(self, identities: Mapping[str, Identity]) -> None:
        """Store those that the vault lacks: what it has is newer."""
        with self._redis.pipeline(transaction=False) as pipe:
            for pseudonym, identity in identities.items():
                pipe.hsetnx(ENTRIES, pseudonym, self._sealer.seal(pseudonym, identity))
            pipe.execute()

    def forget(self) -> None:
        """The vault was emptied: what we remember of it no longer holds."""
        self._known.clear()

    def mark_complete(self) -> None:
        """Everyone in the wire log is in the vault."""
        self._redis.set(COMPLETE, "1")


class VaultReader:
    """The console's side. Whoever asks is written to the audit log before the answer is given."""

    def __init__(
        self,
        redis: Redis,
        key: IdentityKey,
        audit: Callable[[bytes], None],
        clock: Clock,
    ) -> None:
        self._redis = redis
        self._sealer = Sealer(key)
        self._audit = audit
        self._clock = clock

    def names(self, pseudonyms: Sequence[str], *, who: str, purpose: str) -> dict[str, Identity]:
        """Those that the vault knows. Raises `ValueError` when its key is another one."""
        if not pseudonyms:
            return {}
        lookup = Lookup(
            event="names_looked_up",
            who=who,
            at=iso(self._clock()),
            patients=list(pseudonyms),
            purpose=purpose,
        )
        self._audit(msgspec.json.encode(lookup))
        entries = self._redis.hmget(ENTRIES, list(pseudonyms))
        return {
            pseudonym: self._sealer.open(pseudonym, entry)
            for pseudonym, entry in zip(pseudonyms, entries, strict=True)
            if isinstance(entry, bytes)
        }
