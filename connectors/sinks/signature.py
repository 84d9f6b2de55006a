"""Standard Webhooks, version 1: the three headers by which a receiver knows who wrote.

HMAC-SHA256 over `id.timestamp.body`, in base64, behind `v1,`; several, separated by a space, while
a secret is changed. https://github.com/standard-webhooks/standard-webhooks (specification, 2023).
"""

from __future__ import annotations

import base64
import binascii
import hashlib
import hmac
from collections.abc import Iterable

PREFIX = "whsec_"
_SHORTEST, _LONGEST = 24, 64  # bytes of a secret, by the specification


class BadSecretError(ValueError):
    """A secret that cannot be used; the text does not hold it."""


def key_of(secret: str) -> bytes:
    """The key that a secret (`whsec_` and base64) stands for. Raises `BadSecretError`."""
    try:
        key = base64.b64decode(secret.removeprefix(PREFIX), validate=True)
    except (binascii.Error, ValueError):
        raise BadSecretError("the secret is no base64 behind whsec_") from None
    if not _SHORTEST <= len(key) <= _LONGEST:
        raise BadSecretError(
            f"the secret has {len(key)} bytes, it needs {_SHORTEST} to {_LONGEST}: make one with "
            '`python -c \'import base64, os; print("whsec_" + '
            "base64.b64encode(os.urandom(32)).decode())'`"
        )
    return key


def headers(keys: Iterable[bytes], id: str, at: int, body: bytes) -> dict[str, str]:
    """The headers of one attempt at epoch second `at`; the id is the same for every attempt."""
    signed = b".".join((id.encode(), str(at).encode(), body))
    signatures = (base64.b64encode(hmac.digest(key, signed, hashlib.sha256)) for key in keys)
    return {
        "webhook-id": id,
        "webhook-timestamp": str(at),
        "webhook-signature": " ".join(f"v1,{s.decode()}" for s in signatures),
    }
