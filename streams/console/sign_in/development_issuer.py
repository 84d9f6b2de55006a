"""An OpenID Connect issuer for this machine, to try the sign-in with: `tocsin issuer`.

Whoever reaches it may be anybody, so it answers on a loopback address only and makes a new key each
time. People have one role each, named like it; the program's secret is "development".
"""

from __future__ import annotations

import base64
import hashlib
import html
import secrets
import time
from typing import Annotated, Any
from urllib.parse import urlencode, urlsplit

from fastapi import FastAPI, Form, Request, Response
from fastapi.responses import HTMLResponse, JSONResponse, RedirectResponse
from joserfc import jwt
from joserfc.jwk import RSAKey

from connectors.loopback import is_loopback
from streams.console.sign_in.development import CLIENT, PEOPLE, SECRET

_CODE_S = 60
_TOKEN_S = 3_600


def application(url: str) -> FastAPI:
    """The issuer at that address."""
    key = RSAKey.generate_key(2048, {"use": "sig"}, auto_kid=True)
    codes: dict[str, tuple[dict[str, str], str, float]] = {}
    app = FastAPI(title="Development issuer", openapi_url=None)

    @app.get("/.well-known/openid-configuration")
    def description() -> dict[str, Any]:
        return {
            "issuer": url,
            "authorization_endpoint": f"{url}/authorize",
            "token_endpoint": f"{url}/token",
            "jwks_uri": f"{url}/keys",
            "response_types_supported": ["code"],
            "subject_types_supported": ["public"],
            "id_token_signing_alg_values_supported": ["RS256"],
            "code_challenge_methods_supported": ["S256"],
        }

    @app.get("/keys")
    def keys() -> dict[str, Any]:
        return {"keys": [key.as_dict(private=False)]}

    @app.get("/authorize")
    def authorize(request: Request, redirect_uri: str, person: str = "") -> Response:
        asked = dict(request.query_params)
        if not is_loopback(urlsplit(redirect_uri).hostname or "") or not _fits(asked):
            return JSONResponse({"error": "invalid_request"}, 400)
        if person not in PEOPLE:
            return HTMLResponse(_choice(asked))
        code = secrets.token_urlsafe(24)
        codes[code] = (asked, person, time.monotonic() + _CODE_S)
        back = urlencode({"code": code, "state": asked.get("state", "")})
        return RedirectResponse(f"{redirect_uri}?{back}", 303)

    @app.post("/token")
    def token(
        request: Request,
        grant_type: Annotated[str, Form()] = "",
        code: Annotated[str, Form()] = "",
        code_verifier: Annotated[str, Form()] = "",
        redirect_uri: Annotated[str, Form()] = "",
        person: Annotated[str, Form()] = "",
    ) -> Response:
        if not _knows_secret(request):
            return JSONResponse({"error": "invalid_client"}, 401)
        if grant_type == "client_credentials" and person in PEOPLE:  # for programs, and for tests
            return JSONResponse(_tokens(person, None))
        asked, who, until = codes.pop(code, ({}, "", 0.0))
        fits = asked.get("redirect_uri") == redirect_uri and until > time.monotonic()
        if not who or not fits or _challenge(code_verifier) != asked["code_challenge"]:
            return JSONResponse({"error": "invalid_grant"}, 400)
        return JSONResponse(_tokens(who, asked.get("nonce")))

    def _tokens(person: str, nonce: str | None) -> dict[str, Any]:
        name, role = PEOPLE[person]
        now = int(time.time())
        claims = {
            "iss": url,
            "sub": person,
            "aud": CLIENT,
            "iat": now,
            "exp": now + _TOKEN_S,
            "name": name,
            "roles": [role.value],
        }
        signed = jwt.encode({"alg": "RS256", "kid": key.kid}, claims, key)
        answer = {"access_token": signed, "token_type": "Bearer", "expires_in": _TOKEN_S}
        if nonce is not None:
            named = {**claims, "nonce": nonce}
            answer["id_token"] = jwt.encode({"alg": "RS256", "kid": key.kid}, named, key)
        return answer

    return app


def _fits(asked: dict[str, str]) -> bool:
    return (
        asked.get("client_id") == CLIENT
        and asked.get("response_type") == "code"
        and asked.get("code_challenge_method") == "S256"
        and bool(asked.get("code_challenge"))
    )


def _choice(asked: dict[str, str]) -> str:
    rows = "".join(
        f'<p><a href="/authorize?{html.escape(urlencode({**asked, "person": key}))}">'
        f"{html.escape(name)}</a> ({role})</p>"
        for key, (name, role) in PEOPLE.items()
    )
    return (
        '<!doctype html><html lang="en-GB"><meta charset="utf-8"><title>Development sign-in</title>'
        '<body style="font:1.1rem/1.5 system-ui;max-width:30rem;margin:15vh auto">'
        f"<h1>Who are you?</h1><p>Development only: there are no passwords.</p>{rows}</body></html>"
    )


def _challenge(verifier: str) -> str:
    digest = hashlib.sha256(verifier.encode()).digest()
    return base64.urlsafe_b64encode(digest).decode().rstrip("=")


def _knows_secret(request: Request) -> bool:
    kind, _, given = request.headers.get("authorization", "").partition(" ")
    expected = base64.b64encode(f"{CLIENT}:{SECRET}".encode()).decode()
    return kind.lower() == "basic" and secrets.compare_digest(given, expected)
