"""ORC: how an order stands. The newest message about an order counts."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final

from connectors.facts import AnyFact, Order
from connectors.hl7.context import Context
from connectors.hl7.group import Group
from connectors.hl7.order_number import hashed_order
from connectors.hl7.routing import Route
from connectors.hl7.syntax import Segment, at

# What ORC-1 (table 0119) makes of an order whose ORC-5 (table 0038) is blank. Refills, requests
# that were refused and dispenses elsewhere say nothing of how the order stands.
STATUS_OF_CONTROL: Final[dict[str, str]] = {
    **dict.fromkeys(
        ("NW", "OK", "NA", "SN", "RO", "RR", "PA", "CH", "XO", "XR", "RL", "OR", "OE"), "SC"
    ),
    **dict.fromkeys(("CA", "OC", "CR", "UA"), "CA"),
    **dict.fromkeys(("DC", "OD", "DR"), "DC"),
    **dict.fromkeys(("HD", "OH", "HR"), "HD"),
    **dict.fromkeys(("RP", "RU", "RQ"), "RP"),
    "RE": "CM",
}


def read_orders(group: Group, _: Route, context: Context) -> Iterator[AnyFact]:
    """One fact for each ORC that names an order and says how it stands."""
    found: dict[str, Order] = {}
    for orc, detail in _pairs(group.segments):
        order = hashed_order(detail, orc, context)
        status = context.syntax.first(at(orc, 5))
        status = status or STATUS_OF_CONTROL.get(context.syntax.first(at(orc, 1)), "")
        if not order or not status:
            continue
        changed = context.said(at(orc, 9), "ORC-9")
        code = context.syntax.code(at(detail, 4)) if detail else None
        fact = Order(
            id=order,
            rank=(1, changed, 0, context.control_id),
            order=order,
            status=status,
            time=changed,
            code=code.code if code else "",
            system=code.system if code else "",
            name=code.text if code else "",
            visit=context.visit,
        )
        known = found.get(order)
        if known is None or fact.rank >= known.rank:
            found[order] = fact
    yield from found.values()


def _pairs(segments: list[Segment]) -> Iterator[tuple[Segment, Segment]]:
    """Each ORC with the OBR that it speaks of."""
    orc: Segment = []
    for segment in segments:
        if segment[0] == "ORC":
            if orc:
                yield orc, []
            orc = segment
        elif segment[0] == "OBR" and orc:
            yield orc, segment
            orc = []
    if orc:
        yield orc, []
