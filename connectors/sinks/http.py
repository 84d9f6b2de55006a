"""One request, and what its answer means for a notice."""

from __future__ import annotations

import ssl
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime

import httpx

from connectors.sinks.notice import RefusedError, UnavailableError

# Answers that a later attempt may change (RFC 9110; 425 RFC 8470; 429 RFC 6585).
_LATER = frozenset({408, 409, 421, 425, 429})
_LONGEST_WAIT_S = 3_600.0


async def send(
    client: httpx.AsyncClient, method: str, url: str, body: bytes, headers: dict[str, str]
) -> bytes:
    """The answer's body. Redirections are not followed: they would carry the alert elsewhere.

    Raises `UnavailableError` for what may pass, `RefusedError` for what will not.
    """
    try:
        answer = await client.request(method, url, content=body, headers=headers)
    except httpx.TimeoutException:
        raise UnavailableError("no answer in time") from None
    except httpx.TransportError as error:
        raise UnavailableError(_words(error)) from None
    if answer.is_success:
        return answer.content
    said = f"answered {answer.status_code}"
    if answer.status_code in _LATER or answer.is_server_error:
        raise UnavailableError(said, _retry_after(answer.headers.get("retry-after", "")))
    raise RefusedError(said)


def _words(error: httpx.TransportError) -> str:
    cause: BaseException | None = error
    while cause is not None:
        if isinstance(cause, ssl.SSLCertVerificationError):
            return f"its certificate is not trusted: {cause.verify_message}"
        if isinstance(cause, ssl.SSLError):
            return f"TLS failed: {cause.reason or 'no handshake'}"
        cause = cause.__cause__ or cause.__context__
    return f"cannot be reached ({type(error).__name__})"


def _retry_after(text: str) -> float | None:
    """Seconds, from a number of them or a date (RFC 9110 section 10.2.3)."""
    if text.isascii() and text.isdecimal():
        return min(float(text), _LONGEST_WAIT_S)
    try:
        at = parsedate_to_datetime(text)
    except ValueError:
        return None
    now = datetime.now(UTC)
    at = at if at.tzinfo else at.replace(tzinfo=UTC)
    return min(max(0.0, (at - now).total_seconds()), _LONGEST_WAIT_S)
