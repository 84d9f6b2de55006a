"""Receivers to tell of alerts, each running while a test needs it."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.unit.sinks.peers import SECRET, Hl7Peer, MailPeer, WebPeer


@pytest.fixture
def web() -> Iterator[WebPeer]:
    with WebPeer(SECRET) as peer:
        yield peer


@pytest.fixture
def system() -> Iterator[Hl7Peer]:
    with Hl7Peer() as peer:
        yield peer


@pytest.fixture
def mailbox() -> Iterator[MailPeer]:
    with MailPeer() as peer:
        yield peer
