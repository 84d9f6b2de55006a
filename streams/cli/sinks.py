"""`tocsin sinks`: the process that tells people of alerts, and what people need around it."""

from __future__ import annotations

import asyncio
import json
import logging
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Annotated

import typer
from confluent_kafka import KafkaException
from rich.console import Console
from rich.table import Table

from connectors.clock import wall_clock
from connectors.journal import KafkaJournal
from connectors.sinks.deliveries import Delivery
from connectors.sinks.notice import SinkError
from connectors.sinks.opening import CannotOpenError
from streams import settings as settings_module
from streams.cli.person import person
from streams.cli.running import settings_of_running
from streams.delivery import routing as routing_module
from streams.delivery.checking import opened, problems
from streams.delivery.dead_letters import DeadLetters
from streams.delivery.rehearsal import example, explain, trial
from streams.delivery.routing import Routing, RoutingError, strangers
from streams.delivery.source import open_source
from streams.errors import UserError
from streams.settings import Settings

app = typer.Typer(help="Tell people of alerts: run it, try it out, look after what failed.")
dead = typer.Typer(no_args_is_help=True, help="Alerts that could not be told.")
app.add_typer(dead, name="dead")
log = logging.getLogger("tocsin")

Why = Annotated[str, typer.Option("--why", help="The reason, recorded with your name.")]
Ids = Annotated[list[str] | None, typer.Argument(help="Ids, or their first characters.")]
Every = Annotated[bool, typer.Option("--all", help="All of them.")]
ByReceiver = Annotated[str, typer.Option("--receiver", help="Only of this receiver.")]


@app.callback(invoke_without_command=True)
def sinks(context: typer.Context) -> None:
    """Tell people of alerts, as `sinks.receivers` and the routing say. Example: tocsin sinks"""
    if context.invoked_subcommand is None:
        _run()


def _run() -> None:
    from streams.cli.processes import key_of, run_async, start  # noqa: PLC0415 - for the process
    from streams.delivery.process import run  # noqa: PLC0415

    settings, probe = start("sinks")
    if not settings.sinks.receivers:
        raise UserError(
            "Nobody would be told: `sinks.receivers` is empty. docs/delivery.md shows how to add "
            "a receiver to tocsin.toml."
        )

    def on_ready() -> None:
        log.info("telling %s", ", ".join(settings.sinks.receivers))
        probe.set_ready()

    async def body(stop: asyncio.Event) -> None:
        await run(settings, key_of(settings), wall_clock, on_ready=on_ready, stop=stop)

    try:
        run_async(body)
    except (RoutingError, CannotOpenError) as error:
        raise UserError(str(error)) from None


@app.command()
def check() -> None:
    """Check receivers, secrets, certificates and the routing. Example: tocsin sinks check"""
    settings = settings_module.load()
    if not settings.sinks.receivers:
        raise UserError("`sinks.receivers` is empty: nobody would be told (docs/delivery.md).")
    for problem in problems(settings):
        raise UserError(f"{problem}.")
    routing = _routing(settings, None)
    ghosts = strangers(settings.sinks.receivers, routing)
    if ghosts:
        raise UserError(
            f"The routing names {', '.join(ghosts)}, and `sinks.receivers` has no such section: "
            "what it should be told of would become a dead letter."
        )
    unused = set(settings.sinks.receivers) - {r.name for r in routing.receivers}
    typer.echo(f"{len(settings.sinks.receivers)} receivers can be used.")
    if unused:
        typer.echo(f"No route ends at {', '.join(sorted(unused))}.")


@app.command()
def route(
    ward: Annotated[str, typer.Option(help="Where the patient is.")] = "",
    risk: Annotated[str, typer.Option(help="e.g. sepsis")] = "deterioration",
    severity: Annotated[str, typer.Option(help="warning or critical")] = "critical",
    state: Annotated[str, typer.Option(help="e.g. firing, escalated, resolved")] = "firing",
    reason: Annotated[str, typer.Option(help="e.g. above_threshold")] = "",
    to: Annotated[str, typer.Option("--to", help="Whom it is escalated to.")] = "",
    bed: Annotated[str, typer.Option(help="The bed.")] = "",
    group: Annotated[str, typer.Option(help="Group of the policy; default: the risk.")] = "",
    handed_to: Annotated[str, typer.Option(help="Whom it was handed over to.")] = "",
    file: Annotated[
        Path | None, typer.Option(help="A routing to try; default: the one in force.")
    ] = None,
) -> None:
    """Say who would be told of an alert. Example: tocsin sinks route --ward ICU --risk sepsis"""
    labels = {
        "ward": ward,
        "risk": risk,
        "severity": severity,
        "state": state,
        "reason": reason,
        "escalated_to": to,
        "bed": bed,
        "group": group or risk,
        "handed_to": handed_to,
    }
    alert = example(wall_clock(), labels)
    for line in explain(_routing(settings_module.load(), file), alert):
        typer.echo(line)


