"""`tocsin reproduce`: a past alert computed again from the log."""

from __future__ import annotations

import asyncio
import hashlib
import json
from pathlib import Path
from typing import Annotated

import typer
from confluent_kafka import KafkaException
from rich.console import Console
from rich.progress import Progress

from connectors import contract
from connectors.journal import KafkaJournal
from streams.cli.running import settings_of_running
from streams.errors import UserError
from streams.reproducing import Revision, check_models, told_of
from streams.reproducing import reproduce as reproduce_revisions

app = typer.Typer()


@app.command()
def reproduce(
    alert_id: Annotated[str, typer.Argument(help="As in the alert and in its link.")],
    revision: Annotated[int, typer.Option(help="Only this one; 0: all.")] = 0,
    bundles: Annotated[
        Path | None, typer.Option(help="Folder of bundles; default: that of the worker.")
    ] = None,
    as_json: Annotated[bool, typer.Option("--json", help="One JSON object a revision.")] = False,
) -> None:
    """Compute a past alert again from the log, and compare the bytes. Ends with 1 when they differ.

    Example: tocsin reproduce 3f0c2a9b81d4e6aa57c1d0e2
    """
    try:
        from models.bundle import BundleError, load_risks  # noqa: PLC0415  # torch
    except ModuleNotFoundError as error:
        raise UserError(
            f"This needs {error.name}: install the extra with `pip install 'tocsin[models]'`."
        ) from None
    settings = settings_of_running()
    journal = KafkaJournal(settings.kafka)
    screen = Console(stderr=True)
    try:
        told = told_of(journal, alert_id)
        alerts = [contract.decode_alert(raw) for raw in told]
        folder = bundles or settings.worker.bundles
        models = load_risks(folder, settings.worker.risks)
        check_models(alerts, models)
        with Progress(console=screen, transient=True, disable=not screen.is_terminal) as bar:
            task = bar.add_task("Applying the log")
            found = asyncio.run(
                reproduce_revisions(
                    journal,
                    told,
                    models,
                    settings.kafka.partitions,
                    lambda done, total: bar.update(task, completed=done, total=total),
                )
            )
    except KafkaException as error:
        raise UserError(f"Kafka does not answer ({error.args[0].str()}): is it up?") from None
    except BundleError as error:
        raise UserError(str(error)) from None
    finally:
        journal.close()
    chosen = [one for one in found if not revision or one.alert.revision == revision]
    if not chosen:
        raise UserError(f"The alert has revisions 1 to {len(found)}, and no {revision}.")
    for one in chosen:
        typer.echo(_json(one) if as_json else _line(one))
    if not all(one.same for one in chosen):
        raise typer.Exit(1)


def _line(one: Revision) -> str:
    alert = one.alert
    log = alert.score.log
    head = f"revision {alert.revision}: {alert.state}, {alert.reason}, at {alert.at}"
    place = f"{log.topic}/{log.partition}/{log.offset}"
    if one.same:
        seal = hashlib.sha256(one.told).hexdigest()[:16]
        return f"{head}: the same {len(one.told)} bytes (sha256 {seal}…) from {place}"
    return "\n  ".join([f"{head}: differs, from {place}", *one.differences()])


def _json(one: Revision) -> str:
    alert = one.alert
    return json.dumps(
        {
            "alert_id": alert.alert_id,
            "revision": alert.revision,
            "state": alert.state,
            "reason": alert.reason,
            "same": one.same,
            "bytes": len(one.told),
            "sha256": hashlib.sha256(one.told).hexdigest(),
            "differences": [] if one.same else one.differences(),
            "log": f"{alert.score.log.topic}/{alert.score.log.partition}/{alert.score.log.offset}",
            "model": alert.score.model,
            "policy": alert.threshold.version,
        }
    )
