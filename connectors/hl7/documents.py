"""TXA: that there is a document and how it stands, never what it says. HL7 v2.8.2 chapter 9."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final

from connectors.facts import AnyFact, Statement
from connectors.hl7.context import Context, RefusedError
from connectors.hl7.group import Group
from connectors.hl7.routing import Route
from connectors.hl7.syntax import at
from connectors.quarantine import Reason

_REMOVED: Final = frozenset(("CA", "OB"))  # TXA-19, table 0273: cancelled, obsolete


def read_document(group: Group, route: Route, context: Context) -> Iterator[AnyFact]:
    """The document of an MDM message. Raises `RefusedError` where it cannot be told which."""
    txa = group.find("TXA")
    if txa is None:
        raise RefusedError(Reason.NO_CODE, "no TXA segment", "TXA")
    syntax = context.syntax
    number = syntax.first(at(txa, 12)) or _universal(at(txa, 12), context)
    kind = syntax.code(at(txa, 2))
    if not number or kind is None:
        raise RefusedError(Reason.NO_CODE, "a document without number or type", "TXA-12")
    changed = context.said(at(group.find("EVN") or [], 2), "EVN-2")
    time = context.noted_moment(at(txa, 4), "TXA-4")
    # T11 is the cancellation itself: TXA-19 need not repeat it.
    removed = route.cancels or syntax.first(at(txa, 19)) in _REMOVED
    yield Statement(
        id=context.key.short("document", context.facility, number),
        rank=(1, changed, int(removed), context.control_id),
        removed=removed,
        kind=Statement.DOCUMENT,
        code=kind.code,
        system=kind.system or "HL70270",
        time=changed if time is None else time,
        status=syntax.first(at(txa, 17)),
        visit=context.visit,
    )


def _universal(field: str, context: Context) -> str:
    """EI-3, where senders put the number of a document alone."""
    return context.syntax.part(context.syntax.components(field), 3)