def _routing(settings: Settings, file: Path | None) -> Routing:
    try:
        if file is not None:
            return routing_module.load(file)
        if settings.sinks.routing is not None:
            return routing_module.load(settings.sinks.routing)
    except RoutingError as error:
        raise UserError(str(error)) from None
    running = settings_of_running()
    two_person = running.policy.two_person
    return open_source(running.sinks, KafkaJournal(running.kafka), two_person=two_person).current


@app.command()
def test(receiver: Annotated[str, typer.Argument(help="Its name in sinks.receivers.")]) -> None:
    """Send one alert that is marked as a test. Example: tocsin sinks test pager"""
    settings = settings_module.load()
    found = settings.sinks.receivers.get(receiver)
    if found is None:
        known = ", ".join(settings.sinks.receivers) or "none is set"
        raise UserError(f"There is no receiver {receiver} in `sinks.receivers`: {known}.")
    asyncio.run(_try_out(receiver, found.kind, settings))
    typer.echo(f"{receiver} has taken the test alert.")


async def _try_out(name: str, kind: str, settings: Settings) -> None:
    sink = opened(name, settings)
    try:
        await sink.send(trial(name, wall_clock()))
    except SinkError as error:
        hint = " It was marked as a test (MSH-11 T)." if kind == "mllp" else ""
        raise UserError(f"{name} did not take the test alert: {error}.{hint}") from None
    finally:
        await sink.close()


# ── dead letters ────────────────────────────────────────────────────────────────────────────


@dead.command("list")
def list_dead(
    receiver: ByReceiver = "",
    as_json: Annotated[bool, typer.Option("--json", help="One JSON object a line.")] = False,
) -> None:
    """List alerts that could not be told, oldest first. Example: tocsin sinks dead list"""
    with _letters() as letters:
        items = [i for i in letters.items() if receiver in ("", i.receiver)]
    if as_json:
        for item in items:
            typer.echo(json.dumps(_to_json(item)))
        return
    if not items:
        typer.echo("There are no dead letters.")
        return
    table = Table(box=None, header_style="bold")
    for column in ("id", "receiver", "alert", "state", "why", "in words", "attempts", "at"):
        table.add_column(column)
    for i in items:
        alert = f"{i.alert_id}/{i.revision}"
        row = (i.id[:12], i.receiver, alert, i.state, i.reason, i.detail, str(i.attempts), i.at)
        table.add_row(*row)
    Console(soft_wrap=True).print(table)
    typer.echo(
        f"{len(items)} dead letters. Next: tocsin sinks dead retry {items[0].id[:12]} --why …"
    )


def _to_json(item: Delivery) -> dict[str, object]:
    names = ("id", "receiver", "alert_id", "revision", "patient", "risk", "state", "reason")
    return {n: getattr(item, n) for n in (*names, "detail", "attempts", "at")}


@dead.command()
def retry(ids: Ids = None, every: Every = False, receiver: ByReceiver = "", why: Why = "") -> None:
    """Try again. A revision that has been overtaken is not told any more.

    Example: tocsin sinks dead retry --all --receiver pager --why 'the gateway is back'
    """
    with _letters() as letters:
        count = letters.retry(_chosen(letters, ids, every, receiver), who=person(), why=why)
    typer.echo(f"{count} will be told by `tocsin sinks`, if it runs.")


@dead.command()
def discard(
    ids: Ids = None, every: Every = False, receiver: ByReceiver = "", why: Why = ""
) -> None:
    """Decide that nobody needs to be told any more.

    Example: tocsin sinks dead discard 3f2a90c1 --why 'the patient was seen'
    """
    with _letters() as letters:
        count = letters.discard(_chosen(letters, ids, every, receiver), who=person(), why=why)
    typer.echo(f"{count} discarded.")


def _chosen(
    letters: DeadLetters, ids: list[str] | None, every: bool, receiver: str
) -> list[Delivery]:
    if bool(ids) == every:
        raise UserError("Name the dead letters, or take --all.")
    if ids:
        return [letters.find(start) for start in ids]
    return [i for i in letters.items() if receiver in ("", i.receiver)]


@contextmanager
def _letters() -> Iterator[DeadLetters]:
    journal = KafkaJournal(settings_of_running().kafka)
    try:
        yield DeadLetters(journal, wall_clock)
    except KafkaException as error:
        raise UserError(f"Kafka does not answer ({error.args[0].str()}): is it up?") from None
    finally:
        journal.close()
