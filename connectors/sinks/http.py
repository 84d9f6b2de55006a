"""One request, and what its answer means for a notice."""

from __future__ import annotations

import asyncio
import ssl
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime

import httpx

from connectors.sinks.notice import RefusedError, UnavailableError

# Answers that a later attempt may change (RFC 9110; 425 RFC 8470; 429 RFC 6585).
_LATER = frozenset({408, 409, 421, 425, 429})
_LONGEST_WAIT_S = 3_600.0
_LONGEST_ANSWER = 1_000_000  # bytes


async def send(
    client: httpx.AsyncClient,
    url: str,
    body: bytes,
    headers: dict[str, str],
    timeout_s: float,
    *,
    needs_answer: bool = False,
    method: str = "POST",
) -> bytes:
    """POST; the answer's body, or its beginning. `timeout_s` is for everything together.

    A success whose body does not end is one, unless the body is needed. Redirections are not
    followed: they would carry the alert elsewhere. Raises `UnavailableError` for what may pass,
    `RefusedError` for what will not.
    """
    answer: httpx.Response | None = None
    said = b""
    try:
        async with (
            asyncio.timeout(timeout_s),
            client.stream(method, url, content=body, headers=headers) as answer,
        ):
            said = await _beginning(answer)
    except (TimeoutError, httpx.TransportError) as error:
        if answer is None or needs_answer or not answer.is_success:
            raise UnavailableError(_words(error)) from None
    if answer.is_success:
        return said
    code = f"answered {answer.status_code}"
    if answer.status_code in _LATER or answer.is_server_error:
        raise UnavailableError(code, _retry_after(answer.headers.get("retry-after", "")))
    raise RefusedError(code)


async def _beginning(answer: httpx.Response) -> bytes:
    """As much as anybody could want to know, however much is sent."""
    said = b""
    async for chunk in answer.aiter_bytes():
        said += chunk
        if len(said) >= _LONGEST_ANSWER:
            break
    return said


def _words(error: Exception) -> str:
    if isinstance(error, TimeoutError | httpx.TimeoutException):
        return "no answer in time"
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
