"""`tocsin console`: the desks and the readers put together, and served."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Annotated

import typer

from connectors.clock import wall_clock
from streams.cli.processes import key_of, redis_url, run_async, start
from streams.errors import UserError
from streams.settings import Settings

if TYPE_CHECKING:
    from connectors.kafka import KafkaLog
    from models.risk import AlertRule
    from streams.console.desks import Desks
    from streams.console.sign_in.store import RedisStore
    from streams.reading import KafkaAudit

app = typer.Typer()
log = logging.getLogger("tocsin")


@app.command()
def console(
    port: Annotated[int | None, typer.Option(help="Overrides the setting console.port.")] = None,
) -> None:
    """Show alerts and patients in a browser. Example: tocsin console --port 8080"""
    from redis.asyncio import Redis  # noqa: PLC0415 - what only it needs

    from connectors.kafka import KafkaLog  # noqa: PLC0415
    from models.rule import shipped_rules  # noqa: PLC0415
    from streams.console.app import serve  # noqa: PLC0415
    from streams.console.sign_in.store import RedisStore  # noqa: PLC0415
    from streams.reading import (  # noqa: PLC0415
        AuditedNames,
        KafkaAudit,
        KafkaFeed,
    )
    from streams.state_reader import RedisReader  # noqa: PLC0415

    settings, probe = start("console")
    url = redis_url(settings)
    own = settings.console if port is None else settings.console.model_copy(update={"port": port})
    rules = _rules(settings)
    thresholds = shipped_rules(settings.worker.bundles, settings.worker.risks)
    audit = KafkaAudit(settings.kafka)

    def on_ready(address: str) -> None:
        log.info("console on %s", address)
        probe.set_ready()

    async def body(stop: asyncio.Event) -> None:
        redis = Redis.from_url(url, socket_timeout=5, socket_connect_timeout=5)
        actions = KafkaLog(settings.kafka, client_id="tocsin-console")
        with _desks(settings, rules, audit, actions, RedisStore(redis)) as desks:
            await serve(
                own,
                RedisReader(redis, settings.kafka.partitions, thresholds),
                AuditedNames(url, key_of(settings), audit),
                KafkaFeed(settings.kafka),
                on_ready=on_ready,
                stop=stop,
                desks=desks,
                time_zone=settings.sequencer.time_zone,
                feed_down_s=3 * settings.sequencer.tick_s,
            )
        if not await actions.flush(5.0):
            log.error("people's actions that the log had not confirmed end with this process")
        await redis.aclose()

    run_async(body)


def _rules(settings: Settings) -> dict[str, AlertRule]:
    from models.rule import alert_rules  # noqa: PLC0415

    try:
        return alert_rules(settings.worker.bundles, settings.worker.risks)
    except (OSError, KeyError, ValueError) as error:
        raise UserError(f"The thresholds cannot be read from the bundles: {error}.") from None


def _expiries(settings: Settings) -> dict[str, float]:
    from models.rule import expiries  # noqa: PLC0415

    try:
        return expiries(settings.worker.bundles, settings.worker.risks)
    except (OSError, KeyError, ValueError) as error:
        raise UserError(f"The bundles cannot be read: {error}.") from None


@contextmanager
def _desks(
    settings: Settings,
    rules: dict[str, AlertRule],
    audit: KafkaAudit,
    actions: KafkaLog,
    sign_ins: RedisStore,
) -> Iterator[Desks]:
    """A journal is not for several threads at once, so each desk has its own."""
    from redis import Redis  # noqa: PLC0415

    from connectors.journal import KafkaJournal  # noqa: PLC0415
    from connectors.quarantine_log import QuarantineLog  # noqa: PLC0415
    from streams.backtest_desk import BacktestDesk  # noqa: PLC0415
    from streams.cli.interpreting import Interpreter  # noqa: PLC0415
    from streams.console.desks import Desks  # noqa: PLC0415
    from streams.delivery.dead_letters import DeadLetters  # noqa: PLC0415
    from streams.delivery.standing import Standings  # noqa: PLC0415
    from streams.drift import DriftDesk  # noqa: PLC0415
    from streams.event_log import KafkaEvents  # noqa: PLC0415
    from streams.feedback_desk import FeedbackDesk  # noqa: PLC0415
    from streams.policy.desk import PolicyDesk  # noqa: PLC0415
    from streams.quarantine_desk import Desk as QuarantineDesk  # noqa: PLC0415

    journals = [KafkaJournal(settings.kafka) for _ in range(5)]
    refused, versions, scores, recent, told = journals
    store = Redis.from_url(redis_url(settings), socket_timeout=5)
    shipped, two_person = list(rules.items()), settings.policy.two_person
    try:
        yield Desks(
            quarantine=QuarantineDesk(QuarantineLog(refused, wall_clock), Interpreter(settings)),
            policy=PolicyDesk(
                versions,
                shipped,
                wall_clock,
                two_person=two_person,
                receivers=settings.sinks.receivers,
            ),
            shipped=rules,
            drift=DriftDesk(recent, wall_clock),
            backtest=BacktestDesk(scores, rules, _expiries(settings), settings.console.cohorts),
            feedback=FeedbackDesk(actions, wall_clock),
            events=KafkaEvents(settings.kafka),
            audit=audit,
            sign_ins=sign_ins,
            dead_letters=DeadLetters(told, wall_clock),
            standings=Standings(store),
            authority=settings.sinks.authority,
            receivers=settings.sinks.receivers,
        )
    finally:
        for journal in journals:
            journal.close()
        store.close()
