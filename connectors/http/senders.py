"""Who may send: whoever holds a token of the list, or everybody of this machine."""

from __future__ import annotations

import hmac
import logging
import re
from pathlib import Path
from typing import Final

from starlette.requests import Request

from connectors.http.answers import Answer, Refused
from connectors.loopback import host_of, is_loopback
from connectors.settings import HttpSettings

log = logging.getLogger("tocsin.http")

SHORTEST_TOKEN: Final = 16  # characters
_SOURCE = re.compile(r"[^\s\x00-\x1f\x7f][^\x00-\x1f\x7f]{0,199}")


class SendersError(Exception):
    """Settings that cannot be used, in words."""


class Senders:
    """Knows the tokens; the name beside each is the source of what comes with it."""

    def __init__(self, settings: HttpSettings) -> None:
        """Raises `SendersError`."""
        self._file = settings.tokens
        self._source = settings.source
        # Certificates and tokens say who sends. Without either, only this machine may.
        self._only_here = settings.tokens is None and settings.tls.client_ca is None
        if self._only_here and not is_loopback(settings.host):
            raise SendersError(
                f"http.host is {settings.host}, and anybody could send there: set http.tokens or "
                "http.tls.client_ca, or http.host to 127.0.0.1."
            )
        self._tokens: dict[str, str] = {}  # token → source
        self._stamp: tuple[int, int] | None = None
        if self._file is not None:
            self._stamp = _stamp(self._file)
            self._tokens = read_tokens(self._file)

    @property
    def who(self) -> str:
        """Who may send, in words."""
        if self._only_here:
            return "this machine alone"
        names = len(set(self._tokens.values()))
        return f"{names} senders with tokens" if self._file else "holders of client certificates"

    def look(self) -> None:
        """Take over a list that has changed; of one that is wrong, nothing."""
        if self._file is None or (stamp := _stamp(self._file)) == self._stamp:
            return
        self._stamp = stamp
        try:
            self._tokens = read_tokens(self._file)
        except SendersError as error:
            log.error("the tokens are not taken over, those before stay in force: %s", error)
        else:
            log.info("the tokens were read again: %d senders", len(set(self._tokens.values())))

    def source_of(self, request: Request) -> str:
        """Which source sends this. Raises `Refused` for who may not."""
        if self._only_here:
            self._check_local(request)
        if self._file is not None:
            return self._by_token(request.headers.get("authorization", ""))
        source = request.query_params.get("source", self._source)
        if not _SOURCE.fullmatch(source):
            raise Refused(Answer(400, "`source` is no name of a source", "bad_source"))
        return source

    def _by_token(self, header: str) -> str:
        scheme, _, said = header.partition(" ")
        found = ""
        if scheme.lower() == "bearer":
            for token, source in self._tokens.items():  # all of them: time tells nothing
                if hmac.compare_digest(token.encode(), said.strip().encode()):
                    found = source
        if not found:
            challenge = (("www-authenticate", 'Bearer realm="tocsin"'),)
            raise Refused(Answer(401, "a token that is on the list is needed", "login", challenge))
        return found

    def _check_local(self, request: Request) -> None:
        """Pages of other sites must not send through a browser of this machine."""
        here = is_loopback(host_of(request.headers.get("host", "")))
        if request.headers.get("origin") is not None or not here:
            detail = "without tokens or client certificates, only this machine may send"
            raise Refused(Answer(403, detail, "forbidden"))


def read_tokens(file: Path) -> dict[str, str]:
    """Token → source, from lines `SOURCE TOKEN`; `#` begins a comment. Raises `SendersError`."""
    try:
        text = file.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        why = getattr(error, "strerror", None) or "it is no UTF-8"
        raise SendersError(f"http.tokens: {file} cannot be read: {why}.") from None
    found: dict[str, str] = {}
    for number, line in enumerate(text.splitlines(), 1):
        if not line.strip() or line.lstrip().startswith("#"):
            continue
        source, _, token = line.strip().rpartition(" ")
        if not _SOURCE.fullmatch(source.strip()) or len(token) < SHORTEST_TOKEN:
            raise SendersError(
                f"http.tokens: {file}, line {number}: each line is a source and a token of at "
                f"least {SHORTEST_TOKEN} characters."
            )
        found[token] = source.strip()
    if not found:
        raise SendersError(f"http.tokens: {file} names no sender.")
    return found


def _stamp(file: Path) -> tuple[int, int] | None:
    try:
        found = file.stat()
    except OSError:
        return None
    return found.st_mtime_ns, found.st_size
