"""`tocsin compare`: bundles on trial against the active ones."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Annotated, Any

import msgspec
import typer
from confluent_kafka import KafkaException
from rich.console import Console
from rich.table import Table

from connectors import contract, feedback, topics
from connectors.contract import Score
from connectors.feedback import Feedback
from connectors.journal import Journal, KafkaJournal
from models.rule import alert_rules
from streams.cli.running import settings_of_running
from streams.errors import UserError

app = typer.Typer()


@app.command()
def compare(
    risk: Annotated[str, typer.Option(help="Only this risk.")] = "",
    out: Annotated[
        Path | None, typer.Option("--json", help="Write the figures to this file too.")
    ] = None,
) -> None:
    """Compare recorded scores of bundles in shadow (worker.shadow) with those of the active ones.

    Example: tocsin compare --risk glioma-survival
    """
    try:
        from streams import comparing  # noqa: PLC0415 - numpy
    except ModuleNotFoundError as error:
        raise UserError(
            f"This needs {error.name}: install the extra with `pip install 'tocsin[models]'`."
        ) from None
    settings = settings_of_running()
    journal = KafkaJournal(settings.kafka)
    try:
        trials = [t for t in comparing.trials(_scores(journal)) if risk in ("", t.risk)]
        known = comparing.outcomes(_actions(journal))
    except KafkaException as error:
        raise UserError(f"Kafka does not answer ({error.args[0].str()}): is it up?") from None
    finally:
        journal.close()
    if not trials:
        raise UserError(
            "No bundle has scored in shadow: name its folder in worker.shadow and start the worker."
        )
    rules = alert_rules(settings.worker.bundles, {t.risk for t in trials})
    found = [comparing.report(t, rules[t.risk].fire, known) for t in trials]
    if out is not None:
        out.write_text(json.dumps(found, indent=1) + "\n")
    for one in found:
        Console().print(_table(one))


def _scores(journal: Journal) -> Iterator[Score]:
    for stored in journal.read(topics.SCORES, {}):
        try:
            yield contract.decode_score(stored.value)
        except msgspec.MsgspecError:
            continue  # of a later version of the contract: nothing here can be paired with it


def _actions(journal: Journal) -> Iterator[Feedback]:
    for stored in journal.read(topics.FEEDBACK, {}):
        try:
            yield feedback.decode(stored.value)
        except msgspec.MsgspecError:
            continue  # the sequencer has put it in quarantine


def _table(found: dict[str, Any]) -> Table:
    table = Table("", "", title=f"{found['risk']}: active {found['active'][:12]}, "
                  f"shadow {found['shadow'][:12]}", show_header=False)  # fmt: skip
    for name, value in found.items():
        if name in ("risk", "active", "shadow"):
            continue
        shown = json.dumps(value) if isinstance(value, dict) else str(value)
        table.add_row(name.replace("_", " "), shown)
    return table
