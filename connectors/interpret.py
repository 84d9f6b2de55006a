"""Chooses who interprets a wire record, by its content type."""

from __future__ import annotations

from collections.abc import Callable
from typing import Final

from connectors import wire
from connectors.hl7 import interpret as hl7
from connectors.identity import IdentityKey
from connectors.interpretation import Interpretation, Issue, Site
from connectors.quarantine import Reason
from connectors.wire import WireMessage

# One interpretation for each message that the record holds: a batch holds several.
Interpreter = Callable[[WireMessage, IdentityKey, Site], list[Interpretation]]


def _hl7(message: WireMessage, key: IdentityKey, site: Site) -> list[Interpretation]:
    return [hl7.interpret(message.raw, message.heard, key, site, message.source)]


INTERPRETERS: Final[dict[str, Interpreter]] = {
    wire.HL7: _hl7,
}


def interpret(message: WireMessage, key: IdentityKey, site: Site) -> list[Interpretation]:
    """What a record says. Never raises, whatever the bytes."""
    chosen = INTERPRETERS.get(message.content_type.partition(";")[0].strip())
    if chosen is not None:
        return chosen(message, key, site)
    detail = "a content type that nobody here reads"
    issue = Issue(Reason.UNSUPPORTED_CONTENT, detail, "content-type")
    return [
        Interpretation(
            "quarantine",
            reason=issue.reason,
            sent=message.heard,
            source=message.source,
            issues=[issue],
        )
    ]
