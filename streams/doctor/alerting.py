"""Checks of who is told of alerts: receivers, their secrets and certificates, the routing file."""

from __future__ import annotations

from streams.delivery import routing
from streams.delivery.checking import problems
from streams.delivery.routing import RoutingError
from streams.doctor.finding import Findings, ok, problem
from streams.settings import Settings


def receivers(settings: Settings) -> Findings:
    """Whether each receiver can be used, as far as that shows without sending."""
    sinks = settings.sinks
    if not sinks.receivers:
        yield ok("sinks", "alerts are shown in the console alone (docs/delivery.md adds receivers)")
        return
    found = problems(settings)
    for text in found:
        yield problem("sinks", f"{text}: correct it (docs/delivery.md).")
    if not found:
        yield ok("sinks", f"{len(sinks.receivers)} receivers can be used")


def routing_file(settings: Settings) -> Findings:
    """Whether the routing can be used, when a file is named."""
    file = settings.sinks.routing
    if file is None:
        return
    try:
        ghosts = routing.strangers(settings.sinks.receivers, routing.load(file))
    except RoutingError as error:
        yield problem("routing", str(error))
        return
    for name in ghosts:
        yield problem(
            "routing",
            f"{file} names {name}, and sinks.receivers has no such section: what it should be told "
            "of becomes a dead letter.",
        )
    if not ghosts:
        yield ok("routing", f"{file} is right")
