"""From settings to a sink: secrets are read, certificates loaded. One place for all kinds."""

from __future__ import annotations

import ssl
from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple

from pydantic import SecretStr

from connectors.clock import Clock
from connectors.mllp.client import Heard
from connectors.sinks import signature
from connectors.sinks.fhir_server import FhirServer, authorization
from connectors.sinks.hl7 import Addresses
from connectors.sinks.mail import Mailbox
from connectors.sinks.mllp import MllpSink
from connectors.sinks.notice import Sink
from connectors.sinks.settings import (
    FhirReceiver,
    MailReceiver,
    MllpReceiver,
    Receiver,
    SinksSettings,
    TlsClient,
    WebhookReceiver,
)
from connectors.sinks.webhook import Webhook
from connectors.tls import TlsError, client_context


class CannotOpenError(Exception):
    """A receiver whose settings cannot be used; the text names the setting."""


class Site(NamedTuple):
    """What all receivers share."""

    sinks: SinksSettings
    preferred: tuple[str, ...]  # identifier types, best first
    clock: Clock
    heard: Heard | None = None  # what HL7 systems say by themselves


def open_sink(name: str, settings: Receiver, site: Site) -> Sink:
    """Raises `CannotOpenError`. Nothing is connected yet."""
    try:
        return _OPENERS[type(settings)](settings, site)
    except (OSError, signature.BadSecretError, TlsError) as error:
        words = error.strerror or "unreadable" if isinstance(error, OSError) else str(error)
        where = f" {error.filename}" if isinstance(error, OSError) and error.filename else ""
        raise CannotOpenError(f"sinks.receivers.{name}:{where} {words}".rstrip()) from None


def _webhook(settings: WebhookReceiver, site: Site) -> Sink:
    secrets = [_secret(settings.secret, settings.secret_file)]
    secrets += [settings.previous_secret.get_secret_value()]
    keys = [signature.key_of(s) for s in secrets if s]
    return Webhook(settings, keys, site.sinks.link, site.clock, _context(settings.tls))


def _mllp(settings: MllpReceiver, site: Site) -> Sink:
    addresses = Addresses(
        settings.sending, settings.receiving, site.sinks.authority, site.sinks.link, site.preferred
    )
    tls = _context(settings.tls) if settings.tls.enabled else None
    return MllpSink(settings, addresses, tls, site.heard)


def _fhir(settings: FhirReceiver, site: Site) -> Sink:
    token = _secret(settings.token, settings.token_file)
    header = authorization(settings, token, settings.password.get_secret_value())
    s = site.sinks
    tls = _context(settings.tls)
    return FhirServer(settings, header, s.link, s.authority, site.preferred, tls)


def _mail(settings: MailReceiver, site: Site) -> Sink:
    password = _secret(settings.password, settings.password_file)
    return Mailbox(settings, password, site.sinks.link, _context(settings.tls))


_OPENERS: dict[type, Callable[..., Sink]] = {
    WebhookReceiver: _webhook,
    MllpReceiver: _mllp,
    FhirReceiver: _fhir,
    MailReceiver: _mail,
}


def _secret(inline: SecretStr, file: Path | None) -> str:
    return file.read_text().strip() if file is not None else inline.get_secret_value()


def _context(tls: TlsClient) -> ssl.SSLContext:
    return client_context(tls.ca, tls.certificate, tls.key)
