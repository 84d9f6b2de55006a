"""TLS of the ports that Tocsin opens, and of the connections that it makes."""

from __future__ import annotations

import ssl
from pathlib import Path

from connectors.settings import TlsServer


class TlsError(Exception):
    """Files that cannot be used, in words."""


def server_context(tls: TlsServer) -> ssl.SSLContext | None:
    """TLS as set; None when it is off. Raises `TlsError`."""
    if tls.certificate is None:
        return None
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    try:
        context.load_cert_chain(tls.certificate, tls.key)
        if tls.client_ca is not None:
            context.load_verify_locations(tls.client_ca)
            context.verify_mode = ssl.CERT_REQUIRED
    except (OSError, ssl.SSLError) as error:
        raise TlsError(
            f"cannot be used: {error.strerror or error} "
            f"(certificate {tls.certificate}, key {tls.key}, client_ca {tls.client_ca})"
        ) from None
    return context


def client_context(ca: Path | None, certificate: Path | None, key: Path | None) -> ssl.SSLContext:
    """TLS towards a server, whose certificate and name are always checked. Raises `TlsError`."""
    try:
        context = ssl.create_default_context(cafile=None if ca is None else str(ca))
        context.minimum_version = ssl.TLSVersion.TLSv1_2
        if certificate is not None:
            context.load_cert_chain(certificate, key)
    except (OSError, ssl.SSLError) as error:
        raise TlsError(
            f"cannot be used: {error.strerror or error} "
            f"(ca {ca}, certificate {certificate}, key {key})"
        ) from None
    return context
