"""`tocsin guard`: watches over the policy in force."""

from __future__ import annotations

import signal
import threading

import typer

from connectors.clock import wall_clock
from streams.cli.processes import redis_url, start

app = typer.Typer()


@app.command()
def guard() -> None:
    """Watch the alert rate of the policy in force; take it back outside its band.

    Example: tocsin guard
    """
    from redis import Redis  # noqa: PLC0415  # what only it needs

    from connectors.journal import KafkaJournal  # noqa: PLC0415
    from streams.cli.backtesting import rules_of  # noqa: PLC0415
    from streams.guard.process import Guard, run  # noqa: PLC0415
    from streams.policy.desk import PolicyDesk  # noqa: PLC0415

    settings, probe = start("guard")
    redis = Redis.from_url(redis_url(settings), socket_timeout=5, socket_connect_timeout=5)
    journal = KafkaJournal(settings.kafka)
    rules = list(rules_of(settings).items())
    desk = PolicyDesk(journal, rules, wall_clock, two_person=settings.policy.two_person)
    stop = threading.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda *_: stop.set())
    try:
        run(Guard(desk, journal, wall_clock), settings.kafka, redis, stop, probe.set_ready)
    finally:
        journal.close()
