"""The OpenID Connect issuer: where people are sent, and whether a token is one of its.

OpenID Connect Core 1.0 §3.1 (code flow) and §3.1.3.7 (what an ID token must say), RFC 7636 (PKCE).
Everything here waits for the network: call it from a thread.
"""

from __future__ import annotations

import secrets
import threading
import time
from typing import Any, NamedTuple, TypeVar

import requests
from authlib.common.errors import AuthlibBaseError
from authlib.integrations.requests_client import OAuth2Session
from joserfc import jwt
from joserfc.errors import JoseError
from joserfc.jwk import KeySet
from pydantic import BaseModel, ValidationError

from streams.roles import Role
from streams.settings import OidcSettings

_ALGORITHMS = ("RS256", "RS384", "RS512", "PS256", "PS384", "PS512", "ES256", "ES384", "EdDSA")
_TIMEOUT_S = 10.0
_LEEWAY_S = 60
_KEYS_AGAIN_S = 30.0  # an unknown key makes us ask for new ones, at most this often


class SignInError(Exception):
    """Why somebody cannot sign in, in words that may be shown."""


class Metadata(BaseModel):
    """What is used of the issuer's description (OpenID Connect Discovery 1.0 §3)."""

    issuer: str
    authorization_endpoint: str
    token_endpoint: str
    jwks_uri: str


class Begun(NamedTuple):
    """A sign-in that a browser was sent away for."""

    url: str
    state: str
    nonce: str
    verifier: str


Claims = dict[str, Any]
T = TypeVar("T")


class Issuer:
    """One issuer. Its description and its keys are kept; new keys are fetched when needed."""

    def __init__(self, settings: OidcSettings) -> None:
        self._settings = settings
        self._lock = threading.Lock()
        self._metadata: Metadata | None = None
        self._keys: KeySet | None = None
        self._asked_keys = float("-inf")
        self._verify: bool | str = str(settings.ca) if settings.ca else True

    def begin(self, redirect: str) -> Begun:
        """Where to send a browser. Raises `SignInError`."""
        nonce, verifier = secrets.token_urlsafe(24), secrets.token_urlsafe(48)
        with self._client(redirect) as client:
            url, state = client.create_authorization_url(
                self._described().authorization_endpoint,
                code_verifier=verifier,
                nonce=nonce,
                state=secrets.token_urlsafe(24),
            )
        return Begun(url, state, nonce, verifier)

    def finish(self, begun: Begun, redirect: str, came_back: str) -> Claims:
        """What the ID token says of whoever came back to that address. Raises `SignInError`."""
        try:
            with self._client(redirect) as client:
                token = client.fetch_token(
                    self._described().token_endpoint,
                    authorization_response=came_back,
                    state=begun.state,
                    code_verifier=begun.verifier,
                    timeout=_TIMEOUT_S,
                    verify=self._verify,
                )
        except AuthlibBaseError as error:
            raise SignInError(f"The sign-in was refused: {error.error}.") from None
        except (requests.RequestException, ValueError):
            raise SignInError("The sign-in service does not answer as it should.") from None
        if not isinstance(token.get("id_token"), str):
            raise SignInError("The sign-in service gave no ID token.")
        claims = self._claims(token["id_token"], self._settings.client_id)
        if not secrets.compare_digest(str(claims.get("nonce", "")), begun.nonce):
            raise SignInError("The sign-in was begun elsewhere: sign in again.")
        return claims

    def bearer(self, token: str) -> Claims:
        """What a program's access token says. Raises `SignInError`."""
        return self._claims(token, self._settings.audience or self._settings.client_id)

    # ── inside ──────────────────────────────────────────────────────────────────────────────

    def _client(self, redirect: str) -> Any:
        secret = self._settings.client_secret.get_secret_value()
        return OAuth2Session(
            self._settings.client_id,
            secret or None,
            scope=" ".join(self._settings.scopes),
            redirect_uri=redirect,
            code_challenge_method="S256",
            token_endpoint_auth_method="client_secret_basic" if secret else "none",
        )

    def _described(self) -> Metadata:
        with self._lock:
            if self._metadata is None:
                issuer = self._settings.issuer.rstrip("/")
                found = self._fetch(f"{issuer}/.well-known/openid-configuration")
                try:
                    metadata = Metadata.model_validate(found)
                except ValidationError:
                    raise SignInError("The issuer's description cannot be used.") from None
                if metadata.issuer.rstrip("/") != issuer:
                    raise SignInError("The issuer calls itself otherwise than `console.oidc`.")
                self._metadata = metadata
            return self._metadata

    def _claims(self, token: str, audience: str) -> Claims:
        described = self._described()
        try:
            claims = self._opened(token)
            registry = jwt.JWTClaimsRegistry(
                leeway=_LEEWAY_S,
                iss={"essential": True, "value": described.issuer},
                aud={"essential": True, "value": audience},
                exp={"essential": True},
                sub={"essential": True},
            )
            registry.validate(claims)
        except (JoseError, ValueError, TypeError) as error:
            reason = getattr(error, "error", "") or "not_a_token"
            raise SignInError(f"The token cannot be used ({reason}).") from None
        if isinstance(claims["aud"], list) and claims.get("azp", audience) != audience:
            raise SignInError("The token was made for another program.")
        return claims

    def _opened(self, token: str) -> Claims:
        keys, fresh = self._key_set(again=False)
        try:
            return jwt.decode(token, keys, algorithms=_ALGORITHMS).claims
        except (JoseError, ValueError):
            if fresh:
                raise
        keys, _ = self._key_set(again=True)
        return jwt.decode(token, keys, algorithms=_ALGORITHMS).claims

    def _key_set(self, *, again: bool) -> tuple[KeySet, bool]:
        """The issuer's keys, and whether they were fetched just now."""
        address = self._described().jwks_uri
        with self._lock:
            now = time.monotonic()
            due = again and now - self._asked_keys >= _KEYS_AGAIN_S
            if self._keys is not None and not due:
                return self._keys, False
            self._asked_keys = now
            try:
                self._keys = KeySet.import_key_set(self._fetch(address))
            except (JoseError, ValueError, KeyError, TypeError):
                raise SignInError("The issuer's keys cannot be used.") from None
            return self._keys, True

    def _fetch(self, address: str) -> Any:
        try:
            answer = requests.get(address, timeout=_TIMEOUT_S, verify=self._verify)
            answer.raise_for_status()
            return answer.json()
        except (requests.RequestException, ValueError):
            raise SignInError("The sign-in service does not answer: try again later.") from None


def roles_of(claims: Claims, settings: OidcSettings) -> frozenset[Role]:
    """The roles that a token's claim gives, by the settings' mapping."""
    value: Any = claims
    for part in settings.role_claim.split("."):
        value = value.get(part) if isinstance(value, dict) else None
    given = value.split() if isinstance(value, str) else value if isinstance(value, list) else []
    names = [settings.roles.get(str(v), str(v) if not settings.roles else "") for v in given]
    return frozenset(Role(name) for name in names if name in set(Role))
