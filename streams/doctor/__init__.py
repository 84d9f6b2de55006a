"""`tocsin doctor`: what would keep Tocsin from working here, and what to do about it."""

from __future__ import annotations

from collections.abc import Callable

from streams.doctor import alerting, intake, machine, running, servers, sources
from streams.doctor.finding import Finding, Findings, Level
from streams.settings import Settings

__all__ = ["CHECKS", "Finding", "Level", "examine"]

CHECKS: tuple[Callable[[Settings], Findings], ...] = (
    machine.python,
    machine.kafka_here,
    machine.redis_here,
    machine.disk,
    machine.ports,
    machine.chromium,
    machine.bundles,
    servers.kafka,
    servers.redis,
    intake.http,
    intake.archive,
    sources.site_file,
    sources.alarms,
    sources.unmapped_codes,
    alerting.receivers,
    alerting.routing_file,
    running.processes,
)


def examine(settings: Settings) -> list[Finding]:
    """Every finding of every check, in the order of `CHECKS`. Changes nothing."""
    settings = settings.model_copy(update={"home": settings.home.resolve()})
    return [finding for check in CHECKS for finding in check(settings)]
