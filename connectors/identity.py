"""Who a patient is, and the keyed pseudonym under which the rest of Tocsin knows them."""

from __future__ import annotations

import base64
import hashlib
import os
from pathlib import Path

import msgspec

KEY_BYTES = 32
SHORT = 16  # hex digits of a short reference: 64 bits


class Identifier(msgspec.Struct, frozen=True, order=True):
    """One identifier of PID-3: compared with authority and type, never by number alone."""

    authority: str  # CX-4: namespace, or universal id where there is no namespace
    type: str  # CX-5, table 0203
    number: str  # CX-1


class Identity(msgspec.Struct, frozen=True, kw_only=True):
    """What the vault keeps of a person."""

    identifiers: tuple[Identifier, ...]
    family: str = ""
    given: str = ""
    birth_date: str = ""  # YYYY, YYYYMM or YYYYMMDD, as sent
    sex: str = ""


def merged(old: Identity | None, new: Identity) -> Identity:
    """What is known of a person after a newer message: an empty field says nothing new."""
    if old is None:
        return new
    return Identity(
        identifiers=tuple(sorted({*old.identifiers, *new.identifiers})),
        family=new.family or old.family,
        given=new.given or old.given,
        birth_date=new.birth_date or old.birth_date,
        sex=new.sex or old.sex,
    )


class IdentityKey:
    """Keyed hashes: stable for one installation, meaningless outside it.

    >>> key = IdentityKey(bytes(32))
    >>> key.pseudonym(Identifier("HOSP", "MR", "123"))
    'p-lvm7mq6vub5z6qqqwbl4jduwsu'
    """

    def __init__(self, key: bytes) -> None:
        if len(key) != KEY_BYTES:
            raise ValueError(f"the identity key has {len(key)} bytes, it needs {KEY_BYTES}")
        self._pseudonym = hashlib.blake2b(key=key, digest_size=16, person=b"tocsin-patient")
        self._reference = hashlib.blake2b(key=key, digest_size=16, person=b"tocsin-ref")
        self._vault_key = hashlib.blake2b(key, digest_size=32, person=b"tocsin-vault").digest()

    @property
    def vault_key(self) -> bytes:
        """The key that the vault encrypts with."""
        return self._vault_key

    def pseudonym(self, identifier: Identifier) -> str:
        """The patient's name in everything but `tocsin.wire.*` and the vault."""
        h = self._pseudonym.copy()
        h.update(_joined(identifier.authority, identifier.type, identifier.number))
        return "p-" + base64.b32encode(h.digest()).decode().rstrip("=").lower()

    def reference(self, *parts: str) -> str:
        """A hash in place of an order number, a visit number or the like."""
        h = self._reference.copy()
        h.update(_joined(*parts))
        return h.hexdigest()

    def short(self, *parts: str) -> str:
        """As `reference`, half as long: for what is compared within one patient or one feed."""
        return self.reference(*parts)[:SHORT]

    def study(self, uid: str) -> str:
        """In place of a StudyInstanceUID, wherever it comes from."""
        return self.short("study", uid.strip())

    def accession(self, number: str) -> str:
        """In place of an accession number: compared within one patient alone."""
        return self.short("accession", number.strip())


def _joined(*parts: str) -> bytes:
    return "\x1f".join(parts).encode()


def load_key(hex_key: str, home: Path) -> IdentityKey:
    """The configured key, or the working folder's own, made on first use (mode 600).

    Raises `ValueError` when the key is not 32 bytes in hex.
    """
    if hex_key:
        return IdentityKey(bytes.fromhex(hex_key))
    file = home / "identity.key"
    home.mkdir(parents=True, exist_ok=True)
    draft = home / f"identity.key.{os.getpid()}"
    if not file.exists():
        with os.fdopen(os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600), "w") as out:
            out.write(os.urandom(KEY_BYTES).hex())
        try:
            os.link(draft, file)  # atomic: the first process wins, all read the same key
        except FileExistsError:
            pass
        finally:
            draft.unlink(missing_ok=True)
    return IdentityKey(bytes.fromhex(file.read_text().strip()))
