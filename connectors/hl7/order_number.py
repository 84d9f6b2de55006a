"""Which order a result, a medication or a study belongs to."""

from __future__ import annotations

from connectors.hl7.context import Context
from connectors.hl7.syntax import Segment, at


def hashed_order(obr: Segment, orc: Segment, context: Context) -> str:
    """The order number of an OBR or its ORC, filler's before placer's, hashed; "" without one."""
    syntax = context.syntax
    for kind, field in (
        ("filler", at(obr, 3)),
        ("filler", at(orc, 3)),
        ("placer", at(obr, 2)),
        ("placer", at(orc, 2)),
    ):
        if not field:
            continue
        parts = syntax.components(syntax.repetitions(field)[0])
        number = syntax.part(parts, 1)
        if number:
            authority = syntax.part(parts, 2) or syntax.part(parts, 3)
            about = ["obs", kind, authority or context.source, number]
            return context.key.short(*about)
    return ""
